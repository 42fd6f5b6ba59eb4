"""Tensors kept between runs, found by what they were computed from and never by the name of a file or folder."""

import hashlib
import os
import re
import tempfile
import warnings
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import platformdirs
import safetensors
import safetensors.torch
import torch
from torch import Tensor

_FORMAT = "divbench-cache-1"
_OWN = re.compile(r"[a-z]+-[0-9a-f]{64}(\.safetensors|\.[^.]+\.part)")


class CacheWarning(UserWarning):
    """Something could not be kept; the result itself is complete."""


class CacheInfo(NamedTuple):
    """What lies in a cache folder."""

    folder: Path
    files: int
    bytes: int


class Cached(NamedTuple):
    """Tensors by name, and a free text kept beside them."""

    tensors: dict[str, Tensor]
    text: str


class Cache:
    """A folder of safetensors files whose headers repeat their key and a checksum; what does not match is unknown.

    Several processes may use one folder: a file appears whole under its final name or not at all.

    Args:
        folder: where the files lie; made when the first one is written. Default: the environment variable
            DIVBENCH_CACHE, else the user's cache folder.
    """

    def __init__(self, folder: Path | None = None) -> None:
        default = os.environ.get("DIVBENCH_CACHE") or platformdirs.user_cache_dir("divbench")
        self.folder = Path(default if folder is None else folder)

    def load(self, kind: str, key: str) -> Cached | None:
        """What was kept under ``kind`` and ``key``; None where nothing is, or the file is damaged or not ours."""
        try:
            with safetensors.safe_open(self._path(kind, key), framework="pt", device="cpu") as file:
                header = file.metadata() or {}
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        except (OSError, safetensors.SafetensorError):
            return None
        text = header.get("text", "")
        return Cached(tensors, text) if header == _header(kind, key, tensors, text) else None

    def store(self, kind: str, key: str, tensors: Mapping[str, Tensor], text: str = "") -> None:
        """Keep CPU tensors under ``kind`` and ``key``; a failure to write is a `CacheWarning`, not an error."""
        plain = {name: _own_memory(tensor) for name, tensor in tensors.items()}
        path = self._path(kind, key)
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            handle, name = tempfile.mkstemp(prefix=f"{path.stem}.", suffix=".part", dir=self.folder)
            os.close(handle)
            part = Path(name)
            try:
                safetensors.torch.save_file(plain, part, metadata=_header(kind, key, plain, text))
                os.replace(part, path)
            finally:
                part.unlink(missing_ok=True)
        except (OSError, safetensors.SafetensorError) as error:
            warnings.warn(
                f"{self.folder}: could not keep {kind} for the next run ({error}); "
                f"make room, or name another folder in DIVBENCH_CACHE",
                CacheWarning,
                stacklevel=2,
            )

    def remember(self, kind: str, key: str, compute: Callable[[], dict[str, Tensor]]) -> dict[str, Tensor]:
        """What was kept under ``kind`` and ``key``, else what ``compute`` returns, which is then kept.

        Args:
            kind: lower-case letters that say what is kept, such as ``"radii"``.
            key: everything that the values depend on, such as digests of their inputs and settings.
            compute: returns CPU tensors by name.
        """
        known = self.load(kind, key)
        if known is not None:
            return known.tensors
        tensors = compute()
        self.store(kind, key, tensors)
        return tensors

    def info(self) -> CacheInfo:
        """How many files the cache holds, and their size."""
        sizes = [size for _, size in self._own()]
        return CacheInfo(self.folder, len(sizes), sum(sizes))

    def clear(self) -> CacheInfo:
        """Remove what the cache has written, and nothing else; says what was removed."""
        removed = []
        for path, size in self._own():
            path.unlink(missing_ok=True)
            removed.append(size)
        return CacheInfo(self.folder, len(removed), sum(removed))

    def _path(self, kind: str, key: str) -> Path:
        return self.folder / f"{kind}-{hashlib.sha256(key.encode()).hexdigest()}.safetensors"

    def _own(self) -> Iterator[tuple[Path, int]]:
        for entry in os.scandir(self.folder) if self.folder.is_dir() else ():
            if _OWN.fullmatch(entry.name) and entry.is_file(follow_symlinks=False):
                yield Path(entry.path), entry.stat().st_size


def _own_memory(tensor: Tensor) -> Tensor:
    # The format refuses tensors that share memory, as two views of one tensor do.
    view = tensor.untyped_storage().nbytes() != tensor.nbytes
    return tensor.clone(memory_format=torch.contiguous_format) if view else tensor.contiguous()


def _header(kind: str, key: str, tensors: Mapping[str, Tensor], text: str) -> dict[str, str]:
    checksum = hashlib.blake2b(text.encode())
    for name in sorted(tensors):
        value = tensors[name]
        checksum.update(f"{name} {value.dtype} {tuple(value.shape)}".encode())
        checksum.update(value.contiguous().flatten().view(torch.uint8).numpy())
    return {"format": _FORMAT, "kind": kind, "key": key, "text": text, "checksum": checksum.hexdigest()}
