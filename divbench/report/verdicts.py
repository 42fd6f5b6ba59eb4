"""Verdicts on pairs of entries, and what controls make of each entry. No torch in here.

pair -> gain of each metric (divbench.gains) -> Holm -> findings -> an answer for each concept of diversity
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from divbench.comparison import before_and_after, by_ipc, check_equal_sizes, gain_between
from divbench.errors import ResultError
from divbench.gains import Gain
from divbench.protocol import Scope
from divbench.report.render import Cell, Table
from divbench.results import ACCURACY, Result, Score
from divbench.statistics import holm

Status = Literal["more", "less", "mixed", "open", "unmeasured"]


@dataclass(frozen=True)
class Concept:
    """One thing that "diverse" may mean, and what measures it: the first metric decides, the others support it."""

    key: str
    title: str
    meaning: str
    metrics: tuple[str, ...]
    words: dict[Status, str]


def _words(more: str, less: str) -> dict[Status, str]:
    return {
        "more": more,
        "less": less,
        "mixed": "metrics contradict each other",
        "open": "no difference shown",
        "unmeasured": "not measured",
    }


CONCEPTS = (
    Concept(
        "spread",
        "Spread inside classes",
        "how different the images of one class are from each other",
        ("vendi", "cosine", "rke", "rke_unbiased", "prototype_distance"),
        _words("more spread out", "less spread out"),
    ),
    Concept(
        "reach",
        "Reach over the real images",
        "how many of the real images have a synthetic one near them",
        ("coverage", "recall"),
        _words("wider reach", "narrower reach"),
    ),
    Concept(
        "fidelity",
        "Fidelity",
        "how many of the synthetic images lie where real ones are; no diversity, but what it is often paid with",
        ("precision",),
        _words("nearer to real images", "farther from real images"),
    ),
    Concept(
        "use",
        "Use for training",
        "how well students that were trained on the set tell real test images",
        (ACCURACY,),
        _words("better students", "worse students"),
    ),
)


@dataclass(frozen=True)
class Finding:
    """One metric before and after; ``p`` is after Holm over the metrics of its kind, deciding or supporting."""

    metric: str
    gain: Gain
    p: float
    deciding: bool
    status: Status

    @property
    def text(self) -> str:
        """Such as ``vendi 1.37 → 1.63 (+0.268 ± 0.05, p 0.018)``; a supporting metric has no p of its own."""
        scale, unit = (100, " %") if self.metric.startswith(ACCURACY) else (1, "")
        before, after = self.gain.before, self.gain.after
        half = (self.gain.high - self.gain.low) / 2
        p = f", p {self.p:.2g}" if self.deciding else ""
        return (
            f"{self.metric} {_short(scale * before)} → {_short(scale * after)}{unit} "
            f"({scale * (after - before):+.2g} ± {scale * half:.2g}{p})"
        )


@dataclass(frozen=True)
class Answer:
    """What is known of one concept for one pair."""

    concept: Concept
    status: Status
    findings: tuple[Finding, ...]

    @property
    def words(self) -> str:
        """The answer; where the deciding metrics show nothing, which of the supporting ones would say more or less."""
        words = self.concept.words
        others = [one for one in self.findings if not one.deciding and one.status != "open"]
        alone = ", ".join(f"{one.metric} alone: {words[one.status]}" for one in others)
        return words[self.status] + (f" ({alone})" if alone and self.status == "open" else "")


@dataclass(frozen=True)
class Verdict:
    """``after`` beside ``before``, concept by concept.

    Attributes:
        problem: why there is no answer at all.
        untested: metrics that could not be tested, with the reasons.
    """

    before: str
    after: str
    answers: tuple[Answer, ...] = ()
    problem: str = ""
    untested: tuple[str, ...] = ()


def pairs_to_tell(results: Sequence[Result]) -> list[tuple[Result, Result]]:
    """Pairs that names tell; else the first entry and each of the others, among those of equal images per class."""
    return before_and_after(results) or [(held[0], other) for held in by_ipc(results) for other in held[1:]]


def verdict(before: Result, after: Result) -> Verdict:
    """What is shown of ``after`` beside ``before``, each concept by its metrics."""
    try:
        check_equal_sizes(before, after)
    except ResultError as problem:
        return Verdict(before.name, after.name, problem=str(problem))
    scope = scope_of([before, after])
    if scope is None:
        return Verdict(before.name, after.name, problem="one was scored or trained, and the other was not")
    gains: dict[str, Gain] = {}
    untested = []
    for score in (one for one in before.scores if one.scope == scope and one.higher_is_better is not None):
        if held(after, score.metric, scope) is None:
            continue
        try:
            gains[score.metric] = gain_between(before, after, score.metric, scope, level=before.level)
        except ResultError as reason:
            untested.append(str(reason))
    findings = _findings(gains, before.level)
    answers = tuple(_answer(concept, findings) for concept in CONCEPTS)
    return Verdict(before.name, after.name, answers, untested=tuple(untested))


def _findings(gains: dict[str, Gain], level: float) -> list[Finding]:
    """Holm over the deciding metrics, one for each concept and network; and over the supporting ones."""
    leading = {concept.metrics[0] for concept in CONCEPTS}
    found = []
    for deciding in (True, False):
        family = {
            metric: gain
            for metric, gain in gains.items()
            if (metric in leading or metric.startswith(ACCURACY)) == deciding
        }
        for (metric, gain), p in zip(family.items(), holm([gain.p for gain in family.values()]), strict=True):
            beyond = p <= 1 - level and not gain.single_student
            status: Status = "open" if not beyond else "more" if gain.effect > 0 else "less"
            found.append(Finding(metric, gain, p, deciding, status))
    return found


def scope_of(results: Sequence[Result]) -> Scope | None:
    """The scope at which results are judged: inside classes, where all of them have such scores."""
    scopes: tuple[Scope, ...] = ("class", "dataset")
    return next((one for one in scopes if all(any(s.scope == one for s in r.scores) for r in results)), None)


def against_controls(results: Sequence[Result]) -> Table | None:
    """Each entry beside yardstick and controls; None without any."""
    scope = scope_of(results)
    chosen = (
        ("coverage", "iid", "coverage / i.i.d."),
        ("coverage", "collapse", "coverage / collapse to mean"),
        ("vendi", "random", "vendi / random real"),
        ("cosine", "random", "cosine vs random real"),
    )
    nets = dict.fromkeys(one.net for r in results for one in r.accuracies)
    wanted = [*chosen, *((ACCURACY + net, "random", f"{ACCURACY}{net} / random real") for net in nets)]
    shown = [one for one in wanted if scope and any(_beside(r, one[0], one[1], scope) is not None for r in results)]
    if not shown or scope is None:
        return None
    rows: list[list[Cell]] = [
        [r.name, *(_beside(r, metric, control, scope) for metric, control, _ in shown)] for r in results
    ]
    notes = ["better or worse: the whole interval of the entry lies on one side of the control's mean"]
    return Table(
        f"beside yardstick and controls, {scope} scope", ["entry", *(title for *_, title in shown)], rows, notes
    )


def _beside(result: Result, metric: str, control: str, scope: Scope) -> str | None:
    """The ratio of an entry to a control, or both where a ratio says nothing; and which is better."""
    score = held(result, metric, scope)
    other = None if score is None else score.reference_value(control)
    if score is None or score.value is None or other is None:
        return None
    both = f"{score.value:.3g} : {other:.3g}" if metric == "cosine" or other == 0 else f"{score.value / other:.2f}"
    if score.interval is None or score.higher_is_better is None:
        return f"{both} (no interval)"
    if score.interval.low <= other <= score.interval.high:
        return f"{both} not told apart"
    return f"{both} {'better' if (score.value > other) == score.higher_is_better else 'worse'}"


def held(result: Result, metric: str, scope: Scope) -> Score | None:
    """The score of a metric at a scope; None where the result does not hold it."""
    return next((score for score in result.scores if (score.metric, score.scope) == (metric, scope)), None)


def _answer(concept: Concept, findings: Sequence[Finding]) -> Answer:
    """That of the deciding metric (of all networks, of accuracies); a supporting one that says the opposite is said."""
    own = [one for key in concept.metrics for one in findings if one.metric == key or _is_net(key, one.metric)]
    decided = {one.status for one in own if one.deciding and one.status != "open"}
    if not any(one.deciding for one in own):
        return Answer(concept, "unmeasured", tuple(own))
    shown = {one.status for one in own if one.status != "open"} if decided else set()
    status: Status = "open" if not decided else "mixed" if len(shown) > 1 else decided.pop()
    return Answer(concept, status, tuple(own))


def _short(value: float) -> str:
    """Three significant digits, without powers of ten."""
    return f"{value:.3g}" if abs(value) < 999.5 else f"{value:.0f}"


def _is_net(key: str, metric: str) -> bool:
    return key == ACCURACY and metric.startswith(ACCURACY)
