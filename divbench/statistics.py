"""Intervals and paired tests whose error rates were measured, on numpy and scipy alone.

Resampling with replacement is not among them: its duplicates are just what coverage and the Vendi Score punish, and
its interval can miss its own point estimate (0 of 95 % hits on known laws).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtrit

Vector = NDArray[np.float64]
EXACT_CLASSES = 16
"""Sign-flip tests enumerate all 2^C sign patterns up to this many classes."""
_FLIPS = 99_999
_FLIPS_AT_ONCE = 5_000


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
    """Second minus first, class by class.

    Attributes:
        effect: mean over classes of the difference.
        low, high: t interval over classes.
        p: two-sided sign-flip permutation test.
        classes: number of pairs.
        exact: whether all sign patterns were enumerated.
    """

    effect: float
    low: float
    high: float
    p: float
    classes: int
    exact: bool


def paired_over_classes(first: Sequence[float], second: Sequence[float], level: float = 0.95) -> Difference:
    """Compare two entries class by class; speaks about these sets unless the vectors are means over several seeds.

    The p-value cannot be below 2 / 2^C: with 10 classes, 1/512.

    Raises:
        ValueError: unequal lengths or fewer than two classes.
    """
    if len(first) != len(second) or len(first) < 2:
        raise ValueError(f"needs two vectors over the same two or more classes, got {len(first)} and {len(second)}")
    difference = np.asarray(second, float) - np.asarray(first, float)
    effect, count = float(difference.mean()), len(difference)
    half = t_half_width(difference.tolist(), level)
    p, exact = sign_flip_p(difference)
    return Difference(effect, effect - half, effect + half, p, count, exact)


def sign_flip_p(difference: Vector) -> tuple[float, bool]:
    """Two-sided p of the mean under random signs, and whether it is exact (else 99 999 patterns, fixed seed)."""
    count = len(difference)
    exact = count <= EXACT_CLASSES
    observed = abs(difference.sum()) * (1 - 1e-12)
    extreme = sum(int((np.abs(signs @ difference) >= observed).sum()) for signs in _signs(count, exact))
    return (extreme / 2**count if exact else (extreme + 1) / (_FLIPS + 1)), exact


def _signs(count: int, exact: bool) -> Iterator[NDArray[np.signedinteger]]:
    """Rows of signs, all 2^count of them or `_FLIPS` random ones, some thousand at a time."""
    if exact:
        yield 1 - 2 * ((np.arange(2**count)[:, None] >> np.arange(count)) & 1)
        return
    draws = np.random.default_rng(0)
    for start in range(0, _FLIPS, _FLIPS_AT_ONCE):
        yield 1 - 2 * draws.integers(0, 2, (min(_FLIPS_AT_ONCE, _FLIPS - start), count), dtype=np.int8)


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
