"""Tables of results: one entry, several entries, differences between them. No torch in here."""

from collections.abc import Mapping, Sequence
from statistics import fmean, stdev

from divbench.comparison import Differences, check_comparable, differences, per_set, protocol_of
from divbench.errors import ResultError
from divbench.protocol import Scope
from divbench.report.footnotes import bold_note, caution_notes, change_notes, notes, recipe_notes, student_notes
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
    in_percent,
    measured,
    narrowed,
    pairs_of,
    reference_rows,
    set_names,
    span,
    stacked,
)
from divbench.report.render import Cell, Table
from divbench.results import ACCURACY, Result, Score
from divbench.wording import REFERENCES


def score_table(result: Result) -> Table:
    """All scores of one result beside their yardstick and controls."""
    known = [key for key in REFERENCES if any(key in s.reference for s in result.scores)]
    titles = {"iid": "i.i.d.", "random": "random", "kmeans": "k-means", "collapse": "collapse", "teacher": "teacher"}
    columns = ["metric", "scope", "value", *(["/ i.i.d."] if "iid" in known else []), *(titles[key] for key in known)]
    rows = []
    for score in (in_percent(per_set(result, one)) for one in result.scores):
        row: list[Cell] = [heading(score), score.scope, measured(score)]
        if "iid" in known:
            row.append(_ratio(score, score.value))
        rows.append(row + [score.reference_value(key) for key in known])
    said = [f"{record.name}: {note}" for record in result.sets for note in record.said]
    return Table(_headline(result), columns, rows, notes([result]) + said)


def compare_table(
    results: Sequence[Result],
    scope: Scope = "class",
    mixed: bool = False,
    metrics: Sequence[str] | None = None,
    pairs: bool = False,
) -> Table:
    """Entries as rows, metrics as columns, with yardstick and controls as rows of their own.

    The best entry of each column that has a direction is bold, among entries of equal images per class.

    Args:
        results: of one protocol, real set and recipe.
        scope: of the scores.
        mixed: show results side by side that do not compare; nothing is bold then.
        metrics: which, in this order; ``accuracy`` means those of all networks; default: all.
        pairs: put each entry such as ``SRe2L+DiRe`` behind ``SRe2L``, with a row for what it adds, see `differences`.

    Raises:
        ResultError: protocols, real sets, recipes or classes differ (unless ``mixed``), no result has the scope or one
            of the metrics, or there are no pairs.
    """
    shown = chosen(results, scope, metrics)
    results = narrowed(results, shown)
    if not mixed:
        try:
            check_comparable(results)
        except ResultError as problem:
            raise ResultError(f"{problem}, or say --mixed to see them side by side") from None
    found = [(before, after, change(before, after)) for before, after in (pairs_of(results) if pairs else [])]
    rows, rules = stacked(
        _entry_groups(results, found, shown, mixed),
        [Row(cells) for cells in _reference_rows(results, shown, mixed)],
    )
    columns = ["entry", "IPC", "sets"] + (["protocol"] if mixed else [])
    directions = {}
    for score in shown:
        directions[len(columns)] = score.higher_is_better
        columns += [heading(score), "/ i.i.d."] if score.metric == "coverage" else [heading(score)]
    unequal = len({r.sizes for r in results}) > 1
    changes = change_notes([own for *_, own in found], results[0].level)
    said = [*(f"Δ: {note}" for note in changes), *notes(results)]
    if unequal:
        said.insert(
            0, "the entries have unequal images per class: coverage and Vendi grow with them (score with --ipc)"
        )
    real = next((r.real.name for r in results if r.real is not None), None)
    return Table(
        title=f"{scope} scope" if mixed or real is None else f"{scope} scope, against {real}",
        columns=columns,
        rows=[row.cells for row in rows],
        notes=said,
        bold=bold_cells(rows, directions),
        bold_note=bold_note("column among entries of equal images per class" if unequal else "column"),
        rules=rules,
    )


def accuracy_table(result: Result) -> Table:
    """The students of one result in percent: mean and standard deviation over runs, each run, and yardsticks."""
    scores = [in_percent(result.score(ACCURACY + one.net, "dataset")) for one in result.accuracies]
    known = [key for key in ("random", "teacher") if any(key in score.reference for score in scores)]
    several, names = len(result.sets) > 1, set_names(result)
    columns = ["network", *(["set"] if several else []), "runs", "accuracy % ↑", "std over runs", "each run"]
    columns += [f"{REFERENCES[key]} %" for key in known]
    rows: list[list[Cell]] = []
    for one, score in zip(result.accuracies, scores, strict=True):
        for index, name in enumerate(names):
            values = [100 * run.accuracy for run in one.own if run.set == index]
            if values:
                spread = stdev(values) if len(values) > 1 else None
                row: list[Cell] = [one.net, *([name] if several else []), len(values), fmean(values), spread]
                row.append(" ".join(f"{value:.2f}" for value in values))
                rows.append(row + [score.reference_value(key) for key in known])
    said = [note for part in (recipe_notes, student_notes, caution_notes) for note in part([result])]
    return Table(_headline(result), columns, rows, said)


def differences_table(results: Sequence[Result], metrics: Sequence[str] | None = None) -> Table:
    """Each further entry minus the first, with intervals and Holm's p over the metrics of an entry: see `differences`.

    Args:
        results: two entries or more.
        metrics: as for `compare_table`; those that the first entry or all others lack are left out.

    Raises:
        ResultError: fewer than two entries, not comparable, of unequal IPC, without values of classes, or without a
            metric in common.
    """
    shown = chosen(results, "class", metrics)
    first, *others = narrowed(results, shown)
    if not others:
        raise ResultError("differences are between entries: give two or more results")
    check_comparable([first, *others])
    found = [differences(first, other) for other in others]
    held = {key for one in others for key in by_metric(one)} & by_metric(first).keys()
    rows: list[list[Cell]] = []
    for other, own in zip(others, found, strict=True):
        cells = change_cells(own)
        rows.append([other.name, *(cells.get(s.metric) for s in shown if s.metric in held)])
    columns = ["minus " + first.name, *("Δ " + heading(s) for s in shown if s.metric in held)]
    return Table(f"differences to {first.name}", columns, rows, change_notes(found, first.level))


def _headline(result: Result) -> str:
    count = len(result.sets)
    images = result.sets[0].count
    ipc = "" if result.ipc is None else f", {len(result.classes)} classes x {span(result.ipc)}"
    sets = f"{count} sets of {images}" if count > 1 else str(images)
    real = "" if result.real is None else f", against {result.real.count} of {result.real.name}"
    return f"{result.name}: {sets} images{ipc}{real}"


def _entry_groups(
    results: Sequence[Result],
    found: Sequence[tuple[Result, Result, Differences]],
    shown: Sequence[Score],
    mixed: bool,
) -> list[list[Row]]:
    """For each entry its row; those of a pair stand together, with a row for what the second changes."""
    place = {id(result): i for i, result in enumerate(results)}
    before = {place[id(after)]: place[id(one)] for one, after, _ in found}
    changes = {place[id(after)]: _change_row(one, after, own, shown) for one, after, own in found}
    groups = []
    for family in families(range(len(results)), before):
        rows = []
        for i in family:
            rows.append(_entry_row(results[i], shown, mixed))
            rows += [changes[i]] if i in changes else []
        groups.append(rows)
    return groups


def _entry_row(result: Result, shown: Sequence[Score], mixed: bool) -> Row:
    held = by_metric(result)
    coverage = held.get("coverage")
    cells: list[Cell] = [result.name, span(result.ipc), len(result.sets)]
    cells += [protocol_of(result)] if mixed else []
    ratio = _ratio(coverage, coverage.value) if coverage else None
    cells += _beside(shown, {key: measured(score) for key, score in held.items()}, ratio)
    return Row(cells, None if mixed else ("images of each class", result.sizes))


def _change_row(before: Result, after: Result, found: Differences, shown: Sequence[Score]) -> Row:
    cells = _beside(shown, change_cells(found), None)
    return Row([change_name(before.name, after.name), span(after.ipc), None, *cells])


def _reference_rows(results: Sequence[Result], shown: Sequence[Score], mixed: bool) -> list[list[Cell]]:
    """Rows for each yardstick and control of entries of equal sizes; where protocols are mixed, of one protocol."""
    groups: dict[object, list[Result]] = {}
    for result in results:
        real = None if result.real is None else result.real.digest
        rules = (result.protocol_digest, real, *(one.digest for one in result.accuracies)) if mixed else ()
        groups.setdefault((rules, result.sizes), []).append(result)
    rows: list[list[Cell]] = []
    for group in groups.values():
        entries = [(result.name, {score.metric: Held(result, score) for score in result.scores}) for result in group]
        unlike = any(other[0].ipc == group[0].ipc and other[0].sizes != group[0].sizes for other in groups.values())
        for key in REFERENCES:
            for title, held in reference_rows(entries, key, unlike):
                seeds = max(len(s.reference[key]) for s in held.values())
                ipc = None if key == "teacher" else span(group[0].ipc)
                row: list[Cell] = [title, ipc, seeds if key not in ("iid", "teacher") else None]
                row += [protocol_of(group[0])] if mixed else []
                coverage = held.get("coverage")
                ratio = _ratio(coverage, coverage.reference_value(key)) if coverage else None
                rows.append(row + _beside(shown, {m: s.reference_value(key) for m, s in held.items()}, ratio))
    return rows


def _beside(shown: Sequence[Score], cells: Mapping[str, Cell], ratio: Cell) -> list[Cell]:
    """The cell of each metric in the order of columns, coverage with its ratio to the yardstick behind it."""
    row: list[Cell] = []
    for score in shown:
        row += [cells.get(score.metric), ratio] if score.metric == "coverage" else [cells.get(score.metric)]
    return row


def _ratio(score: Score, value: float | None) -> float | None:
    iid = score.reference_value("iid")
    return value / iid if value is not None and iid else None
