"""Pulling a set towards its class means never passes as diversity, although its coverage rises."""

import dataclasses

import msgspec
import pytest
import torch

from divbench.claims.composite import measure_diversity
from divbench.protocol import Controls, load_protocol
from divbench.scoring import score
from tests.embeddings import gaussian_classes

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
