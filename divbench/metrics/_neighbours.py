"""Exact k-NN radii and ball membership at float32 speed.

Distances are ranked by a blockwise float32 matrix product of centred rows. Every decision that the rounding error of
that product could turn is taken again from the float64 sum of squared differences, so that all results are those of
float64, in O(block) memory.

The error bound: for rows a, b of length d, centred and rounded to float32 with unit round-off u = 2^-24, the product
is off by at most d u / (1 - d u) |a||b| in any order of summation (Higham 2002, eq. 3.5), and rounding the rows,
adding the norms and comparing add a few u (|a|^2 + |b|^2). As |a||b| <= (|a|^2 + |b|^2) / 2, the squared distance is
off by at most `_slack` (|a|^2 + |b|^2), a sum of a part for each row: that of b is subtracted before the product, that
of a from the limit, and no pair is judged by another's norm.
"""

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, NamedTuple

import torch
from torch import Tensor

from divbench.errors import InputError
from divbench.precision import full_float32

_BLOCK = 1 << 23  # entries of one block of distances: 32 MiB in float32
_SPARE = 8  # candidates kept beyond the k-th, so that near ties at the k-th are inside


class Hits(NamedTuple):
    """How balls around ``centres`` [C] hold ``points`` [P]."""

    per_centre: Tensor  # [C] int64: points inside this ball
    per_point: Tensor  # [P] int64: balls that hold this point
    sole: Tensor  # [P] int64: balls that hold this point and no other


class Memory:
    """Results for tensors that do not change while it is in use; see `remembering`.

    Args:
        keep: ``keep(rows, k, compute)`` returns the radii of ``rows``, from a longer-lived store or by ``compute()``.
    """

    def __init__(self, keep: Callable[[Tensor, int, Callable[[], Tensor]], Tensor] | None = None) -> None:
        self.keep = keep
        self.known: dict[tuple[Any, ...], tuple[tuple[Tensor, ...], Any]] = {}


_memory: ContextVar[Memory | None] = ContextVar("memory", default=None)


@contextmanager
def remembering(memory: Memory) -> Iterator[None]:
    """Compute nothing twice inside: coverage, density and precision of one pair share one pass over its distances.

    The tensors that are measured inside must not be changed until it ends; ``memory`` holds them.
    """
    token = _memory.set(memory)
    try:
        yield
    finally:
        _memory.reset(token)


def _once(what: tuple[Any, ...], tensors: tuple[Tensor, ...], compute: Callable[[], Any]) -> Any:
    """``compute()``, or what it returned before for the same tensors inside `remembering`."""
    memory = _memory.get()
    if memory is None:
        return compute()
    key = (*what, *map(id, tensors))
    if key not in memory.known:
        memory.known[key] = (tensors, compute())  # the tensors are held, so their ids stay theirs
    return memory.known[key][1]


class _Rows:
    """Rows prepared for float32 products: shifted by ``centre`` and scaled by a power of two."""

    def __init__(self, rows: Tensor, centre: Tensor, scale: float) -> None:
        self.exact, self.centre, self.scale = rows, centre, scale
        self.rounded = ((rows.double() - centre) * scale).float()
        self.norms = self.rounded.double().square().sum(1)
        d, u = rows.shape[1], 2.0**-24
        self.slack = (d * u / (1 - d * u) + 16 * u) * self.norms + 1e-30


def _prepared(rows: Tensor) -> _Rows:
    """``rows`` around their own mean, of about unit size."""

    def prepare() -> _Rows:
        centre = rows.double().mean(0)
        return _Rows(rows, centre, _unit_scale(float((rows.double() - centre).abs().max())))

    return _once(("prepared",), (rows,), prepare)


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


def _of_pairs(a: Tensor, rows: Tensor, b: Tensor, columns: Tensor) -> Tensor:
    """`squared_distances` of ``a[rows]`` and ``b[columns]``, a block at a time."""
    step = max(1, _BLOCK // a.shape[1])
    parts = [squared_distances(a[i], b[j]) for i, j in zip(rows.split(step), columns.split(step), strict=True)]
    return torch.cat(parts)


def check_rows(name: str, rows: Tensor, width: int | None = None) -> None:
    """Raise `InputError` unless ``rows`` is a finite, non-empty float matrix (of ``width`` columns)."""
    if rows.ndim != 2 or rows.shape[0] == 0 or rows.shape[1] == 0 or not rows.is_floating_point():
        raise InputError(f"{name}: expected a float matrix [N, D] with N, D >= 1, got {rows.dtype} {tuple(rows.shape)}")
    if width is not None and rows.shape[1] != width:
        raise InputError(f"{name}: has {rows.shape[1]} columns, the other matrix {width}; were they embedded alike?")
    if not _once(("finite",), (rows,), lambda: bool(torch.isfinite(rows).all())):
        bad = (~torch.isfinite(rows)).any(1).nonzero()[:, 0]
        raise InputError(f"{name}: {len(bad)} rows hold NaN or infinity, the first is row {int(bad[0])}")


def radii(rows: Tensor, k: int) -> Tensor:
    """Squared distance [N] float64 from each row of ``rows`` [N, D] to its k-th nearest other row.

    Raises:
        InputError: k < 1, k >= N, or rows that are not finite.
    """
    check_rows("real", rows)
    if not 1 <= k < len(rows):
        raise InputError(
            f"k = {k} neighbours need more rows than k, and there are {len(rows)}; give more images or a smaller k"
        )
    memory = _memory.get()
    if memory is None or memory.keep is None:
        return _once(("radii", k), (rows,), lambda: _radii(rows, k))
    keep = memory.keep
    return _once(("radii", k), (rows,), lambda: keep(rows, k, lambda: _radii(rows, k)))


def _radii(rows: Tensor, k: int) -> Tensor:
    x = _prepared(rows)
    below = (
        x.norms - x.slack
    ).float()  # with the product: the least that a squared distance can be, less the row's part
    keep = min(k + _SPARE, len(rows) - 1)
    out = torch.empty(len(rows), dtype=torch.float64, device=rows.device)
    step = max(1, _BLOCK // len(rows))
    with full_float32(rows.device):
        for start in range(0, len(rows), step):
            here = torch.arange(start, min(start + step, len(rows)), device=rows.device)
            block = torch.addmm(below, x.rounded[here], x.rounded.T, alpha=-2)
            block[torch.arange(len(here), device=rows.device), here] = torch.inf
            values, columns = torch.topk(block, keep, largest=False)
            out[here] = _exact_kth(x, here, values.double(), columns, k)
    return out


def _exact_kth(x: _Rows, here: Tensor, values: Tensor, columns: Tensor, k: int) -> Tensor:
    """k-th smallest squared distance of each row from its candidates, of which ``values`` are lower bounds, ascending.

    The k-th smallest lower and upper bounds enclose the k-th smallest distance, so candidates whose bounds lie outside
    are settled, and only the others are measured.
    """
    least = values - x.slack[here][:, None]
    most = values + x.slack[here][:, None] + 2 * x.slack[columns]
    floor, ceiling = least[:, k - 1 : k], most.kthvalue(k, dim=1, keepdim=True).values
    unsure = (most >= floor) & (least <= ceiling)
    exact = torch.where(least > ceiling, torch.inf, -torch.inf).double()
    at, slot = unsure.nonzero(as_tuple=True)
    exact[at, slot] = _of_pairs(x.exact, here[at], x.exact, columns[at, slot])
    result = exact.kthvalue(k, dim=1).values
    if values.shape[1] == len(x.exact) - 1:
        return result
    crowded = (least[:, -1:] <= ceiling)[:, 0] & (result > 0)
    for i in crowded.nonzero()[:, 0].tolist():  # more near ties than candidates: this row wholly in float64
        others = torch.arange(len(x.exact), device=here.device)
        distances = _of_pairs(x.exact, here[i].expand(len(others)), x.exact, others)
        distances[here[i]] = torch.inf
        result[i] = distances.kthvalue(k).values
    return result


def hits(centres: Tensor, squared_radii: Tensor, points: Tensor, closed: bool = False) -> Hits:
    """Which points [P, D] lie in the balls around ``centres`` [C, D] with ``squared_radii`` [C].

    Args:
        closed: points at exactly the radius count as inside (prdc: they do not).
    """
    check_rows("centres", centres)
    check_rows("points", points, centres.shape[1])
    tensors = (centres, squared_radii, points)
    return _once(("hits", closed), tensors, lambda: _hits(*tensors, closed))


def _hits(centres: Tensor, squared_radii: Tensor, points: Tensor, closed: bool) -> Hits:
    c, p = _prepared_pair(centres, points)
    below = (p.norms - p.slack).float()
    limit = squared_radii * c.scale**2 - c.norms
    possible, certain = _up((limit + c.slack).float()), limit - c.slack
    sizes = (len(centres), len(points), len(points))
    per_centre, per_point, sole = (torch.zeros(n, dtype=torch.int64, device=centres.device) for n in sizes)
    step = max(1, _BLOCK // len(points))
    with full_float32(centres.device):
        for start in range(0, len(centres), step):
            rows = slice(start, start + step)
            block = torch.addmm(below, c.rounded[rows], p.rounded.T, alpha=-2)
            at, column = (block <= possible[rows, None]).nonzero(as_tuple=True)
            inside = block[at, column].double() + 2 * p.slack[column] < certain[rows][at]
            at = at + start
            unsure = (~inside).nonzero()[:, 0]
            if len(unsure):
                distance = _of_pairs(centres, at[unsure], points, column[unsure])
                radius = squared_radii[at[unsure]]
                inside[unsure] = distance <= radius if closed else distance < radius
            at, column = at[inside], column[inside]
            per_centre += torch.bincount(at, minlength=len(centres))
            per_point += torch.bincount(column, minlength=len(points))
            sole += torch.bincount(column[per_centre[at] == 1], minlength=len(points))
    return Hits(per_centre, per_point, sole)


def _up(values: Tensor) -> Tensor:
    return torch.nextafter(values, values.new_tensor(torch.inf))
