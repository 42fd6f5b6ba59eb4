"""Networks, state dicts in weight files, and the layer whose input is the embedding."""

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import torch
from torch import Tensor, nn
from torch.func import functional_call

from divbench.errors import WeightsError, shorten
from divbench.storage import load_safetensors, load_torch

_SUFFIXES = (".safetensors", ".pt", ".pth", ".th", ".bin", ".ckpt")
_WRAPPERS = ("state_dict", "model_state_dict", "model", "net", "network")
_PREFIXES = ("module.", "model.", "_orig_mod.")
_REMEDY = "save the state dict alone (torch.save(network.state_dict(), ...) or safetensors) where it was trained"
_SHOWN = 4

Built = TypeVar("Built")


class StateDict(NamedTuple):
    """Parameters and buffers by name, and whatever else the file said (``"mean"``, ``"arch"``, ``"acc"``, ...)."""

    state: dict[str, Tensor]
    metadata: dict[str, Any]


def resnet18(classes: int = 1000, *, small_stem: bool = False) -> nn.Module:
    """ResNet-18 with torchvision's layer names, randomly initialised; the global random state is left as it was.

    Args:
        classes: outputs of ``fc``.
        small_stem: for images of about 32 pixels: ``conv1`` is 3x3 with stride 1 and there is no max pooling.
    """
    from torchvision.models import resnet18 as torchvision_resnet18

    with torch.random.fork_rng(devices=[]):
        network: nn.Module = torchvision_resnet18(num_classes=classes)
        if small_stem:
            network.conv1 = nn.Conv2d(3, 64, kernel_size=3, stride=1, padding=1, bias=False)
            network.maxpool = nn.Identity()
    return network


def build_weightless(build: Callable[[], Built]) -> Built:
    """What ``build`` makes, on the meta device, where tensors have shapes but no values and take no time.

    Networks whose construction computes with the values of tensors are built for real.
    """
    try:
        with torch.device("meta"):
            return build()
    except RuntimeError:
        return build()


def cut_classifier(network: nn.Module, size: int) -> str:
    """Replace the last linear or convolutional layer that runs by the identity, so that the network gives its input.

    Args:
        network: a classifier of [B, 3, size, size] images; changed in place. It is traced once on the meta device.
        size: side of the images in pixels.

    Returns:
        The name of the layer that was replaced.

    Raises:
        WeightsError: no such layer runs.
    """
    last = last_layer(network, size)
    replace_module(network, last, nn.Identity())
    return last


def last_layer(network: nn.Module, size: int) -> str:
    """Name of the last linear or convolutional layer that runs; arguments and errors as `cut_classifier`."""
    ran: list[str] = []
    layers = [(name, layer) for name, layer in network.named_modules() if isinstance(layer, nn.Linear | nn.Conv2d)]
    hooks = [layer.register_forward_hook(lambda *_, name=name: ran.append(name)) for name, layer in layers]
    weightless = {name: value.to("meta") for name, value in network.state_dict(keep_vars=True).items()}
    training = network.training
    with torch.no_grad():
        functional_call(network.eval(), weightless, torch.empty(1, 3, size, size, device="meta"))
    network.train(training)
    for hook in hooks:
        hook.remove()
    if not ran:
        raise WeightsError(f"{type(network).__name__}: runs no linear or convolutional layer, so it has no classifier")
    return ran[-1]


def replace_module(network: nn.Module, name: str, module: nn.Module) -> None:
    """Put ``module`` where ``network`` has the one with the dotted ``name``."""
    parent, _, child = name.rpartition(".")
    setattr(network.get_submodule(parent), child, module)


def build_classifier(net: str, classes: int, *, small_stem: bool = False) -> nn.Module:
    """A randomly initialised classifier; the global random state is left as it was.

    Args:
        net: ``"resnet18"``, or ``"torchvision:NAME"`` for a classification network of torchvision.
        classes: number of outputs.
        small_stem: for images of up to about 64 pixels; of ``resnet18`` only.

    Raises:
        WeightsError: there is no such network.
    """
    kind, _, name = net.partition(":")
    if net == "resnet18":
        return resnet18(classes, small_stem=small_stem)
    if kind != "torchvision":
        raise WeightsError(f"unknown network {net!r}; known: resnet18, torchvision:NAME")
    from torchvision.models import get_model, list_models

    if name not in list_models() or name in ("googlenet", "inception_v3"):
        raise WeightsError(
            f"network {net!r}: torchvision has no plain classifier of that name; give resnet18 or another"
        )
    with torch.random.fork_rng(devices=[]):
        network: nn.Module = get_model(name, weights=None, num_classes=classes)
    return network


def read_state_dict(path: Path) -> StateDict:
    """Read weights from a .safetensors file or a torch checkpoint; no code in the file is executed.

    Checkpoints may hold the state dict under ``state_dict``, ``model`` or ``net``; the prefixes that DataParallel,
    Lightning and torch.compile add are removed.

    Raises:
        WeightsError: the file is missing, damaged, of another kind, or would execute code.
    """
    if not path.is_file():
        raise WeightsError(f"{path}: no such file; expected network weights ({', '.join(_SUFFIXES)})")
    if path.suffix not in _SUFFIXES:
        raise WeightsError(f"{path}: expected network weights ({', '.join(_SUFFIXES)}), got {path.suffix!r}")
    if path.suffix == ".safetensors":
        found = _read_safetensors(path)
    else:
        found = _unwrap(path, load_torch(path, WeightsError, _REMEDY))
    state = found.state
    while prefix := next((p for p in _PREFIXES if all(key.startswith(p) for key in state)), None):
        state = {key.removeprefix(prefix): value for key, value in state.items()}
    return StateDict(state, found.metadata)


def _read_safetensors(path: Path) -> StateDict:
    state, metadata = load_safetensors(path, WeightsError)
    if not state:
        raise WeightsError(f"{path}: holds no tensors")
    return StateDict(state, dict(metadata))


def _unwrap(path: Path, loaded: object) -> StateDict:
    metadata: dict[str, Any] = {}
    while isinstance(loaded, Mapping):
        inner = next((loaded[key] for key in _WRAPPERS if isinstance(loaded.get(key), Mapping)), None)
        travelling = ("mean", "std")
        metadata |= {
            str(key): value
            for key, value in loaded.items()
            if key in travelling or not isinstance(value, Tensor | Mapping)
        }
        if inner is None:
            state = {str(k): v for k, v in loaded.items() if isinstance(v, Tensor) and k not in travelling}
            if state:
                return StateDict(state, metadata)
            break
        loaded = inner
    raise WeightsError(
        f"{path}: holds no state dict; expected tensors by name, bare or under one of {', '.join(_WRAPPERS)}"
    )


def load_state(network: nn.Module, state: Mapping[str, Tensor], source: str, *, without: str | None = None) -> None:
    """Load every parameter and buffer, as float32; nothing may be missing, left over or of another shape.

    Args:
        network: changed in place; may live on the meta device, and then the weights are only checked.
        state: tensors by name; counters of batches seen by BatchNorm may be missing.
        source: what to call the weights and the network in the message.
        without: name of a layer that was cut off, whose weights are ignored.

    Raises:
        WeightsError: the weights do not fit.
    """
    mine = network.state_dict()
    given = {key: value for key, value in state.items() if without is None or not key.startswith(f"{without}.")}
    reshaped = {key for key in given if key in mine and mine[key].shape != given[key].shape}
    meta = any(value.is_meta for value in mine.values())
    fitting = {key: _plain(value, meta) for key, value in given.items() if key not in reshaped}
    result = network.load_state_dict(fitting, strict=False)
    missing = [k for k in result.missing_keys if k not in reshaped and not k.endswith("num_batches_tracked")]
    wrong = {
        "missing": missing,
        "unexpected": result.unexpected_keys,
        "of another shape": [_shapes(k, given[k], mine[k]) for k in given if k in reshaped],
    }
    complaints = [f"{what}: {shorten(keys, _SHOWN)}" for what, keys in wrong.items() if keys]
    if complaints:
        raise WeightsError(f"{source}: the weights do not fit; {'; '.join(complaints)}. {describe(state)}")


def _plain(value: Tensor, meta: bool) -> Tensor:
    value = value.float() if value.is_floating_point() else value
    return value.to("meta") if meta else value


def _shapes(key: str, given: Tensor, mine: Tensor) -> str:
    return f"{key} (file {list(given.shape)}, network {list(mine.shape)})"


def describe(state: Mapping[str, Tensor]) -> str:
    """One sentence that says what network the weights look like."""
    count = sum(value.numel() for value in state.values())
    blocks = sorted({m[1] for key in state if (m := re.match(r"(layer\d+\.\d+)\.conv", key))})
    if blocks and "conv1.weight" in state:
        stages = [sum(b.startswith(f"{s}.") for b in blocks) for s in sorted({b.split(".")[0] for b in blocks})]
        deep = 3 if f"{blocks[0]}.conv3.weight" in state else 2
        stem = state["conv1.weight"].shape
        guess = (
            f"a ResNet-{sum(stages) * deep + 2} with {'+'.join(map(str, stages))} blocks and a first convolution of "
            f"{stem[0]} channels, {'x'.join(map(str, stem[2:]))}"
        )
    elif any(key.startswith("visual.") for key in state):
        guess = "a CLIP model"
    elif any(re.search(r"\.(attn|self_attention|attention)\.", key) for key in state):
        guess = "a transformer"
    else:
        guess = f"a network whose tensors begin with {shorten(list(state), _SHOWN)}"
    return f"The file looks like {guess} ({count:,} numbers in {len(state)} tensors)"


class ConvNet(nn.Module):
    """The ConvNet of dataset condensation: blocks of convolution, instance normalisation, ReLU and average pooling.

    Zhao et al. 2021, arXiv:2006.05929; in the released code instance normalisation is a group normalisation with one
    group for each channel.

    Args:
        classes: outputs of the last layer.
        width: channels.
        depth: blocks, each of which halves the image.
        size: side of the images in pixels.
        seed: of the weights; the global random state is left as it was.
    """

    def __init__(self, classes: int, width: int = 128, depth: int = 3, size: int = 32, *, seed: int = 0) -> None:
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            blocks: list[nn.Module] = []
            for index in range(depth):
                blocks += [
                    nn.Conv2d(width if index else 3, width, 3, padding=1),
                    nn.GroupNorm(width, width),
                    nn.ReLU(inplace=True),
                    nn.AvgPool2d(2),
                ]
            self.blocks = nn.Sequential(*blocks)
            self.classifier = nn.Linear(width * (size >> depth) ** 2, classes)

    def features(self, images: Tensor) -> Tensor:
        """[B, D]: the input of the last layer for images [B, 3, size, size]."""
        rows: Tensor = self.blocks(images).flatten(1)
        return rows

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.classifier(self.features(images))
        return logits
