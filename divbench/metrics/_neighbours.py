"""Exact k-NN radii and ball membership at float32 speed.

Distances are ranked by a blockwise float32 matrix product of centred rows. Every decision that the rounding error of
that product could turn is taken again from the float64 sum of squared differences, so that all results are those of
float64, in O(block) memory.

The error bound: for rows a, b of length d, centred and rounded to float32 with unit round-off u = 2^-24, the product
is off by at most d u / (1 - d u) |a||b| in any order of summation (Higham 2002, eq. 3.5), and rounding the rows,
adding the norms and comparing add a few u (|a|^2 + |b|^2). `_Rows.slack` is their sum.
"""

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.utils.weak import WeakIdKeyDictionary

from divbench.errors import InputError

_BLOCK = 1 << 23  # entries of one block of distances: 32 MiB in float32
_SPARE = 8  # candidates kept beyond the k-th, so that near ties at the k-th are inside
_REMEMBERED = 16  # results kept for one living matrix


class Hits(NamedTuple):
    """How balls around ``centres`` [C] hold ``points`` [P]."""

    per_centre: Tensor  # [C] int64: points inside this ball
    per_point: Tensor  # [P] int64: balls that hold this point
    sole: Tensor  # [P] int64: balls that hold this point and no other


class _Rows:
    """Rows prepared for float32 products: shifted by ``centre`` and scaled by a power of two."""

    def __init__(self, rows: Tensor, centre: Tensor, scale: float) -> None:
        self.exact, self.centre, self.scale = rows, centre, scale
        self.rounded = ((rows.double() - centre) * scale).float()
        self.norms = self.rounded.double().square().sum(1)

    def slack(self, other_norm: float) -> Tensor:
        """[n] float64 bound on the error of a squared distance from each row to a row of squared norm <= other_norm."""
        d, u = self.rounded.shape[1], 2.0**-24
        return (d * u / (1 - d * u) + 16 * u) * (self.norms + other_norm) + 1e-30


def _prepared(rows: Tensor) -> _Rows:
    """``rows`` around their own mean, of about unit size; kept while the tensor lives."""

    def prepare() -> _Rows:
        centre = rows.double().mean(0)
        return _Rows(rows, centre, _unit_scale(float((rows.double() - centre).abs().max())))

    return _remember(("prepared",), (rows,), prepare)


def _prepared_pair(first: Tensor, second: Tensor) -> tuple[_Rows, _Rows]:
    """Both matrices around the mean of the larger one, which is prepared once for all its partners."""
    if len(first) < len(second):
        return _prepared_pair(second, first)[::-1]
    anchor = _prepared(first)
    reach = float((second.double() - anchor.centre).abs().max()) * anchor.scale
    if reach > 2.0**20:  # so far away that its squares could leave float32
        anchor = _Rows(first, anchor.centre, anchor.scale * _unit_scale(reach))
    return anchor, _Rows(second, anchor.centre, anchor.scale)


def _unit_scale(reach: float) -> float:
    """The power of two that brings ``reach`` into [0.5, 1)."""
    return 2.0 ** max(-500, min(500, -math.frexp(reach)[1]))


@contextmanager
def _full_float32() -> Iterator[None]:
    """Matrix products in true float32: the error bound does not hold for TF32 or bfloat16 products."""
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("highest")
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)


def squared_distances(a: Tensor, b: Tensor) -> Tensor:
    """Squared distances [n] of paired rows, in float64, by differences.

    The sum is a fixed tree of additions: the same two rows give the same bits wherever they stand, and in either
    order, so that exact ties stay ties.
    """
    squares = (a.double() - b.double()).square_()
    while (width := squares.shape[1]) > 1:
        half = width // 2
        folded = squares[:, :half] + squares[:, half : 2 * half]
        squares = torch.cat([folded, squares[:, 2 * half :]], 1) if width % 2 else folded
    return squares[:, 0]


def check_rows(name: str, rows: Tensor, width: int | None = None) -> None:
    """Raise `InputError` unless ``rows`` is a finite, non-empty float matrix (of ``width`` columns)."""
    if rows.ndim != 2 or rows.shape[0] == 0 or rows.shape[1] == 0 or not rows.is_floating_point():
        raise InputError(f"{name}: expected a float matrix [N, D] with N, D >= 1, got {rows.dtype} {tuple(rows.shape)}")
    if width is not None and rows.shape[1] != width:
        raise InputError(f"{name}: has {rows.shape[1]} columns, the other matrix {width}; were they embedded alike?")
    if not _remember(("finite",), (rows,), lambda: bool(torch.isfinite(rows).all())):
        bad = (~torch.isfinite(rows)).any(1).nonzero()[:, 0]
        raise InputError(f"{name}: {len(bad)} rows hold NaN or infinity, the first is row {int(bad[0])}")


def radii(rows: Tensor, k: int) -> Tensor:
    """Squared distance [N] float64 from each row of ``rows`` [N, D] to its k-th nearest other row.

    Raises:
        InputError: k < 1, k >= N, or rows that are not finite.
    """
    check_rows("real", rows)
    if not 1 <= k < len(rows):
        raise InputError(f"k = {k} neighbours need 1 <= k < number of rows, and there are {len(rows)} rows")
    return _remember(("radii", k), (rows,), lambda: _radii(rows, k))


def _radii(rows: Tensor, k: int) -> Tensor:
    x = _prepared(rows)
    slack = x.slack(float(x.norms.max()))
    norms32 = x.norms.float()
    keep = min(k + _SPARE, len(rows) - 1)
    out = torch.empty(len(rows), dtype=torch.float64, device=rows.device)
    step = max(1, _BLOCK // len(rows))
    with _full_float32():
        for start in range(0, len(rows), step):
            here = torch.arange(start, min(start + step, len(rows)), device=rows.device)
            block = torch.addmm(norms32, x.rounded[here], x.rounded.T, alpha=-2)
            block[torch.arange(len(here), device=rows.device), here] = torch.inf
            values, columns = torch.topk(block, keep, largest=False)
            out[here] = _exact_kth(x, here, values.double(), columns, k, slack[here])
    return out


def _exact_kth(x: _Rows, here: Tensor, values: Tensor, columns: Tensor, k: int, slack: Tensor) -> Tensor:
    """k-th smallest squared distance of each row, from candidates whose float32 value may be wrong by ``slack``."""
    kth = values[:, k - 1 : k]
    below, above = values < kth - 2 * slack[:, None], values > kth + 2 * slack[:, None]
    unsure = ~(below | above)
    exact = torch.where(below, -torch.inf, torch.inf).double()
    at, slot = unsure.nonzero(as_tuple=True)
    exact[at, slot] = squared_distances(x.exact[here[at]], x.exact[columns[at, slot]])
    result = exact.kthvalue(k, dim=1).values
    crowded = (~above[:, -1]).nonzero()[:, 0] if values.shape[1] < len(x.exact) - 1 else here.new_empty(0)
    for row in crowded[result[crowded] > 0].tolist():  # more near ties than candidates: this row wholly in float64
        centre = x.exact[here[row]]
        distances = torch.cat([squared_distances(chunk, centre[None]) for chunk in x.exact.split(4096)])
        distances[here[row]] = torch.inf
        result[row] = distances.kthvalue(k).values
    return result


def hits(centres: Tensor, squared_radii: Tensor, points: Tensor, closed: bool = False) -> Hits:
    """Which points [P, D] lie in the balls around ``centres`` [C, D] with ``squared_radii`` [C].

    Args:
        closed: points at exactly the radius count as inside (prdc: they do not).
    """
    check_rows("centres", centres)
    check_rows("points", points, centres.shape[1])
    tensors = (centres, squared_radii, points)
    return _remember(("hits", closed), tensors, lambda: _hits(*tensors, closed))


def _hits(centres: Tensor, squared_radii: Tensor, points: Tensor, closed: bool) -> Hits:
    c, p = _prepared_pair(centres, points)
    slack = c.slack(float(p.norms.max()))
    limit = squared_radii * c.scale**2 - c.norms
    low, high = (limit - slack).float(), (limit + slack).float()
    low, high = torch.nextafter(low, low.new_tensor(-torch.inf)), torch.nextafter(high, high.new_tensor(torch.inf))
    norms32 = p.norms.float()
    sizes = (len(centres), len(points), len(points))
    per_centre, per_point, sole = (torch.zeros(n, dtype=torch.int64, device=centres.device) for n in sizes)
    step = max(1, _BLOCK // len(points))
    with _full_float32():
        for start in range(0, len(centres), step):
            rows = slice(start, start + step)
            block = torch.addmm(norms32, c.rounded[rows], p.rounded.T, alpha=-2)
            at, column = (block <= high[rows, None]).nonzero(as_tuple=True)
            inside = block[at, column] < low[rows][at]
            unsure = (~inside).nonzero()[:, 0]
            at_unsure, radius = at[unsure] + start, squared_radii[at[unsure] + start]
            distance = squared_distances(centres[at_unsure], points[column[unsure]])
            inside[unsure] = distance <= radius if closed else distance < radius
            at, column = at[inside] + start, column[inside]
            per_centre += torch.bincount(at, minlength=len(centres))
            per_point += torch.bincount(column, minlength=len(points))
            sole += torch.bincount(column[per_centre[at] == 1], minlength=len(points))
    return Hits(per_centre, per_point, sole)


_memory: WeakIdKeyDictionary = WeakIdKeyDictionary()


def _remember(what: tuple[Any, ...], tensors: tuple[Tensor, ...], compute: Callable[[], Any]) -> Any:
    """``compute()``, or its earlier value while the same, unchanged tensors are alive.

    Coverage, density and precision of one pair of matrices share one pass over their distances this way.
    """
    if any(t.is_inference() for t in tensors):
        return compute()  # in-place changes of inference tensors leave no trace
    first, rest = tensors[0], tensors[1:]
    known = _memory.setdefault(first, {})
    key = (*what, first._version, *((id(t), t._version) for t in rest))
    if key not in known or any(ref is not t for ref, t in zip(known[key][0], rest, strict=True)):
        while len(known) >= _REMEMBERED:
            known.pop(next(iter(known)))
        known[key] = (rest, compute())
    return known[key][1]


def tell_radii(rows: Tensor, k: int, squared_radii: Tensor) -> None:
    """Give what ``radii(rows, k)`` is to return, known from an earlier run."""
    _remember(("radii", k), (rows,), lambda: squared_radii)
