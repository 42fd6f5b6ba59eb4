"""Read tensors from `torch.save` and safetensors files without running anything that is in them."""

import argparse
import json
import pickle
import re
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import safetensors
import safetensors.torch
import torch
from numpy._core.multiarray import scalar
from torch import Tensor

from divbench.errors import DivbenchError

_NUMBERS = (np.float64, np.float32, np.int64, np.int32, np.bool_)
# Training scripts leave accuracies and arguments beside tensors; rebuilding these runs no code of the file's choice.
# Both names of the scalars' constructor are in use, and nothing else is let in.
_SAFE: list[Any] = [
    (scalar, "numpy.core.multiarray.scalar"),
    (scalar, "numpy._core.multiarray.scalar"),
    np.dtype,
    *(type(np.dtype(kind)) for kind in _NUMBERS),
    argparse.Namespace,
]


def safetensors_bytes(tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> bytes:
    """A safetensors file whose bytes depend on its contents alone; the library writes metadata in any order."""
    data = safetensors.torch.save({name: value.contiguous() for name, value in tensors.items()}, dict(metadata))
    size = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + size])
    header["__metadata__"] = dict(sorted(metadata.items()))
    ordered = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    padded = ordered.ljust(-(-len(ordered) // 8) * 8)
    return len(padded).to_bytes(8, "little") + padded + data[8 + size :]


class Tensors(NamedTuple):
    """The tensors of a safetensors file by name, and the texts in its header."""

    tensors: dict[str, Tensor]
    metadata: dict[str, str]


def load_torch(path: Path, error: type[DivbenchError], remedy: str, *, mmap: bool = False) -> Any:
    """What a file of `torch.save` holds, on the CPU: tensors, plain containers, numpy scalars and `argparse.Namespace`.

    Args:
        path: the file.
        error: what to raise where it is damaged or holds other objects.
        remedy: what to save instead of other objects; ends the message.
        mmap: map the tensors' values instead of reading them.
    """
    if path.is_file() and path.stat().st_size == 0:
        raise error(f"{path}: not a readable file of torch.save (it is empty, 0 bytes); fetch or save it again")
    try:
        with torch.serialization.safe_globals(_SAFE), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # an unusual pickle protocol: what cannot be read is an error below
            return torch.load(path, map_location="cpu", weights_only=True, mmap=mmap)
    # A damaged file can fail in any part of torch's reader.
    except Exception as problem:
        raise error(f"{path}: {_complaint(problem, remedy)}") from problem


def _complaint(problem: Exception, remedy: str) -> str:
    text = str(problem)
    if isinstance(problem, pickle.UnpicklingError):
        asked = re.search(r"GLOBAL ([\w.]+)", text)
        what = f"asks for {asked[1]}" if asked else "holds more than tensors, numbers and containers"
        return f"{what}, and loading that could execute code, so it was refused; {remedy}"
    why = ": ".join([type(problem).__name__, *text.splitlines()[:1]])
    return f"not a readable file of torch.save ({why:.200}); fetch or save it again"


def load_safetensors(path: Path, error: type[DivbenchError]) -> Tensors:
    """Everything in a safetensors file, on the CPU; raises ``error`` where it is damaged."""
    try:
        with safetensors.safe_open(path, framework="pt", device="cpu") as file:
            return Tensors(
                {key: file.get_tensor(key) for key in file.keys()},  # noqa: SIM118
                dict(file.metadata() or {}),
            )
    except (safetensors.SafetensorError, OSError) as problem:
        raise error(f"{path}: not a readable safetensors file ({problem}); fetch or save it again") from problem
