"""Closed forms that printed numbers are held against. No torch in here.

Two of them stand in `divbench.metrics` as well, beside the metrics, in modules that import torch. A test holds both
pairs together.
"""

import math
from functools import lru_cache
from itertools import pairwise

NEIGHBOURS = 5
"""k of coverage: the field's usual choice, where papers state none."""


def vendi_bound(n: int, similarity: float) -> float:
    """Greatest Vendi Score of n images with mean off-diagonal cosine ``similarity``: `divbench.metrics.vendi`.

    >>> round(vendi_bound(10, 0.9), 2)
    1.65
    """
    if n < 2 or similarity <= 0:
        return float(n)
    first, rest = (1 + (n - 1) * similarity) / n, (1 - similarity) / n
    return math.exp(-first * math.log(first) - (n - 1) * (rest * math.log(rest) if rest > 0 else 0.0))


def iid_coverage(n_real: int, n_fake: int, k: int = NEIGHBOURS) -> float:
    """Expected coverage of a fresh draw of real images: `divbench.metrics.balls`.

    >>> round(iid_coverage(5000, 10), 5)
    0.00995
    """
    return 1 - math.prod((n_real - i) / (n_real + n_fake - i) for i in range(1, k + 1))


def mixture_bound(n: int, similarity: float) -> float:
    """Greatest mean Vendi Score over classes of n images whose mean cosines average ``similarity``.

    `vendi_bound` is not concave in the similarity, so classes of unequal similarity can exceed it in the mean. Nothing
    exceeds its concave envelope, whatever the classes: half of them at 0.5 and half at 1, say.

    >>> vendi_bound(10, 0.75) < mixture_bound(10, 0.75) < 10
    True
    """
    if similarity <= 0:
        return float(n)
    for (left, high), (right, low) in pairwise(_envelope(n)):
        if similarity <= right:
            return high + (low - high) * (similarity - left) / (right - left)
    return 1.0


@lru_cache(maxsize=64)
def _envelope(n: int, steps: int = 500) -> tuple[tuple[float, float], ...]:
    """Corners of the upper hull of `vendi_bound` on [0, 1]; each step counts with its greater end: never too low."""
    hull: list[tuple[float, float]] = []
    for x, y in ((i / steps, vendi_bound(n, max(0, i - 1) / steps)) for i in range(steps + 1)):
        while len(hull) > 1 and _turns_up(hull[-2], hull[-1], (x, y)):
            hull.pop()
        hull.append((x, y))
    return tuple(hull)


def _turns_up(a: tuple[float, float], b: tuple[float, float], c: tuple[float, float]) -> bool:
    return (b[1] - a[1]) * (c[0] - a[0]) <= (c[1] - a[1]) * (b[0] - a[0])


def least_images(vendi: float, similarity: float) -> int | None:
    """Fewest images per class for which the bound allows the pair; None where no number does.

    >>> least_images(1.87, 0.90), least_images(2.28, 0.93)
    (26, 3477)
    """
    low, high = 1, 2
    while vendi_bound(high, similarity) < vendi:
        low, high = high, 2 * high
        if high > 10**9:
            return None
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if vendi_bound(middle, similarity) < vendi else (low, middle)
    return high
