"""Random crops, flips and cyclic shifts of the images that are recovered, one draw for the batch or for each image."""

from collections.abc import Callable

import torch
from torch import Tensor

from divbench.augment.geometry import crop_boxes, resample, source_pixels
from divbench.generate.recipe import Augment

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
