"""Controls: synthetic sets of known worth, made of real embeddings at the candidate's number of images.

A candidate is read beside them: ``random`` is what picking real images gives, ``kmeans`` what the centroids of the
real images give, and ``collapse`` is no diversity at all, yet reaches high coverage in high dimension.
"""

from collections.abc import Callable

import torch
from sklearn.cluster import KMeans
from threadpoolctl import threadpool_limits
from torch import Tensor

SPREAD = 0.01
"""Distance of collapsed rows from the mean, as a share of the real rows' root mean square distance from it."""


def random_rows(real: Tensor, n: int, seed: int) -> Tensor:
    """``n`` different real rows [n, D]."""
    return real[torch.randperm(len(real), generator=_generator(seed))[:n].to(real.device)]


def collapse_rows(real: Tensor, n: int, seed: int) -> Tensor:
    """``n`` near-copies of the mean real row [n, D]."""
    centre = real.double().mean(0)
    reach = (real.double() - centre).square().sum(1).mean().sqrt()
    noise = torch.randn(n, real.shape[1], generator=_generator(seed), dtype=torch.float64).to(real.device)
    return (centre + SPREAD * reach * noise / real.shape[1] ** 0.5).to(real.dtype)


def kmeans_rows(real: Tensor, n: int, seed: int) -> Tensor:
    """The ``n`` k-means centroids of the real rows [n, D] (k-means++ start, one run)."""
    with threadpool_limits(1):  # sums in one order: the same bytes on any number of cores
        fitted = KMeans(n, n_init=1, random_state=seed % 2**32).fit(real.cpu().numpy())
    return torch.from_numpy(fitted.cluster_centers_).to(real)


CONTROLS: dict[str, Callable[[Tensor, int, int], Tensor]] = {
    "random": random_rows,
    "kmeans": kmeans_rows,
    "collapse": collapse_rows,
}


def _generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)
