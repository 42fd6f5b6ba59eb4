"""Siamese augmentation: every operation written out again, one draw for a batch or one for each image."""

import math

import pytest
import torch
from scipy.ndimage import affine_transform
from torch.nn.functional import pad

from divbench.augment.siamese import STRATEGIES, siamese_augmentation
from divbench.errors import RecipeError
from divbench.seeds import seeded

SIZE = 8
ALL = "_".join(STRATEGIES)


def images(count=5, size=SIZE):
    return torch.randn(count, 3, size, size, generator=torch.Generator().manual_seed(0))


def places(count=5):
    return count, torch.arange(count)


def strengths(seed, count):
    """[count, 3] in [0, 1), those of a strategy of one operation."""
    generator = seeded(seed)
    torch.randint(1, (), generator=generator)
    return torch.rand(count, 3, generator=generator).tolist()


def each(strategy, seed, batch):
    """Every image of a batch with what becomes of it and its strengths."""
    found = siamese_augmentation(strategy, batch.shape[-1])(batch, seed, places(len(batch)))
    return zip(batch, found, strengths(seed, len(batch)), strict=True)


def sampled(image, matrix):
    """One image on a grid turned or stretched about its centre, by straight lines and with zeros around it."""
    centre = torch.full((2,), (image.shape[-1] - 1) / 2, dtype=torch.float64)
    matrix = torch.tensor(matrix, dtype=torch.float64)  # rows first
    offset = (centre - matrix @ centre).numpy()
    parts = [affine_transform(part.numpy(), matrix.numpy(), offset, order=1, mode="grid-constant") for part in image]
    return torch.stack([torch.from_numpy(part) for part in parts])


def test_none_is_the_identity():
    batch = images()
    augment = siamese_augmentation("none", SIZE)
    assert augment(batch, 3) is batch
    assert augment(batch, 3, places()) is batch


@pytest.mark.parametrize("strategy", ["blur", "color_blur", "colour", ""])
def test_unknown_strategies_are_refused(strategy):
    with pytest.raises(RecipeError, match="unknown .*; known: color, crop, cutout, flip, scale, rotate"):
        siamese_augmentation(strategy, SIZE)


@pytest.mark.parametrize("strategy", [*STRATEGIES, ALL])
def test_equal_seeds_do_the_same_to_every_image(strategy):
    augment, one = siamese_augmentation(strategy, SIZE), images(1)
    seen = set()
    for seed in range(12):
        found = augment(one.repeat(4, 1, 1, 1), seed)
        assert all(found[0].equal(other) for other in found)
        torch.testing.assert_close(augment(one, seed), found[:1])
        assert augment(one, seed).equal(augment(one, seed))
        seen.add(tuple(found[0].flatten().tolist()))
    assert len(seen) >= (2 if strategy == "flip" else 6), "seeds differ"


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_with_places_every_image_has_a_strength_of_its_own(strategy):
    augment = siamese_augmentation(strategy, SIZE)
    found = augment(images(1).repeat(16, 1, 1, 1), 1, places(16))
    assert len(found.flatten(1).unique(dim=0)) >= (2 if strategy == "flip" else 6)


@pytest.mark.parametrize("strategy", [*STRATEGIES, ALL])
def test_slices_of_a_batch_are_slices_of_the_whole(strategy):
    augment, batch = siamese_augmentation(strategy, SIZE), images(7)
    for seed in range(8 if strategy == ALL else 2):
        whole = augment(batch, seed, places(7))
        for mine in (torch.arange(2), torch.arange(2, 7), torch.tensor([6, 0])):
            torch.testing.assert_close(augment(batch[mine], seed, (7, mine)), whole[mine])


def test_every_seed_chooses_one_operation_for_all_images():
    batch, seen = images(6), set()
    for seed in range(60):
        found = siamese_augmentation("flip_cutout", SIZE)(batch, seed, places(6))
        black = (found == 0).flatten(1).any(1)
        mirrored = torch.tensor([a.equal(b.flip(2)) for a, b in zip(found, batch, strict=True)])
        assert bool(black.all()) or not bool(black.any())
        assert not bool((black & mirrored).any())
        seen.add(bool(black.all()))
    assert seen == {True, False}


def test_color_is_brightness_then_saturation_then_contrast():
    for image, found, (brightness, saturation, contrast) in each("color", 4, images()):
        bright = image + brightness - 0.5
        grey = bright.sum(0) / 3
        coloured = torch.stack([2 * saturation * (channel - grey) + grey for channel in bright])
        mean = coloured.sum() / coloured.numel()
        torch.testing.assert_close(found, (contrast + 0.5) * (coloured - mean) + mean, rtol=1e-4, atol=1e-5)


def test_color_statistics_are_those_of_each_image():
    batch = images()
    augment = siamese_augmentation("color", SIZE)
    torch.testing.assert_close(augment(batch, 2)[:1], augment(batch[:1], 2))


@pytest.mark.parametrize(("size", "most"), [(8, 1), (12, 2), (16, 2)])
def test_crop_is_a_shift_by_an_eighth_at_most_and_zeros_come_in(size, most):
    batch = images(400, size)
    found = siamese_augmentation("crop", size)(batch, 0, places(400))
    padded, counts = pad(batch, (most,) * 4), {}
    for y in range(2 * most + 1):
        for x in range(2 * most + 1):
            equal = (padded[..., y : y + size, x : x + size] == found).flatten(1).all(1)
            counts[y - most, x - most] = int(equal.sum())
    assert sum(counts.values()) == 400
    assert min(counts.values()) > 0.4 * 400 / len(counts), counts


@pytest.mark.parametrize(("size", "side"), [(8, 4), (6, 3)])
def test_cutout_is_a_square_of_half_the_side_clipped_at_the_border(size, side):
    batch = images(600, size)
    found = siamese_augmentation("cutout", size)(batch, 0, places(600))
    assert ((found == batch) | (found == 0)).all()
    gone = (found == 0).all(1)
    seen = set()
    for mask in gone:
        rows, columns = mask.any(1), mask.any(0)
        assert mask.equal(rows[:, None] & columns), "a rectangle"
        for line in (rows, columns):
            where = line.nonzero()[:, 0].tolist()
            assert where == list(range(where[0], where[-1] + 1))
            assert len(where) == side or where[0] == 0 or where[-1] == size - 1
            seen.add((where[0], len(where)))
    starts = range(-(side // 2), size + (1 - side % 2) - side // 2)
    expected = {(max(0, start), min(size, start + side) - max(0, start)) for start in starts}
    assert seen == expected


def test_flip_mirrors_half_of_the_images_left_to_right():
    batch = images(200)
    found = siamese_augmentation("flip", SIZE)(batch, 0, places(200))
    mirrored = (found == batch.flip(3)).flatten(1).all(1)
    assert (mirrored ^ (found == batch).flatten(1).all(1)).all()
    assert 70 < int(mirrored.sum()) < 130


def test_scale_stretches_both_axes_on_their_own():
    for image, found, (first, second, _) in each("scale", 3, images()):
        right, down = (1 / 1.2 + draw * (1.2 - 1 / 1.2) for draw in (first, second))
        expected = sampled(image, [[down, 0], [0, right]])
        torch.testing.assert_close(found, expected.float(), rtol=1e-4, atol=1e-4)


def test_rotate_turns_by_fifteen_degrees_at_most():
    for image, found, (first, _, _) in each("rotate", 3, images()):
        angle = math.radians(15 * (2 * first - 1))
        turn = [[math.cos(angle), math.sin(angle)], [-math.sin(angle), math.cos(angle)]]
        torch.testing.assert_close(found, sampled(image, turn).float(), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_gradients_flow_and_the_input_stays_as_it_is(strategy):
    batch = images().requires_grad_()
    before = batch.detach().clone()
    siamese_augmentation(strategy, SIZE)(batch, 1, places()).square().sum().backward()
    assert batch.grad.isfinite().all()
    assert float(batch.grad.abs().sum()) > 0
    assert batch.detach().equal(before)
