"""Mean matching: the mean feature of a class is that of its real images."""

from torch import Tensor

from divbench.generate.terms import term
from divbench.generate.view import View


@term(cite="DM, Zhao & Bilen 2023, arXiv:2110.04181, eq. 4", needs=("real",))
def mean_matching(view: View) -> Tensor:
    """Squared distance of the mean features of synthetic and real images of a class, summed over classes."""
    return (view.grouped.mean(1) - view.real.means).square().sum()
