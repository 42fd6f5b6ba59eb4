"""What a rule says, and what rules share."""

from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from typing import Literal

from divbench.leaderboard.facts import Fact

Severity = Literal["error", "warning", "info"]
"""``error``: contradicts mathematics or itself; ``warning``: cannot all be trusted; ``info``: good to know."""

Draft = tuple[Severity, Sequence[Fact], str]
"""A finding before its rule has signed it; its place is that of the last fact."""

BETTER = {"accuracy": 1, "coverage": 1, "vendi": 1, "cosine": -1}
"""Which direction of a quantity a method is praised for."""


def differ(a: Fact, b: Fact) -> bool:
    """Beyond what rounding for print explains."""
    return abs(a.base - b.base) > (a.rounding + b.rounding) * (1 + 1e-9)


def grouped(facts: Iterable[Fact], key: Callable[[Fact], Hashable]) -> Iterator[list[Fact]]:
    """Facts of one key, in their order."""
    groups: dict[Hashable, list[Fact]] = defaultdict(list)
    for fact in facts:
        groups[key(fact)].append(fact)
    yield from groups.values()
