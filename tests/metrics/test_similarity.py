"""Mean cosine and prototype distance against plain definitions."""

import math

import pytest
import torch
from sklearn.metrics.pairwise import cosine_similarity

from divbench.metrics.similarity import cosine, prototype_distance


@pytest.mark.parametrize("n", [2, 3, 10, 200])
def test_cosine_is_the_mean_off_the_diagonal(n):
    x = torch.randn(n, 20, generator=torch.Generator().manual_seed(n)) + 0.5
    table = cosine_similarity(x.double().numpy())
    assert cosine(x) == pytest.approx((table.sum() - n) / (n * (n - 1)), rel=1e-12)


def test_cosine_does_not_divide_by_n_squared():
    """The mean of torchmetrics' matrix with a zeroed diagonal is (n - 1) / n of the true value."""
    from torchmetrics.functional.pairwise import pairwise_cosine_similarity

    x = torch.rand(10, 20, generator=torch.Generator().manual_seed(0)).double()
    assert float(pairwise_cosine_similarity(x).mean()) == pytest.approx(0.9 * cosine(x), rel=1e-12)


def test_cosine_of_identical_opposite_and_single_rows():
    assert cosine(torch.ones(5, 3)) == pytest.approx(1)
    assert cosine(torch.tensor([[1.0, 0], [-1.0, 0]])) == pytest.approx(-1)
    assert math.isnan(cosine(torch.ones(1, 3)))


def test_prototype_distance_by_definition():
    x = torch.randn(15, 8, generator=torch.Generator().manual_seed(1)).double() + 1
    expected = 1 - torch.nn.functional.cosine_similarity(x, x.mean(0, keepdim=True)).mean()
    assert prototype_distance(x) == pytest.approx(float(expected), rel=1e-12)
    assert prototype_distance(x[:1]) == pytest.approx(0, abs=1e-15)
    assert math.isnan(prototype_distance(torch.tensor([[1.0, 0], [-1.0, 0]])))
