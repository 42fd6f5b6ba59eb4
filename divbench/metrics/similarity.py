"""Mean cosine similarities of a set with itself and with its prototype."""

import torch
from torch import Tensor

from divbench.metrics import metric
from divbench.metrics._cosine import unit_rows


def _cosine_left_out(fake: Tensor) -> Tensor:
    rows = unit_rows(fake)
    n, total = len(rows), rows.sum(0)
    if n < 3:
        return torch.full((n,), torch.nan, dtype=torch.float64)
    without = total.square().sum() - 2 * (rows @ total) + 1
    return (without - (n - 1)) / ((n - 1) * (n - 2))


@metric(
    better="lower",
    bounds=(-1, 1),
    cite="DiRe, arXiv:2512.13083, eq. 7",
    leave_one_out=_cosine_left_out,
    closed_form=True,
)
def cosine(fake: Tensor) -> float:
    """Mean cosine similarity of two different rows; at class scope the intra-class cosine similarity.

    The diagonal is left out, unlike in a plain mean of a similarity matrix. The sum of all cosines is the squared
    norm of the sum of the unit rows, so no matrix is built.

    Args:
        fake: [n, D] embeddings, no all-zero row; nan for n = 1, which has no pairs.

    Returns:
        In [-1, 1]; lower is better.
    """
    rows = unit_rows(fake)
    n = len(rows)
    return float((rows.sum(0).square().sum() - n) / (n * (n - 1))) if n > 1 else float("nan")


def _prototype_left_out(fake: Tensor) -> Tensor:
    rows, n = unit_rows(fake), len(fake)
    if n < 2:
        return torch.full((n,), torch.nan, dtype=torch.float64)
    prototypes = fake.double().sum(0) - fake.double()
    towards = (rows.sum(0) - rows) * prototypes
    return 1 - towards.sum(1) / torch.linalg.vector_norm(prototypes, dim=1) / (n - 1)


@metric(
    better="higher",
    bounds=(0, 2),
    cite="DEDA, ICCV 2025, supplement sec. 11",
    leave_one_out=_prototype_left_out,
    closed_form=True,
)
def prototype_distance(fake: Tensor) -> float:
    """Mean of 1 - cos(row, mean row): how far images lie from their class's synthetic prototype.

    The prototype is the mean of the rows as they are, not of the unit rows. It depends on n: a row is part of its
    own prototype, so one row is at distance 0.

    Args:
        fake: [n, D] embeddings, no all-zero row; nan where the mean row is all zero.

    Returns:
        In [0, 2]; higher is better.
    """
    rows, prototype = unit_rows(fake), fake.double().mean(0)
    norm = torch.linalg.vector_norm(prototype)
    return max(0.0, float(1 - (rows @ prototype).mean() / norm)) if norm > 0 else float("nan")
