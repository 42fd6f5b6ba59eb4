"""What changed of measured numbers since a numbers.csv was written: that of the folder, or of a commit."""

import csv
import io
import subprocess
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from divbench.errors import ResultError
from divbench.leaderboard.entries import Entry
from divbench.report.render import Cell, Table

Values = Mapping[str, Mapping[str, float | None]]
"""Place of an entry -> metric, scope and which number of it -> number."""

_NUMBERS = ("value", "low", "high", "n", "yardstick")  # columns of numbers.csv that are compared


@dataclass(frozen=True)
class Change:
    """A measured number that is not what it was.

    Attributes:
        place: of the entry.
        what: metric, scope and, unless it is the value, which number of it.
        old, new: None: it was not there, or is gone.
    """

    place: str
    what: str
    old: float | None
    new: float | None

    def beyond(self, tolerance: float) -> bool:
        """Whether a number that was published is gone, or differs by more than a share of itself."""
        if self.old is None:
            return False
        return self.new is None or abs(self.new - self.old) > tolerance * max(abs(self.old), abs(self.new))


def changes_between(before: Values, after: Values) -> list[Change]:
    """All numbers that differ at all, by entry; those of new entries are left out."""
    return [change for place in before for change in _changes(place, before[place], after.get(place, {}))]


def _changes(place: str, old: Mapping[str, float | None], new: Mapping[str, float | None]) -> Iterator[Change]:
    for what in dict.fromkeys([*old, *new]):
        pair = old.get(what), new.get(what)
        if pair[0] != pair[1]:
            yield Change(place, what, *pair)


def values_of(entries: Iterable[Entry]) -> Values:
    """The numbers of entries, as they stand in numbers.csv."""
    found: dict[str, dict[str, float | None]] = {}
    for entry in entries:
        held = found.setdefault(entry.place, {})
        for score in entry.result.scores:
            low, high = (None, None) if score.interval is None else (score.interval.low, score.interval.high)
            numbers = (score.value, low, high, float(len(score.values)), score.reference_value("iid"))
            held |= {_what(score.metric, score.scope, name): one for name, one in zip(_NUMBERS, numbers, strict=True)}
    return found


def values_in(path: Path, content: str) -> Values:
    """The measured numbers of a numbers.csv.

    Raises:
        ResultError: it is none.
    """
    found: dict[str, dict[str, float | None]] = {}
    try:
        for row in csv.DictReader(io.StringIO(content), strict=True):
            if row["kind"] == "measured":
                metric = f"{row['quantity']}/{row['network']}" if row["network"] else row["quantity"]
                held = found.setdefault(row["where"].removesuffix(".json"), {})
                for name in _NUMBERS:
                    held[_what(metric, row["scope"], name)] = float(row[name]) if row[name] else None
    except (KeyError, ValueError, TypeError, AttributeError, csv.Error) as error:
        raise ResultError(f"{path}: is no table of numbers ({error}); write it: divbench leaderboard build") from error
    return found


def values_at(reference: str, folder: Path) -> Values | None:
    """The measured numbers of a commit of the repository that holds ``folder``; None where it has no numbers.csv there.

    Raises:
        ResultError: there is no repository or no such commit, or its numbers.csv is none.
    """
    if reference.startswith("-"):
        raise ResultError(f"--against {reference}: expected a branch, tag or commit, such as origin/main")
    commit = _git(folder, reference, "rev-parse", "--verify", "--quiet", f"{reference}^{{commit}}").strip()
    if not _git(folder, reference, "ls-tree", "--name-only", commit, "numbers.csv").strip():
        return None
    content = _git(folder, reference, "show", f"{commit}:./numbers.csv")
    return values_in(Path(f"{reference}:{folder / 'numbers.csv'}"), content)


def changes_table(changes: Iterable[Change], tolerance: float) -> Table:
    """A row for each change."""
    rows: list[list[Cell]] = [
        [one.place, one.what, _exact(one.old), _exact(one.new), "beyond" if one.beyond(tolerance) else "within"]
        for one in changes
    ]
    return Table("Changed numbers", ["entry", "number", "old", "new", f"tolerance {tolerance:g}"], rows)


def _what(metric: str, scope: str, name: str) -> str:
    return f"{metric}, {scope} scope" + (f", {name}" if name != "value" else "")


def _exact(value: float | None) -> str | None:
    return None if value is None else f"{value:.7g}"


def _git(folder: Path, reference: str, *arguments: str) -> str:
    try:
        found = subprocess.run(["git", *arguments], cwd=folder, capture_output=True, check=False)
    except OSError as error:
        raise ResultError(f"--against {reference}: git cannot be run ({error.strerror or error})") from error
    if found.returncode:
        said = found.stderr.decode(errors="replace").strip() or "there is no such branch, tag or commit; is it fetched?"
        raise ResultError(f"--against {reference}: {said}")
    return found.stdout.decode(errors="replace")
