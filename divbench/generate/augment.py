"""Random crops, flips and cyclic shifts of a batch, on its device and with one draw for the batch or for each image.

All three are linear in the rows and in the columns of an image, so each becomes a matrix for the rows and one for the
columns, and a batch is augmented by two products. Unlike the scattered additions in the gradients of interpolation and
grid sampling, products give the same bits every time on a GPU too.
"""

import math
from collections.abc import Callable

import torch
from torch import Tensor

from divbench.generate.recipe import Augment

TRIES = 10
LOG_RATIO = (math.log(3 / 4), math.log(4 / 3))
"""Of torchvision's RandomResizedCrop: draws until a box fits, and the range of the logarithm of width by height."""

Augmentation = Callable[[Tensor, int], Tensor]
"""Images [B, 3, S, S] and the step -> augmented images of the same shape."""


def augmentation(
    settings: Augment,
    batch: int,
    size: int,
    steps: int,
    generator: torch.Generator,
    device: torch.device,
    *,
    least_crop: Callable[[int], float] | None = None,
) -> Augmentation:
    """The augmentation of a recipe with all its draws made ahead, so that no step waits for the host.

    Args:
        settings: what is drawn.
        batch: number of images, where each has a draw of its own.
        size: side of the images in pixels.
        steps: number of iterations.
        generator: of the draws, on the CPU.
        device: of the images.
        least_crop: least share of the area that a crop keeps, by step; default: that of the settings at every step.
    """
    if least_crop is None and settings.crop == 1 and not settings.flip and settings.roll == (0, 0):
        return lambda images, step: images
    each = batch if settings.per == "image" else 1
    least = torch.tensor([settings.crop if least_crop is None else least_crop(step) for step in range(steps)])
    boxes = crop_boxes(least[:, None].expand(steps, each), size, generator)
    flips = (torch.rand(steps, each, generator=generator) < 0.5) & settings.flip
    low, high = settings.roll
    rolls = torch.randint(low, high + 1, (2, steps, each), generator=generator)
    rows = source_pixels(boxes[..., 0], boxes[..., 2], size, rolls=rolls[0]).to(device)
    columns = source_pixels(boxes[..., 1], boxes[..., 3], size, rolls=rolls[1], flips=flips).to(device)
    return lambda images, step: resample(images, rows[step], columns[step])


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
