"""Every caution is raised by what it is about, and by nothing else."""

import dataclasses

import msgspec
import pytest
import torch

from divbench.controls import collapse_rows, kmeans_rows, random_rows
from divbench.protocol import load_protocol
from divbench.scoring import score
from tests.embeddings import gaussian_classes, make_embeddings
from tests.records import make_origin

PROTOCOL = load_protocol("quick")
PROTOCOL = msgspec.structs.replace(PROTOCOL, metrics={name: PROTOCOL.metrics[name] for name in ("coverage", "density")})
REAL = gaussian_classes(60, seed=1, name="real")
FAKE = gaussian_classes(10, seed=2, spread=1.2)


def codes(fake, real=REAL):
    return [c.code for c in score(fake, real, PROTOCOL).cautions]


def test_a_good_set_has_none():
    assert codes(FAKE) == []


def test_collapsed_sets_in_high_dimension():
    real = gaussian_classes(60, width=256, seed=1, name="real", apart=1)
    centres = torch.stack([real.features[real.labels == c].mean(0) for c in range(3)])
    fake = make_embeddings(centres[FAKE.labels] + 0.01 * torch.randn(30, 256), FAKE.labels)
    assert codes(fake, real) == ["collapse", "density"]


def test_swapped_classes_are_named():
    swapped = dataclasses.replace(FAKE, labels=torch.tensor([1, 0, 2])[FAKE.labels])
    (caution,) = [c for c in score(swapped, REAL, PROTOCOL).cautions if c.code == "label-order"]
    assert "2 classes" in caution.text
    assert "c0 -> c1, c1 -> c0" in caution.text


def test_few_images_or_a_minority_raise_no_alarm_about_the_order():
    """One image per class may sit anywhere; and two of ten images elsewhere are no swap."""
    one = gaussian_classes(1, seed=2)
    assert "label-order" not in codes(dataclasses.replace(one, labels=torch.tensor([1, 0, 2])))
    mixed = FAKE.labels.clone()
    mixed[[0, 1, 10, 11]] = torch.tensor([1, 1, 0, 0])
    assert codes(dataclasses.replace(FAKE, labels=mixed)) == []


def test_uneven_classes():
    rows = torch.arange(30)[2:]
    assert codes(dataclasses.replace(FAKE, **_rows(FAKE, rows))) == ["uneven-classes"]


def _rows(embeddings, rows):
    return {key: getattr(embeddings, key)[rows] for key in ("features", "labels", "hashes", "thumbnails")}


def test_exact_duplicates_and_copies():
    hashes, thumbnails = FAKE.hashes.clone(), FAKE.thumbnails.clone()
    hashes[7], thumbnails[7] = hashes[3], thumbnails[3]
    assert codes(dataclasses.replace(FAKE, hashes=hashes, thumbnails=thumbnails)) == ["duplicates"]
    hashes, thumbnails = FAKE.hashes.clone(), FAKE.thumbnails.clone()
    hashes[:4], thumbnails[:4] = REAL.hashes[:4], REAL.thumbnails[:4]
    (caution,) = score(dataclasses.replace(FAKE, hashes=hashes, thumbnails=thumbnails), REAL, PROTOCOL).cautions
    assert (caution.code, "4 of 30 images are exact copies" in caution.text) == ("copies", True)


@pytest.mark.parametrize(("levels", "found"), [(2, ["near-copies"]), (5, [])])
def test_near_copies_are_within_three_grey_levels(levels, found):
    thumbnails = FAKE.thumbnails.clone()
    thumbnails[5] = (REAL.thumbnails[8].int() + levels * (1 - 2 * (REAL.thumbnails[8].int() > 127).int())).to(
        torch.uint8
    )
    assert codes(dataclasses.replace(FAKE, thumbnails=thumbnails)) == found


def test_real_photographs_may_be_jpeg():
    assert codes(FAKE, dataclasses.replace(REAL, remarks={"jpeg": 180})) == []


def test_files_that_were_skipped_or_lossy():
    assert codes(dataclasses.replace(FAKE, skipped=("a.png: truncated",), remarks={"jpeg": 30})) == ["skipped", "lossy"]


def test_controls_are_what_they_say():
    real = REAL.features[REAL.labels == 0]
    picked = random_rows(real, 10, 0)
    assert len({tuple(row) for row in picked.tolist()} & {tuple(row) for row in real.tolist()}) == 10
    assert not torch.equal(picked, random_rows(real, 10, 1))
    centre, reach = real.double().mean(0), (real - real.mean(0)).norm(dim=1).square().mean().sqrt()
    away = (collapse_rows(real, 500, 0).double() - centre).norm(dim=1).square().mean().sqrt()
    assert float(away / reach) == pytest.approx(0.01, rel=0.1)
    centroids = kmeans_rows(real, 5, 0)
    nearest = torch.cdist(real, centroids).argmin(1)
    for c in range(5):
        assert torch.allclose(centroids[c], real[nearest == c].mean(0), atol=1e-5)
    assert torch.equal(centroids, kmeans_rows(real, 5, 0))


def test_sets_of_several_recipes_are_no_seeds_of_one_method():
    one, same, other = (
        dataclasses.replace(FAKE, source=f"{seed}{digest}", origin=make_origin(seed=seed, recipe_digest=digest))
        for seed, digest in ((0, "a" * 16), (1, "a" * 16), (0, "b" * 16))
    )
    assert [c.code for c in score([one, same], REAL, PROTOCOL).cautions] == []
    for pair in ([one, other], [one, FAKE]):
        assert [c.code for c in score(pair, REAL, PROTOCOL).cautions] == ["recipes"]


def test_a_judge_that_was_the_teacher():
    """Its hash is in the embedder's id, and in what a generated set says of its origin."""
    judge = f"v1; network=resnet18; weights=sha256:{'ab12' * 16}; layer=fc"
    seen = [dataclasses.replace(one, embedder=judge) for one in (FAKE, REAL)]
    made = make_origin(teacher_sha256="ab12" * 16)
    assert codes(dataclasses.replace(seen[0], origin=made), seen[1]) == ["own-judge"]
    other = make_origin(teacher_sha256="ab13" * 16)
    assert codes(dataclasses.replace(seen[0], origin=other), seen[1]) == []
    assert codes(dataclasses.replace(seen[0], origin=make_origin(teacher_sha256=None)), seen[1]) == []
    assert codes(dataclasses.replace(FAKE, origin=made)) == []
