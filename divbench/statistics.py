"""Intervals and paired tests whose error rates were measured, on numpy and scipy alone.

Resampling with replacement is not among them: its duplicates are just what coverage and the Vendi Score punish, and
its interval can miss its own point estimate (0 of 95 % hits on known laws).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, stdtr, stdtrit

Vector = NDArray[np.float64]
EXACT_CLASSES = 16
"""Sign-flip tests enumerate all 2^C sign patterns up to this many classes."""
MOST_BESIDE_TWO = 3
"""Sets that may stand beside two sets: at four and more Welch's test errs in 8-12 % where the two vary more."""
_GROUP = 12
"""Classes whose signed sums stand in one table of 2^12: it fits into the fastest cache."""
_BITS = (1 << np.arange(_GROUP)).astype(np.uint16)
_FLIPS = 99_999
_FLIPS_AT_ONCE = 5_000
_FLIPS_IN_CACHE = 20_000
"""Patterns drawn at once; another number draws others, and so moves published p-values in their third digit."""


def half_width(standard_error: float, degrees: float, level: float) -> float:
    """Half the width of the two-sided t interval."""
    return float(stdtrit(degrees, 0.5 + level / 2)) * standard_error


def t_half_width(values: Sequence[float], level: float = 0.95) -> float:
    """Half the width of the t interval for the mean of independent values; needs two of them."""
    if len(values) < 2:
        raise ValueError("a t interval needs at least two values")
    return half_width(float(np.std(values, ddof=1)) / len(values) ** 0.5, len(values) - 1, level)


def jackknife_half_width(strata: Sequence[Sequence[float]], level: float = 0.95) -> float:
    """Half the width of the jackknife interval for the mean over strata of a statistic.

    Args:
        strata: for each stratum (class) the values of its statistic with each unit (image, or group of images) left
            out in turn, at least two; strata are fixed, the units inside them vary.
        level: confidence level.

    The variance of stratum c with n_c units is (n_c - 1) / n_c * sum_i (value_i - mean)^2 (Efron & Stein 1981), that
    of the mean over C strata the sum over C^2; degrees of freedom after Satterthwaite.
    """
    variances, weights = np.empty(len(strata)), np.empty(len(strata))
    for c, left_out in enumerate(strata):
        n = len(left_out)
        variances[c], weights[c] = (n - 1) * np.var(left_out), n - 1
    total = variances.sum()
    if total == 0:
        return 0.0
    degrees = total**2 / (variances**2 / weights).sum()
    return half_width(float(total**0.5) / len(strata), float(degrees), level)


@dataclass(frozen=True)
class Difference:
    """Second minus first: the mean difference, its interval, and the two-sided p of it being the margin (or none)."""

    effect: float
    low: float
    high: float
    p: float


def paired_over_classes(
    first: Sequence[float], second: Sequence[float], level: float = 0.95, margin: float = 0.0
) -> Difference:
    """Compare two entries class by class, and speak about these sets: t interval and sign-flip test over classes.

    About these sets also where the vectors are means over several seeds: an effect of a seed that all classes share
    is no noise between classes. Asked about the method, the test then errs in 14 % of trials at 10 classes and in
    53 % at 100 (seeds' effects of 0.3 of the noise of a class); `divbench.gains` tests several seeds.

    The p-value cannot be below 2 / 2^C: with 10 classes, 1/512.

    Raises:
        ValueError: unequal lengths or fewer than two classes.
    """
    if len(first) != len(second) or len(first) < 2:
        raise ValueError(f"needs two vectors over the same two or more classes, got {len(first)} and {len(second)}")
    before, after = np.asarray(first, float), np.asarray(second, float)
    difference = after - before
    effect, half = float(difference.mean()), t_half_width(difference.tolist(), level)
    beyond = difference - margin
    # What is zero but for rounding is zero: without it, a gain of exactly the margin would have one sign in all classes
    beyond[np.abs(beyond) <= 1e-12 * (np.abs(before) + np.abs(after) + abs(margin))] = 0.0
    return Difference(effect, effect - half, effect + half, sign_flip_p(beyond))


def over_sets(first: Sequence[float], second: Sequence[float], level: float = 0.95, margin: float = 0.0) -> Difference:
    """Compare two entries of several sets, a value for each, and speak about their methods: after Welch (1947).

    Raises:
        ValueError: nothing says how sure the difference is: a side has one set, all values of a side are the same, or
            two sets stand beside more than `MOST_BESIDE_TWO`.
    """
    fewest, most = sorted((len(first), len(second)))
    if fewest < 2:
        raise ValueError(f"needs two or more sets of each, got {len(first)} and {len(second)}")
    if fewest == 2 and most > MOST_BESIDE_TWO:
        raise ValueError(
            f"two sets beside {most} say too little of their own spread for a test at its nominal level; score three "
            "or more of each, or two of each"
        )
    error, degrees = welch(first, second)
    if error <= 1e-12 * float(max(np.abs(first).max(), np.abs(second).max())):
        raise ValueError(
            f"all sets of a side have the same value ({first[0]:.6g}; {second[0]:.6g}), so nothing says how sure a "
            "difference is; score sets that were made from different seeds"
        )
    effect, half = float(np.mean(second) - np.mean(first)), half_width(error, degrees, level)
    return Difference(effect, effect - half, effect + half, two_sided_p(effect - margin, error, degrees))


def sign_flip_p(difference: Vector) -> float:
    """Two-sided p of the mean of ``difference`` [C] under random signs.

    Exact up to `EXACT_CLASSES`, else of 99 999 patterns from a fixed seed, which with the observed one make 100 000.
    Sums that are equal but for rounding count as equal: shares of a few images tie often.
    """
    rounding = 1e-12 * np.abs(difference).sum()  # 1000 classes add at most 1000 * 2^-53 = 1e-13 of that
    observed = abs(difference.sum()) - rounding
    if len(difference) <= EXACT_CLASSES:
        return float((np.abs(_signed_sums(difference)) >= observed).mean())
    known = [_signed_sums(difference[start : start + _GROUP]) for start in range(0, len(difference), _GROUP)]
    patterns, reached, part = _random_patterns(len(difference)), 0, np.empty(_FLIPS_IN_CACHE)
    for start in range(0, _FLIPS, _FLIPS_IN_CACHE):
        some = patterns[:, start : start + _FLIPS_IN_CACHE]
        sums = np.zeros(some.shape[1])
        for values, rows in zip(known, some, strict=True):
            sums += values.take(rows, out=part[: len(rows)], mode="clip")  # no new array, no check of bounds
        reached += int((np.abs(sums, out=sums) >= observed).sum())
    return (reached + 1) / (_FLIPS + 1)


def _signed_sums(values: Vector) -> Vector:
    """Sums [2^n] of the n values under all patterns of signs; bit i of the index set means minus value i."""
    if len(values) > 1:
        half = len(values) // 2
        return np.add.outer(_signed_sums(values[half:]), _signed_sums(values[:half])).ravel()
    return np.array([values[0], -values[0]])


@lru_cache(maxsize=4)  # class counts of one file of claims; 17 MB for 1000 classes
def _random_patterns(count: int) -> NDArray[np.uint16]:
    """`_FLIPS` random patterns of ``count`` signs [groups of 12 classes, _FLIPS]; bits are those of `_signed_sums`.

    Looking up the sums of whole groups takes a twelfth of the additions, and patterns of bits little memory.
    """
    draws, groups = np.random.default_rng(0), -(-count // _GROUP)
    patterns = np.empty((groups, _FLIPS), np.uint16)
    for start in range(0, _FLIPS, _FLIPS_AT_ONCE):
        rows = min(_FLIPS_AT_ONCE, _FLIPS - start)
        bits = np.zeros((rows, groups * _GROUP), np.uint16)
        bits[:, :count] = draws.integers(0, 2, (rows, count), dtype=np.int8)
        patterns[:, start : start + rows] = np.einsum("rgb,b->gr", bits.reshape(rows, groups, _GROUP), _BITS)
    patterns.setflags(write=False)
    return patterns


def fewest_classes(level: float) -> int:
    """Classes below which no sign-flip test reaches p <= 1 - level: 6 at 95 %, 8 at 99 %; the least p is 2 / 2^C.

    >>> fewest_classes(0.95), fewest_classes(0.99)
    (6, 8)
    """
    return max(2, math.ceil(1 - math.log2(1 - level)))


def welch(first: Sequence[float], second: Sequence[float]) -> tuple[float, float]:
    """Standard error and degrees of freedom of mean(second) - mean(first), variances not assumed equal (Welch 1947).

    Both have at least two values. Where nothing varies the error is 0 and the degrees are those of the smaller side.
    """
    parts = np.array([np.var(values, ddof=1) / len(values) for values in (first, second)])
    freedom = np.array([len(first) - 1, len(second) - 1])
    if not parts.any():
        return 0.0, float(freedom.min())
    shares = parts / parts.sum()
    return float(parts.sum() ** 0.5), float(1 / (shares**2 / freedom).sum())


def two_sided_p(effect: float, standard_error: float, degrees: float) -> float:
    """Two-sided p of the t test that the effect is 0; ``degrees`` may be infinite, the normal law."""
    ratio = -abs(effect) / standard_error
    return 2 * float(ndtr(ratio) if math.isinf(degrees) else stdtr(degrees, ratio))


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's step-down adjustment of p-values that share a family, in the given order.

    >>> [round(p, 3) for p in holm([0.01, 0.04, 0.03])]
    [0.03, 0.06, 0.06]
    """
    order = np.argsort(p_values, kind="stable")
    adjusted, running = [0.0] * len(p_values), 0.0
    for rank, index in enumerate(order):
        running = max(running, min(1.0, (len(p_values) - rank) * p_values[index]))
        adjusted[index] = running
    return adjusted
