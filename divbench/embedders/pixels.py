"""The pixels themselves as features: no network, for tests and as the simplest baseline."""

from torch import nn

from divbench.constants import MEAN_STD
from divbench.embedders._record import Embedder, Geometry
from divbench.embedders._registry import Request, family
from divbench.errors import ProtocolError


@family("pixels")
def pixels(request: Request) -> Embedder:
    """Pixels divided by 255 and flattened."""
    if request.argument or request.weights or request.mean_std:
        raise ProtocolError("embedder 'pixels' takes no model name, weights or normalisation; leave them out")
    return Embedder("pixels", "none", "flattened", MEAN_STD["none"], Geometry(), nn.Flatten)
