"""The tables of a page, as its template wants them. No torch in here."""

from collections.abc import Sequence

from divbench.comparison import by_ipc, class_means, per_set
from divbench.protocol import Scope
from divbench.report.cells import CellText, PageRow, PageTable, page_table
from divbench.report.cost import cost_table
from divbench.report.footnotes import caution_notes
from divbench.report.layouts import tables_by_ipc, tables_by_network
from divbench.report.render import Cell, Table, sort_key, text
from divbench.report.tables import compare_table
from divbench.results import ACCURACY, Result

_END = 10
"""Classes shown at each end of many."""
_HEADLINE = ("vendi", "coverage", "cosine")


def page_tables(
    whole: Sequence[Result], results: Sequence[Result], cost: Sequence[Result]
) -> list[tuple[str, PageTable]]:
    """All scores at both scopes; by images per class and by network where there are several of them, or students; cost.

    Args:
        whole: the entries under their own names.
        results: the same, with names that tell them apart.
        cost: whose cost is shown.
    """
    tables: list[tuple[str, Table]] = []
    groups = by_ipc(results)
    if len(groups) > 1:
        for metric in headline_metrics(whole):
            tables += [(f"ipc-{metric}", one) for one in tables_by_ipc(whole, metrics=[metric])]
    scopes: tuple[Scope, ...] = ("class", "dataset")
    trained = [result for result in whole if result.accuracies]
    if trained:
        shared: Scope = "class" if all(_holds(result, "class") for result in trained) else "dataset"
        tables += [(f"network-{i}", one) for i, one in enumerate(tables_by_network(trained, shared))]
    for scope in scopes:
        for i, group in enumerate(groups):
            held = [result for result in group if _holds(result, scope)]
            if held:
                tables.append((f"scope-{scope}-{i}" if i else f"scope-{scope}", compare_table(held, scope)))
    if cost:
        tables.append(("cost", cost_table(cost)))
    return _with_notes_once(tables, caution_notes(whole) + caution_notes(results))


def _holds(result: Result, scope: Scope) -> bool:
    return any(score.scope == scope for score in result.scores)


def _with_notes_once(tables: Sequence[tuple[str, Table]], elsewhere: Sequence[str]) -> list[tuple[str, PageTable]]:
    """The tables without notes that stand below an earlier one, or elsewhere on the page."""
    said, shown = set(elsewhere), []
    for key, table in tables:
        rows = page_table(table)
        shown.append((key, rows._replace(notes=[note for note in rows.notes if note not in said])))
        said |= set(rows.notes)
    return shown


def headline_metrics(results: Sequence[Result]) -> list[str]:
    """What is shown class by class: the headline metrics that all entries hold, and accuracies of one recipe."""
    held = [{s.metric for s in result.scores if s.scope == "class"} for result in results]
    recipes: dict[str, set[str]] = {}
    for one in (one for result in results for one in result.accuracies):
        recipes.setdefault(ACCURACY + one.net, set()).add(one.digest)
    nets = [metric for metric, digests in recipes.items() if len(digests) == 1]
    return [metric for metric in (*_HEADLINE, *nets) if all(metric in some for some in held)]


def class_tables(results: Sequence[Result], pairs: Sequence[tuple[Result, Result]], trim: bool) -> list[PageTable]:
    """A table for each headline metric; with ``trim``, classes between both ends wait to be asked for."""
    return [_class_table(results, pairs, metric, trim) for metric in headline_metrics(results)]


def _class_table(
    results: Sequence[Result], pairs: Sequence[tuple[Result, Result]], metric: str, trim: bool
) -> PageTable:
    """A row for each class, a column for each entry, then the differences of pairs."""
    scale, unit = (100, " %") if metric.startswith(ACCURACY) else (1, "")
    values = {result.name: class_means(per_set(result, result.score(metric))) for result in results}
    differences = [
        (before.name, after.name)
        for before, after in pairs
        if before.sizes == after.sizes and values[before.name] and values[after.name]
    ]
    columns = ["class", *values, *(f"{after} – {before}" for before, after in differences)]
    order = _order(results, pairs, [metric])
    shown = {*order[:_END], *order[len(order) - _END :]}
    rows = []
    for label, name in enumerate(results[0].classes):
        cells: list[Cell] = [scale * one[label] if one else None for one in values.values()]
        cells += [scale * (values[after][label] - values[before][label]) for before, after in differences]
        row = [CellText(name, name, False), *(CellText(text(cell), sort_key(cell), False) for cell in cells)]
        rows.append(PageRow(row, "" if label in shown or not trim else "mid"))
    about = "the first pair's difference" if differences else "the first entry"
    notes = [f"both ends by {about}: {_END} classes each; search, or show all"] if trim else []
    return PageTable(f"{metric}{unit}", columns, rows, notes)


def _order(results: Sequence[Result], pairs: Sequence[tuple[Result, Result]], metrics: Sequence[str]) -> list[int]:
    """Classes by the first pair's difference, or by the first entry's value, from the least to the greatest."""
    everything = list(range(len(results[0].classes)))
    for metric in metrics:
        values = [class_means(per_set(result, result.score(metric))) for result in (pairs[0] if pairs else results[:1])]
        if all(values):
            height = [last - first for first, last in zip(values[0], values[-1], strict=True)] if pairs else values[0]
            return sorted(everything, key=lambda label: height[label])
    return everything


def ends(results: Sequence[Result], pairs: Sequence[tuple[Result, Result]], most: int) -> list[int]:
    """Classes at both ends of the first pair's difference in the first headline metric, or of the first entry."""
    order = _order(results, pairs, headline_metrics(results)[:1])
    half = most // 2
    return order if len(order) <= most else [*order[: most - half], *order[len(order) - half :]]
