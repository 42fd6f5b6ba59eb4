"""Eigenvalue spectra: what the Vendi Score is made of."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from divbench.controls import random_rows
from divbench.embedders.embed import Embeddings
from divbench.errors import InputError
from divbench.figures._rows import check_alike, of_class, units_of
from divbench.figures.canvas import FAINT, Picture, legend_below, look, panels, shortened, styled
from divbench.metrics.vendi import spectrum as eigenvalues

_DRAWS = 5
_LEAST = 1e-5  # eigenvalues below this are not shown


class _Spectrum(NamedTuple):
    """Mean over classes of the eigenvalues at each rank, and of the Vendi Scores."""

    values: list[float]
    vendi: float


def spectrum(fakes: Sequence[Embeddings], real: Embeddings | None = None, *, label: int | None = None) -> Picture:
    """Eigenvalues of the cosine kernel K / n of each set, greatest first; their entropy is the log of the Vendi Score.

    A set whose images all point the same way has one eigenvalue, 1; those of evenly spread images fall slowly.

    Args:
        fakes: sets to compare, of equal images per class.
        real: real images; as many random ones as the first set has are shown beside, the mean of five draws.
        label: one class; default: the mean over all classes, or the whole where a set has none.

    Raises:
        InputError: embedders or classes differ, a class has no images, or images per class are unequal.
    """
    check_alike([*fakes, *([] if real is None else [real])])
    labels = units_of(fakes, label)
    spectra = [_mean_spectrum([of_class(fake, one) for one in labels], fake.name) for fake in fakes]
    if len({len(one.values) for one in spectra}) > 1:
        raise InputError("spectra of sets with unequal images per class do not compare; take equal ones with --ipc")
    random = None if real is None else _random(real, len(of_class(fakes[0], labels[0])), labels)
    where = "mean over classes" if label is None else f"class {shortened(fakes[0].classes[label])}"
    where = "the whole set" if labels == [None] else where
    with styled():
        figure, axes = panels(size=(6.4, 3.8))
        ax = axes[0, 0]
        for i, (fake, one) in enumerate(zip(fakes, spectra, strict=True)):
            drawn = {"color": look(i).colour, "marker": look(i).marker, "linestyle": look(i).line}
            ranks = range(1, len(one.values) + 1)
            ax.plot(ranks, one.values, ms=4, label=f"{shortened(fake.name)} (Vendi {one.vendi:.2f})", **drawn)
        if random is not None:
            ranks = range(1, len(random.values) + 1)
            ax.plot(ranks, random.values, color=FAINT, linestyle=":", label=f"random real (Vendi {random.vendi:.2f})")
        ax.set_yscale("log")
        ax.set_ylim(bottom=max(ax.get_ylim()[0], _LEAST))
        ax.xaxis.get_major_locator().set_params(integer=True)
        ax.set_xlabel("rank")
        ax.set_ylabel("eigenvalue of K / n")
        ax.set_title(f"Spectrum of the cosine kernel, {where}")
        legend_below(figure, ax, 3)
    named = [*zip((fake.name for fake in fakes), spectra, strict=True)]
    named += [] if random is None else [("random real images", random)]
    said = "; ".join(f"{name}: largest {one.values[0]:.3g}, Vendi Score {one.vendi:.2f}" for name, one in named)
    figure.alt = f"Eigenvalues of the cosine kernel by rank, {where}. {said}."
    return figure


def _mean_spectrum(classes: Sequence[Tensor], name: str) -> _Spectrum:
    spectra = [eigenvalues(rows) for rows in classes]
    if len({len(one) for one in spectra}) > 1:
        raise InputError(f"{name}: has unequal images per class; take equal ones with --ipc, or choose one class")
    scores = [math.exp(-float(torch.special.xlogy(one, one).sum())) for one in spectra]
    return _Spectrum(torch.stack(spectra).mean(0).tolist(), sum(scores) / len(scores))


def _random(real: Embeddings, n: int, labels: Sequence[int | None]) -> _Spectrum | None:
    """Of ``n`` random real images of each class, mean over draws; None where some class has fewer."""
    rows = [of_class(real, one) for one in labels]
    if min(map(len, rows)) < n:
        return None
    return _mean_spectrum([random_rows(one, n, seed) for one in rows for seed in range(_DRAWS)], real.name)
