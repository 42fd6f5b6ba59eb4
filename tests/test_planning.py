"""Planned power is what simulated claims reach, and spreads are estimated as they are."""

import math

import numpy as np
import pytest

from divbench.errors import ResultError
from divbench.gains import measure_gain
from divbench.planning import MOST, needed, power, spread_of
from tests.records import make_score


def scores(rng, mean, sets, seed_sd, noise):
    """Scores [sets, classes] of a method: ``mean`` [classes], seeds' effects and noise of single values."""
    table = mean + seed_sd * rng.normal(size=(sets, 1)) + noise * rng.normal(size=(sets, len(mean)))
    return make_score(values=tuple(table.mean(1).tolist()), per_class=tuple(map(tuple, table.tolist())), interval=None)


def simulated(trials, gain, classes, class_sd, seed_sd=0.0, seeds=1, level=0.95, noise_sd=None):
    """Share of trials in which `measure_gain` shows the gain; where classes are fixed, so are their gains."""
    rng = np.random.default_rng(seeds * classes)
    noise = class_sd if noise_sd is None else noise_sd
    shown = 0
    for _ in range(trials):
        own = (class_sd**2 - noise**2) ** 0.5 * rng.normal(size=classes)
        after = gain + own - (own.mean() if seeds > 1 else 0)
        found = measure_gain(
            scores(rng, np.zeros(classes), seeds, seed_sd, noise / 2**0.5),
            scores(rng, after, seeds, seed_sd, noise / 2**0.5),
            level=level,
        )
        shown += found.p <= 1 - level and found.effect > 0
    return shown / trials


CASES = [
    {"gain": 0.8, "classes": 6, "class_sd": 0.5},
    {"gain": 0.6, "classes": 6, "class_sd": 0.5},
    {"gain": 0.5, "classes": 7, "class_sd": 0.5},
    {"gain": 0.5, "classes": 10, "class_sd": 0.6},
    {"gain": 0.3, "classes": 17, "class_sd": 0.6},
    {"gain": 0.5, "classes": 8, "class_sd": 0.2, "level": 0.99},
    {"gain": 0.48, "classes": 9, "class_sd": 0.4, "level": 0.99},
    {"gain": 0.5, "classes": 8, "class_sd": 0.5, "level": 0.961},
    {"gain": 0.75, "classes": 7, "class_sd": 0.5},
    {"gain": 0.6, "classes": 12, "class_sd": 0.4, "level": 0.999},
    {"gain": 0.5, "classes": 10, "class_sd": 0.15, "seed_sd": 0.3},
    {"gain": 0.5, "classes": 10, "class_sd": 0.6, "seeds": 2},
    {"gain": 0.5, "classes": 10, "class_sd": 0.8, "seed_sd": 0.1, "seeds": 3},
    {"gain": 0.5, "classes": 3, "class_sd": 0.4, "seed_sd": 0.2, "seeds": 5},
    {"gain": 0.5, "classes": 100, "class_sd": 1.0, "seed_sd": 0.3, "seeds": 5, "noise_sd": 0.5},
    {"gain": 0.5, "classes": 10, "class_sd": 1.5, "seed_sd": 0.3, "seeds": 10, "noise_sd": 1.0},
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: "-".join(map(str, case.values())))
def test_power_is_that_of_simulated_claims(case):
    """Within 5 points; 1000 trials have a standard error of 1.6 points at most."""
    assert power(**case) == pytest.approx(simulated(1000, **case), abs=0.05)


def test_no_gain_is_shown_as_rarely_as_the_level_says():
    assert power(0, 30, 0.1) == pytest.approx(0.025, abs=1e-3)
    assert power(0, 10, 0.1, seeds=50) == pytest.approx(0.025, abs=1e-3)
    assert power(-1, 30, 0.1) < 1e-6


def test_all_classes_must_agree_where_there_are_six():
    """Six classes reach p = 2 / 64 at least, by differences of one sign alone."""
    one_class = 0.5 * (1 + math.erf(0.5**0.5))  # of a gain of one standard deviation
    assert power(0.1, 6, 0.1) == pytest.approx(one_class**6)


@pytest.mark.parametrize("more", [{}, {"seed_sd": 0.02}, {"seed_sd": 0.02, "noise_sd": 0.01}, {"target": 0.95}])
def test_needed_seeds_are_the_fewest_that_reach_it(more):
    target = more.get("target", 0.8)
    rest = {key: value for key, value in more.items() if key != "target"}
    seeds = needed(0.02, 10, 0.05, **more).seeds
    assert seeds > 2
    assert power(0.02, 10, 0.05, seeds=seeds, **rest) >= target > power(0.02, 10, 0.05, seeds=seeds - 1, **rest)


@pytest.mark.parametrize("seeds", [1, 3])
def test_needed_classes_are_the_fewest_that_reach_it(seeds):
    classes = needed(0.02, 10, 0.05, seeds=seeds).classes
    assert power(0.02, classes, 0.05, seeds=seeds) >= 0.8 > power(0.02, classes - 1, 0.05, seeds=seeds)


def test_one_set_may_do_where_seeds_have_no_effect():
    assert needed(0.1, 10, 0.05).seeds == 1
    assert needed(0.3, 10, 0.05, seed_sd=0.001).seeds == 2
    assert needed(0.4, 5, 0.05).seeds == 2  # too few classes for sign flips


def test_classes_do_not_make_up_for_seeds():
    found = needed(0.02, 10, 0.05, seed_sd=0.05, seeds=3)
    assert found.classes is None
    assert found.seeds is not None
    assert needed(1e-4, 10, 0.05, seed_sd=0.05).seeds is None
    assert MOST == 1000


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"gain": math.nan}, "finite gain"),
        ({"class_sd": 0.0}, "class_sd > 0"),
        ({"seed_sd": -1.0}, "seed_sd >= 0"),
        ({"seeds": 0}, "seeds >= 1"),
        ({"level": 1.0}, r"level in \(0, 1\)"),
        ({"classes": 5}, "6 or more at level 0.95, and there are 5"),
        ({"classes": 7, "level": 0.99}, "8 or more at level 0.99"),
        ({"seeds": 2, "noise_sd": 0.0}, "differ by nothing"),
    ],
)
def test_bad_plans_are_refused(settings, message):
    with pytest.raises(ResultError, match=message):
        power(**{"gain": 0.1, "classes": 10, "class_sd": 0.1, **settings})


def test_a_power_is_a_share():
    with pytest.raises(ResultError, match=r"power in \(0, 1\), got 80"):
        needed(0.1, 10, 0.1, target=80)


def test_spread_of_single_sets():
    first, second = (
        make_score(values=(sum(row) / 4,), per_class=(row,)) for row in ((0.1, 0.2, 0.3, 0.4), (0.2, 0.2, 0.5, 0.7))
    )
    spread = spread_of(first, second)
    assert spread.class_sd == pytest.approx(np.std([0.1, 0.0, 0.2, 0.3], ddof=1))
    assert (spread.seed_sd, spread.noise_sd) == (None, None)


@pytest.mark.parametrize("sets", [(3, 3), (1, 4)])
def test_spread_of_several_sets_is_estimated_without_bias(sets):
    """Squares, over 600 trials: gains of classes 0.04, noise 0.03 on each side, seeds 0.02."""
    rng = np.random.default_rng(sum(sets))
    found = []
    for _ in range(600):
        own = 0.1 + 0.04 * rng.normal(size=20)
        sides = (np.zeros(20), own)
        found.append(spread_of(*(scores(rng, m, k, 0.02, 0.03) for m, k in zip(sides, sets, strict=True))))
    for key, true in (("class_sd", 0.04**2 + 2 * 0.03**2), ("seed_sd", 0.02**2), ("noise_sd", 2 * 0.03**2)):
        assert np.mean([getattr(one, key) ** 2 for one in found]) == pytest.approx(true, rel=0.08), key


def test_spread_needs_classes():
    whole = make_score(values=(0.1,), per_class=(), scope="dataset")
    one = make_score(values=(0.1,), per_class=((0.1,),))
    for score in (whole, one):
        with pytest.raises(ResultError, match="two or more classes"):
            spread_of(score, score)
    with pytest.raises(ResultError, match="same classes"):
        spread_of(make_score(), make_score(values=(0.1,), per_class=((0.1, 0.1),)))
