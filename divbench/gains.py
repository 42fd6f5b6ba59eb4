"""What was gained between two scores of one metric, how sure that is, and of what: these sets, or the method.

    several sets on both sides -> Welch t over the sets                       [_over_sets]     the method
    several students of a set  -> Welch t over these runs, or runs and sets   [_over_sets]     these sets
    enough classes             -> sign flips and t interval over the classes  [_over_classes]  these sets
    else                       -> the scores' own intervals, put together     [_of_intervals]  these sets

Measured on laws whose truth is known, at nominal 5 % (tests/test_gains.py, tests/benchmarks/test_gain_calibration.py):

- Over classes, two draws of one law: alarms in 3.9-5.5 % for coverage, Vendi and cosine, at 10, 50 and 100 classes and
  10 and 50 images of each, Gaussian or real.
- Over sets, whose seeds have effects that all classes share: 3.1-5.4 % for 3 to 10 sets on both sides, whatever the
  share of the seeds and of single classes in the noise; 2.4 % for two; 6-7 % for three beside ten. Two beside five or
  more would err in up to 12 % and are refused. The means over sets, paired over classes, err in 13 % at 10 classes
  and 53 % at 100, as what all classes share is no noise between them.
- Of intervals put together: 3.1-6.3 % over five classes; 0-4.6 % at dataset scope, where images are left out as if
  sets had no classes, though each has its share of every class: too careful there, above all for cosine and Vendi.

Over sets the classes are fixed: the question is whether the method gains on the classes of this benchmark, which nobody
drew from a larger lot. To speak about other classes too, the variance between the classes' gains would have to be added
(V_classes + V_sets - V_residual errs in 1-6 %); without it, such a claim errs in up to 40 %.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from divbench.errors import ResultError
from divbench.results import Score
from divbench.statistics import (
    MOST_BESIDE_TWO,
    fewest_classes,
    half_width,
    sign_flip_p,
    t_half_width,
    two_sided_p,
    welch,
)

About = Literal["these sets", "the method"]
Unit = Literal["sets", "runs"]
"""What a score has a value for each of: sets, or students of one set."""


@dataclass(frozen=True)
class Gain:
    """How much more diverse the second is; "the gain" is oriented, positive always means better.

    Attributes:
        effect: the gain, in the metric's units.
        low, high: its interval at the level that was asked for.
        p: two-sided, of the hypothesis that the gain is exactly the margin.
        procedure: of interval and test, in words.
        about: what the interval speaks about.
        classes: over which the score is a mean; 0 at dataset scope.
        seeds: values of baseline and candidate, of which there is one for each of the ``units``.
        before, after: the means of these values, in the metric's units.
        units: of baseline and candidate, see `Unit`.
    """

    effect: float
    low: float
    high: float
    p: float
    procedure: str
    about: About
    classes: int
    seeds: tuple[int, int]
    before: float
    after: float
    units: tuple[Unit, Unit]

    @property
    def counted(self) -> str:
        """What was compared, such as ``3 and 5 sets`` or ``3 runs and 3 sets``."""
        return _counted(self.seeds, self.units)

    @property
    def single_student(self) -> bool:
        """Whether a side is one student alone, whose seed no test over classes takes into account."""
        return (1, "runs") in zip(self.seeds, self.units, strict=True)


def measure_gain(
    before: Score,
    after: Score,
    *,
    units: tuple[Unit, Unit] = ("sets", "sets"),
    margin: float = 0.0,
    level: float = 0.95,
) -> Gain:
    """Measure how much more diverse ``after`` is than ``before``.

    Args:
        before, after: one metric at one scope, of comparable results (`divbench.comparison.check_comparable`) with
            equal images per class. Accuracies have a value for each run: where there are several sets, average the
            runs of each first (`divbench.comparison.gain_between` does).
        units: what baseline and candidate have values for.
        margin: the gain that is tested against, in the metric's units.
        level: confidence level of the interval, in (0, 1).

    Raises:
        ResultError: the metric has no direction, the scores are not of one kind, values are missing, or nothing says
            how sure the gain is.
    """
    check_pair(before, after)
    where = _place(after)
    if not (0 < level < 1 and math.isfinite(margin)):
        raise ResultError(f"{where}: expected 0 < level < 1 and a finite margin, got level {level}, margin {margin}")
    sign = 1 if after.higher_is_better else -1
    seeds = (len(before.values), len(after.values))
    classes = len(after.per_class[0]) if after.scope == "class" else 0
    if min(seeds) > 1:
        found = _over_sets(before, after, units, sign, margin, level, where)
    elif classes >= fewest_classes(level):
        found = _over_classes(before, after, sign, margin, level)
    else:
        found = _of_intervals(before, after, units, sign, margin, level, where)
    effect, half, p, procedure, about = found
    first, second = (float(_values(one).mean()) if one.value is None else one.value for one in (before, after))
    return Gain(effect, effect - half, effect + half, p, procedure, about, classes, seeds, first, second, units)


_Found = tuple[float, float, float, str, About]  # effect, half the width of its interval, p, procedure, about


def _over_classes(before: Score, after: Score, sign: int, margin: float, level: float) -> _Found:
    """Paired over classes, of the means over sets; p by sign flips, exact up to 16 classes."""
    first, second = (_matrix(score).mean(0) for score in (before, after))
    difference = sign * (second - first)
    beyond = difference - margin
    # What is zero but for rounding is zero: without it, a gain of exactly the margin would have one sign in all classes
    beyond[np.abs(beyond) <= 1e-12 * (np.abs(first) + np.abs(second) + abs(margin))] = 0.0
    count = len(difference)
    p, exact = sign_flip_p(beyond)
    how = (
        f"sign-flip over {count} classes{'' if exact else ' (99 999 random patterns)'}; t interval over {count} classes"
    )
    return float(difference.mean()), t_half_width(difference.tolist(), level), p, how, "these sets"


def _over_sets(
    before: Score, after: Score, units: tuple[Unit, Unit], sign: int, margin: float, level: float, where: str
) -> _Found:
    """Welch t over the sets, or the runs on one, each a mean over its classes; the classes are fixed."""
    first, second = _values(before), _values(after)
    fewest, most = sorted((len(first), len(second)))
    if fewest == 2 and most > MOST_BESIDE_TWO:
        raise ResultError(
            f"{where}: two sets beside {most} say too little of their own spread for a test at its nominal level; "
            "score three or more of each, or two of each"
        )
    error, degrees = welch(first.tolist(), second.tolist())
    if error <= 1e-12 * max(np.abs(first).max(), np.abs(second).max()):
        raise ResultError(
            f"{where}: all sets of a side have the same value ({first[0]:.6g}; {second[0]:.6g}), so nothing says how "
            "sure a difference is; score sets that were made from different seeds"
        )
    effect = sign * float(second.mean() - first.mean())
    how = f"Welch t over {_counted((len(first), len(second)), units)}"
    if after.scope == "class":
        how += f", each the mean of the same {len(after.per_class[0])} classes"
    about: About = "these sets" if "runs" in units else "the method"
    return effect, half_width(error, degrees, level), two_sided_p(effect - margin, error, degrees), how, about


def _of_intervals(
    before: Score, after: Score, units: tuple[Unit, Unit], sign: int, margin: float, level: float, where: str
) -> _Found:
    """Half widths of independent intervals add in squares (Zou & Donner 2008, Stat. Med. 27:1693, eq. 4).

    A score keeps no degrees of freedom, so widths are turned into standard errors by the normal law. An interval that
    was made by t is wider than that, never narrower, so the error is taken too large rather than too small.
    """
    if before.interval is None or after.interval is None:
        side, unit = ("baseline", units[0]) if before.interval is None else ("candidate", units[1])
        one, more = "set", "score several sets (seeds) of both, or more images per class"
        if unit == "runs":
            one, more = "student", "train several runs or sets (seeds) of both"
        raise ResultError(
            f"{where}: the {side} is one {one} without an interval and there are fewer than {fewest_classes(level)} "
            f"classes, so nothing says how sure the gain is; {more}"
        )
    errors = [(one.high - one.low) / 2 / float(ndtri(0.5 + one.level / 2)) for one in (before.interval, after.interval)]
    error = math.hypot(*errors)
    if error <= 1e-12 * max(abs(score.value or 0.0) for score in (before, after)) or error == 0:
        raise ResultError(
            f"{where}: both intervals have no width, so nothing says how sure the gain is; score several sets (seeds)"
        )
    effect = sign * (float(_values(after).mean()) - float(_values(before).mean()))
    procedures = sorted({before.interval.procedure, after.interval.procedure})
    how = f"both intervals ({'; '.join(procedures)}) put together by the normal law"
    p = two_sided_p(effect - margin, error, math.inf)
    return effect, half_width(error, math.inf, level), p, how, "these sets"


def _counted(seeds: tuple[int, int], units: tuple[Unit, Unit]) -> str:
    if units[0] == units[1]:
        return f"{seeds[0]} and {seeds[1]} {units[0]}"
    first, second = (f"{n} {unit if n > 1 else unit[:-1]}" for n, unit in zip(seeds, units, strict=True))
    return f"{first} and {second}"


def check_pair(before: Score, after: Score) -> None:
    """Raise `ResultError` unless both scores are of one metric with a direction, and whole."""
    where = _place(after)
    if (before.metric, before.scope) != (after.metric, after.scope):
        raise ResultError(f"expected two scores of one metric and scope, got {_place(before)} and {where}")
    if after.higher_is_better is None or before.higher_is_better != after.higher_is_better:
        raise ResultError(f"{where}: neither direction of it means more diverse; claim a metric that has one")
    for side, score in (("baseline", before), ("candidate", after)):
        _check_values(f"{where}: the {side}", score)
    if after.scope == "class" and len(before.per_class[0]) != len(after.per_class[0]):
        raise ResultError(
            f"{where}: expected the same classes, got {len(before.per_class[0])} and {len(after.per_class[0])}; "
            "score both against the same real set"
        )


def _check_values(whose: str, score: Score) -> None:
    rows: Sequence[Sequence[float | None]] = score.per_class if score.scope == "class" else (score.values,)
    widths = {len(row) for row in rows}
    if not score.values or 0 in widths or len(widths) != 1 or len(rows) not in (1, len(score.values)):
        raise ResultError(f"{whose} has not one value for each set and class; score it again")
    missing = sum(value is None or not math.isfinite(value) for row in rows for value in row)
    if missing:
        what = "classes, over all its sets" if score.scope == "class" else "sets"
        raise ResultError(
            f"{whose} lacks {missing} of {sum(map(len, rows))} values ({what}), and a gain needs all of them; "
            "score sets with more images per class, or claim another metric"
        )


def _place(score: Score) -> str:
    return f"{score.metric} at {score.scope} scope"


def _matrix(score: Score) -> NDArray[np.float64]:
    """Values [sets, classes] of a score at class scope without missing ones."""
    return np.array(score.per_class, np.float64)


def _values(score: Score) -> NDArray[np.float64]:
    """Values [sets]; at class scope means over classes."""
    return _matrix(score).mean(1) if score.scope == "class" else np.array(score.values, np.float64)
