"""Tables of a leaderboard: measured beside printed, claims, methods.

A cell that was not measured stays missing. Nothing is averaged over cells that are not there, and the best of a column
is marked only where every entry of the table has a value.
"""

from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass
from typing import get_args

from divbench.errors import ResultError
from divbench.leaderboard.board import Board
from divbench.leaderboard.entries import Entry
from divbench.leaderboard.facts import Fact
from divbench.leaderboard.rules.draft import Severity
from divbench.leaderboard.stated import MARKS, PRINTED_NETWORKS, Stated
from divbench.report.footnotes import notes
from divbench.report.parts import Row, bold_cells, heading, in_percent, measured
from divbench.report.render import Cell, Table
from divbench.results import ACCURACY, Result, Score
from divbench.wording import REFERENCES

DIVERSITY = ("coverage", "vendi", "cosine")
"""What papers print of diversity; each is a metric of the same name, inside classes."""


@dataclass(frozen=True)
class Column:
    """A metric of a table: the students of one recipe, or a metric of the protocol.

    Attributes:
        metric: ``accuracy/NET``, or a name of `DIVERSITY`.
        recipe: digest of the students' recipe, or "".
        title: heading of the measured column.
    """

    metric: str
    recipe: str
    title: str

    def score(self, result: Result) -> Score | None:
        """The score of the column; None where the result does not hold it."""
        if self.recipe and self.recipe not in {one.digest for one in result.accuracies}:
            return None
        return next((in_percent(s) for s in result.scores if (s.metric, s.scope) == (self.metric, "class")), None)


def groups(board: Board) -> list[list[Entry]]:
    """Entries that stand in one table: of one data set, number of images per class and protocol."""
    found: dict[Hashable, list[Entry]] = {}
    for entry in board.entries:
        found.setdefault((entry.dataset, entry.ipc, entry.protocol), []).append(entry)
    return list(found.values())


def columns(entries: Sequence[Entry]) -> list[Column]:
    """What the entries of a table were measured by: students first, then diversity."""
    recipes = {(one.net, one.digest): one.recipe for entry in entries for one in entry.result.accuracies}
    found = []
    for (net, digest), recipe in recipes.items():
        twins = [other for (n, d), other in recipes.items() if n == net and other == recipe and d != digest]
        name = f"{recipe} {digest:.4}" if twins else recipe
        found.append(Column(ACCURACY + net, digest, f"{net} % ↑ ({name})"))
    for metric in DIVERSITY:
        score = next((s for e in entries for s in e.result.scores if (s.metric, s.scope) == (metric, "class")), None)
        if score is not None:
            found.append(Column(metric, "", heading(score)))
    return found


def measured_table(board: Board, entries: Sequence[Entry]) -> Table:
    """A row for each method that was measured here or has printed numbers of the data set and images per class."""
    first = entries[0]
    known = {entry.method: entry for entry in entries}
    shown = columns(entries)
    parts = [part for column in shown for part in _parts(board, entries, column)]
    printed = {
        fact.method for fact in board.facts if any(_is_of(fact, column, first) for column in shown) and fact.method
    }
    rows = []
    for method in sorted({*known, *printed}, key=board.methods.order):
        cells = [cell(method, known.get(method)) for _, cell, _ in parts]
        if method in known or any(cell not in (None, "") for cell in cells):
            rows.append(Row([board.methods.name(method), *cells], "entries" if method in known else None))
    directions = {i + 1: better for i, (_, _, better) in enumerate(parts) if better is not None}
    whole = {i for i in directions if all(row.cells[i] is not None for row in rows if row.rank)}
    bold = bold_cells(rows, {i: directions[i] for i in whole})
    results = [entry.result for entry in entries]
    return Table(
        f"{first.dataset}, {first.ipc} images per class, protocol {first.protocol}",
        ["method", *(title for title, _, _ in parts)],
        [*(row.cells for row in rows), *_references(results, parts, shown)],
        [*(f"{result.name}: {result.note}" for result in results if result.note), *notes(results)],
        bold,
    )


_Part = tuple[str, Callable[[str, Entry | None], Cell], bool | None]


def _parts(board: Board, entries: Sequence[Entry], column: Column) -> Iterator[_Part]:
    """What is shown of a metric: measured, coverage's ratio, printed, gain; each where there is something to show."""
    scores = [score for entry in entries if (score := column.score(entry.result)) is not None]
    yield column.title, lambda method, entry: _measured(column, entry), scores[0].higher_is_better
    if column.metric == "coverage" and any("iid" in score.reference for score in scores):
        yield "/ i.i.d.", lambda method, entry: _ratio(column, entry), None
    place = entries[0]
    if any(_is_of(fact, column, place) for fact in board.facts):
        what = f"{column.metric.removeprefix(ACCURACY)}{' %' if column.recipe else ''} printed"
        yield what, lambda method, entry: _printed(board, column, place, method), None
    stated = [one for one in board.stated if _asks(one, column, place)]
    if stated:
        yield (
            f"gain in {column.metric.removeprefix(ACCURACY)}",
            lambda method, entry: _mark(stated, method, place),
            None,
        )


def _measured(column: Column, entry: Entry | None) -> Cell:
    score = None if entry is None else column.score(entry.result)
    return None if score is None else measured(score)


def _ratio(column: Column, entry: Entry | None) -> Cell:
    score = None if entry is None else column.score(entry.result)
    yardstick = None if score is None else score.reference_value("iid")
    return score.value / yardstick if score is not None and score.value is not None and yardstick else None


def _is_of(fact: Fact, column: Column, place: Entry) -> bool:
    """Whether a printed number is of the column's quantity, at the place of an entry or without images per class."""
    quantity, _, network = column.metric.partition("/")
    return (
        (fact.quantity, fact.dataset) == (quantity, place.dataset)
        and fact.ipc in ((place.ipc,) if network else (place.ipc, None))
        and (not network or fact.network in PRINTED_NETWORKS.get(network, ()))
        and not (fact.variant or fact.baseline)
    )


def _printed(board: Board, column: Column, place: Entry, method: str) -> Cell:
    found = [fact.shown for fact in board.facts if fact.method == method and _is_of(fact, column, place)]
    return " / ".join(dict.fromkeys(text.removesuffix(" %") if column.recipe else text for text in found)) or None


def _asks(one: Stated, column: Column, place: Entry) -> bool:
    return (one.claim.metric, one.dataset) == (column.metric, place.dataset) and one.ipc in (None, place.ipc)


def _mark(stated: Sequence[Stated], method: str, place: Entry) -> Cell:
    """Signs; "" where nobody claims a gain."""
    marks = dict.fromkeys(one.mark(place.ipc, place.protocol) for one in stated if one.candidate == method)
    return " ".join(MARKS[mark] for mark in marks)


def _references(results: Sequence[Result], parts: Sequence[_Part], shown: Sequence[Column]) -> Iterator[list[Cell]]:
    """Yardsticks and controls: a row for each, from the first entry that has it."""
    titles = {column.title: column for column in shown}
    for key, title in REFERENCES.items():
        cells: list[Cell] = []
        for name, _, _ in parts:
            column = titles.get(name)
            scores = [column.score(result) for result in results] if column else []
            values = [score.reference_value(key) for score in scores if score is not None and key in score.reference]
            cells.append(next(iter(values), None) if column else "")
        if any(isinstance(cell, float) for cell in cells):
            yield [f"({title})", *cells]


LEGEND = (
    "printed: as papers print it, under protocols of their own; where coverage, Vendi and cosine are printed without "
    "images per class, they stand beside every number of them",
    "gain: of the method over the one that it was added to, as a paper claims it, tested on the entries of the table: "
    + ", ".join(f"{sign} {mark}" for mark, sign in MARKS.items() if mark != "error"),
    "bold: the best entry, in columns where every entry has a value, whether or not the difference is beyond noise",
)
"""How to read the tables of measured entries."""


def claims_table(board: Board) -> Table:
    """A row for each claim: what the printed numbers say, and the entries."""
    rows: list[list[Cell]] = []
    for one in board.stated:
        before, after = one.claim.claimed or (None, None)
        said = {"holds": "✓ holds", "equal": "✗ equal", "worse": "✗ worse"}[one.printed]
        found = [
            f"{MARKS[m.verdict.status]} {m.verdict.status} at IPC {m.ipc}: {_gain(m.verdict.measured)}"
            for m in one.measured
        ]
        rows.append(
            [
                f"{one.paper}: {one.claim.source}", one.dataset, one.ipc, board.methods.name(one.candidate),
                one.claim.metric, before, after, said, "; ".join(found) or "– not measured",
            ]
        )  # fmt: skip
    columns = ["where", "data set", "IPC", "method", "metric", "without", "with", "as printed", "measured"]
    return Table("Claims", columns, rows)


def _gain(pair: tuple[float | None, float | None]) -> str:
    return " → ".join("–" if value is None else f"{value:.4g}" for value in pair)


def claims_summary(board: Board) -> Table:
    """Counts by file of claims: as printed, and as measured."""
    rows: list[list[Cell]] = []
    for file in dict.fromkeys(one.file for one in board.stated):
        claims = [one for one in board.stated if one.file == file]
        printed = [sum(one.printed == word for one in claims) for word in ("holds", "equal", "worse")]
        marks = [one.verdict.status for claim in claims for one in claim.measured]
        measured_ = [marks.count(word) for word in ("holds", "inconclusive", "refuted")]
        rows.append([file, len(claims), *printed, *measured_, sum(not claim.measured for claim in claims)])
    names = ["claims", "in all", "printed: hold", "equal", "worse"]
    return Table(
        "Claims", [*names, "measured: hold", "inconclusive", "refuted", "not measured"], rows,
        ["measured: one verdict for each number of images per class and protocol"],
    )  # fmt: skip


def audit_table(board: Board, paper: str | None = None, severity: Severity = "info") -> Table:
    """A row for each finding.

    Args:
        board: that was audited.
        paper: its findings alone.
        severity: findings of this severity or worse.

    Raises:
        ResultError: nothing of the paper is printed here.
    """
    papers = [one.paper for one in board.papers]
    if paper is not None and paper not in papers:
        raise ResultError(f"paper {paper!r}: there is none; papers are {', '.join(papers)}")
    levels = get_args(Severity)
    kept = [
        (number, one)
        for number, one in enumerate(board.findings, 1)
        if levels.index(one.severity) <= levels.index(severity)
        and (paper is None or any(fact.paper == paper for fact in one.facts))
    ]
    rows: list[list[Cell]] = [[number, one.severity, one.rule, one.place, one.text] for number, one in kept]
    counts = ", ".join(f"{sum(one.severity == level for _, one in kept)} {level}s" for level in levels)
    return Table(f"{len(rows)} findings: {counts}", ["", "severity", "rule", "where", "what"], rows)


def methods_table(board: Board) -> Table:
    """Names, citations, code, and how many numbers there are of each, plugged into others included."""
    rows: list[list[Cell]] = []
    for key, one in board.methods.known.items():
        held = sum(key in entry.method.split("+") for entry in board.entries)
        printed = sum(key in fact.method.split("+") for fact in board.facts)
        cite = ", ".join(
            part for part in (one.authors, one.title, one.venue, one.arxiv and f"arXiv:{one.arxiv}") if part
        )
        rows.append([one.name, key, one.kind, held, printed, cite or None, one.code or None])
    return Table("Methods", ["method", "key", "images", "entries", "printed", "source", "code"], rows)
