"""Image grids: sets one above the other, class by class (the DiRe paper's Figure 3)."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from divbench.errors import InputError
from divbench.figures.canvas import Picture, panels, shortened, styled
from divbench.images.imageset import ImageSet

Pixels = NDArray[np.uint8]
MOST_CLASSES = 10
GAP = 1
"""White pixels between images of a strip."""


def grid(
    sets: Sequence[ImageSet], *, labels: Sequence[int] | None = None, per_class: int = 10, side: int | None = None
) -> Picture:
    """Images of each class, a row for each set: before above after.

    Pixels are shown as they are, small images enlarged without smoothing.

    Args:
        sets: image sets with the same classes, in the order of the rows.
        labels: classes to show; default: the first ten.
        per_class: images shown of each class and set, the first ones.
        side: pixels of an image in the figure; default: its own size, 64 at most.

    Raises:
        InputError: no set, other classes, or an image that cannot be read.
    """
    if not sets:
        raise InputError("no set was given")
    for other in sets[1:]:
        if other.classes != sets[0].classes:
            raise InputError(f"{sets[0].name} and {other.name} have different classes; match them first")
    chosen = list(range(len(sets[0].classes)))[:MOST_CLASSES] if labels is None else list(labels)
    blocks = [[strip(images, first_rows(images, one, per_class), side) for images in sets] for one in chosen]
    width = max(row.shape[1] for block in blocks for row in block)
    lines = sum(map(len, blocks))
    with styled():
        figure, axes = panels(lines, 1, (1.6 + 0.52 * per_class, 0.52 * lines + 0.25 * len(blocks)))
        for ax, (place, pixels) in zip(axes[:, 0], enumerate(row for block in blocks for row in block), strict=True):
            ax.imshow(_widened(pixels, width), interpolation="none")
            ax.set_xticks([])
            ax.set_yticks([pixels.shape[0] / 2], [shortened(sets[place % len(sets)].name, 18)])
            ax.tick_params(length=0)
            ax.spines[:].set_visible(False)
            ax.grid(False)
            if place % len(sets) == 0:
                ax.set_title(shortened(sets[0].classes[chosen[place // len(sets)]]), fontsize=8, pad=2)
    names = ", ".join(images.name for images in sets)
    shown = ", ".join(sets[0].classes[one] for one in chosen)
    figure.alt = f"Images of {names}, one above the other, for the classes {shown}; up to {per_class} each."
    return figure


def first_rows(images: ImageSet, label: int, most: int) -> list[int]:
    """Row numbers of the first ``most`` images of a class."""
    return (images.labels == label).nonzero()[:most, 0].tolist()


def strip(images: ImageSet, rows: Sequence[int] | Tensor, side: int | None = None) -> Pixels:
    """Images side by side, [side, n * (side + GAP) - GAP, 3]; a white one where there is none.

    Args:
        images: where they are.
        rows: which.
        side: pixels of the square that each is fitted into; default: the longest side of the first, 64 at most.
    """
    pictures = [images.read(int(row)).pixels for row in rows]
    side = side or (min(64, max(pictures[0].shape[1:])) if pictures else 32)
    sheet = np.full((side, max(1, len(pictures)) * (side + GAP) - GAP, 3), 255, np.uint8)
    for place, pixels in enumerate(pictures):
        fitted = _fitted(pixels, side)
        top, left = (side - fitted.shape[0]) // 2, place * (side + GAP) + (side - fitted.shape[1]) // 2
        sheet[top : top + fitted.shape[0], left : left + fitted.shape[1]] = fitted
    return sheet


def _fitted(pixels: Tensor, side: int) -> Pixels:
    """One image within a square: enlarged by a whole factor without smoothing, or reduced with it."""
    height, width = pixels.shape[1:]
    factor = side / max(height, width)
    picture = Image.fromarray(pixels.permute(1, 2, 0).contiguous().numpy())
    if factor >= 1:
        size, how = (width * int(factor), height * int(factor)), Image.Resampling.NEAREST
    else:
        size, how = (max(1, round(width * factor)), max(1, round(height * factor))), Image.Resampling.LANCZOS
    return np.asarray(picture.resize(size, how))


def _widened(pixels: Pixels, width: int) -> Pixels:
    """With white on the right up to ``width``."""
    return np.pad(pixels, ((0, 0), (0, width - pixels.shape[1]), (0, 0)), constant_values=255)
