"""Tables of measured entries, beside what papers print of the same data set and number of images per class.

A cell that was not measured stays missing. Nothing is averaged over cells that are not there, and the best of a column
is marked only where every entry of the table has a value.
"""

from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass, field

from divbench.leaderboard.board import Board
from divbench.leaderboard.entries import Entry
from divbench.leaderboard.facts import Fact
from divbench.leaderboard.stated import MARKS, PRINTED_NETWORKS
from divbench.report.footnotes import notes
from divbench.report.parts import Row, bold_cells, heading
from divbench.report.render import Cell, Measured, Table
from divbench.results import ACCURACY, Score
from divbench.wording import REFERENCES

DIVERSITY = ("coverage", "vendi", "cosine")
"""What papers print of diversity; each is a metric of the same name, inside classes."""

LEGEND = (
    "printed: as papers print it, under protocols of their own; where coverage, Vendi and cosine are printed without "
    "images per class, they stand beside every number of them",
    "gain: of the method over the one that it was added to, as a paper claims it, tested on the entries of the table: "
    + ", ".join(f"{sign} {mark}" for mark, sign in MARKS.items() if mark != "error"),
    "bold: the best entry, in columns where every entry has a value, whether or not the difference is beyond noise",
)
"""How to read the tables of measured entries."""


@dataclass(frozen=True)
class Column:
    """A column of a table.

    Attributes:
        title: its heading.
        better: direction of what was measured; None: there is no best.
        cells: by the key of the method.
        references: yardsticks and controls, by their key.
    """

    title: str
    better: bool | None
    cells: dict[str, Cell]
    references: dict[str, Cell] = field(default_factory=dict)


def groups(board: Board) -> list[list[Entry]]:
    """Entries that stand in one table: of one data set, number of images per class and protocol."""
    found: dict[Hashable, list[Entry]] = {}
    for entry in board.entries:
        found.setdefault((entry.dataset, entry.ipc, entry.protocol), []).append(entry)
    return list(found.values())


def measured_table(board: Board, entries: Sequence[Entry]) -> Table:
    """A row for each method that was measured here or has printed numbers of the data set and images per class.

    Args:
        board: with printed numbers and claims.
        entries: one of `groups`.
    """
    first = entries[0]
    columns = list(_columns(board, entries))
    known = {entry.method for entry in entries}
    printed = {method for column in columns for method, cell in column.cells.items() if cell not in (None, "")}
    methods = sorted(known | printed, key=board.methods.order)
    rows = [
        Row(
            [board.methods.name(method), *(column.cells.get(method, column.cells.get("")) for column in columns)],
            "entries" if method in known else None,
        )
        for method in methods
    ]
    whole = {
        place: column.better
        for place, column in enumerate(columns, 1)
        if all(column.cells.get(method) is not None for method in known)
    }
    references: list[list[Cell]] = [
        [f"({title})", *(column.references.get(key, None if column.references else "") for column in columns)]
        for key, title in REFERENCES.items()
        if any(key in column.references for column in columns)
    ]
    results = [entry.result for entry in entries]
    return Table(
        f"{first.dataset}, {first.ipc} images per class, protocol {first.protocol}",
        ["method", *(column.title for column in columns)],
        [*(row.cells for row in rows), *references],
        [*(f"{result.name}: {result.note}" for result in results if result.note), *notes(results)],
        bold_cells(rows, whole),
    )


def _columns(board: Board, entries: Sequence[Entry]) -> Iterator[Column]:
    """Students of each recipe first, then diversity."""
    facts = [fact for fact in board.facts if fact.dataset == entries[0].dataset and not (fact.variant or fact.baseline)]
    recipes = {(one.net, one.digest): one.recipe for entry in entries for one in entry.result.accuracies}
    for (net, digest), recipe in recipes.items():
        twins = sum((n, name) == (net, recipe) for (n, _), name in recipes.items()) > 1
        scores = {
            entry.method: entry.result.score(ACCURACY + net)
            for entry in entries
            if any((one.net, one.digest) == (net, digest) for one in entry.result.accuracies)
        }
        title = f"{net} % ↑ ({recipe}{f' {digest:.4}' if twins else ''})"
        yield from _beside(board, entries[0], facts, ACCURACY + net, title, scores)
    for metric in DIVERSITY:
        scores = {
            entry.method: score
            for entry in entries
            for score in entry.result.scores
            if (score.metric, score.scope) == (metric, "class")
        }
        if scores:
            title = heading(next(iter(scores.values())))
            yield from _beside(board, entries[0], facts, metric, title, scores)


def _beside(
    board: Board, place: Entry, facts: Sequence[Fact], metric: str, title: str, scores: dict[str, Score]
) -> Iterator[Column]:
    """A metric: measured, the ratio of coverage to its yardstick, printed, gain; each where there is something."""
    quantity, _, network = metric.partition("/")
    scale = 100 if network else 1
    measured = {method: _measured(score, scale) for method, score in scores.items()}
    held = {key: score for key in REFERENCES for score in scores.values() if key in score.reference}
    references: dict[str, Cell] = {key: _scaled(score.reference_value(key), scale) for key, score in held.items()}
    yield Column(title, next(iter(scores.values())).higher_is_better, measured, references)
    if quantity == "coverage" and "iid" in held:
        yield Column("/ i.i.d.", None, {method: _ratio(score) for method, score in scores.items()})
    printed: dict[str, list[str]] = {}
    for fact in facts:
        if fact.quantity == quantity and (_of_students(fact, network, place) if network else _of_features(fact, place)):
            printed.setdefault(fact.method, []).append(fact.shown.removesuffix(" %") if network else fact.shown)
    name = metric.removeprefix(ACCURACY)
    if printed:
        cells: dict[str, Cell] = {method: " / ".join(dict.fromkeys(found)) for method, found in printed.items()}
        yield Column(f"{name} printed" if not network else f"{name} % printed", None, cells)
    marks: dict[str, Cell] = {
        one.candidate: MARKS[one.mark(place.ipc, place.protocol)]
        for one in board.stated
        if (one.claim.metric, one.dataset) == (metric, place.dataset) and one.ipc in (None, place.ipc)
    }
    if marks:
        yield Column(f"gain in {name}", None, {"": "", **marks})


def _of_students(fact: Fact, network: str, place: Entry) -> bool:
    return fact.ipc == place.ipc and fact.network in PRINTED_NETWORKS.get(network, ())


def _of_features(fact: Fact, place: Entry) -> bool:
    """Of as many images per class, or of a number that is not stated; of the same kind of embedder, if that is."""
    protocol = place.result.protocol
    mine = "" if protocol is None else protocol.embedder
    return fact.ipc in (place.ipc, None) and fact.embedder.replace("-", "").lower() in mine


def _measured(score: Score, scale: int) -> Cell:
    if score.value is None or score.interval is None:
        return _scaled(score.value, scale)
    return Measured(scale * score.value, scale * score.interval.low, scale * score.interval.high)


def _scaled(value: float | None, scale: int) -> float | None:
    return None if value is None else scale * value


def _ratio(score: Score) -> Cell:
    """Coverage beside that of as many fresh real images."""
    yardstick = score.reference_value("iid")
    return score.value / yardstick if score.value is not None and yardstick else None
