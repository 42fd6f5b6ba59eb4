import math

import msgspec
import pytest
import torch
from torch.nn.functional import interpolate

from divbench.augment.geometry import crop_boxes
from divbench.generate.augment import augmentation
from divbench.generate.recipe import Augment

CPU = torch.device("cpu")
PLAIN = Augment(crop=1.0, flip=False, roll=(0, 0), per="batch")


def images(count=4, size=8):
    return torch.rand(count, 3, size, size, generator=torch.Generator().manual_seed(0))


def make(settings, count=4, size=8, steps=50, seed=0, **options):
    return augmentation(settings, count, size, steps, torch.Generator().manual_seed(seed), CPU, **options)


def test_nothing_is_nothing():
    batch = images()
    assert make(PLAIN)(batch, 3) is batch


def test_a_roll_is_a_cyclic_shift_and_exact():
    batch = images()
    augment = make(msgspec.structs.replace(PLAIN, roll=(-1, 2)))
    seen = set()
    for step in range(50):
        found = augment(batch, step)
        shifts = [(y, x) for y in range(-1, 3) for x in range(-1, 3) if torch.equal(found, batch.roll((y, x), (2, 3)))]
        assert len(shifts) == 1, "the whole batch moves alike"
        seen |= set(shifts)
    assert len(seen) > 12


def test_a_flip_is_a_mirror_image_by_image():
    batch = images(64)
    found = make(msgspec.structs.replace(PLAIN, flip=True, per="image"), 64)(batch, 0)
    mirrored = [torch.equal(a, b.flip(2)) for a, b in zip(found, batch, strict=True)]
    same = [torch.equal(a, b) for a, b in zip(found, batch, strict=True)]
    assert all(m != s for m, s in zip(mirrored, same, strict=True))
    assert 16 < sum(mirrored) < 48


def test_a_crop_is_what_interpolation_makes_of_it():
    batch, settings = images(4, 32), Augment(crop=0.1, flip=False, roll=(0, 0), per="batch")
    augment = make(settings, 4, 32, 20)
    boxes = crop_boxes(torch.full((20, 1), 0.1), 32, torch.Generator().manual_seed(0))
    for step, (top, left, height, width) in enumerate(boxes[:, 0].int().tolist()):
        cut = batch[:, :, top : top + height, left : left + width]
        expected = interpolate(cut, (32, 32), mode="bilinear", align_corners=False)
        torch.testing.assert_close(augment(batch, step), expected, rtol=1e-4, atol=1e-5)


def test_boxes_have_the_law_of_torchvision():
    from torchvision.transforms import RandomResizedCrop

    boxes = crop_boxes(torch.full((4000,), 0.08), 32, torch.Generator().manual_seed(0))
    with torch.random.fork_rng():
        torch.manual_seed(0)
        empty = torch.empty(3, 32, 32)
        theirs = torch.tensor([RandomResizedCrop.get_params(empty, [0.08, 1], [3 / 4, 4 / 3]) for _ in range(4000)])
    for column in range(4):
        mine, other = boxes[:, column], theirs[:, column].float()
        error = math.sqrt((mine.var() + other.var()) / 4000)
        assert abs(mine.mean() - other.mean()) < 4 * error
        assert mine.std().item() == pytest.approx(other.std().item(), rel=0.06)
    assert (boxes[:, 0] + boxes[:, 2] <= 32).all()
    assert (boxes[:, 1] + boxes[:, 3] <= 32).all()


def test_a_curriculum_goes_from_whole_images_to_crops():
    boxes = crop_boxes(torch.tensor([1.0, 0.08]).repeat(500, 1), 32, torch.Generator().manual_seed(0))
    areas = (boxes[..., 2] * boxes[..., 3]).mean(0) / 32**2
    assert areas[0] == 1
    assert areas[1] == pytest.approx(0.54, abs=0.05)
    batch = images(2, 32)
    augment = make(
        Augment(crop=0.08, flip=False, roll=(0, 0), per="batch"), 2, 32, 10, least_crop=lambda s: 0.08 if s > 4 else 1.0
    )
    assert torch.equal(augment(batch, 0), batch)
    assert not torch.equal(augment(batch, 9), batch)


def test_it_is_differentiable_and_the_same_for_the_same_seed():
    settings = Augment(crop=0.3, flip=True, roll=(-2, 2), per="image")
    batch = images().double().float().requires_grad_()
    found = make(settings)(batch, 7)
    assert torch.equal(found, make(settings)(batch, 7))
    assert not torch.equal(found, make(settings, seed=1)(batch, 7))
    found.sum().backward()
    # Every pixel of the result is a mean of pixels, so what it gives back adds up.
    assert batch.grad.sum().item() == pytest.approx(found.numel(), rel=1e-5)
