"""ResNet-18: a user's teacher, or the one that torchvision publishes."""

import re
from dataclasses import replace
from functools import partial

from torch import Tensor, nn

from divbench.embedders._record import Embedder, Geometry
from divbench.embedders._registry import Request, family
from divbench.embedders._weights import WeightsFile, input_size_of, mean_std_of, read_weights
from divbench.embedders.torchvision import of_weights, torchvision
from divbench.errors import ProtocolError
from divbench.networks import build_weightless, load_state
from divbench.networks import resnet18 as build_resnet18


@family("resnet18")
def resnet18(request: Request) -> Embedder:
    """ResNet-18 with your weights, the small-image stem recognised; else torchvision's ImageNet weights."""
    if request.argument:
        raise ProtocolError(f"embedder 'resnet18' takes no model name, got {request.argument!r}; give weights apart")
    if request.weights is None:
        return torchvision(request._replace(argument="resnet18"))
    weights = read_weights(request.weights)
    weights = weights._replace(state={_torchvision_name(key): value for key, value in weights.state.items()})
    stem = weights.state.get("conv1.weight")
    if stem is not None and tuple(stem.shape[2:]) == (3, 3):
        return _small_stem(weights, request.mean_std)
    return of_weights("resnet18", weights, request.mean_std)


def _small_stem(weights: WeightsFile, stated: str | None) -> Embedder:
    build = partial(_build, weights.state, f"{weights.path}, as resnet18 with the small-image stem")
    build_weightless(build)
    embedder = Embedder(
        "resnet18 small-stem",
        f"sha256:{weights.sha256}",
        "input of fc",
        mean_std_of(weights, stated),
        Geometry(),
        build,
    )
    size = input_size_of(weights)
    return embedder if size is None else replace(embedder, geometry=embedder.geometry.at_size(size))


def _build(state: dict[str, Tensor], source: str) -> nn.Module:
    network = build_resnet18(small_stem=True)
    network.fc = nn.Identity()
    load_state(network, state, source, without="fc")
    return network


def _torchvision_name(key: str) -> str:
    # The other widespread spelling, of CIFAR training repositories.
    return re.sub(r"^linear\.", "fc.", key.replace(".shortcut.", ".downsample."))
