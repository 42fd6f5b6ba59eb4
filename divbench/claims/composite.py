"""The composite `diversity`: a gain that pulling a set towards its class means cannot fake.

It holds if, at class scope,

1. coverage rises (beside one and the same i.i.d. yardstick, as images per class are equal),
2. the Vendi Score rises or the intra-class cosine similarity falls (Holm over the two),
3. no metric that has a direction is shown to get worse, accuracies not counted,
4. the candidate's coverage is above that of near-copies of the class mean, with its whole interval.

The first, second and fourth have to be shown, so each is tested at the full level (an intersection-union test, Berger
1982): together they err no more often than one. The third is no proof that nothing is lost: a fall that the noise hides
passes, and the text says how large one may be. There, a metric that is worse by its own test keeps the claim from
holding, as does one that cannot be tested; only one that is worse after Holm over all metrics refutes it.

Pulling images to the mean raises coverage and lowers the Vendi Score: 3 fails. Copies of the mean reach high coverage
in high dimension: 4 fails.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from divbench.comparison import class_scores, gain_between
from divbench.errors import ResultError
from divbench.gains import Gain
from divbench.results import ACCURACY, Result, Score
from divbench.statistics import holm

Answer = Literal["yes", "open", "no"]
_NEEDED = ("coverage", "vendi", "cosine")


@dataclass(frozen=True)
class Condition:
    """One of the four, and what was found."""

    text: str
    answer: Answer


@dataclass(frozen=True)
class Composite:
    """The four conditions, and the gains behind them."""

    conditions: tuple[Condition, ...]
    gains: dict[str, Gain]

    @property
    def answer(self) -> Answer:
        """``no`` where one condition fails, ``yes`` where all hold."""
        answers = {condition.answer for condition in self.conditions}
        return "no" if "no" in answers else "open" if "open" in answers else "yes"


def measure_diversity(before: Result, after: Result, level: float = 0.95) -> Composite:
    """Judge ``after`` beside ``before``; comparable results of equal images per class.

    Raises:
        ResultError: a result lacks coverage, Vendi Score, cosine similarity or the collapse control at class scope, or
            one of the three cannot be tested.
    """
    held = {score.metric: score for score in class_scores(before)}
    pairs = {
        score.metric: (held[score.metric], score)
        for score in class_scores(after)
        if score.metric in held and score.higher_is_better is not None and not score.metric.startswith(ACCURACY)
    }
    lacking = [metric for metric in _NEEDED if metric not in pairs]
    if lacking:
        raise ResultError(
            f"diversity is judged by coverage, vendi and cosine at class scope, and {before.name} or {after.name} "
            f"lacks {', '.join(lacking)}; score both with a protocol that has them"
        )
    gains: dict[str, Gain] = {}
    untested = []
    for metric, pair in pairs.items():
        try:
            gains[metric] = gain_between(before, after, metric, level=level)
        except ResultError:
            if metric in _NEEDED:
                raise
            if not _constant(*pair):
                untested.append(metric)
    conditions = (
        Condition(f"coverage rises ({_said(gains, 'coverage')})", _rises(*_effect(gains["coverage"]), level)),
        Condition(
            f"vendi rises ({_said(gains, 'vendi')}) or cosine falls ({_said(gains, 'cosine')})", _either(gains, level)
        ),
        _nothing_worse(gains, untested, level),
        _above_collapse(pairs["coverage"][1]),
    )
    return Composite(conditions, gains)


def _effect(gain: Gain) -> tuple[float, float]:
    return gain.effect, gain.p


def _said(gains: dict[str, Gain], metric: str) -> str:
    """Gain, interval and p of a metric."""
    gain = gains[metric]
    return f"gain {gain.effect:+.3g} [{gain.low:.3g}, {gain.high:.3g}], p {gain.p:.2g}"


def _rises(effect: float, p: float, level: float) -> Answer:
    if p > 1 - level:
        return "open"
    return "yes" if effect > 0 else "no"


def _either(gains: dict[str, Gain], level: float) -> Answer:
    both = [gains["vendi"], gains["cosine"]]
    adjusted = holm([gain.p for gain in both])
    answers = [_rises(gain.effect, p, level) for gain, p in zip(both, adjusted, strict=True)]
    return "yes" if "yes" in answers else "no" if answers == ["no", "no"] else "open"


def _constant(before: Score, after: Score) -> bool:
    """Whether one and the same value is all that there is on both sides, with nothing around it."""
    sure = all(
        len(score.values) > 1 or (score.interval is not None and score.interval.low == score.interval.high)
        for score in (before, after)
    )
    return sure and None not in before.values and len({*before.values, *after.values}) == 1


def _nothing_worse(gains: dict[str, Gain], untested: Sequence[str], level: float) -> Condition:
    adjusted = dict(zip(gains, holm([gain.p for gain in gains.values()]), strict=True))
    worse = [metric for metric, gain in gains.items() if _rises(gain.effect, gain.p, level) == "no"]
    refuted = any(_rises(gains[metric].effect, adjusted[metric], level) == "no" for metric in worse)
    text = "nothing is shown to get worse"
    if worse:
        text += f", but {', '.join(f'{metric} ({_said(gains, metric)})' for metric in worse)}"
    elif (widest := min(gains, key=lambda metric: _share(gains[metric]))) and gains[widest].low < 0:
        text += f" (not ruled out: {widest} worse by {-gains[widest].low:.3g}, from {gains[widest].before:.3g})"
    if untested:
        text += f"; not tested: {', '.join(untested)}"
    return Condition(text, "no" if refuted else "open" if worse or untested else "yes")


def _share(gain: Gain) -> float:
    """The lower limit of a gain, as a share of the baseline's value."""
    return gain.low / (abs(gain.before) or 1.0)


def _above_collapse(coverage: Score) -> Condition:
    """Whether coverage is above that of near-copies of the class mean, with its whole interval."""
    collapse, value, interval = coverage.reference_value("collapse"), coverage.value, coverage.interval
    if collapse is None or value is None:
        raise ResultError("diversity needs the collapse control; score with a protocol that has controls.collapse >= 1")
    text = f"coverage above near-copies of the mean ({value:.4g} : {collapse:.4g})"
    if interval is None:
        return Condition(text, "no" if value <= collapse else "open")
    return Condition(text, "yes" if interval.low > collapse else "no" if interval.high <= collapse else "open")
