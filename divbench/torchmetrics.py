"""Coverage, Vendi Score and intra-class cosine as `torchmetrics.Metric` classes, for training loops.

    vendi = VendiScore(num_classes=10)
    for images, labels in batches:
        vendi.update(encoder(images), labels)
    vendi.compute()

They keep the rows they were given, gather them from all processes, and call the functions of `divbench.metrics`: the
numbers are those of `divbench score` on the same embeddings.
"""

from typing import Any

import torch
import torchmetrics
from torch import Tensor

from divbench.errors import InputError
from divbench.metrics.balls import coverage
from divbench.metrics.similarity import cosine
from divbench.metrics.vendi import vendi


def _check_labels(name: str, labels: Tensor, num_classes: int) -> None:
    """Raise `InputError` where labels are no whole numbers, or not those of ``num_classes`` classes."""
    if labels.is_floating_point() or labels.is_complex() or labels.dtype == torch.bool:
        raise InputError(f"expected whole numbers as {name}, got {labels.dtype}; give class indices as int64")
    outside = labels[(labels < 0) | (labels >= num_classes)]
    if len(outside):
        raise InputError(
            f"expected {name} from 0 to {num_classes - 1}, got {int(outside[0])} ({len(outside)} of {len(labels)} are "
            f"outside); give class indices, or a num_classes other than {num_classes}"
        )


class _OfRows(torchmetrics.Metric):
    """Collects synthetic rows and their labels; the mean over classes, or one value of all rows.

    Args:
        num_classes: class scope over this many classes; None: dataset scope, labels are not looked at.
    """

    is_differentiable = False
    full_state_update = False
    features: list[Tensor]
    labels: list[Tensor]

    def __init__(self, num_classes: int | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.num_classes = num_classes
        self.add_state("features", default=[], dist_reduce_fx="cat")
        self.add_state("labels", default=[], dist_reduce_fx="cat")

    def update(self, features: Tensor, labels: Tensor | None = None) -> None:
        """Take embeddings [B, D] of synthetic images and, for class scope, their labels [B].

        Raises:
            InputError: shapes are others, or at class scope labels are missing or no class indices.
        """
        if labels is None:
            if self.num_classes is not None:
                raise InputError(f"{type(self).__name__}(num_classes={self.num_classes}) needs labels in update()")
            labels = torch.zeros(len(features), dtype=torch.int64, device=features.device)
        if features.ndim != 2 or labels.shape != features.shape[:1]:
            raise InputError(
                f"expected features [B, D] and labels [B], got {tuple(features.shape)}, {tuple(labels.shape)}"
            )
        if self.num_classes is not None:
            _check_labels("labels", labels, self.num_classes)
        self.features.append(features.detach())
        self.labels.append(labels.detach())

    def compute(self) -> Tensor:
        """The value as a float64 scalar; nan where it is undefined for some class."""
        rows, labels = (
            torchmetrics.utilities.dim_zero_cat(self.features),
            torchmetrics.utilities.dim_zero_cat(self.labels),
        )
        if self.num_classes is None:
            return torch.tensor(self._value(rows, None), dtype=torch.float64)
        values = [self._value(rows[labels == c], c) for c in range(self.num_classes)]
        return torch.tensor(values, dtype=torch.float64).mean()

    def _value(self, rows: Tensor, label: int | None) -> float:
        raise NotImplementedError


class VendiScore(_OfRows):
    """Vendi Score of order ``q``; see `divbench.metrics.vendi.vendi`."""

    higher_is_better = True

    def __init__(self, num_classes: int | None = None, q: float = 1.0, **kwargs: Any) -> None:
        super().__init__(num_classes, **kwargs)
        self.q = q

    def _value(self, rows: Tensor, label: int | None) -> float:
        return vendi(rows, self.q) if len(rows) else float("nan")


class CosineSimilarity(_OfRows):
    """Mean cosine of two different rows, intra-class with ``num_classes``; see `divbench.metrics.similarity.cosine`."""

    higher_is_better = False

    def _value(self, rows: Tensor, label: int | None) -> float:
        return cosine(rows) if len(rows) else float("nan")


class Coverage(_OfRows):
    """Coverage of real rows that are given once; see `divbench.metrics.balls.coverage`.

    Args:
        real: [N, D] embeddings of real images.
        real_labels: [N] their classes, for class scope.
        k: neighbours that set the radius of each real ball.

    Raises:
        InputError: at class scope ``real_labels`` are missing, not one for each row, or no class indices.
    """

    higher_is_better = True

    def __init__(
        self,
        real: Tensor,
        real_labels: Tensor | None = None,
        num_classes: int | None = None,
        k: int = 5,
        **kwargs: Any,
    ) -> None:
        super().__init__(num_classes, **kwargs)
        self.k = k
        parts = [real]
        if num_classes is not None:
            if real_labels is None:
                raise InputError(f"Coverage(num_classes={num_classes}) needs real_labels")
            if real_labels.shape != real.shape[:1]:
                raise InputError(
                    f"expected real [N, D] and real_labels [N], got {tuple(real.shape)}, {tuple(real_labels.shape)}"
                )
            _check_labels("real_labels", real_labels, num_classes)
            parts = [real[real_labels == c] for c in range(num_classes)]
        self._parts = [part.detach().clone() for part in parts]

    def _value(self, rows: Tensor, label: int | None) -> float:
        real = self._parts[label or 0].to(rows.device)
        return coverage(real, rows, self.k) if len(rows) else 0.0
