"""Who lies near whom: the most and least covered real images, and the real images nearest to synthetic ones."""

from typing import NamedTuple

import torch
from matplotlib.axes import Axes
from torch import Tensor

from divbench.embedders.embed import Embeddings
from divbench.errors import InputError
from divbench.figures._rows import check_alike, check_labels, of_class, rows_of
from divbench.figures.canvas import Picture, panels, shortened, styled
from divbench.figures.grids import strip
from divbench.images.imageset import ImageSet
from divbench.metrics import radii

_BLOCK = 2048


class Ranked(NamedTuple):
    """Rows of a set, in some order, each with a number that says how near it is."""

    rows: Tensor
    values: Tensor


def by_coverage(
    real: Embeddings, fake: Embeddings, label: int, k: int = 5, squared_radii: Tensor | None = None
) -> Ranked:
    """Real images of a class, from the best covered to the least.

    The values [n] float64 are the distance to the nearest synthetic image over the radius of the real image's k-NN
    ball: below 1 the image is covered (Naeem et al. 2020, eq. 9).

    Args:
        real, fake: embeddings of the real and of the synthetic images.
        label: the class.
        k: neighbours that set the radius.
        squared_radii: of the class's real images, where they are known: `divbench.metrics.radii`.

    Raises:
        InputError: embedders or classes differ, the class is empty on one side, or k neighbours are not there.
    """
    check_alike([real, fake])
    check_labels([real, fake], label)
    rows = rows_of(real, label)
    mine, theirs = real.features[rows], of_class(fake, label)
    distance = torch.cat([torch.cdist(part.double(), theirs.double()).amin(1) for part in mine.split(_BLOCK)])
    reach = radii(mine, k) if squared_radii is None else squared_radii
    ratio = distance / reach.sqrt().clamp(min=torch.finfo(torch.float64).tiny)
    order = ratio.argsort(stable=True)
    return Ranked(rows[order], ratio[order])


def nearest_real(real: Embeddings, fake: Embeddings, label: int, count: int = 3) -> list[Ranked]:
    """For each synthetic image of a class, in stored order, its ``count`` nearest real ones of the class.

    The values are Euclidean distances of embeddings, in float64; 0 is a copy.

    Raises:
        InputError: embedders or classes differ, or the class is empty on one side.
    """
    check_alike([real, fake])
    check_labels([real, fake], label)
    rows = rows_of(real, label)
    distances = torch.cdist(of_class(fake, label).double(), real.features[rows].double())
    near = distances.sort(dim=1, stable=True)
    return [
        Ranked(rows[order], values)
        for order, values in zip(near.indices[:, :count], near.values[:, :count], strict=True)
    ]


def covered(
    real: Embeddings, fake: Embeddings, pictures: ImageSet, *, label: int, k: int = 5, count: int = 8
) -> Picture:
    """The most and the least covered real images of a class; above each its distance over the radius of its ball.

    Args:
        real, fake: embeddings of the real and of the synthetic images.
        pictures: the real images, row for row as in ``real``.
        label: the class.
        k: neighbours that set the radius.
        count: images in each row.

    Raises:
        InputError: as `by_coverage`; or ``pictures`` are not as many as ``real``.
    """
    _check_pictures(real, pictures)
    found = by_coverage(real, fake, label, k)
    count = min(count, len(found.rows))
    share = float((found.values < 1).double().mean())
    name = shortened(real.classes[label])
    parts = (("most covered", slice(0, count)), ("least covered", slice(len(found.rows) - count, None)))
    with styled():
        figure, axes = panels(2, count, (0.75 * count + 0.6, 2.3))
        for line, (title, part) in enumerate(parts):
            for ax, row, value in zip(axes[line], found.rows[part].tolist(), found.values[part].tolist(), strict=True):
                _image(ax, pictures, row, f"{value:.2f}")
            axes[line, 0].set_ylabel(title, fontsize=8)
        figure.suptitle(f"{name}: {share:.1%} of the real images are covered by {shortened(fake.name)}", fontsize=9)
        figure.supxlabel("above each: distance to the nearest synthetic image / radius; below 1 is covered", fontsize=7)
    figure.alt = (
        f"Real images of class {real.classes[label]} that {fake.name} covers best (distance over radius from "
        f"{float(found.values[0]):.2f}) and least (up to {float(found.values[-1]):.2f}); {share:.1%} are covered."
    )
    return figure


def nearest(
    real: Embeddings,
    fake: Embeddings,
    real_pictures: ImageSet,
    fake_pictures: ImageSet,
    *,
    label: int,
    count: int = 5,
    neighbours: int = 3,
) -> Picture:
    """Synthetic images of a class, each beside its nearest real ones, with their distances.

    Args:
        real, fake: embeddings of the real and of the synthetic images.
        real_pictures, fake_pictures: the images, row for row as in the embeddings.
        label: the class.
        count: synthetic images shown, the first ones.
        neighbours: real images beside each.

    Raises:
        InputError: as `nearest_real`; or the pictures are not as many as the embeddings.
    """
    _check_pictures(real, real_pictures)
    _check_pictures(fake, fake_pictures)
    found = nearest_real(real, fake, label, neighbours)[:count]
    synthetic = rows_of(fake, label).tolist()
    with styled():
        figure, axes = panels(len(found), 1 + neighbours, (0.95 * (1 + neighbours) + 0.4, 1.0 * len(found) + 0.5))
        for ax in axes.flat:
            ax.set_axis_off()
        for line, one in enumerate(found):
            _image(axes[line, 0], fake_pictures, synthetic[line], "synthetic")
            for ax, row, value in zip(axes[line, 1:], one.rows.tolist(), one.values.tolist(), strict=False):
                _image(ax, real_pictures, row, f"{value:.3g}")
        figure.suptitle(f"{shortened(fake.name)}, {shortened(real.classes[label])}: nearest real images", fontsize=9)
    closest = min(float(one.values[0]) for one in found)
    figure.alt = (
        f"{len(found)} images of {fake.name}, class {real.classes[label]}, each beside its {neighbours} nearest real "
        f"images; the closest is at distance {closest:.3g}."
    )
    return figure


def _image(ax: Axes, pictures: ImageSet, row: int, title: str) -> None:
    ax.imshow(strip(pictures, [row]), interpolation="none")
    ax.set_axis_on()
    ax.set(xticks=[], yticks=[])
    ax.spines[:].set_visible(False)
    ax.set_title(title, fontsize=7, loc="center", pad=2)


def _check_pictures(embeddings: Embeddings, pictures: ImageSet) -> None:
    if len(embeddings) != len(pictures):
        raise InputError(
            f"{embeddings.name}: {len(embeddings)} embeddings and {len(pictures)} pictures; give the images that were "
            "embedded, without those that were left out"
        )
