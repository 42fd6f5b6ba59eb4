"""Differentiable siamese augmentation (DSA, Zhao & Bilen 2021, arXiv:2102.08259): one operation for a batch.

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


def siamese_augmentation(strategy: str, size: int) -> Callable[..., Tensor]:
    """(images [B, 3, size, size], seed, places = None) -> augmented images, by one operation for the whole batch.

    Equal seeds do the same to every image. With ``places``, a number n of images and the places [B] among them that the
    given ones have, each image has a strength of its own, as where students are trained.

    Args:
        strategy: some of `STRATEGIES` joined by ``_``, of which every seed chooses one; or ``none``.
        size: side of the images.

    Raises:
        RecipeError: an unknown strategy.
    """
    names = strategy.split("_") if strategy != "none" else []
    unknown = sorted(set(names) - set(STRATEGIES))
    if unknown:
        raise RecipeError(f"augmentation {strategy!r}: unknown {', '.join(unknown)}; known: {', '.join(STRATEGIES)}")

    def augment(images: Tensor, seed: int, places: tuple[int, Tensor] | None = None) -> Tensor:
        if not names:
            return images
        generator = seeded(seed)
        name = names[int(torch.randint(len(names), (), generator=generator))]
        draws = torch.rand(1 if places is None else places[0], 3, generator=generator)
        draws = draws if places is None else draws[places[1]]
        return _AUGMENTATIONS[name](images, draws.to(images.device, non_blocking=True), size)

    return augment


def _color(images: Tensor, draws: Tensor, size: int) -> Tensor:
    brightness, saturation, contrast = (draw.view(-1, 1, 1, 1) for draw in draws.unbind(1))
    images = images + (brightness - 0.5)
    grey = images.mean(1, keepdim=True)
    images = (images - grey) * (saturation * 2) + grey
    mean = images.mean((1, 2, 3), keepdim=True)
    return (images - mean) * (contrast + 0.5) + mean


def _crop(images: Tensor, draws: Tensor, size: int) -> Tensor:
    most = int(size * 0.125 + 0.5)
    shifts = (draws[:, :2] * (2 * most + 1)).long()
    places = torch.arange(size, device=images.device) + shifts[:, :, None]  # [1 or B, 2, size]
    rows, columns = places[:, 0, :, None], places[:, 1, None, :]
    padded = pad(images, (most,) * 4)
    return padded[torch.arange(len(images), device=images.device)[:, None, None], :, rows, columns].permute(0, 3, 1, 2)


def _cutout(images: Tensor, draws: Tensor, size: int) -> Tensor:
    side = int(size * 0.5 + 0.5)
    start = (draws[:, :2] * (size + 1 - side % 2)).long() - side // 2
    places = torch.arange(size, device=images.device)
    inside = (places >= start[:, :, None]) & (places < start[:, :, None] + side)  # [1 or B, 2, size]
    return images * ~(inside[:, 0, :, None] & inside[:, 1, None, :])[:, None]


def _flip(images: Tensor, draws: Tensor, size: int) -> Tensor:
    return torch.where((draws[:, 0] < 0.5).view(-1, 1, 1, 1), images.flip(3), images)


def _scale(images: Tensor, draws: Tensor, size: int) -> Tensor:
    down, right = (draws[:, :2] * (1.2 - 1 / 1.2) + 1 / 1.2).unbind(1)
    zero = torch.zeros_like(down)
    return _affine(images, [down, zero, zero, zero, right, zero])


def _rotate(images: Tensor, draws: Tensor, size: int) -> Tensor:
    angle = (draws[:, 0] - 0.5) * 2 * 15 / 180 * math.pi
    zero = torch.zeros_like(angle)
    return _affine(images, [angle.cos(), -angle.sin(), zero, angle.sin(), angle.cos(), zero])


def _affine(images: Tensor, matrix: list[Tensor]) -> Tensor:
    theta = torch.stack(matrix, 1).view(-1, 2, 3).expand(len(images), 2, 3)
    grid = affine_grid(theta, list(images.shape), align_corners=True)
    return grid_sample(images, grid, align_corners=True)


_AUGMENTATIONS: dict[str, Callable[[Tensor, Tensor, int], Tensor]] = {
    "color": _color,
    "crop": _crop,
    "cutout": _cutout,
    "flip": _flip,
    "scale": _scale,
    "rotate": _rotate,
}
