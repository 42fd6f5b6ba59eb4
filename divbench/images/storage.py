"""Read `.pt`, `.safetensors`, `.npy` and `.npz` files without running anything that is in them."""

import pickle
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy._core.multiarray import scalar
from safetensors import SafetensorError, safe_open
from torch import Tensor

from divbench.errors import InputError

TORCH_SUFFIXES = frozenset({".pt", ".pth"})
_DTYPES = (np.float64, np.float32, np.int64, np.int32)
# Files hold accuracies as numpy scalars; both names of their constructor are in use, and nothing else is let in.
_SAFE: list[Any] = [
    (scalar, "numpy.core.multiarray.scalar"),
    (scalar, "numpy._core.multiarray.scalar"),
    np.dtype,
    *(type(np.dtype(dtype)) for dtype in _DTYPES),
]


def load_torch(path: Path, *, peek: bool = False) -> Any:
    """What ``path`` holds, on the CPU: tensors, plain containers and numpy scalars only.

    Args:
        path: a file of `torch.save`.
        peek: map the tensors' values instead of reading them, where the file allows it; for a look at the structure.

    Raises:
        InputError: the file cannot be read, is damaged, or holds other objects.
    """
    if path.stat().st_size == 0:
        raise InputError(f"{path}: is empty (0 bytes)")
    try:
        with torch.serialization.safe_globals(_SAFE):
            mapped = peek and zipfile.is_zipfile(path)
            return torch.load(path, map_location="cpu", weights_only=True, mmap=mapped)
    except pickle.UnpicklingError as problem:
        reason = str(problem)
        if "Unsupported" not in reason:
            raise InputError(f"{path}: is damaged, or not a file of torch.save") from None
        raise InputError(
            f"{path}: holds more than tensors, numbers and containers, and is not loaded because that could run code "
            f"({_offender(reason)}); save its image and label tensors alone"
        ) from None
    # A truncated file can fail in any part of torch's reader.
    except Exception as problem:
        raise InputError(f"{path}: cannot be read as a file of torch.save: {str(problem).splitlines()[0]}") from None


def load_safetensors(path: Path) -> dict[str, Tensor]:
    """All tensors of a safetensors file; raises `InputError` where it is damaged."""
    try:
        with safe_open(path, framework="pt") as file:
            return {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as problem:
        raise InputError(f"{path}: cannot be read as safetensors: {problem}") from None


def load_npy(path: Path) -> np.ndarray:
    """The array of an `.npy` file; raises `InputError` where it is damaged or holds Python objects."""
    try:
        array = np.load(path, allow_pickle=False)
    except (ValueError, OSError, EOFError) as problem:
        raise InputError(f"{path}: cannot be read as an array: {problem}") from None
    if not isinstance(array, np.ndarray):
        raise InputError(f"{path}: holds several arrays; expected one")
    return array


def npz_keys(path: Path) -> list[str]:
    """Names of the arrays in an `.npz` file, found without reading them; raises `InputError` where it is damaged."""
    try:
        with zipfile.ZipFile(path) as archive:
            return [name.removesuffix(".npy") for name in archive.namelist()]
    except (zipfile.BadZipFile, OSError) as problem:
        raise InputError(f"{path}: cannot be read as .npz: {problem}") from None


def load_npz(path: Path, keys: list[str]) -> dict[str, np.ndarray]:
    """The named arrays of an `.npz` file; raises `InputError` where it is damaged or holds Python objects."""
    try:
        with np.load(path, allow_pickle=False) as arrays:
            return {key: arrays[key] for key in keys}
    except (ValueError, OSError, EOFError, zipfile.BadZipFile) as problem:
        raise InputError(f"{path}: cannot be read as .npz: {problem}") from None


def _offender(reason: str) -> str:
    line = next((line for line in reason.splitlines() if "Unsupported" in line), reason)
    return line.split("Unsupported", 1)[1].split(" was not", 1)[0].strip(" :")
