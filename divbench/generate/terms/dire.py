"""DiRe: diversity inside a class, and closeness of a class to its real images (arXiv:2512.13083, eqs. 3 to 5).

The paper sums over pairs in its main text, averages in its released code, and gives weights for neither. Each term
here sums over the classes of the batch, and ``reduction`` says what happens to the pairs inside a class: ``sum`` as
printed, or ``mean``, whose weights do not depend on the number of images.

The sum of all cosines of two groups of rows is the inner product of the sums of their normalised rows, so both cosine
terms cost O((K + N) D) instead of O(K N D), and the real half of it is computed once for all steps.
"""

import torch
from torch import Tensor

from divbench.errors import RecipeError
from divbench.generate.terms import term
from divbench.generate.view import View


@term(cite="DiRe eq. 3 (CD)", sees="teacher", needs=("pairs",))
def cosine_diversity(view: View, reduction: str = "mean") -> Tensor:
    """Cosine similarities of different images of one class; small where they are diverse.

    Args:
        view: K >= 2 images of each class.
        reduction: ``mean`` over the K (K - 1) ordered pairs, or their ``sum``; then the sum over classes. The paper's
            sum counts each image with itself as well, a constant.
    """
    sums = view.unit.sum(1).square().sum(-1) - view.unit.square().sum((1, 2))
    images = view.grouped.shape[1]
    return _reduced(sums, images * (images - 1), reduction)


@term(cite="DiRe eq. 4 (CDM), as in its supplement: a sum of 1 - cos", sees="teacher", needs=("real",))
def cosine_distribution_matching(view: View, reduction: str = "mean") -> Tensor:
    """One minus the cosine similarity of synthetic and real images of one class; small where they are alike.

    Args:
        view: K synthetic and N real images of each class.
        reduction: ``mean`` over the K N pairs, or their ``sum``; then the sum over classes.
    """
    pairs = view.grouped.shape[1] * view.real.counts
    sums = pairs - (view.unit.sum(1) * view.real.unit_sums).sum(-1)
    return _reduced(sums, pairs, reduction)


@term(cite="DiRe eq. 5 (EDM)", sees="teacher", needs=("real",))
def euclidean_distribution_matching(view: View, reduction: str = "mean") -> Tensor:
    """Euclidean distance of synthetic and real images of one class; small where they are alike.

    Args:
        view: K synthetic and N real images of each class.
        reduction: ``mean`` over the K N pairs, or their ``sum``; then the sum over classes.
    """
    distances = pair_distances(view.grouped - view.real.means[:, None], view.real.centred, view.real.centred_squares)
    sums = (distances * view.real.present[:, None]).sum((1, 2))
    return _reduced(sums, view.grouped.shape[1] * view.real.counts, reduction)


def pair_distances(a: Tensor, b: Tensor, b_squares: Tensor | None = None) -> Tensor:
    """Euclidean distances [C, K, N] of the rows of [C, K, D] and [C, N, D].

    A squared distance below the rounding of its computation is taken as zero, with gradient zero: so the gradient is
    finite where rows coincide.
    """
    a_squares = a.square().sum(-1)[..., None]
    b_squares = (b.square().sum(-1) if b_squares is None else b_squares)[:, None]
    squared = torch.baddbmm(a_squares + b_squares, a, b.mT, alpha=-2)
    floor = 4 * torch.finfo(a.dtype).eps * (a_squares + b_squares).detach()
    apart = squared > floor
    return torch.where(apart, squared, 1).sqrt() * apart


def _reduced(sums: Tensor, pairs: Tensor | int, reduction: str) -> Tensor:
    """[C] sums over pairs -> their sum, or the sum over classes of their means."""
    if reduction not in ("mean", "sum"):
        raise RecipeError(f"reduction = {reduction!r}: expected mean or sum")
    return (sums / pairs if reduction == "mean" else sums).sum()
