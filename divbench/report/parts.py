"""What tables of results have in common: which scores they show, in which unit, in which order, and which are best."""

import math
from collections.abc import Collection, Hashable, Mapping, Sequence
from typing import NamedTuple, TypeVar

from msgspec.structs import replace

from divbench.combine import joined
from divbench.comparison import Differences, before_and_after, differences, per_set
from divbench.errors import ResultError, shorten
from divbench.protocol import Scope
from divbench.report.render import Cell, Measured, sort_key, text
from divbench.results import ACCURACY, Result, Score
from divbench.wording import ARROWS, REFERENCES

Item = TypeVar("Item", bound=Hashable)


class Row(NamedTuple):
    """Cells of a table, and among which rows its best are sought: those of equal ``rank``; None: it takes no part."""

    cells: list[Cell]
    rank: Hashable = None


class Held(NamedTuple):
    """A score and the result that holds it."""

    result: Result
    score: Score

    @property
    def drawn_from(self) -> str | None:
        """Digest of the real images of which students were trained on random subsets."""
        trained = self.result.students(self.score.metric)
        return None if trained is None else trained.real


def is_accuracy(metric: str) -> bool:
    """Whether values are shares of test images, which tables show in percent."""
    return metric.startswith(ACCURACY)


def in_percent(score: Score) -> Score:
    """An accuracy with all its numbers in percent; any other score as it is."""
    if not is_accuracy(score.metric):
        return score
    interval = score.interval
    return replace(
        score,
        values=_percent(score.values),
        per_class=tuple(map(_percent, score.per_class)),
        reference={key: _percent(values) for key, values in score.reference.items()},
        interval=interval and replace(interval, low=100 * interval.low, high=100 * interval.high),
    )


def _percent(values: tuple[float | None, ...]) -> tuple[float | None, ...]:
    return tuple(None if value is None else 100 * value for value in values)


def heading(score: Score) -> str:
    """The metric with its unit and direction."""
    return score.metric + (" %" if is_accuracy(score.metric) else "") + ARROWS[score.higher_is_better]


def chosen(results: Sequence[Result], scope: Scope, metrics: Sequence[str] | None) -> list[Score]:
    """One score of each metric that a table shows, in its order.

    Args:
        results: that hold them.
        scope: of the scores.
        metrics: which; ``accuracy`` means those of all networks; None: all.

    Raises:
        ResultError: no result has the scope, or one of the ``metrics`` at it.
    """
    known = {s.metric: s for r in results for s in r.scores if s.scope == scope}
    if not known:
        raise ResultError(f"no result holds scores at {scope} scope")
    found: dict[str, Score] = {}
    for name in known if metrics is None else metrics:
        fitting = [key for key in known if key == name or (name == "accuracy" and is_accuracy(key))]
        if not fitting:
            raise ResultError(f"no result holds {name!r} at {scope} scope; choose from {', '.join(known)}")
        found |= {key: known[key] for key in fitting}
    return list(found.values())


def narrowed(results: Sequence[Result], scores: Sequence[Score]) -> list[Result]:
    """The results, parts joined, with these metrics at these scopes alone, accuracies in percent and `per_set`.

    What does not matter to them is gone, too, so that neither comparisons nor notes trip over it: how students of other
    networks were trained and, where nothing but accuracies is left, the protocol.
    """
    wanted = {(score.metric, score.scope) for score in scores}
    return [_narrowed(result, wanted) for result in joined(results)]


def _narrowed(result: Result, wanted: Collection[tuple[str, Scope]]) -> Result:
    scores = tuple(in_percent(per_set(result, s)) for s in result.scores if (s.metric, s.scope) in wanted)
    nets = {s.metric for s in scores}
    kept = replace(result, scores=scores, accuracies=tuple(a for a in result.accuracies if ACCURACY + a.net in nets))
    if all(is_accuracy(s.metric) for s in scores):
        return replace(kept, protocol=None, protocol_digest=None, embedder=None, real=None)
    return kept


def by_metric(result: Result) -> dict[str, Score]:
    """The scores of a narrowed result by their metric."""
    return {score.metric: score for score in result.scores}


def measured(score: Score) -> Cell:
    """The value of a score, with its interval if there is one."""
    if score.value is None or score.interval is None:
        return score.value
    return Measured(score.value, score.interval.low, score.interval.high)


def change_cells(found: Differences) -> dict[str, Measured]:
    """Metric -> the cell of its difference."""
    return {key: Measured(one.effect, one.low, one.high, one.p) for key, one in found.tested.items()}


def pairs_of(results: Sequence[Result]) -> list[tuple[Result, Result]]:
    """Pairs of before and after among the results; raises `ResultError` where there is none."""
    found = before_and_after(results)
    if not found:
        raise ResultError(
            f"no pair of before and after among {shorten([r.name for r in results])}: names such as SRe2L and "
            "SRe2L+DiRe make one, with equal images per class; score them under such names (--name)"
        )
    return found


def change(before: Result, after: Result) -> Differences:
    """After minus before, of all metrics that both narrowed results hold, with Holm's p over these."""
    common = by_metric(before).keys() & by_metric(after).keys()
    return differences(before, after, common) if common else Differences({}, ())


def change_name(before: str, after: str) -> str:
    """What the row of a change is called."""
    return f"Δ {after} − {before}"


def families(items: Sequence[Item], before: Mapping[Item, Item]) -> list[list[Item]]:
    """The items in their order, but each together with the one that it has in ``before``."""

    def tree(item: Item) -> list[Item]:
        return [item, *(one for child in items if before.get(child) == item for one in tree(child))]

    return [tree(item) for item in items if item not in before]


def reference_rows(
    entries: Sequence[tuple[str, Mapping[Item, Held]]], key: str, named: bool = False
) -> list[tuple[str, dict[Item, Score]]]:
    """What to call each row of a yardstick or control, and column -> a score that holds it.

    Args:
        entries: names, and their scores by column.
        key: the yardstick or control, see `divbench.wording.REFERENCES`.
        named: say in every row whose it is, as there are others beside these.

    Returns:
        One row where all entries that hold it agree: in value up to rounding and, of random subsets that students
        were trained on, in the real images. Else several, with the names of the entries that agree with each.
    """
    rows: list[tuple[list[str], dict[Item, Held]]] = []
    for name, columns in entries:
        own = {column: one for column, one in columns.items() if key in one.score.reference}
        row = next((row for row in rows if all(_agree(key, row[1].get(c, one), one) for c, one in own.items())), None)
        if own and row is None:
            rows.append(([name], own))
        elif own and row is not None:
            row[0].append(name)
            row[1].update({**own, **row[1]})
    title = REFERENCES[key]
    return [
        (
            f"({title}: {', '.join(dict.fromkeys(names))})" if named or len(rows) > 1 else f"({title})",
            {column: one.score for column, one in held.items()},
        )
        for names, held in rows
    ]


def _agree(key: str, one: Held, other: Held) -> bool:
    a, b = one.score.reference_value(key), other.score.reference_value(key)
    close = a == b if a is None or b is None else math.isclose(a, b, rel_tol=1e-9, abs_tol=1e-12)
    return close and (key != "random" or one.drawn_from == other.drawn_from)


def stacked(groups: Sequence[Sequence[Row]], references: Sequence[Row]) -> tuple[list[Row], set[int]]:
    """All rows, and which of them have a line above: references, and groups of several rows and what follows them."""
    rows: list[Row] = []
    rules: set[int] = set()
    for before, group in zip([(), *groups], groups, strict=False):
        if rows and max(len(before), len(group)) > 1:
            rules.add(len(rows))
        rows += group
    return [*rows, *references], rules | ({len(rows)} if references else set())


def bold_cells(rows: Sequence[Row], directions: Mapping[int, bool | None]) -> set[tuple[int, int]]:
    """(row, column) of the best cells of each rank, in columns whose direction is known."""
    found: set[tuple[int, int]] = set()
    for column, higher in directions.items():
        for rank in {row.rank for row in rows} - {None}:
            cells = {i: row.cells[column] for i, row in enumerate(rows) if row.rank == rank}
            found |= {(i, column) for i in _best(cells, higher)}
    return found


def _best(cells: Mapping[int, Cell], higher: bool | None) -> set[int]:
    """Where the best value is, and those that look the same; nowhere if fewer than two have a value."""
    values = {i: value for i, cell in cells.items() if isinstance(value := sort_key(cell), float)}
    if higher is None or len(values) < 2:
        return set()
    top = (max if higher else min)(values, key=lambda i: values[i])
    return {i for i in values if _look(cells[i]) == _look(cells[top])}


def _look(cell: Cell) -> float:
    return float(text(cell).split()[0])


def span(ipc: tuple[int, int] | None) -> str | int | None:
    """Images per class in one cell."""
    if ipc is None:
        return None
    return ipc[0] if ipc[0] == ipc[1] else f"{ipc[0]}-{ipc[1]}"


def set_names(result: Result) -> list[str]:
    """Of each set; where some are equal, with the seeds that they were generated from, or else counted."""
    names = [record.name for record in result.sets]
    if len(set(names)) == len(names):
        return names
    seeds = [None if record.origin is None else record.origin.seed for record in result.sets]
    if None not in seeds and len(set(zip(names, seeds, strict=True))) == len(names):
        return [f"{name}, seed {seed}" for name, seed in zip(names, seeds, strict=True)]
    return [f"{name} ({number})" for number, name in enumerate(names, 1)]
