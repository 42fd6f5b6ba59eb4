"""Rows of length one, in float64: what the cosine kernel is made of."""

import torch
from torch import Tensor

from divbench.errors import InputError
from divbench.metrics._neighbours import check_rows

_SMALLEST, _LARGEST = 1e-140, 1e140


def unit_rows(fake: Tensor) -> Tensor:
    """Rows divided by their norm, [n, D] float64.

    Raises:
        InputError: a row is not finite, or is all zero: it has no direction, and every cosine with it is undefined.
    """
    check_rows("fake", fake)
    rows = fake.double()
    norms = torch.linalg.vector_norm(rows, dim=1, keepdim=True)
    if not bool(((norms > _SMALLEST) & (norms < _LARGEST)).all()):  # squares left the range of float64, or a zero row
        rows = rows / rows.abs().amax(1, keepdim=True).clamp(min=torch.finfo(torch.float64).tiny)
        norms = torch.linalg.vector_norm(rows, dim=1, keepdim=True)
    empty = (norms[:, 0] == 0).nonzero()[:, 0]
    if len(empty):
        raise InputError(
            f"{len(empty)} of {len(fake)} embeddings are all zero (the first is row {int(empty[0])}): cosine "
            "similarity is undefined for them; check the images, or use another embedder"
        )
    return rows / norms


def small_gram(rows: Tensor) -> Tensor:
    """The smaller of rows rows^T and rows^T rows: their non-zero spectra are the same."""
    return rows @ rows.T if rows.shape[0] <= rows.shape[1] else rows.T @ rows
