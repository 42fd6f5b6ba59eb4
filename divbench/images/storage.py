"""Read `.pt`, `.safetensors`, `.npy` and `.npz` files of images without running anything that is in them."""

import lzma
import tokenize
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from divbench import storage
from divbench.errors import InputError

TORCH_SUFFIXES = frozenset({".pt", ".pth"})
# numpy parses headers as literals of Python, believes their sizes, and passes on what the decompressors say.
_DAMAGED = (
    OSError,
    EOFError,
    ValueError,
    SyntaxError,
    tokenize.TokenError,
    MemoryError,
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    RuntimeError,
)


def load_torch(path: Path, *, peek: bool = False) -> Any:
    """What ``path`` holds, on the CPU; see `divbench.storage.load_torch`.

    Args:
        path: a file of `torch.save`.
        peek: map the tensors' values instead of reading them, where the file allows it; for a look at the structure.

    Raises:
        InputError: the file cannot be read, is damaged, or holds other objects than tensors, numbers and containers.
    """
    mapped = peek and zipfile.is_zipfile(path)
    return storage.load_torch(path, InputError, "save its image and label tensors alone", mmap=mapped)


def load_safetensors(path: Path) -> dict[str, Tensor]:
    """All tensors of a safetensors file; raises `InputError` where it is damaged."""
    return storage.load_safetensors(path, InputError).tensors


def load_npy(path: Path) -> np.ndarray:
    """The array of an `.npy` file; raises `InputError` where it is damaged or holds Python objects."""
    try:
        array = np.load(path, allow_pickle=False)
    except _DAMAGED as problem:
        raise InputError(f"{path}: cannot be read as an array: {problem}") from None
    if not isinstance(array, np.ndarray):
        raise InputError(f"{path}: holds several arrays; expected one")
    return array


def npz_keys(path: Path) -> list[str]:
    """Names of the arrays in an `.npz` file, found without reading them; raises `InputError` where it is damaged."""
    try:
        with zipfile.ZipFile(path) as archive:
            return [name.removesuffix(".npy") for name in archive.namelist()]
    except _DAMAGED as problem:
        raise InputError(f"{path}: cannot be read as .npz: {problem}") from None


def load_npz(path: Path, keys: list[str]) -> dict[str, np.ndarray]:
    """The named arrays of an `.npz` file; raises `InputError` where it is damaged or holds Python objects."""
    try:
        with np.load(path, allow_pickle=False) as arrays:
            return {key: arrays[key] for key in keys}
    except _DAMAGED as problem:
        raise InputError(f"{path}: cannot be read as .npz: {problem}") from None
