"""What keeps a leaderboard from being published: entries that are none, stale tables, numbers that changed unseen."""

from dataclasses import dataclass
from pathlib import Path

from divbench.errors import DivbenchError
from divbench.leaderboard.board import Board, load_board
from divbench.leaderboard.build import stale
from divbench.leaderboard.changes import Change, changes_between, values_at, values_in, values_of


@dataclass(frozen=True)
class Checked:
    """What a check found.

    Attributes:
        board: None: it cannot be read, and ``problems`` says why.
        problems: lines, one for each.
        changes: of measured numbers, also those within the tolerance.
    """

    board: Board | None
    problems: tuple[str, ...]
    changes: tuple[Change, ...]


def check(folder: Path, tolerance: float, against: str | None = None) -> Checked:
    """Check the leaderboard in ``folder``.

    Args:
        folder: of the leaderboard.
        tolerance: share of itself by which a published number may change.
        against: commit whose numbers are the published ones; None: those of the numbers.csv that is there.

    Raises:
        ResultError: the numbers of ``against`` cannot be had.
    """
    published = None if against is None else values_at(against, folder)
    try:
        board = load_board(folder)
        old = stale(board)
        path = folder / "numbers.csv"
        if published is None and path.name in old and path.is_file():
            published = values_in(path, path.read_text(encoding="utf-8", errors="replace"))
    except DivbenchError as problem:
        return Checked(None, tuple(str(problem).splitlines()), ())
    changes = [] if published is None else changes_between(published, values_of(board.entries))
    problems = [
        f"{folder / name}: is not what the entries make of it; write it: divbench leaderboard build" for name in old
    ]
    beyond = sum(change.beyond(tolerance) for change in changes)
    if beyond:
        since = f"of {against}" if against else "that numbers.csv holds"
        problems.append(
            f"{beyond} measured numbers {since} are gone or changed by more than {tolerance:g} of themselves"
        )
    return Checked(board, tuple(problems), tuple(changes))
