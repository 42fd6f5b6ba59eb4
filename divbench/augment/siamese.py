"""Differentiable siamese augmentation (DSA, Zhao & Bilen 2021, arXiv:2102.08259): one draw for a whole batch.

Strengths are those of the released code: brightness 1, saturation 2, contrast 0.5, shift by 1/8, cutout of 1/2, scale
1.2, rotation by 15 degrees.
"""

import math
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn.functional import affine_grid, grid_sample, pad

from divbench.errors import RecipeError
from divbench.seeds import seeded

STRATEGIES = ("color", "crop", "cutout", "flip", "scale", "rotate")


def siamese_augmentation(strategy: str, size: int) -> Callable[[Tensor, int], Tensor]:
    """(images [B, 3, size, size], seed) -> augmented images; equal seeds do the same to every image.

    Args:
        strategy: some of `STRATEGIES` joined by ``_``, of which every seed chooses one; or ``none``.
        size: side of the images.

    Raises:
        RecipeError: an unknown strategy.
    """
    if strategy == "none":
        return lambda images, seed: images
    names = strategy.split("_")
    unknown = sorted(set(names) - set(STRATEGIES))
    if unknown:
        raise RecipeError(f"augmentation {strategy!r}: unknown {', '.join(unknown)}; known: {', '.join(STRATEGIES)}")

    def augment(images: Tensor, seed: int) -> Tensor:
        generator = seeded(seed)
        name = names[int(torch.randint(len(names), (), generator=generator))]
        draws: list[float] = torch.rand(3, generator=generator).tolist()
        return _AUGMENTATIONS[name](images, draws, size)

    return augment


def _color(images: Tensor, draws: list[float], size: int) -> Tensor:
    images = images + (draws[0] - 0.5)
    grey = images.mean(1, keepdim=True)
    images = (images - grey) * (draws[1] * 2) + grey
    mean = images.mean((1, 2, 3), keepdim=True)
    return (images - mean) * (draws[2] + 0.5) + mean


def _crop(images: Tensor, draws: list[float], size: int) -> Tensor:
    most = int(size * 0.125 + 0.5)
    down, right = (int(draw * (2 * most + 1)) for draw in draws[:2])
    return pad(images, (most,) * 4)[..., down : down + size, right : right + size]


def _cutout(images: Tensor, draws: list[float], size: int) -> Tensor:
    side = int(size * 0.5 + 0.5)
    top, left = (int(draw * (size + 1 - side % 2)) - side // 2 for draw in draws[:2])
    mask = torch.ones(size, size, device=images.device)
    mask[max(top, 0) : max(top + side, 0), max(left, 0) : max(left + side, 0)] = 0
    return images * mask


def _flip(images: Tensor, draws: list[float], size: int) -> Tensor:
    return images.flip(3) if draws[0] < 0.5 else images


def _scale(images: Tensor, draws: list[float], size: int) -> Tensor:
    down, right = (draw * (1.2 - 1 / 1.2) + 1 / 1.2 for draw in draws[:2])
    return _affine(images, [[down, 0.0, 0.0], [0.0, right, 0.0]])


def _rotate(images: Tensor, draws: list[float], size: int) -> Tensor:
    angle = (draws[0] - 0.5) * 2 * 15 / 180 * math.pi
    return _affine(images, [[math.cos(angle), -math.sin(angle), 0.0], [math.sin(angle), math.cos(angle), 0.0]])


def _affine(images: Tensor, matrix: list[list[float]]) -> Tensor:
    theta = torch.tensor(matrix, device=images.device).expand(len(images), 2, 3)
    grid = affine_grid(theta, list(images.shape), align_corners=True)
    return grid_sample(images, grid, align_corners=True)


_AUGMENTATIONS: dict[str, Callable[[Tensor, list[float], int], Tensor]] = {
    "color": _color,
    "crop": _crop,
    "cutout": _cutout,
    "flip": _flip,
    "scale": _scale,
    "rotate": _rotate,
}
