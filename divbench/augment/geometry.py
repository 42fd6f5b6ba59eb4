"""Crops, flips and cyclic shifts of batches as products with matrices, on the device of the images.

All three are linear in the rows and in the columns of an image, so each becomes a matrix for the rows and one for the
columns, and a batch is augmented by two products. Unlike the scattered additions in the gradients of interpolation and
grid sampling, products give the same bits every time on a GPU too.
"""

import math

import torch
from torch import Tensor

TRIES = 10
LOG_RATIO = (math.log(3 / 4), math.log(4 / 3))
"""Of torchvision's RandomResizedCrop: draws until a box fits, and the range of the logarithm of width by height."""


def resample(images: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """Values between pixels, on straight lines, at every pair of ``rows`` and ``columns``.

    Args:
        images: [B, 3, S, S] float.
        rows, columns: [B, S] or, alike for all images, [1, S]: source pixels in fractions, see `source_pixels`.
    """
    pixels = torch.arange(images.shape[-1], dtype=images.dtype, device=images.device)
    left, right = ((1 - (places[..., None] - pixels).abs()).clamp_min_(0)[:, None] for places in (rows, columns))
    return left @ images @ right.mT


def crop_boxes(least: Tensor, size: int, generator: torch.Generator) -> Tensor:
    """Boxes (top, left, height, width) in whole pixels, [..., 4], as torchvision's RandomResizedCrop draws them.

    Args:
        least: [...] least share of the area of a square image; the greatest is 1. Aspect ratios are 3/4 to 4/3, uniform
            in the logarithm; after ten draws that do not fit the whole image is taken.
        size: side of the image.
        generator: of the draws.
    """
    shape = (*least.shape, TRIES)
    area = size**2 * (least[..., None] + (1 - least[..., None]) * torch.rand(shape, generator=generator))
    ratio = torch.empty(shape).uniform_(*LOG_RATIO, generator=generator).exp()
    height, width = (area / ratio).sqrt().round(), (area * ratio).sqrt().round()
    fits = (height >= 1) & (width >= 1) & (height <= size) & (width <= size)
    first = fits.int().argmax(-1, keepdim=True)
    found = fits.gather(-1, first)
    # A whole image is drawn as such: a crop of share 1 fits only where its ratio rounds to 1.
    whole = ~found | (least[..., None] == 1)
    height, width = (torch.where(whole, size, side.gather(-1, first))[..., 0] for side in (height, width))
    places = torch.rand(2, *least.shape, generator=generator)
    top, left = (places * (size + 1 - torch.stack([height, width]))).floor()
    return torch.stack([top, left, height, width], -1)


def source_pixels(
    start: Tensor, length: Tensor, size: int, *, flips: Tensor | None = None, rolls: Tensor | None = None
) -> Tensor:
    """Which source pixel, in fractions, each pixel of the result takes along one axis.

    Args:
        start, length: [...] what is cut out, in whole pixels, and stretched to the whole.
        size: pixels along the axis.
        flips: [...] bool, whether the cut is mirrored; None: never.
        rolls: [...] pixels by which the result is then shifted around; None: 0.

    Returns:
        [..., size] float32.
    """
    place = torch.arange(size).expand(*start.shape, size)
    if rolls is not None:
        place = (place - rolls[..., None]) % size
    if flips is not None:
        place = torch.where(flips[..., None], size - 1 - place, place)
    inside = (place + 0.5) * (length / size)[..., None] - 0.5
    return start[..., None] + inside.clamp_min(0).minimum((length - 1)[..., None])
