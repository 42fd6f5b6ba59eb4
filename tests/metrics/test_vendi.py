"""Vendi Score and RKE against vendi-score, closed forms and the bound that ties them to the mean cosine."""

import math

import pytest
import torch
from vendi_score import vendi as reference

from divbench.errors import InputError, ProtocolError
from divbench.metrics.similarity import cosine
from divbench.metrics.vendi import rke, rke_unbiased, vendi, vendi_bound


def rows(n, d, seed=0, offset=0.0):
    return torch.randn(n, d, generator=torch.Generator().manual_seed(seed)).double() + offset


@pytest.mark.parametrize(("n", "d"), [(1, 8), (10, 512), (50, 512), (300, 32), (64, 64)])
@pytest.mark.parametrize("offset", [0.0, 2.0, 100.0])
def test_equal_to_vendi_score_in_float64(n, d, offset):
    x = rows(n, d, offset=offset)
    assert vendi(x) == pytest.approx(reference.score_X(x.numpy()), rel=1e-9)


@pytest.mark.parametrize("q", [0.5, 2, 3.5])
def test_other_orders_equal_vendi_score_of_the_kernel(q):
    """vendi-score's score_X ignores q; its score_K does not."""
    x = torch.nn.functional.normalize(rows(8, 30))  # full rank: the n x n kernel has no spurious eigenvalues
    assert vendi(x, q) == pytest.approx(reference.score_K((x @ x.T).numpy(), q=q), rel=1e-9)


def test_closed_forms():
    assert vendi(torch.eye(7)) == pytest.approx(7)
    assert vendi(torch.ones(9, 5)) == pytest.approx(1)
    two = torch.tensor([[1.0, 0.0], [math.cos(0.7), math.sin(0.7)]])
    high, low = (1 + math.cos(0.7)) / 2, (1 - math.cos(0.7)) / 2
    assert vendi(two) == pytest.approx(math.exp(-high * math.log(high) - low * math.log(low)), rel=1e-7)
    assert vendi(two, math.inf) == pytest.approx(1 / high, rel=1e-7)
    assert vendi(two, 0) == 2
    assert rke(two) == pytest.approx(1 / (high**2 + low**2), rel=1e-7)
    assert rke_unbiased(two) == pytest.approx(1 / math.cos(0.7) ** 2, rel=1e-6)


def test_repeating_the_whole_set_changes_nothing_but_the_unbiased_form():
    x = rows(12, 6, offset=0.5)
    assert vendi(x.repeat(3, 1)) == pytest.approx(vendi(x), rel=1e-12)
    assert rke(x.repeat(3, 1)) == pytest.approx(rke(x), rel=1e-12)
    assert rke_unbiased(x.repeat(3, 1)) < rke_unbiased(x)


def test_rke_is_vendi_of_order_two():
    for x in (rows(40, 6), rows(6, 40, offset=1)):
        assert rke(x) == pytest.approx(vendi(x, 2), rel=1e-12)


def test_unbiased_rke_does_not_depend_on_n():
    """1 / RKE is a V-statistic and biased by 1/n; without its diagonal it is unbiased, so its mean is flat in n."""
    big = rows(20_000, 16, offset=0.6)
    limit = 1 / rke_unbiased(big)
    for n in (5, 20, 100):
        chunks = big.split(n)[:200]
        inverse = torch.tensor([1 / rke_unbiased(c) for c in chunks])
        biased = torch.tensor([1 / rke(c) for c in chunks])
        error = 4 * float(inverse.std()) / 200**0.5
        assert abs(float(inverse.mean()) - limit) < error
        assert float(biased.mean()) - limit > (1 - limit) / n / 2


@pytest.mark.parametrize("offset", [0.1, 0.5, 1.0, 5.0])
@pytest.mark.parametrize("n", [2, 10, 50])
def test_bound_by_the_mean_cosine(offset, n):
    for seed in range(5):
        x = rows(n, 64, seed, offset)
        assert vendi(x) <= vendi_bound(n, cosine(x)) * (1 + 1e-12)


def test_bound_is_attained_by_equal_cosines():
    s, n = 0.6, 8
    gram = torch.full((n, n), s, dtype=torch.float64) + (1 - s) * torch.eye(n, dtype=torch.float64)
    assert vendi(torch.linalg.cholesky(gram)) == pytest.approx(vendi_bound(n, s), rel=1e-9)


def test_one_row_and_orthogonal_rows():
    assert vendi(torch.ones(1, 4)) == 1
    assert rke(torch.ones(1, 4)) == 1
    assert math.isnan(rke_unbiased(torch.ones(1, 4)))
    assert math.isnan(rke_unbiased(torch.eye(4)))


def test_all_zero_rows_are_refused():
    x = torch.ones(5, 3)
    x[2] = 0
    with pytest.raises(InputError, match=r"1 of 5 embeddings are all zero \(the first is row 2\)"):
        vendi(x)


def test_huge_and_tiny_rows_do_not_overflow():
    x = rows(10, 6)
    for scale in (1e-200, 1e200):
        assert vendi(x * scale) == pytest.approx(vendi(x), rel=1e-12)


def test_negative_order():
    with pytest.raises(ProtocolError, match="q must be >= 0, got -1"):
        vendi(torch.eye(3), -1)
