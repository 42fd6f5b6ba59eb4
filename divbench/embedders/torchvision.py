"""Any classification network of torchvision; the embedding is the input of its classifier."""

import difflib
import re
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from divbench.embedders._record import Embedder, Geometry
from divbench.embedders._registry import Request, family
from divbench.embedders._weights import (
    WeightsFile,
    downloaded,
    from_url,
    input_size_of,
    mean_std_of,
    read_weights,
)
from divbench.errors import ProtocolError
from divbench.networks import build_weightless, cut_classifier, load_state


@family("torchvision")
def torchvision(request: Request) -> Embedder:
    """torchvision:NAME, any classification network of torchvision; ImageNet weights unless others are given."""
    import torchvision.models
    from torchvision.models import get_model_weights, list_models

    name = request.argument.lower()
    names = list_models(module=torchvision.models)
    if name not in names:
        close = difflib.get_close_matches(name, names, n=1)
        hint = f"did you mean {close[0]!r}?" if close else "see torchvision.models.list_models()"
        raise ProtocolError(f"torchvision has no classification network {request.argument!r}; {hint}")
    public = get_model_weights(name)
    usual = public.__members__.get("IMAGENET1K_V1", public.DEFAULT)
    path = request.weights or downloaded(f"torchvision:{name}", partial(from_url, usual.url))
    return of_weights(name, read_weights(path), request.mean_std)


def of_weights(name: str, weights: WeightsFile, stated: str | None) -> Embedder:
    """The embedder of a torchvision network with weights that have been read.

    torchvision's own files are recognised by the digest in their public names, and bring their preprocessing.
    """
    from torchvision.models import get_model_weights

    public = get_model_weights(name)
    usual = public.__members__.get("IMAGENET1K_V1", public.DEFAULT)
    own = next((w for w in public if weights.sha256.startswith(w.url.rpartition("-")[2].partition(".")[0])), None)
    preset = (own or usual).transforms()
    mean_std = mean_std_of(weights, stated, None if own is None else (tuple(preset.mean), tuple(preset.std)))
    geometry = Geometry(preset.crop_size[0], preset.resize_size[0], preset.interpolation.value)
    size = input_size_of(weights)
    geometry = geometry if size is None else geometry.at_size(size)
    options = _options(name, geometry.size, published=own is not None)
    state = {_current(key): value for key, value in weights.state.items()}
    build = partial(_build, name, options, state, f"{weights.path}, as torchvision's {name}", preset.crop_size[0])
    _, layer = build_weightless(build)
    return Embedder(
        f"torchvision {name}",
        f"sha256:{weights.sha256}",
        f"input of {layer}",
        mean_std,
        geometry,
        lambda: build()[0],
        resizable=not name.startswith(("vit_", "maxvit")),
    )


def _build(
    name: str, options: dict[str, Any], state: dict[str, Tensor], source: str, size: int
) -> tuple[nn.Module, str]:
    from torchvision.models import get_model

    with torch.random.fork_rng(devices=[]):
        network = get_model(name, weights=None, **options)
    layer = cut_classifier(network, options.get("image_size", size))
    load_state(network, state, source, without=layer)
    return network, layer


def _options(name: str, size: int | None, *, published: bool) -> dict[str, Any]:
    if name.startswith("vit_"):
        return {"image_size": size}
    if name in ("googlenet", "inception_v3"):
        # The published weights expect pixels in [-1, 1], which these two networks make of ImageNet's normalisation.
        return {"init_weights": False, "transform_input": published}
    return {}


def _current(key: str) -> str:
    # Published DenseNet weights use names from before dots inside names were forbidden.
    return re.sub(r"(denselayer\d+\.(?:norm|conv))\.([12]\.)", r"\1\2", key)
