"""RandAugment: torchvision's operations, half of them left out, image by image, each by its own seed."""

import pytest
import torch
from torchvision.transforms.v2 import RandAugment

from divbench.augment.randaugment import rand_augment


def images(count=6, size=8):
    return torch.randint(0, 256, (count, 3, size, size), generator=torch.Generator().manual_seed(0)).to(torch.uint8)


@pytest.mark.parametrize(("operations", "magnitude"), [(2, 18), (1, 9), (3, 30)])
def test_shape_and_type(operations, magnitude):
    batch = images(24)
    found = rand_augment(batch, operations, magnitude, range(24))
    assert found.shape == batch.shape
    assert found.dtype == torch.uint8
    assert not found.equal(batch)
    assert batch.equal(images(24)), "the input stays as it is"


@pytest.mark.parametrize(("operations", "magnitude"), [(2, 18), (1, 9), (0, 9)])
def test_each_image_is_as_torchvision_makes_it_with_that_seed(operations, magnitude):
    batch, seeds = images(12), [7 * seed + 2**40 for seed in range(12)]
    found = rand_augment(batch, operations, magnitude, seeds)
    with torch.random.fork_rng(devices=[]):
        for image, seed, one in zip(batch, seeds, found, strict=True):
            torch.manual_seed(seed)
            for _ in range(operations):
                if torch.rand(()) < 0.5:
                    image = RandAugment(1, magnitude)(image)
            assert one.equal(image)


def test_an_image_depends_on_its_own_seed_alone():
    batch = images()
    found = rand_augment(batch, 2, 18, [3, 1, 4, 1, 5, 9])
    order = torch.tensor([5, 2, 0])
    assert rand_augment(batch[order], 2, 18, [9, 4, 3]).equal(found[order])
    same = rand_augment(batch[:1].repeat(20, 1, 1, 1), 2, 18, range(20))
    assert len(same.flatten(1).unique(dim=0)) > 10


@pytest.mark.parametrize(("operations", "untouched"), [(1, 1 / 2), (2, 1 / 4)])
def test_each_operation_is_left_out_with_probability_one_half(operations, untouched, monkeypatch):
    """As in timm; the operation here halves, so that values tell how many there were."""
    monkeypatch.setattr("torchvision.transforms.v2.RandAugment", lambda count, magnitude: lambda image: image // 2)
    batch = torch.full((4000, 3, 1, 1), 128, dtype=torch.uint8)
    found = rand_augment(batch, operations, 9, range(4000))
    assert (found == 128).float().mean().item() == pytest.approx(untouched, abs=0.03)
    assert found.min() == 128 >> operations


def test_the_global_random_state_is_left_alone():
    torch.manual_seed(11)
    before = torch.random.get_rng_state()
    rand_augment(images(), 2, 9, range(6))
    assert torch.random.get_rng_state().equal(before)


def test_every_image_needs_a_seed():
    with pytest.raises(ValueError, match="zip"):
        rand_augment(images(), 2, 9, range(5))
