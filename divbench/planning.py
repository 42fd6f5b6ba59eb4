"""How many sets or classes show a gain: power of the tests of `divbench.gains`, before anything is made.

A value is normal: the method's mean of the class, what a seed adds to all classes of its set (standard deviation
``seed_sd``), and noise of its own. The difference of two single sets so varies over classes by ``class_sd``; the part
of that which is noise, and not gains that differ from class to class, is ``noise_sd``. Power is the share of trials in
which p <= 1 - level and the gain has the right sign; it is within 4 points of simulated ones (tests/test_planning.py).
"""

import math
from bisect import bisect_left
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaincinv, ndtr, ndtri, stdtrit

from divbench.errors import ResultError
from divbench.gains import check_pair
from divbench.results import Score
from divbench.statistics import EXACT_CLASSES, fewest_classes

MOST = 1000
"""Sets or classes up to which `needed` looks: ImageNet-1K has so many classes, and nobody distils more sets."""
_NODES = 60
_SHARES = (np.arange(_NODES) + 0.5) / _NODES
"""Quantiles at which laws are averaged; 60 give powers right to 0.005."""


@dataclass(frozen=True)
class Spread:
    """How two measured scores vary, in the metric's units.

    Attributes:
        class_sd: standard deviation over classes of the difference of one set of each.
        seed_sd: standard deviation of what a seed adds to all classes of its set; None: no side has several sets.
        noise_sd: standard deviation of a class's difference from one pair of sets to the next, seeds' effects aside: a
            part of ``class_sd``; None as above.
    """

    class_sd: float
    seed_sd: float | None
    noise_sd: float | None


@dataclass(frozen=True)
class Needed:
    """Least numbers that reach a power; None where `MOST` are too few.

    Attributes:
        seeds: sets of baseline and of candidate, at the given classes.
        classes: at the given seeds; None is common, as seeds' effects do not average out over classes.
    """

    seeds: int | None
    classes: int | None


def power(
    gain: float,
    classes: int,
    class_sd: float,
    seed_sd: float = 0.0,
    seeds: int = 1,
    level: float = 0.95,
    noise_sd: float | None = None,
) -> float:
    """Probability that a gain is shown, in [0, 1].

    Args:
        gain: the method's true gain less the margin that is claimed; positive is the right direction.
        classes: of the data set.
        class_sd, seed_sd: see `Spread`.
        seeds: sets of baseline and of candidate. One: sign flips over classes, about these sets; with ``seed_sd`` the
            sets' own gain varies, and the claim about them with it. Several: Welch t over the sets.
        level: confidence level of the claim.
        noise_sd: see `Spread`; matters to several seeds only. None: all of ``class_sd``, which is on the safe side.

    Raises:
        ResultError: numbers out of range, or one seed and too few classes for sign flips.
    """
    noise = class_sd if noise_sd is None else noise_sd
    _check(gain, classes, class_sd, seed_sd, seeds, level, noise)
    if seeds > 1:
        return _power_over_sets(gain, math.hypot(seed_sd, noise / (2 * classes) ** 0.5), seeds, level)
    gains = gain + 2**0.5 * seed_sd * ndtri(_SHARES) if seed_sd else np.array([gain])
    return float(_power_over_classes(gains / class_sd, classes, level).mean())


def needed(
    gain: float,
    classes: int,
    class_sd: float,
    seed_sd: float = 0.0,
    level: float = 0.95,
    target: float = 0.8,
    seeds: int = 1,
    noise_sd: float | None = None,
) -> Needed:
    """Least seeds of each side at ``classes`` classes, and least classes at ``seeds`` seeds, that reach a power.

    Where seeds have effects (``seed_sd`` > 0), one set says nothing about the method: at least two are needed then.

    Args:
        target: the power, in (0, 1).

    Raises:
        ResultError: see `power`.
    """
    if not 0 < target < 1:
        raise ResultError(f"expected a power in (0, 1), got {target}")

    def at_seeds(number: int) -> float:
        return power(gain, classes, class_sd, seed_sd, number, level, noise_sd)

    def at_classes(number: int) -> float:
        return power(gain, number, class_sd, seed_sd, seeds, level, noise_sd)

    fewest = fewest_classes(level)
    alone = seed_sd == 0 and classes >= fewest and at_seeds(1) >= target
    return Needed(
        1 if alone else _least(at_seeds, range(2, MOST + 1), target),
        _least(at_classes, range(fewest if seeds == 1 else 1, MOST + 1), target),
    )


def spread_of(before: Score, after: Score) -> Spread:
    """Estimate, from two scores at class scope, what `power` asks for.

    With several sets on a side, its variance between sets less what the noise of C classes makes of it is that of the
    seeds (two-way layout without replication; Scheffe 1959, ch. 7); below zero it is taken as zero.

    Raises:
        ResultError: as `divbench.gains.measure_gain`, or fewer than two classes.
    """
    if before.scope != "class" or len(before.per_class[:1] and before.per_class[0]) < 2:
        raise ResultError(f"{before.metric}: spread is measured over two or more classes; give scores at class scope")
    check_pair(before, after)
    tables = [np.array(score.per_class, np.float64) for score in (before, after)]
    observed = np.var(tables[1].mean(0) - tables[0].mean(0), ddof=1)
    several = [table for table in tables if len(table) > 1]
    if not several:
        return Spread(float(observed**0.5), None, None)
    freedom = np.array([len(table) - 1 for table in several])
    residual = float(np.average([_residual(table) for table in several], weights=freedom))
    between = float(np.average([np.var(table.mean(1), ddof=1) for table in several], weights=freedom))
    single = float(observed) + residual * sum(1 - 1 / len(table) for table in tables)
    seed = max(0.0, between - residual / tables[0].shape[1])
    return Spread(single**0.5, seed**0.5, (2 * residual) ** 0.5)


def _least(reached: Callable[[int], float], numbers: range, target: float) -> int | None:
    """First of ``numbers`` at which power, which grows along them, reaches ``target``."""
    at = bisect_left(numbers, target, key=reached)
    return numbers[at] if at < len(numbers) else None


def _residual(table: NDArray[np.float64]) -> float:
    """Mean square of [sets, classes] after means of sets and of classes are taken out."""
    rest = table - table.mean(0) - table.mean(1, keepdims=True) + table.mean()
    return float((rest**2).sum() / ((table.shape[0] - 1) * (table.shape[1] - 1)))


def _power_over_classes(ratios: NDArray[np.float64], classes: int, level: float) -> NDArray[np.float64]:
    """Power [n] of sign flips over classes at gains [n] in units of ``class_sd``.

    Flips of normal differences reject as the t test does at the level that they reach: the greatest multiple of
    2 / 2^C up to the nominal one. Where that is a small multiple they are weaker, by up to 12 points, and their power
    is known exactly.
    """
    error = 1 - level
    if classes <= EXACT_CLASSES:
        pairs = math.floor(error * 2 ** (classes - 1) + 1e-9)  # 1 - 0.75 and its like are off by rounding
        if pairs <= 3:
            return np.array([_power_of_extremes(float(ratio), classes, pairs) for ratio in ratios])
        error = pairs / 2 ** (classes - 1)
    degrees = classes - 1
    limits = stdtrit(degrees, 1 - error / 2) * _deviations(degrees)
    return ndtr(ratios[:, None] * classes**0.5 - limits).mean(1)


def _power_of_extremes(ratio: float, classes: int, pairs: int) -> float:
    """Power where only the ``pairs`` <= 3 most extreme pairs of sign patterns reject.

    The greatest sum has all signs alike, the second the smallest difference flipped, the third the second smallest. So
    it is the probability of no negative difference, or of a single one, -u, of which at most pairs - 2 others are
    smaller: C binom(C-1, j) times the integral of phi(u + r) (Phi(r) - Phi(r - u))^j Phi(r - u)^(C-1-j) for each j.
    """
    above = ndtr(ratio)
    u = -(ndtri(_SHARES * (1 - above)) + ratio)  # sizes of the one negative difference
    larger, others = ndtr(ratio - u), classes - 1
    single = sum(math.comb(others, j) * (above - larger) ** j * larger ** (others - j) for j in range(pairs - 1))
    return float(above**classes + classes * (1 - above) * np.mean(single))


def _power_over_sets(gain: float, deviation: float, seeds: int, level: float) -> float:
    """Power of Welch's t of two times ``seeds`` values of that standard deviation: the mean over both estimates of it.

    The degrees of freedom vary with the estimates, which a noncentral t law of fixed degrees would leave out.
    """
    variances = _deviations(seeds - 1) ** 2
    first, second = variances[:, None], variances
    degrees = (seeds - 1) * (first + second) ** 2 / (first**2 + second**2)
    limits = stdtrit(degrees, 0.5 + level / 2) * np.sqrt((first + second) / 2)
    return float(ndtr(gain / deviation * (seeds / 2) ** 0.5 - limits).mean())


def _deviations(degrees: int) -> NDArray[np.float64]:
    """Quantiles [_NODES] of the estimated standard deviation over the true one."""
    return np.sqrt(2 * gammaincinv(degrees / 2, _SHARES) / degrees)


def _check(
    gain: float, classes: int, class_sd: float, seed_sd: float, seeds: int, level: float, noise_sd: float
) -> None:
    if not (math.isfinite(gain) and 0 < class_sd < math.inf and 0 <= seed_sd < math.inf and 0 <= noise_sd < math.inf):
        raise ResultError(
            "expected a finite gain, class_sd > 0, seed_sd >= 0 and noise_sd >= 0, got "
            f"gain {gain}, class_sd {class_sd}, seed_sd {seed_sd}, noise_sd {noise_sd}"
        )
    if seeds < 1 or classes < 1 or not 0 < level < 1:
        raise ResultError(
            f"expected seeds >= 1, classes >= 1 and a level in (0, 1), got seeds {seeds}, classes {classes}, {level}"
        )
    if seeds > 1 and seed_sd == noise_sd == 0:
        raise ResultError("several seeds differ by nothing where seed_sd and noise_sd are 0; give one that is not")
    if seeds == 1 and classes < (fewest := fewest_classes(level)):
        raise ResultError(
            f"one set of each is tested over classes, {fewest} or more at level {level:g}, and there are {classes}; "
            "plan for two or more seeds"
        )
