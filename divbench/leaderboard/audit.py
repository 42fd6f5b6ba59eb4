"""What printed numbers contradict: mathematics, themselves, each other. Each rule is one function of all facts.

A finding is no verdict on a paper: it says which printed numbers cannot be read as they stand, and why. Printed values
are rounded, so every rule gives them the benefit of half a unit in their last place.
"""

import math
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import Literal

from divbench.leaderboard.reported import Fact

Severity = Literal["error", "warning", "info"]
"""``error``: contradicts mathematics or itself; ``warning``: cannot all be trusted; ``info``: good to know."""

PLAUSIBLE_N = (10, 50, 100)
"""Images per class that a table without a stated number may be about: the IPCs of the field."""

CLASS_SIZE = {"cifar10": 5000, "cifar100": 500, "tiny-imagenet": 500, "imagenet-1k": 1281, "imagenette": 947}
"""Real training images per class; of ImageNet-1K and ImageNette the mean over classes."""

BETTER = {"accuracy": 1, "coverage": 1, "vendi": 1, "cosine": -1}
"""Which direction of a quantity a method is praised for."""

_K = 5  # neighbours of coverage: the field's usual choice, where papers state none
_BASE = {"%": 0.01, "h": 3600.0}  # of one in units that compare: fractions, seconds


@dataclass(frozen=True)
class Finding:
    """What one rule says of some printed numbers; ``facts`` are those it is to be shown next to."""

    rule: str
    severity: Severity
    place: str
    text: str
    facts: tuple[Fact, ...] = ()


Draft = tuple[Severity, Sequence[Fact], str]
"""A finding before its rule has signed it; its place is that of the last fact."""


@dataclass(frozen=True)
class Rule:
    """A check of all facts at once; ``reference`` says why it is right."""

    name: str
    reference: str
    check: Callable[[Sequence[Fact]], Iterator[Draft]]


def audit(facts: Iterable[Fact]) -> list[Finding]:
    """All findings, by rule, and by the order of the facts within a rule."""
    known = list(facts)
    return [
        Finding(rule.name, severity, about[-1].place, text, tuple(about))
        for rule in RULES
        for severity, about, text in rule.check(known)
    ]


# The two closed forms stand in `divbench.metrics` as well, beside the metrics, in modules that import torch. A test
# holds both pairs together.


def vendi_bound(n: int, similarity: float) -> float:
    """Greatest Vendi Score of n images with mean off-diagonal cosine ``similarity``: `divbench.metrics.vendi`.

    >>> round(vendi_bound(10, 0.9), 2)
    1.65
    """
    if n < 2 or similarity <= 0:
        return float(n)
    first, rest = (1 + (n - 1) * similarity) / n, (1 - similarity) / n
    return math.exp(-first * math.log(first) - (n - 1) * (rest * math.log(rest) if rest > 0 else 0.0))


def iid_coverage(n_real: int, n_fake: int, k: int = _K) -> float:
    """Expected coverage of a fresh draw of real images: `divbench.metrics.balls`.

    >>> round(iid_coverage(5000, 10), 5)
    0.00995
    """
    return 1 - math.prod((n_real - i) / (n_real + n_fake - i) for i in range(1, k + 1))


def mixture_bound(n: int, similarity: float) -> float:
    """Greatest mean Vendi Score over classes of n images whose mean cosines average ``similarity``.

    `vendi_bound` is not concave in the similarity, so classes of unequal similarity can exceed it in the mean. Nothing
    exceeds its concave envelope, whatever the classes: half of them at 0.5 and half at 1, say.

    >>> vendi_bound(10, 0.75) < mixture_bound(10, 0.75) < 10
    True
    """
    if similarity <= 0:
        return float(n)
    for (left, high), (right, low) in pairwise(_envelope(n)):
        if similarity <= right:
            return high + (low - high) * (similarity - left) / (right - left)
    return 1.0


@lru_cache(maxsize=64)
def _envelope(n: int, steps: int = 500) -> tuple[tuple[float, float], ...]:
    """Corners of the upper hull of `vendi_bound` on [0, 1]; each step counts with its greater end: never too low."""
    hull: list[tuple[float, float]] = []
    for x, y in ((i / steps, vendi_bound(n, max(0, i - 1) / steps)) for i in range(steps + 1)):
        while len(hull) > 1 and _turns_up(hull[-2], hull[-1], (x, y)):
            hull.pop()
        hull.append((x, y))
    return tuple(hull)


def _turns_up(a: tuple[float, float], b: tuple[float, float], c: tuple[float, float]) -> bool:
    return (b[1] - a[1]) * (c[0] - a[0]) <= (c[1] - a[1]) * (b[0] - a[0])


def least_images(vendi: float, similarity: float) -> int | None:
    """Fewest images per class for which the bound allows the pair; None where no number does.

    >>> least_images(1.87, 0.90), least_images(2.28, 0.93)
    (26, 3477)
    """
    low, high = 1, 2
    while vendi_bound(high, similarity) < vendi:
        low, high = high, 2 * high
        if high > 10**9:
            return None
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if vendi_bound(middle, similarity) < vendi else (low, middle)
    return high


def _base(fact: Fact) -> float:
    """The value in units that compare: fractions, seconds."""
    return fact.value * _BASE.get(fact.unit, 1.0)


def _rounding(fact: Fact) -> float:
    return fact.half_step * _BASE.get(fact.unit, 1.0)


def _base_unit(fact: Fact) -> str:
    return {"%": "", "h": "s"}.get(fact.unit, fact.unit)


def _table(fact: Fact) -> tuple[str, str, str, str]:
    return fact.paper, fact.source, fact.table, fact.block


def _circumstances(fact: Fact) -> tuple[Hashable, ...]:
    """All that is stated of a number except the method and the place."""
    return (fact.dataset, fact.ipc, fact.network, fact.embedder, fact.variant, fact.baseline, fact.quantity)


def _differ(a: Fact, b: Fact) -> bool:
    """Beyond what rounding for print explains."""
    return abs(_base(a) - _base(b)) > (_rounding(a) + _rounding(b)) * (1 + 1e-9)


def _grouped(facts: Iterable[Fact], key: Callable[[Fact], Hashable]) -> Iterator[list[Fact]]:
    groups: dict[Hashable, list[Fact]] = defaultdict(list)
    for fact in facts:
        groups[key(fact)].append(fact)
    yield from groups.values()


def _numbers(values: Iterable[float], places: int) -> str:
    return " / ".join(f"{value:.{places}f}" for value in values)


def _listed_sizes(sizes: Iterable[int]) -> str:
    return " / ".join(map(str, sizes))


def _sizes(fact: Fact) -> tuple[int, ...]:
    """Images per class: as stated, or all that are plausible."""
    return (fact.ipc,) if fact.ipc else PLAUSIBLE_N


_RANGE = {"accuracy": (0.0, 1.0), "coverage": (0.0, 1.0), "cosine": (-1.0, 1.0), "vendi": (1.0, math.inf)}


def out_of_range(facts: Sequence[Fact]) -> Iterator[Draft]:
    """A value that the quantity cannot take."""
    for fact in facts:
        low, high = _RANGE.get(fact.quantity, (-math.inf, math.inf))
        if _base_unit(fact) == "" and not low - _rounding(fact) <= _base(fact) <= high + _rounding(fact):
            yield "error", [fact], f"{fact.quantity} {fact.shown} is outside [{low:g}, {high:g}]"


def vendi_against_cosine(facts: Sequence[Fact]) -> Iterator[Draft]:
    """A Vendi Score that is too great for the mean cosine printed beside it.

    Mean cosine s of n images bounds the largest eigenvalue from below and so the entropy from above. Above the bound of
    one class: warning, as only classes of very unequal similarity could do it; above what any mixture of classes
    allows: error; allowed from some n on only: info that tells n.
    """
    pairs = [f for f in facts if f.quantity in ("vendi", "cosine") and f.unit == ""]
    for group in _grouped(pairs, lambda f: (_table(f), f.method, *_circumstances(f)[:-1])):
        found = {f.quantity: f for f in group}
        if len(found) < 2:
            continue
        cosine, vendi = found["cosine"], found["vendi"]
        sizes = _sizes(vendi)
        s, least = max(-1.0, cosine.value - cosine.half_step), vendi.value - vendi.half_step
        above = [n for n in sizes if least > vendi_bound(n, s)]
        if not above:
            continue
        impossible = all(least > mixture_bound(n, s) for n in sizes)
        severity: Severity = "error" if impossible else "warning" if len(above) == len(sizes) else "info"
        needed = least_images(vendi.value, cosine.value)
        allowed = _numbers((vendi_bound(n, cosine.value) for n in sizes), 2)
        text = f"cosine {cosine.printed} allows Vendi <= {allowed} at n = {_listed_sizes(sizes)} per class"
        needs = f"n >= {needed}" if needed else "more images than any"
        yield severity, [cosine, vendi], f"{text}; {vendi.printed} is printed, which needs {needs}"


def coverage_against_iid(facts: Sequence[Fact]) -> Iterator[Draft]:
    """Coverage beside that of as many fresh real images, for k = 5, per class.

    Above it at every plausible n: another k, scope or number of images, or images pulled to the middle of the class
    (which coverage rewards): warning. Below a tenth of it at every plausible n: info. The yardstick is no upper bound,
    and the collapse control, which needs images, is for measured entries.
    """
    for fact in facts:
        if fact.quantity != "coverage" or _base_unit(fact) != "" or fact.dataset not in CLASS_SIZE:
            continue
        sizes = _sizes(fact)
        lines = [iid_coverage(CLASS_SIZE[fact.dataset], n) for n in sizes]
        beside = (
            f"fresh real images reach {_numbers((100 * line for line in lines), 1)} % at "
            f"n = {_listed_sizes(sizes)} per class, k = {_K}"
        )
        low, high = _base(fact) - _rounding(fact), _base(fact) + _rounding(fact)
        if low > max(lines):
            yield "warning", [fact], f"coverage {fact.shown} is above its yardstick at every plausible n: {beside}"
        elif fact.ipc is None and low > iid_coverage(CLASS_SIZE[fact.dataset], 50):
            yield "info", [fact], f"coverage {fact.shown} is above its yardstick unless n is about 100: {beside}"
        elif high < 0.1 * min(lines):
            yield "info", [fact], f"coverage {fact.shown} is below a tenth of its yardstick: {beside}"


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
    return any(_differ(a, b) for i, a in enumerate(group) for b in group[:i] if _origin(a) != _origin(b))


def _same_number(facts: Sequence[Fact], origin: Callable[[Fact], Hashable]) -> Iterator[list[Fact]]:
    yield from _grouped(facts, lambda f: (origin(f), f.method, *_circumstances(f), _base_unit(f)))


def _any_differ(group: Sequence[Fact]) -> bool:
    return any(_differ(a, b) for i, a in enumerate(group) for b in group[:i])


def _listed(group: Sequence[Fact]) -> str:
    what = f"{group[0].quantity.removeprefix('setting: ')} of {group[0].method}"
    return f"{what}: " + "; ".join(f"{f.shown} ({f.place})" for f in group)


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
    for table in _grouped(facts, _table):
        rows = list(_grouped(table, lambda f: f.row))
        for i, row in enumerate(rows):
            for other in rows[:i]:
                cells, others = ({f.column: f.printed for f in r} for r in (row, other))
                if len(cells) > 1 and cells == others:
                    text = f"row {row[0].row!r} repeats row {other[0].row!r}: {', '.join(cells.values())}"
                    yield "warning", [*other, *row], text


def identical_across_datasets(facts: Sequence[Fact]) -> Iterator[Draft]:
    """One method has the same accuracy and the same deviation on two data sets."""
    known = [f for f in facts if f.quantity == "accuracy" and f.std is not None]
    for group in _grouped(known, lambda f: (f.paper, f.method, *_circumstances(f)[1:], f.value, f.std)):
        if len({f.dataset for f in group}) > 1:
            yield (
                "warning",
                group,
                f"{group[0].method} has {group[0].printed} in "
                + " and ".join(f"{f.table} ({f.dataset})" for f in group),
            )


@dataclass(frozen=True)
class Comparison:
    """A method without and with an addition; ``outcome`` is 1 better, 0 equal as printed, -1 worse."""

    before: Fact
    after: Fact
    outcome: int


def comparisons(facts: Iterable[Fact]) -> list[Comparison]:
    """All before/after pairs of a table: same table, circumstances and quantity, ``x`` and ``x+...``."""
    known = [f for f in facts if f.quantity in BETTER and _base_unit(f) == ""]
    at = {(_table(f), f.method, *_circumstances(f)): f for f in known}
    found = []
    for after in known:
        before = at.get((_table(after), after.host, *_circumstances(after))) if after.host else None
        if before is not None:
            change = (after.value - before.value) * BETTER[after.quantity]
            found.append(Comparison(before, after, (change > 0) - (change < 0)))
    return found


def refuted_improvement(facts: Sequence[Fact]) -> Iterator[Draft]:
    """A paper whose point is that the addition improves prints a row where it does not."""
    for pair in comparisons(facts):
        if pair.outcome < 1:
            words = "worse" if pair.outcome < 0 else "equal"
            yield (
                ("error" if pair.outcome < 0 else "warning"),
                [pair.before, pair.after],
                (
                    f"{pair.after.quantity} of {pair.after.method}: "
                    f"{pair.before.shown} -> {pair.after.shown} is {words}, not improved"
                ),
            )


def within_deviation(facts: Sequence[Fact]) -> Iterator[Draft]:
    """A gain no greater than the two printed deviations together; the number of runs is not stated."""
    for pair in comparisons(facts):
        before, after = pair.before, pair.after
        if pair.outcome < 1 or before.std is None or after.std is None:
            continue
        gain = abs(after.value - before.value)
        if gain <= (before.std + after.std) * (1 + 1e-9):
            text = f"{after.method}: {before.printed} -> {after.printed}, a gain of {gain:.{after.decimals}f}"
            yield "info", [before, after], f"{text}, is within the deviations"


def factor_of_100(facts: Sequence[Fact]) -> Iterator[Draft]:
    """A percentage far below all other methods of its column that falls among them when multiplied by 100."""
    known = [f for f in facts if f.unit == "%" and f.quantity in BETTER]
    for column in _grouped(known, lambda f: (_table(f), *_circumstances(f))):
        for fact in column:
            others = [f.value for f in column if (f.host or f.method) != (fact.host or fact.method)]
            if others and 0 < fact.value < min(others) / 10 and min(others) <= 100 * fact.value <= max(others):
                yield (
                    "warning",
                    [fact],
                    (
                        f"{fact.quantity} {fact.shown} is far below all others ({min(others):g} to {max(others):g} %); "
                        f"{100 * fact.value:g} % would fit, so a fraction may have been printed as a percentage"
                    ),
                )


def more_images_no_better(facts: Sequence[Fact]) -> Iterator[Draft]:
    """Accuracy that does not rise from one IPC to the next greater one."""
    known = [f for f in facts if f.quantity == "accuracy" and f.ipc]
    for group in _grouped(known, lambda f: (f.paper, f.source, f.table, f.method, f.dataset, f.network, f.variant)):
        for less, more in pairwise(sorted(group, key=lambda f: f.ipc or 0)):
            if less.ipc != more.ipc and more.value <= less.value:
                text = f"{more.method} on {more.network}: {less.shown} at IPC {less.ipc}, {more.shown} at {more.ipc}"
                yield "warning", [less, more], text


def stated_overhead(facts: Sequence[Fact]) -> Iterator[Draft]:
    """An overhead in the text that is not that of the table of times."""
    times = {(f.paper, f.method, f.dataset, f.ipc): f for f in facts if f.quantity == "time"}
    for fact in facts:
        if fact.quantity != "overhead":
            continue
        after, before = (times.get((fact.paper, m, fact.dataset, fact.ipc)) for m in (fact.method, fact.baseline))
        if after is None or before is None:
            continue
        overhead = _base(after) / _base(before) - 1
        if abs(overhead - _base(fact)) > _rounding(fact):
            text = f"the text says {fact.shown}; {before.shown} -> {after.shown} in {after.table} is {overhead:.1%}"
            yield "info", [before, after, fact], text


def deviation_above_mean(facts: Sequence[Fact]) -> Iterator[Draft]:
    """A quantity that is never negative with a deviation above its mean."""
    for fact in facts:
        if fact.std is not None and fact.std > fact.value >= 0 and fact.quantity != "cosine":
            yield "info", [fact], f"{fact.quantity} {fact.shown}: the deviation is above the mean"


RULES: tuple[Rule, ...] = (
    Rule("out of range", "definitions of the quantities", out_of_range),
    Rule(
        "Vendi against cosine",
        "Rayleigh quotient of the all-ones vector; Friedman & Dieng 2023, arXiv:2210.02410",
        vendi_against_cosine,
    ),
    Rule(
        "coverage against i.i.d.",
        "expectation of a fresh draw; Naeem et al. 2020, arXiv:2002.09797",
        coverage_against_iid,
    ),
    Rule("printed twice", "DiRe, arXiv:2512.13083, Tables 9 and 17: 6.4 % and 0.45", printed_twice),
    Rule("printed elsewhere", "papers, and the READMEs and code beside them", printed_elsewhere),
    Rule("identical rows", "DiRe, arXiv:2512.13083, Tables 3 and 5: INFER and INFER(D)", identical_rows),
    Rule("identical across data sets", "DiRe, arXiv:2512.13083, Tables 2 and 4", identical_across_datasets),
    Rule("refuted improvement", "DiRe, arXiv:2512.13083: the text says that all improve", refuted_improvement),
    Rule("within deviation", "both deviations as printed, added", within_deviation),
    Rule("factor of 100", "DiRe, arXiv:2512.13083, Table 3: 0.04 %", factor_of_100),
    Rule("more images, no better", "DiRe, arXiv:2512.13083, Table 12", more_images_no_better),
    Rule("stated overhead", "DiRe, arXiv:2512.13083, Section 4.9 against Table 15", stated_overhead),
    Rule("deviation above mean", "WMDD supplement, Table 7", deviation_above_mean),
)
"""All rules, in the order of the report."""
