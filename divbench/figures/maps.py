"""t-SNE maps: real and synthetic images side by side in one plane (the DiRe paper's Figure 1)."""

from collections.abc import Sequence

import numpy as np
import torch
from matplotlib.axes import Axes
from numpy.typing import NDArray
from sklearn.decomposition import PCA
from sklearn.manifold import TSNE
from threadpoolctl import threadpool_limits

from divbench.embedders.embed import Embeddings
from divbench.errors import InputError
from divbench.figures._rows import check_alike, check_labels, rows_of
from divbench.figures.canvas import INK, Picture, look, panels, shortened, styled

_REAL = "#b9b9b9"
_MOST_VECTORS = 500
_WIDTH = 50  # columns that PCA leaves to t-SNE, as in van der Maaten & Hinton 2008


def tsne(
    real: Embeddings,
    fakes: Sequence[Embeddings],
    *,
    label: int | None = None,
    perplexity: float = 30.0,
    real_points: int = 1000,
    seed: int = 0,
) -> Picture:
    """One joint t-SNE of real images and of all sets; a panel for each set, the same real images behind each.

    Positions come from one fit (50 principal components, PCA start), so that panels may be compared. Only
    neighbourhoods mean something: distances between clusters and their sizes do not.

    Args:
        real: real images.
        fakes: synthetic sets, embedded like the real images.
        label: one class; default: all.
        perplexity: of the fit, about the number of neighbours that count.
        real_points: real images shown at most, drawn with ``seed``.
        seed: of the draw.

    Raises:
        InputError: embedders or classes differ, a class has no images, or there are too few for the perplexity.
    """
    check_alike([real, *fakes])
    check_labels([real, *fakes], label)
    rows = rows_of(real, label)
    order = torch.randperm(len(rows), generator=torch.Generator().manual_seed(seed))[:real_points]
    parts = [real.features[rows[order].sort().values], *(fake.features[rows_of(fake, label)] for fake in fakes)]
    places = np.split(_plane(torch.cat(parts).double().numpy(), perplexity, seed), np.cumsum([len(p) for p in parts]))
    where = "all classes" if label is None else f"class {shortened(real.classes[label])}"
    settings = f"{len(parts[0])} of {len(rows)} real images in grey; perplexity {perplexity:g}, PCA start, seed {seed}"
    columns = 2 if len(fakes) in (2, 4) else min(len(fakes), 3)
    lines = -(-len(fakes) // columns)
    with styled():
        figure, axes = panels(lines, columns, (max(4.2, 2.5 * columns), 2.6 * lines + 0.7))
        for place, ax in enumerate(axes.flat):
            ax.set_axis_off()
            ax.set_aspect("equal", adjustable="datalim")
            if place < len(fakes):
                _panel(ax, places[0], places[place + 1], place)
                ax.set_title(f"{shortened(fakes[place].name)} ({len(places[place + 1])})")
        figure.suptitle(f"Joint t-SNE of embeddings, {where}", x=0.01, ha="left", fontsize=10)
        figure.supxlabel(settings, fontsize=7, x=0.01, ha="left")
    named = ", ".join(f"{fake.name} ({len(points)} images)" for fake, points in zip(fakes, places[1:], strict=False))
    figure.alt = f"Joint t-SNE map of {where}: {named}, each over the same real images; {settings}."
    return figure


def _panel(ax: Axes, real: NDArray[np.float64], fake: NDArray[np.float64], place: int) -> None:
    """Real points behind, as pixels: hundreds of them would make a vector file large, as many synthetic ones would."""
    ax.scatter(real[:, 0], real[:, 1], s=5, color=_REAL, linewidths=0, rasterized=True)
    style = look(place)
    ax.scatter(
        fake[:, 0],
        fake[:, 1],
        s=16,
        color=style.colour,
        marker=style.marker,
        edgecolors=INK,
        linewidths=0.3,
        rasterized=len(fake) > _MOST_VECTORS,
    )


def _plane(rows: NDArray[np.float64], perplexity: float, seed: int) -> NDArray[np.float64]:
    """Positions [n, 2]; on one thread, whose sums are in one order."""
    if not 1 <= perplexity <= (len(rows) - 1) / 3:
        raise InputError(
            f"perplexity {perplexity:g} is too large or too small for {len(rows)} images: it is from 1 to a third of "
            f"them, here at most {(len(rows) - 1) // 3}; lower --perplexity, or show more real images"
        )
    with threadpool_limits(1):
        width = min(_WIDTH, *rows.shape)
        reduced = PCA(width, svd_solver="full").fit_transform(rows)
        fit = TSNE(perplexity=perplexity, init="pca", random_state=seed % 2**32, n_jobs=1)
        places: NDArray[np.float64] = fit.fit_transform(reduced)
    return places
