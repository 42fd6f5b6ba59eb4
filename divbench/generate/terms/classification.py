"""Cross-entropy: what the network says the images are."""

from torch import Tensor
from torch.nn.functional import cross_entropy as torch_cross_entropy

from divbench.generate.terms import term
from divbench.generate.view import View


@term(cite="SRe2L, Yin et al. 2023, arXiv:2306.13092, eq. 6", needs=("logits",))
def cross_entropy(view: View) -> Tensor:
    """Cross-entropy of the logits and the class of each image, in nats, mean over the batch."""
    return torch_cross_entropy(view.logits, view.labels)
