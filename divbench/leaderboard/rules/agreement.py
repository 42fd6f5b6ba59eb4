"""Printed values beside others that are printed for the same thing, or should not be."""

from collections.abc import Callable, Hashable, Iterator, Sequence

from divbench.leaderboard.facts import Fact
from divbench.leaderboard.rules.draft import Draft, differ, grouped


def printed_twice(facts: Sequence[Fact]) -> Iterator[Draft]:
    """One quantity of one method under the same circumstances, printed differently in two places of one paper."""
    for group in _same_number(facts, _origin):
        if _any_differ(group):
            yield "warning", group, _listed(group) + _readings(group)


def printed_elsewhere(facts: Sequence[Fact]) -> Iterator[Draft]:
    """A paper, the authors' README, their code or later papers state different numbers for the same thing.

    Info where only somebody else's run differs.
    """
    for group in _same_number(facts, lambda f: ()):
        if _origins_differ(group):
            own = [f for f in group if f.source != "issue"]
            yield ("warning" if _origins_differ(own) else "info"), group, _listed(group)


def _origin(fact: Fact) -> tuple[str, str]:
    """Whose statement it is: a paper and its supplement are one, a README beside it is another."""
    return fact.paper, "print" if fact.source in ("paper", "supplement", "abstract") else fact.source


def _origins_differ(group: Sequence[Fact]) -> bool:
    return any(differ(a, b) for i, a in enumerate(group) for b in group[:i] if _origin(a) != _origin(b))


def _same_number(facts: Sequence[Fact], origin: Callable[[Fact], Hashable]) -> Iterator[list[Fact]]:
    yield from grouped(facts, lambda f: (origin(f), f.method, *f.circumstances, f.base_unit))


def _any_differ(group: Sequence[Fact]) -> bool:
    return any(differ(a, b) for i, a in enumerate(group) for b in group[:i])


def _listed(group: Sequence[Fact]) -> str:
    what = f"{group[0].quantity.removeprefix('setting: ')} of {group[0].method}"
    notes = {f.note for f in group}
    said = {f: f", {f.note}" if f.note and len(notes) > 1 else "" for f in group}
    return f"{what}: " + "; ".join(f"{f.shown} ({f.place}{said[f]})" for f in group)


def _readings(group: Sequence[Fact]) -> str:
    """How far apart a percentage and a bare number are, read both ways."""
    percent = [f for f in group if f.unit == "%" and f.value > 0]
    bare = [f for f in group if f.unit == "" and f.value > 0]
    if group[0].quantity != "coverage" or not percent or not bare:
        return ""
    ratio = bare[0].value / percent[0].value
    return (
        f"; {bare[0].printed} is {_times(100 * ratio)} {percent[0].shown} as a fraction and {_times(ratio)} it as a "
        "percentage"
    )


def _times(ratio: float) -> str:
    return f"{ratio:.1f} times" if ratio >= 1 else f"1/{1 / ratio:.1f} of"


def identical_rows(facts: Sequence[Fact]) -> Iterator[Draft]:
    """Two rows of one table with the same numbers throughout: one was probably not measured."""
    for table in grouped(facts, lambda f: f.spot):
        rows = list(grouped(table, lambda f: f.row))
        for i, row in enumerate(rows):
            for other in rows[:i]:
                cells, others = ({f.column: f.printed for f in r} for r in (row, other))
                if len(cells) > 1 and cells == others:
                    text = f"row {row[0].row!r} repeats row {other[0].row!r}: {', '.join(cells.values())}"
                    yield "warning", [*other, *row], text


def identical_across_datasets(facts: Sequence[Fact]) -> Iterator[Draft]:
    """One method has the same accuracy and the same deviation on two data sets."""
    known = [f for f in facts if f.quantity == "accuracy" and f.std is not None]
    for group in grouped(known, lambda f: (f.paper, f.method, *f.circumstances[1:], f.value, f.std)):
        if len({f.dataset for f in group}) > 1:
            yield (
                "warning",
                group,
                f"{group[0].method} has {group[0].printed} in "
                + " and ".join(f"{f.table} ({f.dataset})" for f in group),
            )


def stated_overhead(facts: Sequence[Fact]) -> Iterator[Draft]:
    """An overhead in the text that is not that of the table of times."""
    times = {(f.paper, f.method, f.dataset, f.ipc): f for f in facts if f.quantity == "time"}
    for fact in facts:
        if fact.quantity != "overhead":
            continue
        after, before = (times.get((fact.paper, m, fact.dataset, fact.ipc)) for m in (fact.method, fact.baseline))
        if after is None or before is None:
            continue
        overhead = after.base / before.base - 1
        if abs(overhead - fact.base) > fact.rounding:
            text = f"the text says {fact.shown}; {before.shown} -> {after.shown} in {after.table} is {overhead:.1%}"
            yield "info", [before, after, fact], text
