"""What papers claim: held against the numbers that they print, and against entries where there are any.

A claim of ``leaderboards/claims/*.claims.toml`` names methods, not files: ``cifar10/sre2l+dire``, or with the images
per class that the paper states ``cifar10/ipc10/sre2l+dire``. It is judged for every number of images per class and
protocol that both methods were measured under.
"""

import dataclasses
import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from msgspec.structs import replace

from divbench.claims.claim import Claim, load_claims
from divbench.claims.judge import Verdict, judge_claims
from divbench.errors import ResultError
from divbench.leaderboard.entries import Entry
from divbench.leaderboard.facts import Fact
from divbench.leaderboard.methods import Methods
from divbench.leaderboard.rules.draft import BETTER
from divbench.results import Result

Mark = Literal["holds", "inconclusive", "refuted", "error", "not measured"]
MARKS: dict[Mark, str] = {"holds": "✓", "inconclusive": "?", "refuted": "✗", "error": "!", "not measured": "○"}
_PRINTED_NETWORKS = {
    "resnet18": ("ResNet-18",),
    "resnet50": ("ResNet-50",),
    "resnet101": ("ResNet-101",),
    "vgg16": ("VGG-16",),
    "mobilenetv2": ("MobileNetV2",),
    "shufflenetv2": ("ShuffleNet",),
    "vit": ("ViT",),
}
_CONVNETS = {"cifar10": "convnet3", "cifar100": "convnet3", "tiny-imagenet": "convnet4"}  # by the size of images
_NAME = re.compile(r"([^/]+)/(?:ipc([1-9]\d*)/)?([^/]+)")


def printed_as(network: str, dataset: str) -> tuple[str, ...]:
    """What papers call a network of students; their ConvNets have the depth that the size of the images asks for.

    >>> printed_as("convnet3", "cifar10"), printed_as("convnet3", "tiny-imagenet")
    (('ConvNet', 'ConvNetW128'), ())
    """
    return ("ConvNet", "ConvNetW128") if _CONVNETS.get(dataset) == network else _PRINTED_NETWORKS.get(network, ())


def networks_of(dataset: str) -> tuple[str, ...]:
    """The networks of students that papers print on a data set."""
    return tuple(n for n in (*_PRINTED_NETWORKS, _CONVNETS.get(dataset, "")) if n)


@dataclass(frozen=True)
class Measured:
    """What the entries of one number of images per class and one protocol say of a claim."""

    ipc: int
    protocol: str
    verdict: Verdict

    @property
    def about(self) -> str:
        """``the method`` where both sides have several sets, else ``these sets``."""
        gain = self.verdict.gain
        return "" if gain is None else gain.about

    @property
    def sign(self) -> str:
        """The sign of the verdict, in brackets where it is about the very sets and not about the methods."""
        sign = MARKS[self.verdict.status]
        return f"({sign})" if self.about == "these sets" else sign

    @property
    def words(self) -> str:
        """Sign and words, with what the verdict is about."""
        status = self.verdict.status
        return f"{MARKS[status]} {status}{' for these sets' if self.about == 'these sets' else ''}"


@dataclass(frozen=True)
class Stated:
    """A claim of a paper, and what is known of it.

    Attributes:
        claim: as it stands in the file.
        file: name of the file without ``.claims.toml``; its first word is the paper.
        dataset, ipc: of both sides; None: the paper does not state the images per class.
        baseline, candidate: keys of the methods.
        measured: one for each number of images per class and protocol; none: not measured.
    """

    claim: Claim
    file: str
    dataset: str
    ipc: int | None
    baseline: str
    candidate: str
    measured: tuple[Measured, ...]

    @property
    def paper(self) -> str:
        """Whose claim it is."""
        return self.file.split(".")[0]

    @property
    def quantity(self) -> str:
        """What papers call the metric: ``accuracy`` for that of any network."""
        return self.claim.metric.split("/")[0]

    @property
    def printed(self) -> Literal["holds", "equal", "worse"]:
        """What the printed numbers themselves say."""
        assert self.claim.claimed is not None
        before, after = self.claim.claimed
        change = (after - before) * BETTER[self.quantity]
        return "holds" if change > 0 else "worse" if change < 0 else "equal"

    def sign(self, ipc: int, protocol: str) -> str:
        """The sign of what the entries of ``ipc`` and ``protocol`` say."""
        found = (one.sign for one in self.measured if (one.ipc, one.protocol) == (ipc, protocol))
        return next(found, MARKS["not measured"])

    @property
    def signs(self) -> str:
        """All that was measured, with the images per class."""
        return ", ".join(f"{one.sign} IPC {one.ipc}" for one in self.measured) or MARKS["not measured"]


def load_stated(
    paths: Iterable[Path], facts: Sequence[Fact], entries: Sequence[Entry], methods: Methods
) -> list[Stated]:
    """The claims of files, judged.

    Args:
        paths: ``<paper>.claims.toml``, or ``<paper>.<part>.claims.toml``.
        facts: printed numbers, among them those that are claimed.
        entries: measured.
        methods: those that are known.

    Raises:
        ClaimError: a file cannot be read, or contradicts itself.
        ResultError: a claim does not name two methods of one data set, is about a metric that has no printed
            counterpart, or states other numbers than the paper prints.
    """
    printed: dict[tuple[str, str, str], list[Fact]] = {}
    for fact in facts:
        printed.setdefault((fact.paper, fact.dataset, fact.quantity), []).append(fact)
    found = []
    for path in paths:
        file = load_claims(path)
        for claim in file.claims:
            try:
                one = _stated(claim, path.name.removesuffix(".claims.toml"), methods)
                _check_printed(one, printed.get((one.paper, one.dataset, one.quantity), ()))
                found.append(one)
            except ResultError as problem:
                raise ResultError(f"{path}, line {file.lines[claim.id]}: {claim.id}: {problem}") from None
    return _judged(found, entries)


def printed_for(fact: Fact, one: Stated) -> bool:
    """Whether a printed number is one of the two that a claim is about."""
    network = one.claim.metric.partition("/")[2]
    return (
        (fact.paper, fact.dataset, fact.quantity) == (one.paper, one.dataset, one.quantity)
        and fact.ipc == one.ipc
        and fact.method in (one.baseline, one.candidate)
        and fact.table == one.claim.source
        and (not network or fact.network in printed_as(network, one.dataset))
        and not (fact.variant or fact.baseline)
    )


def _stated(claim: Claim, file: str, methods: Methods) -> Stated:
    before, after = (_NAME.fullmatch(name) for name in (claim.baseline, claim.candidate))
    if before is None or after is None or before.group(1, 2) != after.group(1, 2):
        raise ResultError(
            "baseline and candidate are methods of one data set, as in cifar10/sre2l or cifar10/ipc10/sre2l, got "
            f"{claim.baseline!r} and {claim.candidate!r}"
        )
    for side in (before, after):
        methods.check(side[3])
    if claim.claimed is None:
        raise ResultError("states no printed numbers; add claimed = [before, after]")
    if claim.metric.split("/")[0] not in BETTER:
        raise ResultError(f"metric {claim.metric!r} is none of {', '.join(BETTER)}")
    ipc = int(before[2]) if before[2] else None
    return Stated(claim, file, before[1], ipc, before[3], after[3], ())


def _check_printed(one: Stated, facts: Sequence[Fact]) -> None:
    """Raise `ResultError` where the paper does not print the two numbers of a claim."""
    about = [fact for fact in facts if printed_for(fact, one)]
    for method, claimed in zip((one.baseline, one.candidate), one.claim.claimed or (), strict=False):
        printed = [fact for fact in about if fact.method == method]
        if not any(math.isclose(fact.base, claimed, rel_tol=1e-9) for fact in printed):
            held = ", ".join(f"{fact.base:.12g} ({fact.place})" for fact in printed) or "none"
            raise ResultError(
                f"claims {claimed:g} for {one.claim.metric} of {method}, and reported/{one.paper}.toml has {held}; "
                "mend the one that is wrong"
            )


def _judged(claims: Sequence[Stated], entries: Sequence[Entry]) -> list[Stated]:
    """All at once: claims of one file and family share the chance of a false alarm, among entries of one table."""
    held: dict[tuple[str, str], dict[tuple[int, str], Entry]] = {}
    for entry in entries:
        held.setdefault((entry.dataset, entry.method), {})[entry.ipc, entry.protocol] = entry
    results = {entry.place: entry.result for entry in entries}
    asked: list[tuple[int, int, str, Claim]] = []
    for index, one in enumerate(claims):
        before, after = (held.get((one.dataset, method), {}) for method in (one.baseline, one.candidate))
        for key, entry in before.items():
            other = after.get(key)
            if other is None or (one.ipc is not None and one.ipc != entry.ipc):
                continue
            if all(_holds(result, one.claim) for result in (entry.result, other.result)):
                family = f"{one.file} | {one.claim.group} | {entry.ipc} | {entry.protocol}"
                concrete = replace(one.claim, baseline=entry.place, candidate=other.place, family=family)
                asked.append((index, entry.ipc, entry.protocol, concrete))
    measured: dict[int, list[Measured]] = {}
    verdicts = judge_claims([claim for *_, claim in asked], results.__getitem__)
    for (index, ipc, protocol, _), verdict in zip(asked, verdicts, strict=True):
        measured.setdefault(index, []).append(Measured(ipc, protocol, verdict))
    return [dataclasses.replace(one, measured=tuple(measured.get(index, ()))) for index, one in enumerate(claims)]


def _holds(result: Result, claim: Claim) -> bool:
    return any((score.metric, score.scope) == (claim.metric, claim.scope) for score in result.scores)
