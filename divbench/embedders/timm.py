"""Any image model of timm; the embedding is its pooled output before the classifier."""

import math
import sys
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from divbench.embedders._record import Embedder, Geometry
from divbench.embedders._registry import Request, family
from divbench.embedders._weights import (
    downloaded,
    from_hugging_face,
    from_url,
    input_size_of,
    mean_std_of,
    read_weights,
)
from divbench.errors import ProtocolError, WeightsError
from divbench.networks import build_weightless, load_state


@family("timm")
def timm(request: Request) -> Embedder:
    """timm:NAME, any image model of timm, with its default public weights unless others are given."""
    from timm import is_model
    from timm.data import resolve_data_config
    from timm.models import get_pretrained_cfg

    name = request.argument
    if not is_model(name):
        raise ProtocolError(f"timm has no model {name!r}; timm.list_models() lists them")
    config = get_pretrained_cfg(name)
    settings = {} if config is None else config.to_dict()
    data = resolve_data_config(pretrained_cfg=settings)
    path = request.weights or downloaded(f"timm:{name}", partial(_download, name, settings))
    weights = read_weights(path)
    public = (tuple(data["mean"]), tuple(data["std"])) if request.weights is None else None
    geometry = _geometry(name, data)
    size = input_size_of(weights)
    build = partial(_build, name, weights.state, f"{path}, as timm's {name}")
    build_weightless(build)
    return Embedder(
        f"timm {name}",
        f"sha256:{weights.sha256}",
        "pooled",
        mean_std_of(weights, request.mean_std, public),
        geometry if size is None else geometry.at_size(size),
        build,
        resizable=not settings.get("fixed_input_size", False),
    )


def _geometry(name: str, data: dict[str, Any]) -> Geometry:
    size = data["input_size"][-1]
    if data["input_size"] != (3, size, size) or data["crop_mode"] not in ("center", "squash"):
        raise ProtocolError(
            f"timm's {name} wants input {data['input_size']} and crop {data['crop_mode']}, not supported"
        )
    return Geometry(
        size, math.floor(size / data["crop_pct"]), data["interpolation"], squash=data["crop_mode"] == "squash"
    )


def _download(name: str, settings: dict[str, Any]) -> str:
    if settings.get("hf_hub_id"):
        own = settings.get("hf_hub_filename")
        return from_hugging_face(settings["hf_hub_id"], *([own] if own else ["model.safetensors", "pytorch_model.bin"]))
    if settings.get("url"):
        return from_url(settings["url"])
    raise WeightsError(f"timm publishes no weights for {name}")


def _build(name: str, state: dict[str, Tensor], source: str) -> nn.Module:
    from timm import create_model

    with torch.random.fork_rng(devices=[]):
        network: Any = create_model(name, pretrained=False, num_classes=0)
    try:
        load_state(network, _body(network, state), source)
    except WeightsError:
        # Weights of other repositories, and some that timm publishes, are in a form that timm itself converts.
        converted = _converted(network, state)
        if converted is None:
            raise
        load_state(network, _body(network, converted), source)
    return network


def _body(network: Any, state: dict[str, Tensor]) -> dict[str, Tensor]:
    # The classifier is gone; its weights may be there or not, and for any number of classes.
    heads: str | tuple[str, ...] = network.pretrained_cfg.get("classifier") or ()
    gone = tuple(f"{head}." for head in ((heads,) if isinstance(heads, str) else heads))
    return {key: value for key, value in state.items() if not key.startswith(gone)}


def _converted(network: Any, state: dict[str, Tensor]) -> dict[str, Tensor] | None:
    convert = getattr(sys.modules[type(network).__module__], "checkpoint_filter_fn", None)
    try:
        return None if convert is None else convert(dict(state), network)
    except Exception:  # it was written for its own kinds of weights only
        return None
