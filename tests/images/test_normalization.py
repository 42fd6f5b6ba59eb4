import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from divbench.constants import MEAN_STD
from divbench.errors import InputError
from divbench.images.normalization import WHITENED_BELOW, WhitenedError, lag1, to_uint8


def smooth(n=4, size=16, seed=0):
    """uint8 pixels in which neighbours resemble each other, as in images."""
    small = torch.randint(0, 256, (n, 3, 4, 4), generator=torch.Generator().manual_seed(seed)).float()
    return torch.nn.functional.interpolate(small, size=size, mode="bilinear").round().to(torch.uint8)


def normalised(pixels, name):
    mean, std = (torch.tensor(numbers).view(3, 1, 1) for numbers in MEAN_STD[name])
    return (pixels / 255 - mean) / std


@settings(max_examples=20, deadline=None)
@given(st.sampled_from(sorted(MEAN_STD)), st.integers(0, 1000))
def test_undoing_a_normalisation_gives_the_exact_pixels(name, seed):
    pixels = smooth(seed=seed)
    back, understood, _ = to_uint8(normalised(pixels, name), "x", name, False)
    assert torch.equal(back, pixels)
    assert ("none" if name == "none" else name) in understood or "un-normalised" in understood


def test_the_wrong_deviation_is_found_out_by_whole_pixel_values():
    values = normalised(smooth(), "cifar10-dc")
    with pytest.raises(InputError, match=r"'cifar10' does not give whole pixel values .* cifar10-dc does"):
        to_uint8(values, "x", "cifar10", False)
    _, _, notes = to_uint8(values, "x", "cifar10", True)
    assert any("cifar10-dc does" in note for note in notes)


def test_unstated_normalisation_is_an_error_that_names_range_and_remedy():
    with pytest.raises(InputError, match=r"from -\d.* \(--normalized\) = one of .*cifar10-dc gives whole"):
        to_uint8(normalised(smooth(), "cifar10-dc"), "x", None, False)


def test_values_in_0_1_and_whole_numbers_speak_for_themselves():
    pixels = smooth()
    for values, words in ((pixels / 255, r"[0, 1]"), (pixels.float(), "0 .. 255")):
        back, understood, _ = to_uint8(values, "x", None, False)
        assert torch.equal(back, pixels)
        assert words in understood
    with pytest.raises(InputError, match="say it with"):
        to_uint8(pixels + 0.3, "x", None, False)


def test_nan_and_infinity_are_counted_and_located():
    values = smooth() / 255
    values[1, 2, 3, 4] = float("nan")
    values[2] = float("inf")
    with pytest.raises(InputError, match=r"769 of 3072 values .* \[1, 2, 3, 4\]"):
        to_uint8(values, "x", "none", False)


def test_a_little_outside_is_clipped_with_its_share_and_excess():
    values = smooth().float() / 255
    values[0, 0, 0, :4] = 1.5
    values[0, 0, 1, 0] = -0.25
    pixels, _, notes = to_uint8(values, "x", "none", False)
    assert pixels[0, 0, 0, :4].tolist() == [255] * 4
    assert pixels[0, 0, 1, 0] == 0
    assert notes == ("0.2% of values lie outside the pixel range [0, 1], by up to 0.5; clipped",)


def test_far_outside_is_an_error_unless_as_is():
    values = (smooth() / 255 - 0.5) * 20
    with pytest.raises(InputError, match=r"% of values lie outside .* as_is"):
        to_uint8(values, "x", "none", False)
    assert to_uint8(values, "x", "none", True)[0].dtype == torch.uint8


def test_white_noise_is_refused_as_whitened_unless_as_is():
    values = torch.randn(4, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    with pytest.raises(WhitenedError, match="ZCA-whitened"):
        to_uint8(values, "x", "cifar10", False)
    _, _, notes = to_uint8(values, "x", "cifar10", True)
    assert "ZCA-whitened" in notes[0]


def test_images_whitened_with_eps_stay_below_the_threshold_and_images_above():
    pixels = smooth(200, 16).float() / 255
    pixels += 0.05 * torch.randn(pixels.shape, generator=torch.Generator().manual_seed(1))
    flat = pixels.flatten(1) - pixels.flatten(1).mean(0)
    values, vectors = torch.linalg.eigh(flat.T @ flat / len(flat))
    white = (flat @ (vectors * (values.clamp_min(0) + 1e-4).rsqrt()) @ vectors.T).view_as(pixels)
    assert lag1(white) < WHITENED_BELOW < lag1(pixels)


def test_lag1_of_constant_images_and_single_pixels():
    assert lag1(torch.ones(2, 3, 4, 4)) == 1
    assert lag1(torch.ones(2, 3, 1, 1)) == 1
    row = torch.tensor([1.0, -1.0] * 4).expand(1, 3, 1, 8)
    assert lag1(row) == pytest.approx((-1 + 1) / 2)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float16, torch.bfloat16])
def test_other_float_types(dtype):
    pixels = smooth()
    back, _, _ = to_uint8((pixels / 255).to(dtype), "x", None, False)
    assert (back.int() - pixels.int()).abs().max() <= (1 if dtype == torch.bfloat16 else 0)
