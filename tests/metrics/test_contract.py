"""What holds for every registered metric, driven by its own declaration."""

import math

import pytest
import torch

from divbench.errors import InputError
from divbench.metrics import METRICS

EVERY = [pytest.param(metric, id=name) for name, metric in METRICS.items()]


def matrices(n=60, m=25, d=12, seed=0):
    g = torch.Generator().manual_seed(seed)
    return torch.randn(n, d, generator=g).double() + 1, torch.randn(m, d, generator=g).double() * 0.8 + 1


def test_the_issue_names_them_all():
    expected = "coverage cosine density precision prototype_distance recall rke rke_unbiased vendi"
    assert set(METRICS) == set(expected.split())


@pytest.mark.parametrize("metric", EVERY)
def test_declaration(metric):
    assert metric.summary.endswith(".")
    assert metric.cite
    assert metric.better in ("higher", "lower", None)


@pytest.mark.parametrize("metric", EVERY)
def test_in_bounds_and_deterministic(metric):
    for seed in range(4):
        real, fake = matrices(seed=seed)
        value = metric(real, fake)
        assert metric.bounds[0] - 1e-12 <= value <= metric.bounds[1] + 1e-12
        assert metric(real.clone(), fake.clone()) == value


@pytest.mark.parametrize("metric", EVERY)
def test_row_order_does_not_matter(metric):
    real, fake = matrices()
    g = torch.Generator().manual_seed(1)
    other = metric(real[torch.randperm(len(real), generator=g)], fake[torch.randperm(len(fake), generator=g)])
    assert other == pytest.approx(metric(real, fake), rel=1e-12)


@pytest.mark.parametrize("metric", EVERY)
def test_rotation_and_common_scale_do_not_matter(metric):
    real, fake = matrices()
    turn = torch.linalg.qr(torch.randn(12, 12, generator=torch.Generator().manual_seed(2)).double()).Q * 3
    assert metric(real @ turn, fake @ turn) == pytest.approx(metric(real, fake), rel=1e-9)


@pytest.mark.parametrize("metric", EVERY)
def test_left_out_values_are_those_without_the_row(metric):
    for m in (3, 8, 25):
        real, fake = matrices(m=m)
        fast = metric.left_out(real, fake)
        if fast is None:
            return
        slow = [metric(real, torch.cat([fake[:i], fake[i + 1 :]])) for i in range(m)]
        assert fast.tolist() == pytest.approx(slow, rel=1e-10, nan_ok=True)


@pytest.mark.parametrize("metric", EVERY)
def test_float32_and_float64_agree(metric):
    real, fake = matrices()
    real, fake = real.float(), fake.float()
    assert metric(real, fake) == pytest.approx(metric(real.double(), fake.double()), rel=1e-12)


@pytest.mark.parametrize("metric", EVERY)
@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_not_finite_embeddings_are_refused(metric, bad):
    real, fake = matrices()
    fake[3, 2] = bad
    with pytest.raises(InputError, match="the first is row 3"):
        metric(real, fake)


@pytest.mark.parametrize("metric", EVERY)
def test_no_rows_are_refused(metric):
    real, fake = matrices()
    with pytest.raises(InputError, match="expected a float matrix"):
        metric(real, fake[:0])


def test_collapse_lowers_every_measure_of_diversity_alone():
    """Pulling a set to its mean: what looks at the synthetic rows alone must say that diversity fell."""
    real, fake = matrices()
    pulled = fake.mean(0) + 0.2 * (fake - fake.mean(0))
    for _, metric in METRICS.items():
        if not metric.needs_real:
            better = metric(real, fake) > metric(real, pulled)
            assert better == (metric.better == "higher")
