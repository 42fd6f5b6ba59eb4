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
    EXACT_CLASSES,
    Difference,
    fewest_classes,
    half_width,
    over_sets,
    paired_over_classes,
    two_sided_p,
)

About = Literal["these sets", "the method"]
Unit = Literal["sets", "runs"]
"""What a score has a value for each of: sets, or students of one set."""


Over = Literal["sets", "runs", "classes", "intervals"]
"""What a test is over: sets; students, where a side has those of one set alone; classes; or the scores' intervals."""


@dataclass(frozen=True)
class Change(Difference):
    """How much larger a score is after than before.

    Attributes:
        effect: after minus before, in the metric's units.
        low, high: its interval at the level that was asked for.
        p: two-sided, of the hypothesis that the effect is exactly the margin.
        over: what the test is over.
        procedure: of interval and test, in words.
        about: what the interval speaks about.
        classes: over which the score is a mean; 0 at dataset scope.
        seeds: values of baseline and candidate, of which there is one for each of the ``units``.
        before, after: the means of these values, in the metric's units.
        units: of baseline and candidate, see `Unit`.
    """

    over: Over
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


@dataclass(frozen=True)
class Gain(Change):
    """How much more diverse the second is: a change that is oriented, positive always means better."""


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
        before, after, units, level: as for `measure_change`, of a metric that has a direction.
        margin: the gain that is tested against, in the metric's units.

    Raises:
        ResultError: the metric has no direction, or as `measure_change`.
    """
    check_pair(before, after)
    if after.higher_is_better:
        return Gain(**vars(measure_change(before, after, units=units, margin=margin, level=level)))
    found = vars(measure_change(before, after, units=units, margin=-margin, level=level))
    return Gain(**found | {"effect": -found["effect"], "low": -found["high"], "high": -found["low"]})


def measure_change(
    before: Score,
    after: Score,
    *,
    units: tuple[Unit, Unit] = ("sets", "sets"),
    margin: float = 0.0,
    level: float = 0.95,
) -> Change:
    """Measure how much larger ``after`` is than ``before``.

    Args:
        before, after: one metric at one scope, of comparable results (`divbench.comparison.check_comparable`) with
            equal images per class. Accuracies have a value for each run: where there are several sets, average the
            runs of each first (`divbench.comparison.gain_between` does).
        units: what baseline and candidate have values for.
        margin: the effect that is tested against, in the metric's units.
        level: confidence level of the interval, in (0, 1).

    Raises:
        ResultError: the scores are not of one kind, values are missing, or nothing says how sure the change is.
    """
    _check_alike(before, after)
    where = _place(after)
    if not (0 < level < 1 and math.isfinite(margin)):
        raise ResultError(f"{where}: expected 0 < level < 1 and a finite margin, got level {level}, margin {margin}")
    seeds = (len(before.values), len(after.values))
    classes = len(after.per_class[0]) if after.scope == "class" else 0
    over: Over = "intervals"
    if min(seeds) > 1:
        over = "runs" if "runs" in units else "sets"
        found, how = _over_sets(before, after, units, margin, level, where)
    elif classes >= fewest_classes(level):
        over = "classes"
        found, how = _over_classes(before, after, margin, level)
    else:
        found, how = _of_intervals(before, after, units, margin, level, where)
    about: About = "the method" if over == "sets" else "these sets"
    first, second = (float(_values(one).mean()) if one.value is None else one.value for one in (before, after))
    return Change(
        **vars(found),
        over=over,
        procedure=how,
        about=about,
        classes=classes,
        seeds=seeds,
        before=first,
        after=second,
        units=units,
    )


def _over_classes(before: Score, after: Score, margin: float, level: float) -> tuple[Difference, str]:
    """Paired over classes, of the means over sets, and how in words; p by sign flips, exact up to 16 classes."""
    first, second = (_matrix(score).mean(0).tolist() for score in (before, after))
    count = len(first)
    flips = "" if count <= EXACT_CLASSES else " (99 999 random patterns)"
    how = f"sign-flip over {count} classes{flips}; t interval over {count} classes"
    return paired_over_classes(first, second, level, margin), how


def _over_sets(
    before: Score, after: Score, units: tuple[Unit, Unit], margin: float, level: float, where: str
) -> tuple[Difference, str]:
    """Welch t over the sets, or the runs on one, each a mean over its classes; the classes are fixed."""
    first, second = _values(before).tolist(), _values(after).tolist()
    how = f"Welch t over {_counted((len(first), len(second)), units)}"
    if after.scope == "class":
        how += f", each the mean of the same {len(after.per_class[0])} classes"
    try:
        return over_sets(first, second, level, margin), how
    except ValueError as reason:
        raise ResultError(f"{where}: {reason}") from None


def _of_intervals(
    before: Score, after: Score, units: tuple[Unit, Unit], margin: float, level: float, where: str
) -> tuple[Difference, str]:
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
    effect, half = float(_values(after).mean()) - float(_values(before).mean()), half_width(error, math.inf, level)
    procedures = sorted({before.interval.procedure, after.interval.procedure})
    how = f"both intervals ({'; '.join(procedures)}) put together by the normal law"
    p = two_sided_p(effect - margin, error, math.inf)
    return Difference(effect, effect - half, effect + half, p), how


def _counted(seeds: tuple[int, int], units: tuple[Unit, Unit]) -> str:
    if units[0] == units[1]:
        return f"{seeds[0]} and {seeds[1]} {units[0]}"
    first, second = (f"{n} {unit if n > 1 else unit[:-1]}" for n, unit in zip(seeds, units, strict=True))
    return f"{first} and {second}"


def check_pair(before: Score, after: Score) -> None:
    """Raise `ResultError` unless both scores are of one metric with a direction, and whole."""
    _check_alike(before, after)
    if after.higher_is_better is None or before.higher_is_better != after.higher_is_better:
        raise ResultError(f"{_place(after)}: neither direction of it means more diverse; claim a metric that has one")


def _check_alike(before: Score, after: Score) -> None:
    where = _place(after)
    if (before.metric, before.scope) != (after.metric, after.scope):
        raise ResultError(f"expected two scores of one metric and scope, got {_place(before)} and {where}")
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
