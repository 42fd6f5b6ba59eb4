"""Terms that answer what DiRe leaves open: a determinant instead of mean cosines, a coreset instead of all images."""

import torch
from torch import Tensor

from divbench.generate.terms import term
from divbench.generate.terms.dire import pair_distances
from divbench.generate.view import View


@term(cite="ours, after Kulesza & Taskar 2012, arXiv:1207.6083", sees="teacher", needs=("pairs",))
def dpp_diversity(view: View, ridge: float = 0.01) -> Tensor:
    """Minus the log-determinant of the cosines inside a class, per image, summed over classes.

    ``-log det((G + ridge I) / (1 + ridge)) / K`` for the K x K matrix G of cosines: 0 for images at right angles, and
    growing as any of them becomes a combination of the others, where mean cosines see only pairs.

    Args:
        view: K >= 2 images of each class.
        ridge: keeps the determinant positive where images coincide.
    """
    unit = view.unit
    images = unit.shape[1]
    gram = unit @ unit.mT + ridge * torch.eye(images, device=unit.device, dtype=unit.dtype)
    factor = torch.linalg.cholesky_ex(gram / (1 + ridge)).L
    return -2 * factor.diagonal(dim1=1, dim2=2).log().sum() / images


@term(cite="ours, after DiRe eq. 5", sees="teacher", needs=("real",))
def coreset_distribution_matching(view: View, size: int = 50) -> Tensor:
    """Euclidean distance to k-means centres of the class, weighted by their share of it: mean, summed over classes.

    EDM whose cost does not grow with the number of real images.

    Args:
        view: K synthetic and N real images of each class.
        size: centres per class; classes with no more images than that keep them all.
    """
    centres, shares = view.real.coreset(size)
    distances = pair_distances(view.grouped - view.real.means[:, None], centres - view.real.means[:, None])
    return (distances * shares[:, None]).sum((1, 2)).sum() / view.grouped.shape[1]
