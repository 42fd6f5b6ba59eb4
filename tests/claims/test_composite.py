"""Pulling a set towards its class means never passes as diversity, although its coverage rises."""

import dataclasses

import msgspec
import pytest
import torch

from divbench.claims.composite import measure_diversity
from divbench.errors import ResultError
from divbench.protocol import Controls, load_protocol
from divbench.results import mean
from divbench.scoring import score
from tests.embeddings import gaussian_classes
from tests.records import make_result, make_score

RULES = msgspec.structs.replace(
    load_protocol("quick"),
    metrics={"coverage": {"k": 5}, "vendi": {}, "cosine": {}},
    scopes=("class",),
    controls=Controls(random=0, kmeans=0, collapse=1),
)
CLASSES = 10


def trial(seed, pull=0.2, ipc=20, width=16):
    """Answers of the composite and of coverage alone, on a set and itself pulled to its means."""
    real = gaussian_classes(100, classes=CLASSES, width=width, seed=2 * seed, name="real")
    fake = gaussian_classes(ipc, classes=CLASSES, width=width, seed=2 * seed + 1, name="fake")
    means = torch.stack([fake.features[fake.labels == c].mean(0) for c in range(CLASSES)])[fake.labels]
    features = (1 - pull) * fake.features + pull * means
    pulled = dataclasses.replace(fake, features=features, source="pulled", name="pulled")
    found = measure_diversity(score(fake, real, RULES, device="cpu"), score(pulled, real, RULES, device="cpu"))
    return found.answer, found.conditions[0].answer


def rates(trials):
    answers = [trial(seed) for seed in range(trials)]
    return sum(a == "yes" for a, _ in answers), sum(c == "yes" for _, c in answers)


def sets(coverage, vendi, cosine, precision):
    """A result of some sets with these values, the same in all classes but for a little."""

    def scored(metric, values, reference=None, **changes):
        rows = tuple((value - 0.01, value, value + 0.01) for value in values)
        return make_score(metric, tuple(mean(row) for row in rows), rows, reference or {}, **changes)

    scores = (
        scored("coverage", coverage, {"collapse": (0.05,)}),
        scored("vendi", vendi, interval=None),
        scored("cosine", cosine, higher_is_better=False, interval=None),
        scored("precision", precision, interval=None),
    )
    centre = scores[0].value
    interval = msgspec.structs.replace(scores[0].interval, low=centre - 0.02, high=centre + 0.02)
    scores = (msgspec.structs.replace(scores[0], interval=interval), *scores[1:])
    return make_result(scores=scores, sets=len(coverage))


def third(before, after):
    """The third condition, of sides that are more diverse by all but precision; and the answer of all four."""
    found = measure_diversity(
        sets((0.10, 0.101, 0.102), (1.50, 1.51, 1.52), (0.80, 0.801, 0.802), before),
        sets((0.20, 0.201, 0.202), (2.00, 2.01, 2.02), (0.70, 0.701, 0.702), after),
    )
    return found.conditions[2].text, found.conditions[2].answer, found.answer


def test_how_large_a_loss_is_not_ruled_out_is_said():
    text, answer, whole = third((0.99, 0.90, 0.95), (0.20, 0.60, 0.90))
    assert (answer, whole) == ("yes", "yes")
    assert text == "nothing is shown to get worse (not ruled out: precision worse by 1.23, from 0.947)"


def test_a_constant_that_does_not_move_is_not_worse_and_one_that_does_is_open():
    assert third((1.0,) * 3, (1.0,) * 3) == ("nothing is shown to get worse", "yes", "yes")
    text, *answers = third((1.0,) * 3, (0.9,) * 3)
    assert (text, answers) == ("nothing is shown to get worse; not tested: precision", ["open", "open"])


def test_what_is_needed_has_to_be_tested():
    same = sets((0.1,) * 3, (1.5, 1.6, 1.7), (0.8, 0.81, 0.82), (0.9, 0.91, 0.92))
    with pytest.raises(ResultError, match="coverage at class scope: all sets of a side have the same value"):
        measure_diversity(same, same)


def test_pulling_never_passes():
    passed, covered = rates(12)
    assert passed == 0
    assert covered > 6  # coverage alone is fooled


@pytest.mark.benchmark
def test_pulling_never_passes_in_five_hundred_trials():
    passed, covered = rates(500)
    print(f"\npulled by 20 %: diversity passed {passed}, coverage alone rose {covered} of 500 times")
    assert passed == 0
    assert covered > 250
