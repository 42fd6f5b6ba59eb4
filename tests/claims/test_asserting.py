"""`assert_gain` on embeddings, image sets and folders: what is broken is caught."""

import dataclasses

import pytest
import torch

from divbench.claims.asserting import Diversity
from divbench.errors import DivbenchError, InputError
from divbench.images import ImageSet, read_images
from tests.embeddings import gaussian_classes

REAL = gaussian_classes(100, classes=8, seed=1, name="real")
NARROW = gaussian_classes(20, classes=8, seed=2, spread=0.4, name="narrow")
WIDE = gaussian_classes(20, classes=8, seed=3, spread=1.0, name="wide")
assert_gain = Diversity().assert_gain


def test_a_wider_set_gains_and_a_narrower_one_is_refuted():
    verdict = assert_gain(WIDE, over=NARROW, metric="vendi", real=REAL)
    assert verdict.status == "holds"
    assert verdict.gain.effect > 0
    with pytest.raises(AssertionError, match="^refuted: vendi"):
        assert_gain(NARROW, over=WIDE, metric="vendi", real=REAL)
    with pytest.raises(AssertionError, match="^inconclusive: vendi"):
        assert_gain(gaussian_classes(20, classes=8, seed=4, name="x"), over=WIDE, metric="vendi", real=REAL)


def test_diversity_as_a_whole():
    """Every image ten times, but for a hair: less coverage and less spread."""
    rows = (torch.arange(len(WIDE)) // 20) * 20 + torch.arange(len(WIDE)) % 2
    hair = 0.01 * torch.randn(WIDE.features.shape, generator=torch.Generator().manual_seed(0))
    repeated = dataclasses.replace(WIDE, features=WIDE.features[rows] + hair, source="repeated", name="repeated")
    assert assert_gain(WIDE, over=repeated, real=REAL).status == "holds"
    with pytest.raises(AssertionError, match=r"^refuted: coverage rises \(.*\): no; vendi"):
        assert_gain(repeated, over=WIDE, real=REAL)


def test_pulling_a_set_to_its_means_is_no_diversity():
    means = torch.stack([WIDE.features[WIDE.labels == c].mean(0) for c in range(8)])[WIDE.labels]
    pulled = dataclasses.replace(WIDE, features=0.8 * WIDE.features + 0.2 * means, source="pulled", name="pulled")
    said = (
        r"^refuted: coverage rises \(.*\): yes; vendi rises .* cosine falls \(.*\): no; nothing .* worse, but .*vendi"
    )
    with pytest.raises(AssertionError, match=said):
        assert_gain(pulled, over=WIDE, real=REAL)


@pytest.mark.slow
def test_a_larger_set_gains_nothing_by_its_size():
    """The Vendi Score of forty images of one law is higher than that of ten; rarefied, it is not."""
    few, many = (gaussian_classes(n, classes=8, seed=5 + n, name=f"n{n}") for n in (10, 40))
    with pytest.raises(AssertionError, match="^inconclusive: vendi") as caught:
        assert_gain(many, over=few, metric="vendi", real=REAL)
    before, after = (float(x.rstrip(":")) for x in str(caught.value).split()[2:5:2])
    assert after / before == pytest.approx(1, abs=0.1)


def test_image_sets_and_folders():
    digits = read_images("digits")
    rows = [(digits.labels == c).nonzero()[:, 0] for c in range(10)]
    spread = digits.select(torch.cat([row[:60:6] for row in rows]))
    same = digits.select(torch.cat([row[1:2].repeat(10) for row in rows]))
    same = ImageSet(
        same.images + torch.arange(10).repeat(10)[:, None, None, None].to(torch.uint8),
        same.labels,
        digits.classes,
        "same",
    )
    assert assert_gain(spread, over=same, metric="vendi", real=digits).status == "holds"
    with pytest.raises(AssertionError, match="refuted"):
        assert_gain(same, over=spread, metric="vendi", real="digits")


@pytest.mark.slow
def test_unequal_missing_and_no_classes():
    uneven = WIDE.select((torch.arange(len(WIDE)) % 20 < 12 + (WIDE.labels == 3)).nonzero()[:, 0])
    with pytest.raises(AssertionError):
        assert_gain(uneven, over=NARROW, metric="coverage", real=REAL)
    lacking = WIDE.select((WIDE.labels != 3).nonzero()[:, 0])
    with pytest.raises(InputError, match="has no image of class c3"):
        assert_gain(lacking, over=NARROW, real=REAL)
    flat = dataclasses.replace(WIDE, labelled=False)
    with pytest.raises(DivbenchError):
        assert_gain(flat, over=NARROW, metric="vendi", real=REAL)


def test_wrong_questions_are_errors_and_no_failures():
    with pytest.raises(InputError, match="real is missing"):
        assert_gain(WIDE, over=NARROW)
    with pytest.raises(InputError, match="some of real, candidate and over are embeddings"):
        assert_gain(WIDE, over="digits", real=REAL)
    with pytest.raises(InputError, match="diversity is judged as a whole.*leave out at_least"):
        assert_gain(WIDE, over=NARROW, real=REAL, at_least=0.1)
    with pytest.raises(InputError, match="confidence is from 0.5"):
        assert_gain(WIDE, over=NARROW, metric="vendi", real=REAL, confidence=0.01)
    with pytest.raises(InputError, match="at_least is a number"):
        assert_gain(WIDE, over=NARROW, metric="vendi", real=REAL, at_least="much")
    with pytest.raises(InputError, match="both results"):
        assert_gain("a.json", over=NARROW, real=REAL)
    with pytest.raises(DivbenchError, match="holds no 'beauty'"):
        assert_gain(WIDE, over=NARROW, metric="beauty", real=REAL)
    with pytest.raises(DivbenchError, match=r"none.json: cannot be read"):
        assert_gain("none.json", over="none.json")
