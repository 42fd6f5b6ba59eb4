"""RandAugment (Cubuk et al. 2019, arXiv:1909.13719) by torchvision, drawn for each image on its own."""

from collections.abc import Sequence

import torch
from torch import Tensor


def rand_augment(images: Tensor, operations: int, magnitude: int, seeds: Sequence[int]) -> Tensor:
    """Images after some random operations, rounded to 8 bits before them; the global random state is left as it was.

    Args:
        images: [b, 3, S, S] float in [0, 255].
        operations: how many, one after the other.
        magnitude: of each, from 0 to 30.
        seeds: one for each image.

    Returns:
        [b, 3, S, S] float32 in [0, 255].
    """
    from torchvision.transforms.v2 import RandAugment

    transform, found = RandAugment(operations, magnitude), []
    with torch.random.fork_rng(devices=[]):
        for image, seed in zip(images.round().clamp_(0, 255).to(torch.uint8), seeds, strict=True):
            torch.default_generator.manual_seed(seed)  # torch.manual_seed would reach GPUs, too
            found.append(transform(image))
    return torch.stack(found).float()
