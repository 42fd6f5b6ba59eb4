"""Printed gains: of an addition over its host, and of more images over fewer."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from divbench.leaderboard.facts import Fact
from divbench.leaderboard.rules.draft import BETTER, Draft, grouped


@dataclass(frozen=True)
class Comparison:
    """A method without and with an addition; ``outcome`` is 1 better, 0 equal as printed, -1 worse."""

    before: Fact
    after: Fact
    outcome: int


def comparisons(facts: Iterable[Fact]) -> list[Comparison]:
    """All before/after pairs of a table: same table, circumstances and quantity, ``x`` and ``x+...``."""
    known = [f for f in facts if f.quantity in BETTER and f.base_unit == ""]
    at = {(f.spot, f.method, *f.circumstances): f for f in known}
    found = []
    for after in known:
        before = at.get((after.spot, after.host, *after.circumstances)) if after.host else None
        if before is not None:
            change = (after.value - before.value) * BETTER[after.quantity]
            found.append(Comparison(before, after, (change > 0) - (change < 0)))
    return found


def refuted_improvement(facts: Sequence[Fact]) -> Iterator[Draft]:
    """A paper whose point is that the addition improves prints a row where it does not."""
    for pair in comparisons(facts):
        if pair.outcome < 1:
            words = "worse" if pair.outcome < 0 else "equal as printed"
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


def more_images_no_better(facts: Sequence[Fact]) -> Iterator[Draft]:
    """Accuracy that does not rise from one IPC to the next greater one."""
    known = [f for f in facts if f.quantity == "accuracy" and f.ipc]
    for group in grouped(known, lambda f: (f.paper, f.source, f.table, f.method, f.dataset, f.network, f.variant)):
        for less, more in pairwise(sorted(group, key=lambda f: f.ipc or 0)):
            if less.ipc != more.ipc and more.value <= less.value:
                text = f"{more.method} on {more.network}: {less.shown} at IPC {less.ipc}, {more.shown} at {more.ipc}"
                yield "warning", [less, more], text
