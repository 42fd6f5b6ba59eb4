"""Vendi Score and RKE: effective numbers of different images, from the spectrum of the cosine kernel."""

import math

import torch
from torch import Tensor

from divbench.errors import ProtocolError
from divbench.metrics import metric
from divbench.metrics._cosine import small_gram, unit_rows

_CHUNK = 1 << 24  # entries of the matrices whose spectra are taken at once: 128 MiB


def _effective_number(spectra: Tensor, q: float) -> Tensor:
    """exp of the order-q Renyi entropy of each row of eigenvalues [..., n], which are normalised to sum 1."""
    p = spectra.clamp(min=0)
    p = p / p.sum(-1, keepdim=True)
    if q == 1:
        return torch.exp(-torch.special.xlogy(p, p).sum(-1))
    if math.isinf(q):
        return 1 / p.amax(-1)
    if q == 0:
        return (p > p.shape[-1] * torch.finfo(p.dtype).eps).sum(-1).double()
    return p.pow(q).sum(-1).pow(1 / (1 - q))


def _check_order(q: float) -> None:
    if not q >= 0:
        raise ProtocolError(f"Vendi Score: the order q must be >= 0, got {q}")


def _vendi_left_out(fake: Tensor, q: float = 1.0) -> Tensor:
    """Spectra of all Gram matrices with one row left out, in batches."""
    _check_order(q)
    rows = unit_rows(fake)
    n, width = rows.shape
    gram = small_gram(rows)
    step = max(1, _CHUNK // gram.numel())
    values = []
    for start in range(0, n, step):
        here = torch.arange(start, min(start + step, n), device=rows.device)
        if n <= width:
            others = torch.arange(n - 1, device=rows.device)
            kept = others + (others >= here[:, None])
            batch = gram[kept[:, :, None], kept[:, None, :]]
        else:
            batch = gram - rows[here][:, :, None] * rows[here][:, None, :]
        values.append(_effective_number(torch.linalg.eigvalsh(batch), q))
    return torch.cat(values)


def spectrum(fake: Tensor) -> Tensor:
    """Eigenvalues [min(n, D)] of K / n, greatest first, which sum to 1: what the Vendi Score is the entropy of.

    Args:
        fake: [n, D] embeddings, n >= 1, no all-zero row.
    """
    found = torch.linalg.eigvalsh(small_gram(unit_rows(fake))).flip(0).clamp(min=0)
    return found / found.sum()


@metric(
    better="higher",
    bounds=(1, math.inf),
    cite="Friedman & Dieng 2023, arXiv:2210.02410, eq. 1",
    leave_one_out=_vendi_left_out,
)
def vendi(fake: Tensor, q: float = 1.0) -> float:
    """Vendi Score: exp of the entropy of the eigenvalues of K / n, K the cosine similarities of the rows.

    It grows with n for one and the same generator: compare at equal n only.

    Args:
        fake: [n, D] embeddings, n >= 1, no all-zero row; not centred.
        q: order of the Renyi entropy; 1 is Shannon's, 0 the rank, ``inf`` counts the largest eigenvalue alone.

    Returns:
        From 1 (all rows point the same way) to min(n, D) (orthogonal rows); higher is better.
    """
    _check_order(q)
    return float(_effective_number(torch.linalg.eigvalsh(small_gram(unit_rows(fake))), q))


def vendi_bound(n: int, similarity: float) -> float:
    """Greatest Vendi Score that n images with mean off-diagonal cosine ``similarity`` can have.

    The mean similarity bounds the largest eigenvalue from below (Rayleigh quotient of the all-ones vector), and the
    entropy is greatest when the rest is spread evenly. For s <= 0 the bound is n.

    >>> round(vendi_bound(10, 0.9), 2)
    1.65
    """
    if n < 2 or similarity <= 0:
        return float(n)
    first, rest = (1 + (n - 1) * similarity) / n, (1 - similarity) / n
    return math.exp(-first * math.log(first) - (n - 1) * (rest * math.log(rest) if rest > 0 else 0.0))


def _purity(fake: Tensor) -> tuple[int, Tensor, Tensor]:
    """n, the sum of all squared cosines, and the part of each row [n] in it (its own square counted once)."""
    rows = unit_rows(fake)
    gram = small_gram(rows)
    own = ((rows @ gram) * rows).sum(1) if len(rows) > rows.shape[1] else gram.square().sum(1)
    return len(rows), gram.square().sum(), own


def _rke_left_out(fake: Tensor) -> Tensor:
    n, total, own = _purity(fake)
    return (n - 1) ** 2 / (total - 2 * own + 1)


@metric(
    better="higher",
    bounds=(1, math.inf),
    cite="Jalali et al., NeurIPS 2023",
    leave_one_out=_rke_left_out,
    closed_form=True,
)
def rke(fake: Tensor) -> float:
    """Renyi kernel entropy score: 1 / ||K / n||_F^2, the Vendi Score of order 2, without an eigensolver.

    Args:
        fake: [n, D] embeddings, n >= 1, no all-zero row.

    Returns:
        From 1 to min(n, D); higher is better. It depends on n much less than the Vendi Score does.
    """
    n, total, _ = _purity(fake)
    return float(n**2 / total)


def _unbiased(n: int, total: Tensor) -> Tensor:
    """1 / (mean squared off-diagonal cosine); nan where there are no pairs or all of them are orthogonal."""
    pairs = total - n
    tiny = 4 * n * torch.finfo(torch.float64).eps
    return torch.where(pairs > tiny, n * (n - 1) / pairs, torch.nan) if n > 1 else torch.full_like(total, torch.nan)


def _rke_unbiased_left_out(fake: Tensor) -> Tensor:
    n, total, own = _purity(fake)
    return _unbiased(n - 1, total - 2 * own + 1)


@metric(
    better="higher",
    bounds=(1, math.inf),
    cite="divbench: (1 - 1/n) / (1/RKE - 1/n), the U-statistic of RKE",
    leave_one_out=_rke_unbiased_left_out,
    closed_form=True,
)
def rke_unbiased(fake: Tensor) -> float:
    """RKE without the diagonal: its inverse is an unbiased estimate of E[cos^2] of two images, whatever n.

    Args:
        fake: [n, D] embeddings, no all-zero row; nan for n = 1 and for exactly orthogonal rows.

    Returns:
        From 1 up, without limit; higher is better. Sets of different size may be compared.
    """
    n, total, _ = _purity(fake)
    return float(_unbiased(n, total))
