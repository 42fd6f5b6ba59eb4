"""State dicts in weight files: reading them without running code, loading them whole, and saying what they are."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from torch import Tensor, nn

from divbench.errors import WeightsError, shorten
from divbench.storage import load_safetensors, load_torch

_SUFFIXES = (".safetensors", ".pt", ".pth", ".th", ".bin", ".ckpt")
_WRAPPERS = ("state_dict", "model_state_dict", "model", "net", "network")
_PREFIXES = ("module.", "model.", "_orig_mod.")
_REMEDY = "save the state dict alone (torch.save(network.state_dict(), ...) or safetensors) where it was trained"
_SHOWN = 4


class StateDict(NamedTuple):
    """Parameters and buffers by name, and whatever else the file said (``"mean"``, ``"arch"``, ``"acc"``, ...)."""

    state: dict[str, Tensor]
    metadata: dict[str, Any]


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
