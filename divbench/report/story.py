"""What results say, in words: verdicts, what controls make of them, and what cannot be concluded. No torch in here.

    results -> pairs -> differences over classes -> a verdict for each concept of diversity     [verdicts]
            -> entries beside their controls                                                   [against_controls]
            -> what is meant, how it was measured, how sure and how valid it is                 [Story]

The four parts follow Zhao et al., "Position: Measure Dataset Diversity, Don't Just Claim It", ICML 2024.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from scipy.stats import kendalltau

from divbench.comparison import before_and_after, class_scores, differences
from divbench.errors import ResultError, shorten
from divbench.report.render import Cell, Table
from divbench.results import ACCURACY, Result, Score
from divbench.statistics import Difference

Status = Literal["more", "less", "mixed", "open", "unmeasured"]
FEWEST_CLASSES = 6
"""With fewer classes no sign-flip test reaches p < 0.05: its least p is 2 / 2^C."""


@dataclass(frozen=True)
class Concept:
    """One thing that "diverse" may mean, and what measures it, the most telling metric first."""

    key: str
    title: str
    meaning: str
    metrics: tuple[str, ...]
    words: dict[Status, str]


def _words(more: str, less: str) -> dict[Status, str]:
    return {
        "more": more,
        "less": less,
        "mixed": "metrics disagree",
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
    """One metric before and after."""

    metric: str
    higher_is_better: bool
    before: float
    after: float
    difference: Difference
    status: Status

    @property
    def text(self) -> str:
        """Such as ``vendi 1.37 → 1.63 (+0.268 ± 0.05, p 0.018)``."""
        scale, unit = (100, " %") if self.metric.startswith(ACCURACY) else (1, "")
        half = (self.difference.high - self.difference.low) / 2
        return (
            f"{self.metric} {scale * self.before:.3g} → {scale * self.after:.3g}{unit} "
            f"({scale * self.difference.effect:+.2g} ± {scale * half:.2g}, p {self.difference.p:.2g})"
        )


@dataclass(frozen=True)
class Answer:
    """What is known of one concept for one pair."""

    concept: Concept
    status: Status
    findings: tuple[Finding, ...]

    @property
    def words(self) -> str:
        return self.concept.words[self.status]


@dataclass(frozen=True)
class Verdict:
    """``after`` beside ``before``, concept by concept; ``problem`` says why there is no answer."""

    before: str
    after: str
    answers: tuple[Answer, ...] = ()
    problem: str = ""

    @property
    def headline(self) -> str:
        if self.problem:
            return f"{self.after} and {self.before} were not tested against each other."
        said = [f"{a.concept.title.lower()}: {a.words}" for a in self.answers if a.status != "unmeasured"]
        return f"{self.after} beside {self.before} – {'; '.join(said)}."


@dataclass(frozen=True)
class Story:
    """All that a page says about results besides tables and pictures."""

    verdicts: tuple[Verdict, ...]
    controls: Table | None
    limits: tuple[str, ...]
    conceptualise: tuple[str, ...]
    operationalise: tuple[str, ...]
    reliability: tuple[str, ...]
    validity: tuple[str, ...]


def tell(results: Sequence[Result], pairs: Sequence[tuple[Result, Result]] | None = None) -> Story:
    """The story of comparable results.

    Args:
        results: of one protocol, one for each entry.
        pairs: before and after; default: those whose names say so, else each entry beside the first.
    """
    chosen = pairs_to_tell(results) if pairs is None else list(pairs)
    verdicts = tuple(verdict(before, after) for before, after in chosen)
    return Story(
        verdicts=verdicts,
        controls=against_controls(results),
        limits=tuple(_limits(results, verdicts)),
        conceptualise=tuple(f"{one.title}: {one.meaning}." for one in CONCEPTS),
        operationalise=tuple(_operationalise(results)),
        reliability=tuple(_reliability(results)),
        validity=tuple(_validity(results)),
    )


def pairs_to_tell(results: Sequence[Result]) -> list[tuple[Result, Result]]:
    """Pairs that names tell; else the first entry and each of the others."""
    return before_and_after(results) or [(results[0], other) for other in results[1:]]


def verdict(before: Result, after: Result) -> Verdict:
    """What is shown of ``after`` beside ``before``, each concept by its metrics at class scope."""
    try:
        tests = differences(before, after)
    except ResultError as problem:
        return Verdict(before.name, after.name, problem=str(problem))
    found = []
    for key, test in tests.items():
        first, second = before.score(key), after.score(key)
        if first.higher_is_better is None or first.value is None or second.value is None:
            continue
        status = _status(test, first.higher_is_better, before.level)
        found.append(Finding(key, first.higher_is_better, first.value, second.value, test, status))
    return Verdict(before.name, after.name, tuple(_answer(concept, found) for concept in CONCEPTS))


def against_controls(results: Sequence[Result]) -> Table | None:
    """Each entry beside yardstick and controls at class scope: above, below, or not told apart; None without any."""
    chosen = (
        ("coverage", "iid", "coverage / i.i.d."),
        ("coverage", "collapse", "coverage / collapse to mean"),
        ("vendi", "random", "vendi / random real"),
        ("cosine", "random", "cosine / random real"),
    )
    nets = dict.fromkeys(one.net for r in results for one in r.accuracies)
    wanted = [*chosen, *((ACCURACY + net, "random", f"{ACCURACY}{net} / random real") for net in nets)]
    held = [one for one in wanted if any(_beside(r, one[0], one[1]) is not None for r in results)]
    if not held:
        return None
    rows: list[list[Cell]] = [[r.name, *(_beside(r, metric, control) for metric, control, _ in held)] for r in results]
    notes = [
        "a ratio of means; better or worse where the whole interval of the entry lies on one side of the control's mean"
    ]
    return Table("beside yardstick and controls", ["entry", *(title for *_, title in held)], rows, notes)


def _beside(result: Result, metric: str, control: str) -> str | None:
    score = _held(result, metric)
    if score is None or score.value is None:
        return None
    other = score.reference_value(control)
    if not other:
        return None
    ratio = f"{score.value / other:.2f}"
    if score.interval is None or score.higher_is_better is None:
        return f"{ratio} (no interval)"
    if score.interval.low <= other <= score.interval.high:
        return f"{ratio} not told apart"
    return f"{ratio} better" if (score.value > other) == score.higher_is_better else f"{ratio} worse"


def _held(result: Result, metric: str) -> Score | None:
    return next((score for score in class_scores(result) if score.metric == metric), None)


def _status(test: Difference, higher_is_better: bool, level: float) -> Status:
    if test.p > 1 - level:
        return "open"
    return "more" if (test.effect > 0) == higher_is_better else "less"


def _answer(concept: Concept, found: Sequence[Finding]) -> Answer:
    """A concept's answer: that of its first metric, where the others that show something show the same."""
    own = [one for key in concept.metrics for one in found if one.metric == key or _is_net(key, one.metric)]
    shown = {one.status for one in own if one.status != "open"}
    if not own:
        return Answer(concept, "unmeasured", ())
    status: Status = "open" if not shown else own[0].status if shown == {own[0].status} else "mixed"
    return Answer(concept, status, tuple(own))


def _is_net(key: str, metric: str) -> bool:
    return key == ACCURACY and metric.startswith(ACCURACY)


def _limits(results: Sequence[Result], verdicts: Sequence[Verdict]) -> list[str]:
    """What cannot be concluded, most weighty first."""
    said = [f"{v.after} and {v.before}: {v.problem}." for v in verdicts if v.problem]
    flat = [r.name for r in results if any(c.code == "collapse" for c in r.cautions)]
    if flat:
        said.append(
            f"Coverage of {shorten(flat)} does not beat near-copies of the class mean: it is no evidence of diversity."
        )
    judged = [r.name for r in results if any(c.code == "own-judge" for c in r.cautions)]
    if judged:
        said.append(
            f"{shorten(judged)}: optimised for the very network whose features are scored. A gain may be one in its "
            "eyes alone; score with a network that the images have never met."
        )
    single = [r.name for r in results if len(r.sets) == 1]
    if single:
        said.append(
            f"One set each of {shorten(single)}: what is said holds for these sets. A statement about the methods "
            "needs several sets (seeds) of each."
        )
    if len({r.ipc for r in results}) > 1:
        said.append("Images per class are unequal. Coverage and the Vendi Score grow with them.")
    count = len(results[0].classes)
    if any(v.answers for v in verdicts) and count < FEWEST_CLASSES:
        said.append(f"With {count} classes no test over classes can reach p < {2 / 2**count:.3g}.")
    if any(a.status == "open" for v in verdicts for a in v.answers):
        said.append("“No difference shown” is no proof of equality: a small difference may hide in the noise.")
    if len([v for v in verdicts if v.answers]) > 1:
        said.append("p-values are adjusted over the metrics of each pair, not over the pairs.")
    if not any(r.accuracies for r in results):
        said.append("No student was trained: whether diversity helps training is not measured here.")
    lone = [f"{r.name} ({one.net})" for r in results for one in r.accuracies if len(one.own) == 1]
    if lone:
        said.append(f"One student alone (n = 1) of {shorten(lone)}: its accuracy has no interval.")
    if any(r.protocol is not None for r in results):
        said.append("All scores are in the eyes of one embedder. Another may see other differences.")
    return said


def _operationalise(results: Sequence[Result]) -> list[str]:
    said = []
    scored = next((r for r in results if r.protocol is not None), None)
    if scored is not None and scored.protocol is not None and scored.real is not None:
        rules = scored.protocol
        said.append(f"Protocol {rules.name} ({scored.protocol_digest}): {rules.description}")
        said.append(f"Embedder: {_brief(scored.embedder or '')}.")
        said.append(f"Real data: {scored.real.count} images of {scored.real.name}, {len(scored.classes)} classes.")
        metrics = [f"{key} ({_settings(values)})" if values else key for key, values in rules.metrics.items()]
        said.append(f"Metrics: {', '.join(metrics)}; scopes: {', '.join(rules.scopes)}.")
        controls = rules.controls
        said.append(
            f"Controls: {controls.random} random real subsets, {controls.kmeans} k-means, {controls.collapse} collapse "
            f"to the class mean, each of as many images per class as the entry; seed {rules.seed}."
        )
    trained = {
        f"Students {one.net}: recipe {one.recipe} ({one.digest}), labels {one.labels}, tested on {one.test.count} "
        f"images of {one.test.name} after the last epoch."
        for r in results
        for one in r.accuracies
    }
    return said + sorted(trained)


def _brief(embedder: str) -> str:
    """An embedder's id with the first digits of its long hashes."""
    return re.sub(r"([0-9a-f]{12})[0-9a-f]{20,}", r"\1…", embedder)


def _settings(values: dict[str, bool | int | float]) -> str:
    return ", ".join(f"{key} {value}" for key, value in values.items())


def _reliability(results: Sequence[Result]) -> list[str]:
    level = results[0].level
    procedures = dict.fromkeys(s.interval.procedure for r in results for s in r.scores if s.interval)
    said = [f"± are {level:.0%} intervals: {'; '.join(procedures)}."] if procedures else []
    said.append(
        f"Differences are paired over {len(results[0].classes)} classes: t interval, sign-flip permutation test, "
        "Holm's adjustment over the metrics of a pair."
    )
    said.append("Sets: " + ", ".join(f"{r.name} {len(r.sets)}" for r in results) + ".")
    runs = [f"{r.name} {one.net} {len(one.own)}" for r in results for one in r.accuracies]
    if runs:
        said.append(f"Students, each of another seed: {', '.join(runs)}.")
    return said


def _validity(results: Sequence[Result]) -> list[str]:
    """Whether the metrics measure what is meant: do they agree, do they see through controls, does training agree."""
    said = []
    for one, other, what in (
        ("vendi", "cosine", "Convergent: the order of the entries by Vendi Score and by cosine similarity"),
        ("vendi", "coverage", "Convergent: their order by Vendi Score and by coverage"),
    ):
        agreement = _agreement(results, one, other)
        if agreement is not None:
            said.append(f"{what} {agreement}")
    flat = [r.name for r in results if any(c.code == "collapse" for c in r.cautions)]
    tested = [r for r in results if (s := _held(r, "coverage")) is not None and "collapse" in s.reference]
    if tested:
        said.append(
            f"Discriminant: {len(flat)} of {len(tested)} entries have coverage that near-copies of the class mean "
            "reach as well."
        )
    for net in dict.fromkeys(one.net for r in results for one in r.accuracies):
        agreement = _agreement(results, "vendi", ACCURACY + net)
        if agreement is not None:
            said.append(f"Predictive: their order by Vendi Score and by accuracy of {net} {agreement}")
    cautions = [f"{r.name}: {c.text}." for r in results for c in r.cautions if c.code not in ("collapse", "own-judge")]
    return said + cautions


def _agreement(results: Sequence[Result], one: str, other: str) -> str | None:
    """Kendall's tau over the entries, signed so that 1 means that both call the same entries better."""
    pairs = [(_held(r, one), _held(r, other)) for r in results]
    both = [(a, b) for a, b in pairs if a and b and a.value is not None and b.value is not None]
    if len(both) < 3 or len({r.ipc for r in results}) > 1:  # the number of images would order them by itself
        return None
    sign = 1 if both[0][0].higher_is_better == both[0][1].higher_is_better else -1
    tau = float(kendalltau([a.value for a, _ in both], [b.value for _, b in both]).statistic)
    if tau != tau:  # all equal
        return None
    return f"agree to Kendall's tau {sign * tau:+.2f} ({len(both)} entries; 1: the same order; seen, not tested)."
