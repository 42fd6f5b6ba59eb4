"""DiRe's three terms bug for bug as in the public code (DIL-IITH/DiRe, commit c3664c69, utils_regularized.py 143-171).

They differ from the paper's: absolute cosines; the (i, i) entries of the rectangular synthetic-real matrices are
zeroed, so that K of the K N pairs count as equal; means divide by all entries, the zeroed ones included. The released
multiplier 0.1, r_cos 1.0 and r_euc 0.01 are in the weights of the recipes.
"""

import torch
from torch import Tensor

from divbench.generate.terms import term
from divbench.generate.terms.dire import pair_distances
from divbench.generate.view import View

_CODE = "DIL-IITH/DiRe c3664c69, utils_regularized.py"


@term(cite=f"{_CODE} 143-171, matrix a", sees="teacher", needs=("pairs",))
def released_cosine_diversity(view: View) -> Tensor:
    """Absolute cosines of images of one class, the diagonal zeroed but counted, mean, summed over classes."""
    return _zero_diagonal(view.unit @ view.unit.mT).abs().mean((1, 2)).sum()


@term(cite=f"{_CODE} 143-171, matrix c", sees="teacher", needs=("real",))
def released_cosine_matching(view: View) -> Tensor:
    """Absolute value of one minus the cosine of synthetic and real images, cosines (i, i) zeroed, mean, summed."""
    real = torch.nn.functional.normalize(view.real.rows, dim=-1)
    return _mean(view, (1 - _zero_diagonal(view.unit @ real.mT)).abs())


@term(cite=f"{_CODE} 143-171, matrix b", sees="teacher", needs=("real",))
def released_euclidean_matching(view: View) -> Tensor:
    """Distances of synthetic and real images, those at (i, i) zeroed, mean, summed over classes."""
    return _mean(view, _zero_diagonal(pair_distances(view.grouped, view.real.rows)))


def _zero_diagonal(matrices: Tensor) -> Tensor:
    """[C, K, N] with the entries (i, i) zero, square or not."""
    return matrices * (1 - torch.eye(*matrices.shape[1:], device=matrices.device, dtype=matrices.dtype))


def _mean(view: View, matrices: Tensor) -> Tensor:
    sums = (matrices * view.real.present[:, None]).sum((1, 2))
    return (sums / (matrices.shape[1] * view.real.counts)).sum()
