"""RandAugment (Cubuk et al. 2019, arXiv:1909.13719), drawn for each image on its own.

Operations and magnitudes are torchvision's. As in timm's, by which publications train, and unlike in the paper, each of
the operations is left out with probability one half.
"""

from collections.abc import Sequence

import torch
from torch import Tensor


def rand_augment(images: Tensor, operations: int, magnitude: int, seeds: Sequence[int]) -> Tensor:
    """Images after some random operations; the global random state is left as it was.

    Args:
        images: [b, 3, S, S] uint8.
        operations: how many at most, one after the other.
        magnitude: of each, from 0 to 30.
        seeds: one for each image.

    Returns:
        [b, 3, S, S] uint8.
    """
    from torchvision.transforms.v2 import RandAugment

    operation, found = RandAugment(1, magnitude), []
    with torch.random.fork_rng(devices=[]):
        for image, seed in zip(images, seeds, strict=True):
            torch.default_generator.manual_seed(seed)  # torch.manual_seed would reach GPUs, too
            for _ in range(operations):
                image = operation(image) if torch.rand(()) < 0.5 else image
            found.append(image)
    return torch.stack(found)
