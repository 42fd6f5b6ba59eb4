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

_TRIES = 10
_RATIO = (math.log(3 / 4), math.log(4 / 3))

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
    nothing = torch.zeros_like(flips)
    rows = _sources(boxes[..., 0], boxes[..., 2], nothing, rolls[0], size).to(device)
    columns = _sources(boxes[..., 1], boxes[..., 3], flips, rolls[1], size).to(device)
    pixels = torch.arange(size, dtype=torch.float32, device=device)

    def apply(images: Tensor, step: int) -> Tensor:
        left = (1 - (rows[step][..., None] - pixels).abs()).clamp_min_(0)
        right = (1 - (columns[step][..., None] - pixels).abs()).clamp_min_(0)
        return left[:, None] @ images @ right[:, None].mT

    return apply


def crop_boxes(least: Tensor, size: int, generator: torch.Generator) -> Tensor:
    """Boxes (top, left, height, width) in whole pixels, [..., 4], as torchvision's RandomResizedCrop draws them.

    Args:
        least: [...] least share of the area of a square image; the greatest is 1. Aspect ratios are 3/4 to 4/3, uniform
            in the logarithm; after ten draws that do not fit the whole image is taken.
        size: side of the image.
        generator: of the draws.
    """
    shape = (*least.shape, _TRIES)
    area = size**2 * (least[..., None] + (1 - least[..., None]) * torch.rand(shape, generator=generator))
    ratio = torch.empty(shape).uniform_(*_RATIO, generator=generator).exp()
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


def _sources(start: Tensor, length: Tensor, flips: Tensor, rolls: Tensor, size: int) -> Tensor:
    """[steps, n, S] float32: which source pixel, in fractions, each pixel of the result takes along one axis."""
    place = (torch.arange(size) - rolls[..., None]) % size
    place = torch.where(flips[..., None], size - 1 - place, place)
    scale = (length / size)[..., None]
    inside = ((place + 0.5) * scale - 0.5).clamp_min(0).minimum((length - 1)[..., None])
    return start[..., None] + inside
