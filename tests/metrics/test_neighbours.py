"""Radii and ball membership are those of exact arithmetic, whatever the data do to float32."""

import gc
import weakref
from fractions import Fraction

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from divbench.errors import InputError
from divbench.metrics import _neighbours
from divbench.metrics._neighbours import Memory, hits, radii, remembering, squared_distances


def exact_squared(a, b):
    """Squared distance in rational arithmetic."""
    return sum((Fraction(float(x)) - Fraction(float(y))) ** 2 for x, y in zip(a.tolist(), b.tolist(), strict=True))


def brute(real, fake, k, closed):
    table = [[exact_squared(x, y) for y in fake] for x in real]
    limits = [sorted(exact_squared(x, y) for j, y in enumerate(real) if j != i)[k - 1] for i, x in enumerate(real)]
    inside = [[d <= r if closed else d < r for d in row] for row, r in zip(table, limits, strict=True)]
    return torch.tensor(inside)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10_000), st.booleans(), st.sampled_from([1.0, 1e-20, 3e15]), st.sampled_from([0.0, 50.0, 1e4]))
def test_decisions_are_exact(seed, closed, scale, offset):
    g = torch.Generator().manual_seed(seed)
    real = (torch.randint(-3, 4, (14, 3), generator=g).float() + offset) * scale
    fake = (torch.randint(-3, 4, (9, 3), generator=g).float() + offset) * scale
    expected = brute(real, fake, 3, closed)
    found = hits(real, radii(real, 3), fake, closed)
    assert torch.equal(found.per_centre, expected.sum(1))
    assert torch.equal(found.per_point, expected.sum(0))
    assert torch.equal(found.sole, expected[expected.sum(1) == 1].sum(0))


def test_near_ties_far_below_float32_resolution_are_decided_exactly():
    """Rows 100 from the origin whose distances differ in the twelfth digit: float32 products see no difference."""
    base = torch.full((1, 4), 100.0, dtype=torch.float64)
    steps = 1 + 1e-9 * torch.arange(40, dtype=torch.float64)
    real = base + torch.cat([torch.zeros(1), steps])[:, None] * torch.tensor([[1.0, 0, 0, 0]], dtype=torch.float64)
    assert torch.equal(radii(real, 5)[0], squared_distances(real[:1], real[5:6])[0])
    limit = radii(real, 5)[:1]
    points = (
        base + torch.tensor([[1 + 4e-9], [1 + 3.9e-9], [1 + 4.1e-9]], dtype=torch.float64) * torch.eye(4).double()[:1]
    )
    points[0] = real[5]
    assert hits(real[:1], limit, points).per_point.tolist() == [0, 1, 0]
    assert hits(real[:1], limit, points, closed=True).per_point.tolist() == [1, 1, 0]


def test_more_near_ties_than_candidates():
    """Forty rows at the same distance up to 1e-12: the k-th is found among all of them."""
    g = torch.Generator().manual_seed(0)
    directions = torch.nn.functional.normalize(torch.randn(40, 6, generator=g, dtype=torch.float64))
    real = torch.cat([torch.zeros(1, 6, dtype=torch.float64), directions * (1 + 1e-12 * torch.arange(40)[:, None])])
    expected = torch.stack([squared_distances(real[:1], real[i : i + 1])[0] for i in range(1, 41)]).sort().values
    for k in (1, 5, 17):
        assert radii(real, k)[0] == expected[k - 1]


def test_many_exact_duplicates_have_radius_zero():
    real = torch.cat([torch.zeros(3000, 8), torch.randn(10, 8, generator=torch.Generator().manual_seed(1))])
    assert bool((radii(real, 5)[:3000] == 0).all())


def test_block_size_changes_nothing(monkeypatch):
    g = torch.Generator().manual_seed(3)
    real, fake = torch.randn(200, 16, generator=g), torch.randn(70, 16, generator=g)
    whole = (radii(real, 5), hits(real, radii(real, 5), fake))
    monkeypatch.setattr(_neighbours, "_BLOCK", 1000)
    real, fake = real.clone(), fake.clone()
    again = (radii(real, 5), hits(real, radii(real, 5), fake))
    assert torch.equal(whole[0], again[0])
    assert all(torch.equal(a, b) for a, b in zip(whole[1], again[1], strict=True))


def test_distance_is_symmetric_and_independent_of_its_batch():
    g = torch.Generator().manual_seed(4)
    a, b = torch.randn(300, 513, generator=g), torch.randn(300, 513, generator=g)
    together = squared_distances(a, b)
    assert torch.equal(together, squared_distances(b, a))
    assert torch.equal(together, torch.cat([squared_distances(x[None], y[None]) for x, y in zip(a, b, strict=True)]))


def test_nothing_is_remembered_by_itself():
    """Not even writes that leave no trace in the tensor's version, such as numpy's."""
    array = torch.randn(30, 4, generator=torch.Generator().manual_seed(5)).numpy()
    real = torch.from_numpy(array)
    before = radii(real, 2)
    array *= 2
    assert torch.allclose(radii(real, 2), 4 * before)


def test_inside_remembering_nothing_is_computed_twice_and_nothing_outlives_it(monkeypatch):
    calls = []
    original = _neighbours._radii
    monkeypatch.setattr(_neighbours, "_radii", lambda rows, k: calls.append(k) or original(rows, k))
    real = torch.randn(30, 4, generator=torch.Generator().manual_seed(6))
    gone = weakref.ref(real)
    with remembering(Memory()):
        for fake in torch.randn(20, 5, 4):
            hits(real, radii(real, 3), fake)
        assert calls == [3]
        radii(real, 4)
    assert calls == [3, 4]
    del real
    gc.collect()
    assert gone() is None


def test_radii_can_be_kept_elsewhere():
    real = torch.randn(30, 4, generator=torch.Generator().manual_seed(6))
    seven = torch.full((30,), 7.0, dtype=torch.float64)
    with remembering(Memory(keep=lambda rows, k, compute: seven)):
        assert radii(real, 2) is seven


def test_reduced_precision_of_the_caller_is_not_used_and_is_restored():
    g = torch.Generator().manual_seed(7)
    real, fake = torch.randn(1000, 512, generator=g).relu() + 3, torch.randn(100, 512, generator=g).relu() + 3
    expected = hits(real, radii(real, 5), fake)
    with torch.autocast("cpu", torch.bfloat16):
        inside = hits(real, radii(real, 5), fake)
        assert torch.is_autocast_enabled("cpu")
    torch.set_float32_matmul_precision("medium")
    try:
        medium = hits(real, radii(real, 5), fake)
        assert torch.get_float32_matmul_precision() == "medium"
    finally:
        torch.set_float32_matmul_precision("highest")
    before = torch.backends.mkldnn.matmul.fp32_precision
    torch.backends.mkldnn.matmul.fp32_precision = "bf16"
    try:
        newer = hits(real, radii(real, 5), fake)
        assert torch.backends.mkldnn.matmul.fp32_precision == "bf16"
    finally:
        torch.backends.mkldnn.matmul.fp32_precision = before
    for found in (inside, medium, newer):
        assert all(torch.equal(a, b) for a, b in zip(found, expected, strict=True))


@pytest.mark.parametrize("width", [3, 64, 2000])
@pytest.mark.parametrize("far", [0.0, 1e3, 1e25])
def test_the_bounds_hold_where_rounding_is_worst(width, far):
    """Rows far from the origin with many near ties, and one row so far away that its squares overflow float32."""
    g = torch.Generator().manual_seed(width)
    real = torch.randn(60, width, generator=g, dtype=torch.float64) * 1e-4 + 1
    fake = real[:20] + 1e-6 * torch.randn(20, width, generator=g, dtype=torch.float64)
    if far:
        fake[0] = far
    table = torch.stack([squared_distances(row.expand(60, -1), real) for row in real])
    limit = table.fill_diagonal_(torch.inf).kthvalue(3, dim=1).values
    assert torch.equal(radii(real, 3), limit)
    inside = torch.stack([squared_distances(row.expand(20, -1), fake) for row in real]) < limit[:, None]
    assert torch.equal(hits(real, limit, fake).per_centre, inside.sum(1))
    assert torch.equal(hits(fake, torch.full((20,), 1e-9), real).per_point, _in_small_balls(fake, real))


def _in_small_balls(centres, points):
    return torch.stack([squared_distances(row.expand(len(points), -1), points) for row in centres]).lt(1e-9).sum(0)


def test_one_row_far_away_costs_no_memory():
    """No pair is judged by another's norm, so an outlier does not make all pairs unsure."""
    g = torch.Generator().manual_seed(8)
    real, fake = torch.randn(500, 64, generator=g), torch.randn(100, 64, generator=g)
    fake[0] *= 1000
    measured = []
    original = _neighbours._of_pairs
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            _neighbours, "_of_pairs", lambda a, rows, *rest: measured.append(len(rows)) or original(a, rows, *rest)
        )
        hits(real, radii(real, 5), fake)
    assert sum(measured) < 3 * len(real)


@pytest.mark.parametrize("k", [0, 10, 11])
def test_k_out_of_range(k):
    with pytest.raises(InputError, match=rf"k = {k} neighbours .* there are 10; give more images"):
        radii(torch.randn(10, 3), k)


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_not_finite_rows_are_named(bad):
    rows = torch.zeros(10, 3)
    rows[4, 1] = bad
    with pytest.raises(InputError, match="1 rows hold NaN or infinity, the first is row 4"):
        radii(rows, 2)


def test_widths_must_agree():
    real = torch.randn(10, 3)
    with pytest.raises(InputError, match="4 columns, the other matrix 3"):
        hits(real, radii(real, 2), torch.randn(5, 4))
