"""What keeps a leaderboard from being published: entries that are none, stale tables, numbers that changed unseen."""

from dataclasses import dataclass
from pathlib import Path

from divbench.errors import DivbenchError, ResultError
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
        compared: whether there were published numbers to compare with.
    """

    board: Board | None
    problems: tuple[str, ...]
    changes: tuple[Change, ...]
    compared: bool = True


def check(folder: Path, tolerance: float, against: str | None = None) -> Checked:
    """Check the leaderboard in ``folder``.

    Args:
        folder: of the leaderboard.
        tolerance: share of itself by which a published number may change.
        against: commit whose numbers are the published ones; None: those of the numbers.csv that is there, which tells
            changes only until the tables are written again.

    Raises:
        ResultError: there is no such folder, or the numbers of ``against`` cannot be had.
    """
    if not folder.is_dir():
        raise ResultError(f"{folder}: there is no such folder; give that of a leaderboard: --folder leaderboards")
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
    problems += [
        f"claim {one.claim.id}, IPC {found.ipc}, {found.protocol}: {found.verdict.text}"
        for one in board.stated
        for found in one.measured
        if found.verdict.status == "error"
    ]
    beyond = sum(change.beyond(tolerance) for change in changes)
    if beyond:
        since = f"of {against}" if against else "that numbers.csv holds"
        problems.append(
            f"measured numbers {since} that are gone or changed by over {tolerance:g} of themselves: {beyond}"
        )
    return Checked(board, tuple(problems), tuple(changes), against is None or published is not None)
