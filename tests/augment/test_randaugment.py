"""RandAugment: torchvision's, image by image, each by its own seed."""

import pytest
import torch
from torchvision.transforms.v2 import RandAugment

from divbench.augment.randaugment import rand_augment


def images(count=6, size=8):
    return torch.rand(count, 3, size, size, generator=torch.Generator().manual_seed(0)) * 255


@pytest.mark.parametrize(("operations", "magnitude"), [(2, 18), (1, 9), (3, 30)])
def test_shape_and_range(operations, magnitude):
    batch = images(24)
    found = rand_augment(batch, operations, magnitude, range(24))
    assert found.shape == batch.shape
    assert found.dtype == torch.float32
    assert 0 <= found.min() <= found.max() <= 255
    assert found.equal(found.round())
    assert batch.equal(images(24)), "the input stays as it is"


@pytest.mark.parametrize(("operations", "magnitude"), [(2, 18), (1, 9)])
def test_each_image_is_as_torchvision_makes_it_with_that_seed(operations, magnitude):
    batch, seeds = images(12), [7 * seed + 2**40 for seed in range(12)]
    found = rand_augment(batch, operations, magnitude, seeds)
    with torch.random.fork_rng(devices=[]):
        for image, seed, one in zip(batch, seeds, found, strict=True):
            torch.manual_seed(seed)
            assert one.equal(RandAugment(operations, magnitude)(image.round().to(torch.uint8)).float())


def test_an_image_depends_on_its_own_seed_alone():
    batch = images()
    found = rand_augment(batch, 2, 18, [3, 1, 4, 1, 5, 9])
    order = torch.tensor([5, 2, 0])
    assert rand_augment(batch[order], 2, 18, [9, 4, 3]).equal(found[order])
    same = rand_augment(batch[:1].repeat(20, 1, 1, 1), 2, 18, range(20))
    assert len(same.flatten(1).unique(dim=0)) > 10


def test_values_beyond_eight_bits_are_cut_off():
    batch = torch.tensor([-3.0, 300.0, 99.6]).view(1, 3, 1, 1).expand(1, 3, 8, 8)
    assert rand_augment(batch, 0, 9, [0]).flatten(2)[0, :, 0].tolist() == [0, 255, 100]


def test_the_global_random_state_is_left_alone():
    torch.manual_seed(11)
    before = torch.random.get_rng_state()
    rand_augment(images(), 2, 9, range(6))
    assert torch.random.get_rng_state().equal(before)


def test_every_image_needs_a_seed():
    with pytest.raises(ValueError, match="zip"):
        rand_augment(images(), 2, 9, range(5))
