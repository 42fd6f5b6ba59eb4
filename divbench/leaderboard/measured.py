"""Tables of one data set and number of images per class: what was measured, beside what papers print.

A cell that was not measured stays missing. Nothing is averaged over cells that are not there, and the best of a column
is marked only where every entry that takes part has a value; copies of real images take no part.
"""

from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from divbench.leaderboard.board import Board
from divbench.leaderboard.entries import Entry
from divbench.leaderboard.facts import Fact
from divbench.leaderboard.rules.draft import differ
from divbench.leaderboard.stated import MARKS, networks_of, printed_as
from divbench.report.footnotes import notes
from divbench.report.parts import Row, bold_cells, heading
from divbench.report.render import Cell, Labelled, Measured, Table
from divbench.results import ACCURACY, Score
from divbench.wording import REFERENCES

DIVERSITY = ("coverage", "vendi", "cosine")
"""What papers print of diversity; each is a metric of the same name, inside classes."""

LEGEND = (
    "Measured: by divbench's own implementation and settings, which are not those of the papers; what made the images "
    "stands below the table.",
    "Printed: as papers print it. Coverage, Vendi and cosine that are printed without images per class stand beside "
    "every number of them; where a paper, its README or its code differ, all values are given; [4] is a finding of the "
    "audit. Runs that others report in issues are left out.",
    "Gain: of the method over the one that it was added to, as a paper claims it, tested on the entries: "
    + ", ".join(f"{sign} {mark}" for mark, sign in MARKS.items())
    + "; (✗) in brackets: about these very sets, not about the methods, which takes several seeds.",
    "/ i.i.d.: coverage beside that of as many fresh real images, no upper bound. Rows in brackets: yardsticks "
    "and controls, scored as the entries are.",
    "Bold: the best entry of a column where all have a value, whether or not it is beyond noise; copies of "
    "real images take no part.",
)
"""How to read the tables."""


class Place(NamedTuple):
    """What a table is of; no ``protocol``: nothing was measured; ``ipc`` None: papers do not state it."""

    dataset: str
    ipc: int | None
    protocol: str = ""
    embedder: str = ""


@dataclass(frozen=True)
class Column:
    """A column of a table.

    Attributes:
        title: its heading.
        better: direction of what was measured; None: there is no best.
        cells: by the key of the method.
        references: yardsticks and controls, by their key.
        missing: cell of the other methods.
    """

    title: str
    better: bool | None
    cells: dict[str, Cell]
    references: dict[str, Cell] = field(default_factory=dict)
    missing: Cell = None


def groups(entries: Sequence[Entry]) -> list[list[Entry]]:
    """Entries that stand in one table: of one data set, number of images per class and protocol."""
    found: dict[Hashable, list[Entry]] = {}
    for entry in entries:
        found.setdefault((entry.dataset, entry.ipc, entry.protocol), []).append(entry)
    return list(found.values())


def takes_part(entry: Entry) -> bool:
    """Whether an entry may be the best: exact copies of real images, to score or to test on, may not."""
    return all(caution.code not in ("copies", "test-copies") for caution in entry.result.cautions)


def measured_tables(board: Board) -> list[Table]:
    """A table for each of `groups`: entries first, then methods with printed numbers alone."""
    return [_measured_table(board, entries) for entries in groups(board.entries)]


def printed_tables(board: Board) -> list[Table]:
    """A table for each data set and number of images per class with printed numbers, and one where that is not stated.

    Those that stand in `measured_tables` are left out.
    """
    held = {(entry.dataset, entry.ipc) for entry in board.entries}
    shown = ("accuracy", *DIVERSITY)
    places = {Place(f.dataset, f.ipc) for f in board.facts if f.quantity in shown and f.dataset and not f.variant}
    tables = []
    for place in sorted(places - {Place(*one) for one in held}, key=lambda p: (p.dataset, p.ipc or 0)):
        columns = list(_columns(board, place, ()))
        methods = sorted({method for column in columns for method in column.cells}, key=board.methods.order)
        if methods:
            title = (
                f"{place.dataset}, {f'{place.ipc} images per class' if place.ipc else 'images per class not stated'}"
            )
            rows = [_cells(board, method, columns) for method in methods]
            tables.append(Table(title, ["method", "kind", *(column.title for column in columns)], rows))
    return tables


def _measured_table(board: Board, entries: Sequence[Entry]) -> Table:
    first, results = entries[0], [entry.result for entry in entries]
    protocol = first.result.protocol
    place = Place(first.dataset, first.ipc, first.protocol, "" if protocol is None else protocol.embedder)
    sets = Column("sets", None, {entry.method: len(entry.result.sets) for entry in entries})
    columns = [sets, *_columns(board, place, entries)]
    rivals = {entry.method for entry in entries if takes_part(entry)}
    known = [entry.method for entry in entries]
    printed = {m for column in columns for m, cell in column.cells.items() if m not in known and cell is not None}
    methods = [*known, *sorted(printed, key=board.methods.order)]
    rows = [Row(_cells(board, method, columns), "rivals" if method in rivals else None) for method in methods]
    whole = {
        number: column.better
        for number, column in enumerate(columns, 2)
        if all(column.cells.get(method) is not None for method in rivals)
    }
    references: list[list[Cell]] = [
        [f"({title})", "", *(column.references.get(key, None if column.references else "") for column in columns)]
        for key, title in REFERENCES.items()
        if any(key in column.references for column in columns)
    ]
    return Table(
        f"{first.dataset}, {first.ipc} images per class, protocol {first.protocol}",
        ["method", "kind", *(column.title for column in columns)],
        [*(row.cells for row in rows), *references],
        [*_origins(entries), *notes(results)],
        bold_cells(rows, whole),
    )


def _cells(board: Board, method: str, columns: Sequence[Column]) -> list[Cell]:
    kind = board.methods.kind(method)
    return [board.methods.name(method), kind, *(column.cells.get(method, column.missing) for column in columns)]


def _origins(entries: Sequence[Entry]) -> Iterator[str]:
    """What is said of each entry: its note, what made its images, whether by code that no commit holds."""
    for entry in entries:
        made = [str(one.origin) for one in entry.result.sets if one.origin is not None]
        where = [entry.result.environment, *(e for one in entry.result.accuracies for e in one.environments)]
        dirty = ["measured by code with changes that no commit holds"] if any(one.dirty for one in where) else []
        said = [*([entry.result.note] if entry.result.note else []), *dict.fromkeys(made), *dirty]
        if said:
            yield f"{entry.result.name}: {'; '.join(said)}"


def _columns(board: Board, place: Place, entries: Sequence[Entry]) -> Iterator[Column]:
    """Students of each network first, then diversity."""
    facts = [f for f in board.facts if f.dataset == place.dataset and not (f.variant or f.baseline)]
    facts = [f for f in facts if f.source != "issue"]
    recipes = {(one.net, one.digest): one.recipe for entry in entries for one in entry.result.accuracies}
    for net in dict.fromkeys([*(net for net, _ in recipes), *networks_of(place.dataset)]):
        for (one, digest), recipe in recipes.items():
            if one == net:
                twins = sum((n, name) == (net, recipe) for (n, _), name in recipes.items()) > 1
                title = f"{net} % ↑ ({recipe}{f' {digest:.4}' if twins else ''})"
                yield _measured(title, ACCURACY + net, _trained(entries, net, digest))
        own = [f for f in facts if (f.quantity, f.ipc) == ("accuracy", place.ipc)]
        about = [f for f in own if f.network in printed_as(net, place.dataset)]
        yield from _printed(board, place, ACCURACY + net, about)
    for metric in DIVERSITY:
        scores = _scored(entries, metric)
        if scores:
            yield _measured(heading(next(iter(scores.values()))), metric, scores)
        if metric == "coverage" and any("iid" in score.reference for score in scores.values()):
            yield Column("/ i.i.d.", None, {method: _ratio(score) for method, score in scores.items()})
        sizes = (place.ipc, None) if entries else (place.ipc,)
        own = [f for f in facts if f.quantity == metric and f.ipc in sizes]
        about = [f for f in own if not entries or f.embedder.replace("-", "").lower() in place.embedder]
        yield from _printed(board, place, metric, about)


def _trained(entries: Sequence[Entry], net: str, digest: str) -> dict[str, Score]:
    return {
        entry.method: entry.result.score(ACCURACY + net)
        for entry in entries
        if any((one.net, one.digest) == (net, digest) for one in entry.result.accuracies)
    }


def _scored(entries: Sequence[Entry], metric: str) -> dict[str, Score]:
    return {
        entry.method: score
        for entry in entries
        for score in entry.result.scores
        if (score.metric, score.scope) == (metric, "class")
    }


def _measured(title: str, metric: str, scores: dict[str, Score]) -> Column:
    scale = 100 if metric.startswith(ACCURACY) else 1
    cells = {method: _interval(score, scale) for method, score in scores.items()}
    held = {key: score for key in REFERENCES for score in scores.values() if key in score.reference}
    references: dict[str, Cell] = {key: _scaled(score.reference_value(key), scale) for key, score in held.items()}
    return Column(title, next(iter(scores.values())).higher_is_better, cells, references)


def _interval(score: Score, scale: int) -> Cell:
    if score.value is None or score.interval is None:
        return _scaled(score.value, scale)
    return Measured(scale * score.value, scale * score.interval.low, scale * score.interval.high)


def _scaled(value: float | None, scale: int) -> float | None:
    return None if value is None else scale * value


def _ratio(score: Score) -> Cell:
    """Coverage beside that of as many fresh real images."""
    yardstick = score.reference_value("iid")
    return score.value / yardstick if score.value is not None and yardstick else None


def _printed(board: Board, place: Place, metric: str, facts: Sequence[Fact]) -> Iterator[Column]:
    """What is printed of a metric, and the gains that are claimed of it; each where there is something."""
    name = metric.removeprefix(ACCURACY)
    by_method: dict[str, list[Fact]] = {}
    for fact in facts:
        by_method.setdefault(fact.method, []).append(fact)
    if by_method:
        title = f"{name}{' %' if metric != name else ''} printed"
        yield Column(title, None, {method: _said(board, held) for method, held in by_method.items()})
    marks: dict[str, Cell] = {}
    for one in board.stated:
        asked = one.ipc == place.ipc or (one.ipc is None and place.protocol)
        if asked and (one.dataset, one.claim.metric, one.claim.scope) == (place.dataset, metric, "class"):
            said = one.sign(place.ipc or 0, place.protocol) if place.protocol else one.signs
            before = marks.get(one.candidate)
            marks[one.candidate] = f"{before} {said}" if before else said
    if marks:
        yield Column(f"gain in {name}", None, marks, missing="")


def _said(board: Board, facts: Sequence[Fact]) -> Labelled:
    """Printed values that differ by more than rounding, with where they stand if there are several; then findings."""
    apart: list[Fact] = []
    for fact in facts:
        if not any(not differ(fact, other) for other in apart):
            apart.append(fact)
    papers = {fact.paper for fact in apart}
    texts = [fact.shown.removesuffix(" %") if fact.quantity == "accuracy" else fact.shown for fact in apart]
    if len(apart) > 1:
        places = [fact.paper if len(papers) > 1 else fact.table for fact in apart]
        texts = [f"{text} ({place})" for text, place in zip(texts, places, strict=True)]
    numbers = sorted({number for fact in facts for number in board.grave.get(id(fact), ())})
    found = f" [{', '.join(map(str, numbers))}]" if numbers else ""
    return Labelled(" / ".join(texts) + found, apart[0].base)
