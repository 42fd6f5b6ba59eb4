"""Gains are told as large as they are, by the procedure that fits, and as rarely wrong as they say."""

import dataclasses
import math

import numpy as np
import pytest
from scipy import stats

from divbench.errors import ResultError
from divbench.gains import measure_gain
from divbench.results import Interval
from divbench.statistics import jackknife_half_width, sign_flip_p
from tests.records import make_score

JACKKNIFE = "jackknife over synthetic images"


def at_classes(table, metric="coverage", interval=None, **changes):
    """A score of [sets, classes]."""
    table = np.atleast_2d(table)
    values, rows = table.mean(1).tolist(), table.tolist()
    return make_score(metric, tuple(values), tuple(map(tuple, rows)), interval=interval, **changes)


def at_whole(values, interval=None, **changes):
    return make_score(values=tuple(values), per_class=(), scope="dataset", interval=interval, **changes)


def around(value, half, level=0.95, about="these sets"):
    return Interval(value - half, value + half, level, JACKKNIFE, about)


@pytest.fixture
def pair():
    rng = np.random.default_rng(0)
    first = rng.uniform(0.1, 0.5, 10)
    return first, first + rng.normal(0.03, 0.02, 10)


def test_one_set_of_each_is_paired_over_classes(pair):
    first, second = pair
    gain = measure_gain(at_classes(first), at_classes(second))
    low, high = stats.ttest_1samp(second - first, 0).confidence_interval(0.95)
    assert (gain.low, gain.effect, gain.high) == pytest.approx((low, (second - first).mean(), high), rel=1e-9)
    assert gain.p == sign_flip_p(second - first)
    assert (gain.about, gain.classes, gain.seeds) == ("these sets", 10, (1, 1))
    assert gain.procedure == "sign-flip over 10 classes; t interval over 10 classes"


@pytest.mark.parametrize("sets", [1, 3])
def test_a_fall_is_a_gain_where_lower_is_better(pair, sets):
    spread = 0.01 * np.arange(sets)[:, None]
    first, second = (one + spread for one in pair)
    up = measure_gain(at_classes(first), at_classes(second), margin=0.01)
    down = measure_gain(
        at_classes(-first, "cosine", higher_is_better=False),
        at_classes(-second, "cosine", higher_is_better=False),
        margin=0.01,
    )
    assert up.effect > 0
    assert dataclasses.replace(down, before=-down.before, after=-down.after) == up


@pytest.mark.parametrize("sets", [1, 4])
def test_the_margin_moves_the_test_and_not_the_interval(sets):
    rng = np.random.default_rng(1)
    first, second = rng.normal(0.3, 0.02, (sets, 10)), rng.normal(0.34, 0.02, (sets, 10))
    plain, strict = (measure_gain(at_classes(first), at_classes(second), margin=margin) for margin in (0.0, 0.03))
    assert (plain.low, plain.effect, plain.high) == (strict.low, strict.effect, strict.high)
    moved = measure_gain(at_classes(first + 0.03), at_classes(second))
    assert plain.p < strict.p == pytest.approx(moved.p, rel=1e-9)


def test_a_gain_of_exactly_the_margin_is_no_gain_beyond_it():
    """In binary 0.3 + 0.005 - 0.3 is not 0.005: rounding must not give all classes one sign."""
    first = np.linspace(0.1, 0.7, 10)
    gain = measure_gain(at_classes(first), at_classes(first + 0.005), margin=0.005)
    assert gain.p == 1
    assert measure_gain(at_classes(first), at_classes(first)).p == 1


def test_many_classes_are_flipped_at_random():
    table = np.random.default_rng(2).normal(0.3, 0.1, (2, 40))
    gain = measure_gain(at_classes(table[0]), at_classes(table[1]))
    assert "random patterns" in gain.procedure
    assert gain.p == sign_flip_p(table[1] - table[0])


def test_one_set_beside_several_is_paired_over_means(pair):
    first, second = pair
    several = np.stack([second - 0.01, second + 0.01])
    gain = measure_gain(at_classes(first), at_classes(several))
    assert gain.effect == pytest.approx((second - first).mean())
    assert (gain.about, gain.seeds) == ("these sets", (1, 2))
    assert gain.procedure.startswith("sign-flip over 10 classes")


def test_several_sets_are_tested_by_welch():
    rng = np.random.default_rng(3)
    first, second = rng.normal(0.3, 0.02, (3, 10)), rng.normal(0.33, 0.05, (5, 10))
    gain = measure_gain(at_classes(first), at_classes(second), level=0.9)
    test = stats.ttest_ind(second.mean(1), first.mean(1), equal_var=False)
    assert (gain.low, gain.high) == pytest.approx(test.confidence_interval(0.9), rel=1e-9)
    assert gain.p == pytest.approx(test.pvalue, rel=1e-9)
    assert (gain.about, gain.classes, gain.seeds) == ("the method", 10, (3, 5))
    assert gain.procedure == "Welch t over 3 and 5 sets, each the mean of the same 10 classes"
    whole = measure_gain(at_whole(first.mean(1)), at_whole(second.mean(1)), level=0.9)
    assert (whole.p, whole.classes) == (pytest.approx(gain.p), 0)
    assert whole.procedure == "Welch t over 3 and 5 sets"


def test_runs_on_one_set_are_about_that_set():
    first, second = (at_whole(values) for values in ((0.4, 0.41, 0.43), (0.5, 0.52, 0.55)))
    for units, about, how in (
        (("runs", "runs"), "these sets", "3 and 3 runs"),
        (("runs", "sets"), "these sets", "3 runs and 3 sets"),
        (("sets", "runs"), "these sets", "3 sets and 3 runs"),
        (("sets", "sets"), "the method", "3 and 3 sets"),
    ):
        gain = measure_gain(first, second, units=units)
        assert (gain.about, gain.procedure, gain.counted) == (about, f"Welch t over {how}", how)


@pytest.mark.parametrize("few", [1, 5])
def test_few_classes_take_the_intervals_of_the_scores(few):
    first, second = (
        at_classes(np.full(few, value), interval=around(value, half)) for value, half in ((0.3, 0.03), (0.5, 0.04))
    )
    gain = measure_gain(first, second, margin=0.15)
    assert (gain.effect, gain.high - gain.low) == pytest.approx((0.2, 0.1))
    assert gain.p == pytest.approx(0.05)  # the margin is the interval's lower end
    assert (gain.about, gain.classes) == ("these sets", few)
    assert JACKKNIFE in gain.procedure
    wide = measure_gain(first, second, level=0.99)
    assert wide.high - wide.effect == pytest.approx(0.05 * stats.norm.ppf(0.995) / stats.norm.ppf(0.975))
    other = at_classes(
        np.full(few, 0.5), interval=around(0.5, 0.04 * stats.norm.ppf(0.95) / stats.norm.ppf(0.975), 0.9)
    )
    assert measure_gain(first, other).high == pytest.approx(gain.high)


def test_a_fall_is_a_gain_by_intervals_too():
    first, second = (
        at_whole([value], around(value, 0.02), metric="cosine", higher_is_better=False) for value in (0.8, 0.7)
    )
    assert measure_gain(first, second).effect == pytest.approx(0.1)
    assert measure_gain(second, first).effect == pytest.approx(-0.1)


def test_how_many_classes_are_few_depends_on_the_level():
    first, second = (at_classes(np.linspace(v, v + 0.1, 6), interval=around(v + 0.05, 0.03)) for v in (0.3, 0.4))
    assert "sign-flip" in measure_gain(first, second, level=0.95).procedure
    assert "intervals" in measure_gain(first, second, level=0.99).procedure


@pytest.mark.parametrize(
    ("before", "after", "settings", "message"),
    [
        (at_classes([0.1] * 9 + [0.2]), at_whole([0.1]), {}, "got coverage at class scope and coverage at dataset"),
        (at_whole([0.1]), at_whole([0.2]), {}, "baseline is one set without an interval.*score several sets"),
        (at_whole([0.1], around(0.1, 0.1)), at_whole([0.2]), {}, "candidate is one set without an interval"),
        (at_whole([0.1]), at_whole([0.2]), {"units": ("runs", "runs")}, "is one student without.*train several runs"),
        (at_whole([0.1]), at_whole([0.2], higher_is_better=None), {}, "neither direction"),
        (at_whole([0.1], higher_is_better=None), at_whole([0.2], higher_is_better=None), {}, "neither direction"),
        (at_whole([0.1, None]), at_whole([0.2, 0.3]), {}, r"the baseline lacks 1 of 2 values \(sets\)"),
        (at_whole([0.1, 0.2]), at_whole([0.2, math.nan]), {}, "the candidate lacks 1 of 2 values"),
        (at_whole([]), at_whole([0.2]), {}, "the baseline has not one value for each set"),
        (at_classes([0.1, 0.2]), at_classes([0.1, 0.2, 0.3]), {}, "expected the same classes, got 2 and 3"),
        (at_whole([0.1, 0.1]), at_whole([0.2, 0.2]), {}, r"same value \(0.1; 0.2\)"),
        (at_whole([0.1, 0.2]), at_whole([0.1, 0.2, 0.3, 0.4]), {}, "two sets beside 4"),
        (at_whole([0.1, 0.2]), at_whole([0.1, 0.2]), {"level": 1.0}, "0 < level < 1"),
        (at_whole([0.1, 0.2]), at_whole([0.1, 0.2]), {"margin": math.nan}, "finite margin"),
    ],
)
def test_bad_input_is_told_in_one_line(before, after, settings, message):
    with pytest.raises(ResultError, match=message) as caught:
        measure_gain(before, after, **settings)
    assert "\n" not in str(caught.value)


def test_missing_classes_are_counted():
    holes = make_score(values=(None, 0.2), per_class=((0.1, None, None), (0.2, None, 0.2)))
    whole = make_score(values=(0.1, 0.2), per_class=((0.1,) * 3, (0.2,) * 3))
    with pytest.raises(ResultError, match=r"coverage at class scope: the candidate lacks 3 of 6 values \(classes"):
        measure_gain(whole, holes)


def rates(trials, truth=0.0):
    """Share of false alarms and share of intervals that hold the truth, of gains measured at that margin."""
    gains = [measure_gain(first, second, margin=truth) for first, second in trials]
    alarms = np.mean([gain.p <= 0.05 for gain in gains])
    return float(alarms), float(np.mean([gain.low <= truth <= gain.high for gain in gains]))


@pytest.mark.parametrize("classes", [10, 20])
def test_error_rates_over_classes(classes):
    """Classes of unequal difficulty and noise, gains that differ from class to class around 0.02; 1500 trials.

    The bounds leave three standard errors of 0.6 % around 4-6 %; half the noise would give 0.5 %, twice 30 %.
    """
    rng = np.random.default_rng(classes)
    level, noise = rng.uniform(0.2, 0.8, classes), rng.uniform(0.01, 0.05, classes)
    first, second = level + noise * rng.normal(size=(2, 1500, classes))
    second = second + 0.02 + rng.normal(0, 0.02, (1500, classes))
    alarms, hits = rates([(at_classes(a), at_classes(b)) for a, b in zip(first, second, strict=True)], 0.02)
    assert 0.03 <= alarms <= 0.07
    assert 0.93 <= hits <= 0.97


@pytest.mark.parametrize(("sets", "classes"), [((3, 3), 100), ((5, 5), 10), ((10, 10), 100), ((4, 6), 10)])
def test_error_rates_over_sets(sets, classes):
    """Seeds with effects that all classes share, gains that differ from class to class around 0.02; 2000 trials.

    Pairing the means over classes would err in 20-60 %. Three sets of each err in 3.3 % when all is normal.
    """
    rng = np.random.default_rng(classes + sum(sets))
    level, gains = rng.uniform(0.2, 0.8, classes), rng.normal(0, 0.02, classes)
    gains += 0.02 - gains.mean()
    tables = [
        mean + 0.01 * rng.normal(size=(2000, count, 1)) + 0.03 * rng.normal(size=(2000, count, classes))
        for mean, count in zip((level, level + gains), sets, strict=True)
    ]
    alarms, hits = rates([(at_classes(a), at_classes(b)) for a, b in zip(*tables, strict=True)], 0.02)
    assert (0.02 if min(sets) == 3 else 0.03) <= alarms <= 0.07
    assert alarms == pytest.approx(1 - hits)


def test_error_rates_of_intervals_put_together():
    """Three classes of ten images; a class's value is the mean over its images; 1500 trials."""
    rng = np.random.default_rng(5)
    images = rng.normal(0.3, 0.1, (1500, 2, 3, 10)) * np.array([0.5, 1.0, 2.0])[:, None]

    def scored(classes):
        means = classes.mean(1)
        left_out = (classes.sum(1, keepdims=True) - classes) / 9
        return at_classes(means, interval=around(means.mean(), jackknife_half_width(left_out.tolist())))

    alarms, hits = rates([(scored(a), scored(b)) for a, b in images])
    assert 0.03 <= alarms <= 0.07
    assert 0.93 <= hits <= 0.97
