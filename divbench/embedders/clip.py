"""The image tower of any open_clip model."""

import copy
import difflib
from collections.abc import Mapping
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from divbench.constants import MeanStd
from divbench.embedders._record import Embedder, Geometry
from divbench.embedders._registry import Request, family
from divbench.embedders._weights import downloaded, from_hugging_face, from_url, mean_std_of, read_weights
from divbench.errors import ProtocolError
from divbench.networks import build_weightless, load_state

_DEFAULT = "ViT-B-32/laion2b_s34b_b79k"


@family("clip")
def clip(request: Request) -> Embedder:
    """clip or clip:MODEL/PRETRAINED, any model of open_clip; the image embedding before it is normalised."""
    model, _, tag = (request.argument or _DEFAULT).partition("/")
    settings, public = _settings(model, tag, local=request.weights is not None)
    path = request.weights or downloaded(f"clip:{model}/{tag}", partial(_download, public))
    weights = read_weights(path)
    preprocessing = _preprocessing(model, public)
    size = settings["vision_cfg"].get("image_size", 224)
    build = partial(_build, settings, weights.state, f"{path}, as the image tower of open_clip's {model}")
    build_weightless(build)
    return Embedder(
        f"open_clip {model}{' quickgelu' if settings['quick_gelu'] else ''}",
        f"sha256:{weights.sha256}",
        "image embedding",
        mean_std_of(weights, request.mean_std, preprocessing[0]),
        Geometry(size, size, *preprocessing[1:]),
        build,
        resizable=False,
    )


def _settings(model: str, tag: str, *, local: bool) -> tuple[dict[str, Any], Mapping[str, Any]]:
    """The model's configuration and that of its public weights, which say whether they were trained with QuickGELU."""
    from open_clip import get_model_config, list_models
    from open_clip.pretrained import get_pretrained_cfg, list_pretrained_tags_by_model

    config = get_model_config(model)
    if config is None:
        close = difflib.get_close_matches(model, list_models(), n=1)
        hint = f"did you mean {close[0]!r}?" if close else "see open_clip.list_models()"
        raise ProtocolError(f"open_clip has no model {model!r}; {hint}")
    public = get_pretrained_cfg(model, tag) if tag else {}
    if not public and (tag or not local):
        known = ", ".join(list_pretrained_tags_by_model(model)) or "none"
        raise ProtocolError(f"clip:{model}: name its weights as clip:{model}/PRETRAINED; known: {known}")
    settings = copy.deepcopy(config)
    settings["quick_gelu"] = bool(public.get("quick_gelu", config.get("quick_gelu", False)))
    settings["vision_cfg"]["timm_model_pretrained"] = False
    return settings, public


def _download(public: Mapping[str, Any]) -> str:
    if not public.get("hf_hub"):
        return from_url(public["url"])
    repository, _, file = public["hf_hub"].rpartition("/")
    file = file or "open_clip_pytorch_model.bin"
    safe = "open_clip_model" if file == "open_clip_pytorch_model.bin" else file.rpartition(".")[0]
    return from_hugging_face(repository, f"{safe}.safetensors", file)


def _preprocessing(model: str, public: Mapping[str, Any]) -> tuple[MeanStd, str, bool]:
    from open_clip.transform import PreprocessCfg

    own = {key: public[key] for key in ("mean", "std", "interpolation", "resize_mode") if key in public}
    settings = PreprocessCfg(**own)
    if settings.resize_mode not in ("shortest", "squash"):
        raise ProtocolError(f"open_clip's {model} resizes by {settings.resize_mode!r}, which is not supported")
    return (tuple(settings.mean), tuple(settings.std)), settings.interpolation, settings.resize_mode == "squash"


class _ImageTower(nn.Module):
    """Pooled output alone, where a tower also gives its tokens."""

    def __init__(self, tower: nn.Module) -> None:
        super().__init__()
        self.tower = tower

    def forward(self, images: Tensor) -> Tensor:
        output = self.tower(images)
        return output[0] if isinstance(output, tuple) else output


def _build(settings: dict[str, Any], state: dict[str, Tensor], source: str) -> nn.Module:
    # The text tower is half of the memory and may need a download of its own, so only the image tower is built.
    from open_clip.model import _build_vision_tower

    with torch.random.fork_rng(devices=[]):
        tower = _build_vision_tower(settings["embed_dim"], settings["vision_cfg"], settings["quick_gelu"])
    visual = {key.removeprefix("visual."): value for key, value in state.items() if key.startswith("visual.")}
    load_state(tower, visual or state, source)
    return _ImageTower(tower)
