"""BatchNorm matching: synthetic batches get the statistics that the teacher's layers remember of real ones."""

import torch
from torch import Tensor

from divbench.generate.terms import term
from divbench.generate.view import View


@term(cite="SRe2L, Yin et al. 2023, arXiv:2306.13092, eq. 7; factors: its released code and DWA's", needs=("norms",))
def bn_matching(view: View, first: float = 10.0, variance: float = 1.0) -> Tensor:
    """Distance of batch means and variances to those that each BatchNorm layer stores, summed over layers.

    For each layer ``|mean - stored mean|_2 + variance * |var - stored var|_2``, Euclidean norms over channels, not
    squared; the variance is the biased one over images and positions.

    Args:
        view: with the inputs of all BatchNorm layers.
        first: factor of the layer that runs first.
        variance: factor of the distance of variances (DWA's r_var).
    """
    stacked = [(n.mean - n.stored_mean, n.variance - n.stored_variance) for n in view.norms]
    distances = [_length(mean) + variance * _length(var) for mean, var in stacked]
    return first * distances[0] + torch.stack(distances[1:]).sum() if len(distances) > 1 else first * distances[0]


def _length(difference: Tensor) -> Tensor:
    """Euclidean norm whose gradient at zero is zero."""
    squared = difference.square().sum()
    return torch.where(squared > 0, squared, 1).sqrt() * (squared > 0)
