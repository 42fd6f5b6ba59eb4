"""Coverage, density, precision and recall: who lies in whose k-NN ball.

All four follow Naeem et al. 2020 (arXiv:2002.09797) and Kynkaanniemi et al. 2019 (arXiv:1904.06991) as the `prdc`
package computes them: L2 distances, the ball of a row reaches to its k-th nearest other row of the same set, and a
row at exactly the radius is outside. ``closed=True`` counts it as inside, which matters for sets with duplicates:
a row with k exact copies has radius 0 and an open ball of radius 0 holds nothing.

A synthetic image that is a copy of a real one lies exactly at the radius of the real rows whose k-th neighbour it is.
Here such ties are ties; `prdc` decides them by the rounding of its matrix products, which changes with the number of
its jobs (17 of 50 000 decisions for a set of copied CIFAR-10 images).
"""

from torch import Tensor

from divbench.metrics import metric
from divbench.metrics._neighbours import Hits, check_rows, hits, radii

_NAEEM = "Naeem et al. 2020, arXiv:2002.09797"
_KYNKAANNIEMI = "Kynkaanniemi et al. 2019, arXiv:1904.06991"


def _in_real_balls(real: Tensor, fake: Tensor, k: int, closed: bool) -> Hits:
    return hits(real, radii(real, k), fake, closed)


def iid_coverage(n_real: int, n_fake: int, k: int = 5, closed: bool = False) -> float:
    """Expected coverage of a synthetic set drawn from the very law of the real one, whatever that law is.

    1 - prod_{i=1..k} (N - i) / (N + M - i), for continuous laws (no ties, so open and closed balls agree); 0 for
    M = 0, whatever N is. It is a yardstick and no upper bound: well spread points can do better.

    >>> round(iid_coverage(5000, 10), 5)
    0.00995
    >>> round(iid_coverage(500, 50), 4)
    0.3808
    """
    if n_fake == 0:
        return 0.0
    product = 1.0
    for i in range(1, k + 1):
        product *= (n_real - i) / (n_real + n_fake - i)
    return 1.0 - product


def _iid_density(n_real: int, n_fake: int, k: int = 5, closed: bool = False) -> float:
    """A real ball holds a fresh draw with probability k / N, so the N balls hold k in the mean."""
    return 1.0


def _coverage_left_out(real: Tensor, fake: Tensor, k: int = 5, closed: bool = False) -> Tensor:
    """Leaving a row out uncovers the real rows that only it covered."""
    found = _in_real_balls(real, fake, k, closed)
    covered = (found.per_centre > 0).sum()
    return (covered - found.sole).double() / len(real)


@metric(
    better="higher",
    bounds=(0, 1),
    cite=f"{_NAEEM}, eq. 9",
    leave_one_out=_coverage_left_out,
    closed_form=True,
    on_nothing=0.0,
    iid=iid_coverage,
)
def coverage(real: Tensor, fake: Tensor, k: int = 5, closed: bool = False) -> float:
    """Fraction of real rows whose k-NN ball holds at least one synthetic row.

    High coverage alone shows no diversity: in high dimension, copies of the class mean lie in many balls. Read it
    beside its i.i.d. yardstick and the ``collapse`` control.

    Args:
        real: [N, D] embeddings of real images, N > k.
        fake: [M, D] embeddings of synthetic images, M >= 1.
        k: neighbours that set the radius of each real ball, the row itself not counted.
        closed: count rows at exactly the radius as inside.

    Returns:
        In [0, 1]; higher is better.
    """
    return float((_in_real_balls(real, fake, k, closed).per_centre > 0).double().mean())


def _per_row_left_out(rows: Tensor) -> Tensor:
    """Means of ``rows`` with each entry left out; nan for a single one."""
    rows = rows.double()
    return (rows.sum() - rows) / (len(rows) - 1)


def _density_left_out(real: Tensor, fake: Tensor, k: int = 5, closed: bool = False) -> Tensor:
    return _per_row_left_out(_in_real_balls(real, fake, k, closed).per_point.double() / k)


@metric(better=None, cite=f"{_NAEEM}, eq. 8", leave_one_out=_density_left_out, closed_form=True, iid=_iid_density)
def density(real: Tensor, fake: Tensor, k: int = 5, closed: bool = False) -> float:
    """Mean number of real k-NN balls that hold a synthetic row, divided by k: a measure of fidelity.

    Above 1, synthetic rows sit where real ones are densest; above about 2 they crowd around a centre.

    Args:
        real: [N, D] embeddings of real images, N > k.
        fake: [M, D] embeddings of synthetic images, M >= 1.
        k: neighbours that set the radius of each real ball.
        closed: count rows at exactly the radius as inside.

    Returns:
        In [0, N / k]; expectation 1 if real and synthetic rows have the same law.
    """
    return float(_in_real_balls(real, fake, k, closed).per_point.double().mean() / k)


def _precision_left_out(real: Tensor, fake: Tensor, k: int = 5, closed: bool = False) -> Tensor:
    return _per_row_left_out(_in_real_balls(real, fake, k, closed).per_point > 0)


@metric(
    better="higher",
    bounds=(0, 1),
    cite=f"{_KYNKAANNIEMI}, eq. 1-2",
    leave_one_out=_precision_left_out,
    closed_form=True,
)
def precision(real: Tensor, fake: Tensor, k: int = 5, closed: bool = False) -> float:
    """Share of synthetic rows that lie in the k-NN ball of some real row: a measure of fidelity.

    Args:
        real: [N, D] embeddings of real images, N > k.
        fake: [M, D] embeddings of synthetic images, M >= 1.
        k: neighbours that set the radius of each real ball.
        closed: count rows at exactly the radius as inside.

    Returns:
        In [0, 1]; higher means that more synthetic rows look real.
    """
    return float((_in_real_balls(real, fake, k, closed).per_point > 0).double().mean())


@metric(better="higher", bounds=(0, 1), cite=f"{_KYNKAANNIEMI}, eq. 1-2", jackknife=False, on_nothing=0.0)
def recall(real: Tensor, fake: Tensor, k: int = 5, closed: bool = False) -> float:
    """Share of real rows that lie in the k-NN ball of some synthetic row.

    The balls are synthetic, so few and far-apart synthetic rows have large balls: recall is generous to outliers.

    Args:
        real: [N, D] embeddings of real images, N >= 1.
        fake: [M, D] embeddings of synthetic images; nan where M <= k, as there is no k-th neighbour.
        k: neighbours that set the radius of each synthetic ball.
        closed: count rows at exactly the radius as inside.

    Returns:
        In [0, 1]; higher is better.
    """
    check_rows("fake", fake)
    if len(fake) <= k:
        return float("nan")
    return float((hits(fake, radii(fake, k), real, closed).per_point > 0).double().mean())
