"""What a loss term may look at: one look of one network at a batch of images, and the real images of its classes."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence


class NormInput(NamedTuple):
    """What enters one BatchNorm layer: mean and biased variance [C] over the batch, and those that it has stored."""

    mean: Tensor
    variance: Tensor
    stored_mean: Tensor
    stored_variance: Tensor


@dataclass(frozen=True, eq=False)
class RealFeatures:
    """Features of the real images of the classes of a batch; what terms need of them is computed once.

    Attributes:
        rows: [C, N, D] float32, N the images of the largest class, the rest zeros.
        counts: [C] float32, how many rows of each class are real.
    """

    rows: Tensor
    counts: Tensor

    @cached_property
    def present(self) -> Tensor:
        """[C, N] float32: 1 where there is an image, 0 where the rows of a smaller class are filled up."""
        place = torch.arange(self.rows.shape[1], device=self.rows.device)
        return (place < self.counts[:, None]).float()

    @cached_property
    def means(self) -> Tensor:
        """[C, D]: the mean of each class."""
        return self.rows.sum(1) / self.counts[:, None]

    @cached_property
    def unit_sums(self) -> Tensor:
        """[C, D]: the sum of the rows of each class, each divided by its length."""
        return unit_rows(self.rows).sum(1)

    @cached_property
    def centred(self) -> Tensor:
        """[C, N, D]: rows minus the mean of their class, which changes no distance and keeps it exact."""
        return (self.rows - self.means[:, None]) * self.present[..., None]

    @cached_property
    def centred_squares(self) -> Tensor:
        """[C, N]: squared lengths of `centred`."""
        return self.centred.square().sum(-1)

    def coreset(self, size: int) -> tuple[Tensor, Tensor]:
        """k-means centres [C, M, D] of each class and the share [C, M] of its images that each stands for.

        Classes with no more than ``size`` images keep them all; M is the largest number, the rest zeros with share 0.
        """
        if size not in self._coresets:
            parts = [_centres(rows[: int(n)], size) for rows, n in zip(self.rows, self.counts, strict=True)]
            centres = pad_sequence([centres for centres, _ in parts], batch_first=True)
            shares = pad_sequence([shares for _, shares in parts], batch_first=True)
            self._coresets[size] = centres.to(self.rows.device), shares.to(self.rows.device)
        return self._coresets[size]

    @cached_property
    def _coresets(self) -> dict[int, tuple[Tensor, Tensor]]:
        return {}


def _centres(rows: Tensor, size: int) -> tuple[Tensor, Tensor]:
    if len(rows) <= size:
        return rows.cpu(), torch.full((len(rows),), 1 / len(rows))
    from sklearn.cluster import KMeans
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1):  # sums in one order: the same bits on any number of cores
        found = KMeans(size, n_init=1, random_state=0).fit(rows.cpu().numpy())
    shares = torch.bincount(torch.from_numpy(found.labels_).long(), minlength=size) / len(rows)
    return torch.from_numpy(found.cluster_centers_).to(rows.dtype), shares.to(rows.dtype)


@dataclass(frozen=True, eq=False)
class View:
    """A batch as one network sees it; images of one class are neighbours, and every class has as many.

    Attributes:
        images: [B, 3, H, W], normalised and augmented.
        labels: [B] int64.
        classes: C, the number of classes in the batch.
        logits: [B, number of all classes] float32.
        features: [B, D] float32, the input of the last layer.
        norms: what enters each BatchNorm layer, in the order in which they run; empty where no term asks for it.
        real: the real images of the C classes, in the order of the batch.
    """

    images: Tensor
    labels: Tensor
    classes: int
    logits: Tensor
    features: Tensor
    norms: Sequence[NormInput]
    real: RealFeatures

    @cached_property
    def grouped(self) -> Tensor:
        """[C, K, D]: features by class."""
        return self.features.view(self.classes, -1, self.features.shape[-1])

    @cached_property
    def unit(self) -> Tensor:
        """[C, K, D]: `grouped`, each row divided by its length; zero rows stay zero."""
        return unit_rows(self.grouped)


def unit_rows(rows: Tensor) -> Tensor:
    """[..., D]: each row divided by its length; a zero row stays zero and has gradient zero."""
    lengths = rows.square().sum(-1, keepdim=True)
    return rows * torch.where(lengths > 0, lengths, 1).rsqrt()
