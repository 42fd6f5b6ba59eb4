"""Intervals hit as often as they say and tests err as often as they say, on known laws."""

import itertools

import numpy as np
import pytest
import torch
from scipy import stats

from divbench.metrics import METRICS
from divbench.metrics.balls import coverage
from divbench.statistics import (
    fewest_classes,
    holm,
    jackknife_half_width,
    paired_over_classes,
    sign_flip_p,
    t_half_width,
    two_sided_p,
    welch,
)


def test_t_interval_is_scipys():
    values = [0.3, 0.5, 0.1, 0.9]
    low, high = stats.t.interval(0.9, 3, loc=np.mean(values), scale=stats.sem(values))
    assert t_half_width(values, 0.9) == pytest.approx((high - low) / 2, rel=1e-9)


def test_jackknife_of_means_is_the_stratified_standard_error():
    """For the mean of each stratum the jackknife variance is s^2 / n exactly."""
    rng = np.random.default_rng(0)
    data = [rng.normal(size=n) for n in (5, 9, 30)]
    left_out = [[float(np.delete(x, i).mean()) for i in range(len(x))] for x in data]
    variances = np.array([x.var(ddof=1) / len(x) for x in data])
    degrees = variances.sum() ** 2 / sum(v**2 / (len(x) - 1) for v, x in zip(variances, data, strict=True))
    expected = stats.t.ppf(0.975, degrees) * variances.sum() ** 0.5 / 3
    assert jackknife_half_width(left_out) == pytest.approx(expected, rel=1e-9)


def test_jackknife_without_variation_is_zero_wide():
    assert jackknife_half_width([[1.0, 1.0], [2.0, 2.0]]) == 0


def test_sign_flips_are_enumerated():
    difference = np.array([0.5, 1.0, -0.2, 0.9, 1.1])
    sums = [
        abs(sum(s * d for s, d in zip(signs, difference, strict=True)))
        for signs in itertools.product((1, -1), repeat=5)
    ]
    p = sign_flip_p(difference)
    assert p == np.mean([s >= difference.sum() - 1e-12 for s in sums])


def test_smallest_p_of_ten_classes():
    assert paired_over_classes([0.0] * 10, [1.0 + 0.1 * i for i in range(10)]).p == 2 / 2**10


def test_many_classes_are_sampled_with_a_fixed_seed():
    difference = np.random.default_rng(1).normal(0.1, 1, 60)
    p = sign_flip_p(difference)
    assert p == sign_flip_p(difference)
    assert p == pytest.approx(stats.ttest_1samp(difference, 0).pvalue, abs=0.02)


@pytest.mark.parametrize("classes", [12, 17, 24, 61])
def test_looked_up_sums_are_the_sums(classes):
    """p-values are those of the plain product with the same signs; shares of 20 images, whose sums often tie."""
    rng = np.random.default_rng(classes)
    draws = np.random.default_rng(0)
    if classes <= 16:
        signs = np.array(list(itertools.product((1, -1), repeat=classes)))
    else:
        signs = np.concatenate([1 - 2 * draws.integers(0, 2, (5000 - (i == 19), classes), np.int8) for i in range(20)])
    for _ in range(5):
        counts = rng.integers(-4, 7, classes)
        extreme = (np.abs(signs.astype(int) @ counts) >= abs(counts.sum())).sum()
        p = sign_flip_p(counts / 20)
        assert p == (extreme / len(signs) if classes <= 16 else (extreme + 1) / 100_000)


def test_an_effect_of_nothing_has_p_one():
    assert sign_flip_p(np.zeros(10)) == sign_flip_p(np.zeros(30)) == 1
    assert sign_flip_p(np.array([0.1, 0.2, -0.3])) == 1  # 0.1 + 0.2 - 0.3 is not 0 in binary


@pytest.mark.parametrize("level", [0.5, 0.75, 0.9, 0.95, 0.99, 0.999])
def test_fewest_classes_are_those_that_reach_the_level(level):
    fewest = fewest_classes(level)
    assert 2 / 2**fewest <= 1 - level + 1e-12
    assert fewest == 2 or 2 / 2 ** (fewest - 1) > 1 - level


def test_welch_is_scipys():
    first, second = [0.1, 0.4, 0.2], [0.5, 0.9, 0.3, 0.8, 0.7]
    test = stats.ttest_ind(second, first, equal_var=False)
    error, degrees = welch(first, second)
    effect = np.mean(second) - np.mean(first)
    assert (effect / error, degrees) == pytest.approx((test.statistic, test.df), rel=1e-9)
    assert two_sided_p(-effect, error, degrees) == pytest.approx(test.pvalue, rel=1e-9)
    assert two_sided_p(1.96, 1.0, np.inf) == pytest.approx(0.05, abs=1e-4)
    assert welch([0.25, 0.25], [0.5, 0.5, 0.5]) == (0.0, 1.0)


def test_holm_by_hand():
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.9, 0.8]) == [1.0, 1.0]


def test_pairs_must_match():
    with pytest.raises(ValueError, match="got 2 and 3"):
        paired_over_classes([1, 2], [1, 2, 3])


@pytest.mark.parametrize("classes", [10, 25])
def test_paired_test_errs_at_its_nominal_level(classes):
    """Two methods of the same law: p < 0.05 in 3 to 7 % of 1500 trials, with classes of very unequal difficulty."""
    rng = np.random.default_rng(classes)
    level = rng.uniform(0.05, 0.9, classes)
    draws = rng.binomial(50, level, size=(1500, 2, classes)) / 50
    share = np.mean([paired_over_classes(a, b).p < 0.05 for a, b in draws])
    assert 0.03 <= share <= 0.07


def simulate(metric, trials, classes, images, width):
    """Hit rate of the jackknife interval for the class average over fresh synthetic sets; the real rows are fixed."""
    g = torch.Generator().manual_seed(1)
    means = torch.randn(classes, 1, width, generator=g)
    reals = list(means + torch.randn(classes, 150, width, generator=g))
    values, halves = [], []
    for _ in range(trials):
        fakes = means + 0.9 * torch.randn(classes, images, width, generator=g)
        values.append(np.mean([metric(real, fake) for real, fake in zip(reals, fakes, strict=True)]))
        left_out = [metric.left_out(real, fake).tolist() for real, fake in zip(reals, fakes, strict=True)]
        halves.append(jackknife_half_width(left_out))
    return float(np.mean(np.abs(np.array(values) - np.mean(values)) <= halves))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "classes", "images"), [("coverage", 10, 20), ("vendi", 10, 20), ("cosine", 10, 10), ("density", 10, 10)]
)
def test_jackknife_interval_hits_as_often_as_it_says(name, classes, images):
    """93 to 97 % for a 95 % interval; the bounds allow three standard errors of 400 trials beside that."""
    rate = simulate(METRICS[name], 400, classes, images, 6)
    assert 0.93 - 0.03 <= rate <= 0.97 + 0.03


def test_bootstrap_with_replacement_would_miss_its_own_estimate():
    """Why there is no bootstrap here: its percentile interval for coverage lies wholly below the estimate."""
    g = torch.Generator().manual_seed(2)
    real, fake = torch.randn(300, 6, generator=g), torch.randn(40, 6, generator=g)
    again = [coverage(real, fake[torch.randint(40, (40,), generator=g)]) for _ in range(300)]
    assert np.quantile(again, 0.975) < coverage(real, fake)
