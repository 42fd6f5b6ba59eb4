"""Coverage, density, precision and recall against prdc, closed forms and simulation."""

import contextlib
import io
import math

import pytest
import torch
from prdc import compute_prdc

from divbench.metrics.balls import coverage, density, iid_coverage, precision, recall


def prdc(real, fake, k):
    with contextlib.redirect_stdout(io.StringIO()):
        return compute_prdc(real.double().numpy(), fake.double().numpy(), k)


def scene(kind, seed):
    g = torch.Generator().manual_seed(seed)
    if kind == "relu features":  # like a penultimate layer: non-negative, far from the origin
        return torch.randn(400, 512, generator=g).relu() + 3, (torch.randn(60, 512, generator=g) * 0.9).relu() + 3
    if kind == "low dimension":
        return torch.randn(300, 5, generator=g), torch.randn(150, 5, generator=g) * 0.7
    if kind == "integer ties":  # exact ties everywhere, and sums that every float format represents
        return torch.randint(-3, 4, (200, 4), generator=g).float(), torch.randint(-3, 4, (90, 4), generator=g).float()
    real = torch.randint(-9, 10, (200, 6), generator=g).float()
    real[20:32] = real[0]  # "duplicates": a dozen exact copies, and synthetic rows copied from real ones
    return real, torch.cat([real[15:40], torch.randint(-9, 10, (30, 6), generator=g).float()])


@pytest.mark.parametrize("kind", ["relu features", "low dimension", "integer ties", "duplicates"])
@pytest.mark.parametrize("k", [1, 3, 5, 12])
def test_equal_to_prdc_in_every_decision(kind, k):
    for seed in range(3):
        real, fake = scene(kind, seed)
        ours = {f.__name__: f(real, fake, k) for f in (precision, recall, density, coverage)}
        theirs = prdc(real, fake, k)
        assert ours["density"] == pytest.approx(theirs["density"], rel=1e-14)
        for key in ("precision", "recall", "coverage"):
            assert ours[key] == theirs[key], key


@pytest.mark.parametrize("m", [1, 2, 5, 6])
def test_few_synthetic_rows_where_prdc_raises(m):
    """prdc raises for M <= k + 1, although coverage, density and precision need no synthetic radii."""
    real, fake = scene("low dimension", 0)
    few = fake[:m]
    with pytest.raises(ValueError, match="kth"):
        prdc(real, few, 5)
    distance = torch.cdist(real.double(), few.double())
    radius = torch.cdist(real.double(), real.double()).kthvalue(6).values
    inside = distance < radius[:, None]
    assert coverage(real, few) == inside.any(1).double().mean()
    assert precision(real, few) == inside.any(0).double().mean()
    assert math.isnan(recall(real, few)) == (m <= 5)


def test_the_real_set_covers_itself_and_more_rows_never_cover_less():
    real, fake = scene("low dimension", 1)
    assert coverage(real, real) == 1
    assert precision(real, real) == 1
    values = [coverage(real, fake[:m]) for m in range(1, 150, 10)]
    assert values == sorted(values)


def test_which_argument_is_real():
    """A mode is dropped: coverage and recall fall, precision does not. A mode is invented: the other way round."""
    g = torch.Generator().manual_seed(2)
    one, two = torch.randn(200, 4, generator=g), torch.randn(200, 4, generator=g) + 50
    both = torch.cat([one, two])
    again = torch.cat([torch.randn(200, 4, generator=g), torch.randn(200, 4, generator=g) + 50])
    dropped, invented = (both, again[:200]), (one, again)
    assert (coverage(*dropped), recall(*dropped)) <= (0.5, 0.5)
    assert precision(*dropped) > 0.9
    assert coverage(*invented) > 0.9
    assert precision(*invented) <= 0.5


def test_duplicates_in_the_real_set_need_closed_balls():
    real = torch.cat([torch.zeros(10, 2), torch.arange(20).float()[:, None] + torch.tensor([[50.0, 50.0]])])
    fake = torch.zeros(1, 2)
    assert coverage(real, fake, 5) == 0
    assert coverage(real, fake, 5, closed=True) == pytest.approx(1 / 3)


@pytest.mark.parametrize(("n", "m", "k"), [(60, 10, 5), (40, 40, 3), (100, 5, 1)])
@pytest.mark.parametrize("law", ["normal", "cauchy"])
def test_iid_yardstick_by_simulation(n, m, k, law):
    """The expectation does not depend on the law, within four standard errors of 400 draws."""
    g = torch.Generator().manual_seed(n + m)
    draws = torch.randn(400, n + m, 2, generator=g)
    draws = draws / torch.randn(400, n + m, 1, generator=g) if law == "cauchy" else draws
    covered = torch.tensor([coverage(rows[:n], rows[n:], k) for rows in draws])
    counts = torch.tensor([density(rows[:n], rows[n:], k) for rows in draws])
    assert abs(float(covered.mean()) - iid_coverage(n, m, k)) < 4 * float(covered.std()) / 20
    assert abs(float(counts.mean()) - 1) < 4 * float(counts.std()) / 20


def test_iid_yardstick_matches_the_printed_table():
    for n, row in {5000: (0.001, 0.0099, 0.0486, 0.0943), 500: (0.010, 0.0948, 0.3808, 0.6001)}.items():
        for m, expected in zip((1, 10, 50, 100), row, strict=True):
            assert iid_coverage(n, m, 5) == pytest.approx(expected, abs=6e-4 if m == 1 else 6e-5)


def test_copies_of_the_mean_reach_full_coverage_in_high_dimension():
    """Hubness: why coverage alone shows no diversity, and why the collapse control is always scored."""
    g = torch.Generator().manual_seed(3)
    real = torch.randn(300, 512, generator=g)
    mean = real.mean(0, keepdim=True) + 1e-3 * torch.randn(50, 512, generator=g)
    assert coverage(real, mean) == 1.0
