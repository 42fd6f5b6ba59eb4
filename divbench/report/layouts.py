"""Tables as papers lay them out: methods by images per class, and networks by methods. No torch in here."""

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

from msgspec.structs import replace

from divbench.comparison import check_comparable
from divbench.errors import ResultError
from divbench.protocol import Scope
from divbench.report import footnotes
from divbench.report.parts import (
    Held,
    Row,
    bold_cells,
    by_metric,
    change,
    change_cells,
    change_name,
    chosen,
    families,
    heading,
    is_accuracy,
    measured,
    narrowed,
    pairs_of,
    reference_rows,
    span,
    stacked,
)
from divbench.report.render import Measured, Table
from divbench.results import ACCURACY, Result, Score
from divbench.wording import REFERENCES

Sizes = frozenset[tuple[int, tuple[int, ...]]]


class _Group(NamedTuple):
    """Entries with as many images of each class, by their names."""

    title: str
    sizes: Sizes
    entries: dict[str, Result]


class _Series(NamedTuple):
    """One metric of all entries of a group; a column of the table, or a row."""

    title: str
    metric: str
    group: _Group

    def scores(self) -> dict[str, Score]:
        """Of the entries that have the metric, by their names."""
        held = {name: by_metric(result) for name, result in self.group.entries.items()}
        return {name: scores[self.metric] for name, scores in held.items() if self.metric in scores}


class _Changes(NamedTuple):
    """What entries add to others: names of before and after -> (sizes, metric) -> the difference."""

    cells: dict[tuple[str, str], dict[tuple[Sizes, str], Measured]]
    notes: list[str]


def tables_by_ipc(
    results: Sequence[Result],
    scope: Scope = "class",
    metrics: Sequence[str] | None = None,
    pairs: bool = False,
) -> list[Table]:
    """For each metric a table of entries as rows and images per class as columns, with yardsticks and controls.

    Args:
        results: of one protocol, real set and classes; accuracies of one recipe at equal images per class.
        scope: of the scores.
        metrics: which, in this order; ``accuracy`` means those of all networks; default: all.
        pairs: put each entry such as ``SRe2L+DiRe`` behind ``SRe2L``, with a row for what it adds, see `differences`.

    Raises:
        ResultError: not comparable; two results of one name and number of images; sets without labels; no result has
            the scope or one of the metrics; or there are no pairs.
    """
    shown = chosen(results, scope, metrics)
    changes = _changes(narrowed(results, shown)) if pairs else _Changes({}, [])
    tables = []
    for score in shown:
        entries = narrowed(results, [score])
        series = [_Series(group.title, score.metric, group) for group in _groups(entries)]
        rows, rules = _rows(series, changes, [r.name for r in entries])
        real = next((f", against {r.real.name}" for r in entries if r.real is not None), "")
        tables.append(
            Table(
                title=f"{heading(score)}, {scope} scope{real}",
                columns=["entry", *(one.title for one in series)],
                rows=[row.cells for row in rows],
                notes=_notes_of(series, changes),
                bold=bold_cells(rows, {c: score.higher_is_better for c in range(1, len(series) + 1)}),
                bold_note=footnotes.bold_note("column"),
                rules=rules,
                measure=heading(score),
            )
        )
    return tables


def tables_by_network(
    results: Sequence[Result],
    scope: Scope = "class",
    metrics: Sequence[str] | None = None,
    pairs: bool = False,
) -> list[Table]:
    """For each number of images per class a table of accuracies, networks as rows and entries as columns.

    Args, raises: as `tables_by_ipc`; and ``metrics`` may hold accuracies alone.
    """
    shown = [s for s in chosen(results, scope, metrics) if metrics is not None or is_accuracy(s.metric)]
    others = [s.metric for s in shown if not is_accuracy(s.metric)]
    if others or not shown:
        found = f"choose among accuracies, not {others[0]!r}" if others else "train some first (divbench train)"
        raise ResultError(f"tables by network are of the accuracies of students: {found}")
    entries = narrowed(results, shown)
    changes = _changes(entries) if pairs else _Changes({}, [])
    tables = []
    for group in _groups(entries):
        series = [_Series(s.metric.removeprefix(ACCURACY), s.metric, group) for s in shown]
        rows, _ = _rows(series, changes, list(group.entries))
        measure = f"accuracy % ↑, {group.title}"
        tables.append(
            Table(
                title=f"{measure}, {scope} scope",
                columns=["network", *(str(row.cells[0]) for row in rows)],
                rows=[[one.title, *(row.cells[i] for row in rows)] for i, one in enumerate(series, 1)],
                notes=_notes_of(series, changes),
                bold={(c - 1, r + 1) for r, c in bold_cells(rows, {c: True for c in range(1, len(series) + 1)})},
                bold_note=footnotes.bold_note("row"),
                measure=measure,
            )
        )
    return tables


def _groups(results: Sequence[Result]) -> list[_Group]:
    """In rising order of images per class; raises `ResultError` where that is no table."""
    check_comparable([replace(result, accuracies=()) for result in results])
    held: dict[Sizes, dict[str, Result]] = {}
    spans: dict[Sizes, tuple[int, int]] = {}
    for result in results:
        if result.ipc is None:
            raise ResultError(f"{result.name}: its images have no labels and so no number per class; leave out --by")
        spans[result.sizes] = result.ipc
        entries = held.setdefault(result.sizes, {})
        if result.name in entries:
            raise ResultError(
                f"two results are both {result.name} with {span(result.ipc)} images per class; give one of them, give "
                "them names of their own (--name), or several seeds to one 'divbench score' or 'divbench train'"
            )
        entries[result.name] = result
    for entries in held.values():
        check_comparable(list(entries.values()))
    alike = Counter(spans.values())
    return [
        _Group(f"IPC {span(ipc)}" + (f", {max(sizes)[0]} images" if alike[ipc] > 1 else ""), sizes, held[sizes])
        for sizes, ipc in sorted(spans.items(), key=lambda one: one[1])
    ]


def _changes(results: Sequence[Result]) -> _Changes:
    cells: dict[tuple[str, str], dict[tuple[Sizes, str], Measured]] = {}
    found = [(before, after, change(before, after)) for before, after in pairs_of(results)]
    for before, after, own in found:
        place = cells.setdefault((before.name, after.name), {})
        place.update({(after.sizes, metric): cell for metric, cell in change_cells(own).items()})
    notes = footnotes.change_notes([own for *_, own in found], results[0].level)
    return _Changes(cells, [f"Δ: {note}" for note in notes])


def _rows(series: Sequence[_Series], changes: _Changes, names: Sequence[str]) -> tuple[list[Row], set[int]]:
    """For each entry, change and yardstick its name and a cell for each of the series; and where rules are."""
    scores = [one.scores() for one in series]
    before = {after: first for first, after in changes.cells if first in names and after in names}
    groups = []
    for family in families(list(dict.fromkeys(names)), before):
        rows = []
        for name in family:
            rows.append(Row([name, *(measured(held[name]) if name in held else None for held in scores)], "entry"))
            for pair, found in changes.cells.items():
                cells = [found.get((one.group.sizes, one.metric)) for one in series]
                if pair[1] == name and any(cells):
                    rows.append(Row([change_name(*pair), *cells]))
        groups.append(rows)
    references = []
    own = [
        (name, {c: Held(one.group.entries[name], scores[c][name]) for c, one in enumerate(series) if name in scores[c]})
        for name in dict.fromkeys(names)
    ]
    for key in REFERENCES:
        for title, there in reference_rows(own, key):
            values = [there[c].reference_value(key) if c in there else None for c in range(len(series))]
            if any(value is not None for value in values):
                references.append(Row([title, *values]))
    return stacked(groups, references)


def _notes_of(series: Sequence[_Series], changes: _Changes) -> list[str]:
    """How to read the numbers; students may have been trained otherwise where images per class are others."""
    groups = list({one.group.sizes: one.group for one in series}.values())
    results = [result for group in groups for result in group.entries.values()]
    recipes: dict[str, list[str]] = {}
    for group in groups:
        for note in footnotes.recipe_notes(list(group.entries.values())):
            recipes.setdefault(note, []).append(group.title)
    return [
        *changes.notes,
        *footnotes.protocol_notes(results),
        *(note if len(at) == len(groups) else f"{', '.join(at)}: {note}" for note, at in recipes.items()),
        *_count_notes(series),
        *footnotes.interval_notes(results),
        *footnotes.caution_notes(results),
    ]


def _count_notes(series: Sequence[_Series]) -> list[str]:
    """How many runs or sets every number comes from."""
    counts: dict[str, list[str]] = {}
    seeds: dict[str, set[int]] = {}
    for one in series:
        for name, score in one.scores().items():
            counts.setdefault(_count(score, len(one.group.entries[name].sets)), []).append(f"{name} {one.title}")
            for key, values in score.reference.items():
                seeds.setdefault(key, set()).add(len(values))
    notes = [f"{said}: {'every entry' if len(counts) == 1 else ', '.join(at)}" for said, at in counts.items()]
    return notes + [
        f"({REFERENCES[key]}): mean of n = {span((min(found), max(found)))} seeds"
        for key, found in seeds.items()
        if max(found) > 1
    ]


def _count(score: Score, sets: int) -> str:
    runs = len(score.values)
    if not is_accuracy(score.metric):
        return f"n = {sets} set" + ("s" if sets > 1 else "")
    if runs == 1:
        return "n = 1 run, and so no interval"
    return f"n = {runs} runs" + (f" on {sets} sets" if sets > 1 else "")
