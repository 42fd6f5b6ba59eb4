"""Grids show every pixel as it is, set above set."""

import numpy as np
import pytest
import torch

from divbench.errors import InputError
from divbench.figures.grids import GAP, grid, strip
from divbench.images import ImageSet


def make_images(name="a", classes=("cat", "dog"), per_class=3, side=4, seed=0):
    count = len(classes) * per_class
    pixels = torch.randint(0, 256, (count, 3, side, side), generator=torch.Generator().manual_seed(seed))
    return ImageSet(pixels.to(torch.uint8), torch.arange(len(classes)).repeat_interleave(per_class), classes, name)


def test_a_strip_holds_the_very_pixels():
    images = make_images()
    sheet = strip(images, [2, 4])
    assert sheet.shape == (4, 2 * 4 + GAP, 3)
    assert np.array_equal(sheet[:, :4], images.images[2].permute(1, 2, 0).numpy())
    assert np.array_equal(sheet[:, 5:], images.images[4].permute(1, 2, 0).numpy())
    assert (sheet[:, 4] == 255).all()


def test_small_images_are_enlarged_without_smoothing_and_large_ones_reduced():
    images = make_images()
    sheet = strip(images, [0], side=12)
    assert np.array_equal(sheet[::3, ::3], images.images[0].permute(1, 2, 0).numpy())
    assert np.array_equal(sheet[2::3, 1::3], sheet[::3, ::3])
    wide = ImageSet(torch.full((1, 3, 100, 200), 7, dtype=torch.uint8), torch.zeros(1, dtype=torch.int64), ("x",), "w")
    sheet = strip(wide, [0])
    assert sheet.shape == (64, 64, 3)
    assert (sheet[16:48] == 7).all()
    assert (sheet[:16] == 255).all()
    assert (sheet[48:] == 255).all()


def test_a_block_for_each_class_and_a_row_for_each_set():
    one, two = make_images("before"), make_images("after", per_class=5, seed=1)
    figure = grid([one, two], per_class=4)
    assert [ax.get_yticklabels()[0].get_text() for ax in figure.axes] == ["before", "after"] * 2
    assert [ax.get_title("left") for ax in figure.axes] == ["cat", "", "dog", ""]
    shown = np.asarray(figure.axes[3].images[0].get_array())
    assert np.array_equal(shown[:, :4], two.images[5].permute(1, 2, 0).numpy())
    assert len({ax.images[0].get_array().shape for ax in figure.axes}) == 1
    assert "before, after" in figure.alt


def test_the_first_ten_classes_or_those_that_were_asked_for():
    many = make_images(classes=tuple(f"c{i}" for i in range(12)), per_class=1)
    assert len(grid([many]).axes) == 10
    assert [ax.get_title("left") for ax in grid([many], labels=[11, 3]).axes] == ["c11", "c3"]


def test_a_class_without_images_is_white():
    images = make_images()
    lacking = images.select((images.labels == 0).nonzero()[:, 0])
    assert (np.asarray(grid([lacking]).axes[1].images[0].get_array()) == 255).all()


def test_other_classes_do_not_stand_in_one_grid():
    with pytest.raises(InputError, match="a and b have different classes"):
        grid([make_images(), make_images("b", classes=("cow", "dog"))])
    with pytest.raises(InputError, match="no set was given"):
        grid([])
