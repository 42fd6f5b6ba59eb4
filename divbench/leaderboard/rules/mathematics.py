"""Printed values beside what the quantities can be at all."""

import math
from collections.abc import Iterable, Iterator, Sequence

from divbench.leaderboard.bounds import NEIGHBOURS, iid_coverage, least_images, mixture_bound, vendi_bound
from divbench.leaderboard.facts import Fact
from divbench.leaderboard.rules.draft import BETTER, Draft, Severity, grouped

PLAUSIBLE_N = (10, 50, 100)
"""Images per class that a table without a stated number may be about: the IPCs of the field."""

CLASS_SIZE = {"cifar10": 5000, "cifar100": 500, "tiny-imagenet": 500, "imagenet-1k": 1281, "imagenette": 947}
"""Real training images per class; of ImageNet-1K and ImageNette the mean over classes."""

_RANGE = {"accuracy": (0.0, 1.0), "coverage": (0.0, 1.0), "cosine": (-1.0, 1.0), "vendi": (1.0, math.inf)}


def out_of_range(facts: Sequence[Fact]) -> Iterator[Draft]:
    """A value that the quantity cannot take."""
    for fact in facts:
        low, high = _RANGE.get(fact.quantity, (-math.inf, math.inf))
        if fact.base_unit == "" and not low - fact.rounding <= fact.base <= high + fact.rounding:
            yield "error", [fact], f"{fact.quantity} {fact.shown} is outside [{low:g}, {high:g}]"


def vendi_against_cosine(facts: Sequence[Fact]) -> Iterator[Draft]:
    """A Vendi Score that is too great for the mean cosine printed beside it.

    Mean cosine s of n images bounds the largest eigenvalue from below and so the entropy from above. Above the bound of
    one class: warning, as only classes of very unequal similarity could do it; above what any mixture of classes
    allows: error; allowed from some n on only: info that tells n.
    """
    pairs = [f for f in facts if f.quantity in ("vendi", "cosine") and f.unit == ""]
    for group in grouped(pairs, lambda f: (f.spot, f.method, *f.circumstances[:-1])):
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
        needed = least_images(least, s)
        allowed = _numbers((vendi_bound(n, s) for n in sizes), 2)
        text = f"cosine {cosine.printed} allows Vendi <= {allowed} at n = {_listed_sizes(sizes)} per class"
        needs = f"n >= {needed}" if needed else "more images than any"
        yield severity, [cosine, vendi], f"{text}; {vendi.printed} is printed, which needs {needs}, rounding considered"


def coverage_against_iid(facts: Sequence[Fact]) -> Iterator[Draft]:
    """Coverage beside that of as many fresh real images, for k = 5, per class.

    Above it at every plausible n: another k, scope or number of images, or images pulled to the middle of the class
    (which coverage rewards): warning. Below a tenth of it at every plausible n: info. The yardstick is no upper bound,
    and the collapse control, which needs images, is for measured entries.
    """
    for fact in facts:
        if fact.quantity != "coverage" or fact.base_unit != "" or fact.dataset not in CLASS_SIZE:
            continue
        sizes = _sizes(fact)
        lines = [iid_coverage(CLASS_SIZE[fact.dataset], n) for n in sizes]
        beside = (
            f"fresh real images reach {_numbers((100 * line for line in lines), 1)} % at "
            f"n = {_listed_sizes(sizes)} per class, k = {NEIGHBOURS}"
        )
        low, high = fact.base - fact.rounding, fact.base + fact.rounding
        if low > max(lines):
            yield (
                "warning",
                [fact],
                f"coverage {fact.shown} is above its yardstick at n = {_listed_sizes(sizes)}: {beside}",
            )
        elif fact.ipc is None and low > iid_coverage(CLASS_SIZE[fact.dataset], 50):
            yield "info", [fact], f"coverage {fact.shown} is above its yardstick unless n is about 100: {beside}"
        elif high < 0.1 * min(lines):
            yield "info", [fact], f"coverage {fact.shown} is below a tenth of its yardstick: {beside}"


def factor_of_100(facts: Sequence[Fact]) -> Iterator[Draft]:
    """A percentage far below all other methods of its column that falls among them when multiplied by 100."""
    known = [f for f in facts if f.unit == "%" and f.quantity in BETTER]
    for column in grouped(known, lambda f: (f.spot, *f.circumstances)):
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


def deviation_above_mean(facts: Sequence[Fact]) -> Iterator[Draft]:
    """A quantity that is never negative with a deviation above its mean."""
    for fact in facts:
        if fact.std is not None and fact.std > fact.value >= 0 and fact.quantity != "cosine":
            yield "info", [fact], f"{fact.quantity} {fact.shown}: the deviation is above the mean"


def _numbers(values: Iterable[float], places: int) -> str:
    return " / ".join(f"{value:.{places}f}" for value in values)


def _listed_sizes(sizes: Iterable[int]) -> str:
    return " / ".join(map(str, sizes))


def _sizes(fact: Fact) -> tuple[int, ...]:
    """Images per class: as stated, or all that are plausible."""
    return (fact.ipc,) if fact.ipc else PLAUSIBLE_N
