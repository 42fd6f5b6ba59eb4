"""`hf:NAME`: a data set of the Hugging Face `datasets` library (optional)."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from divbench.errors import InputError, MissingExtraError, shorten
from divbench.images.decode import decode_bytes
from divbench.images.imageset import NO_CLASSES, ImageSet, Picture
from divbench.images.reader import Reader, ReadOptions, register

PREFIX = "hf:"


@dataclass(frozen=True, eq=False)
class HubImages:
    """An `ImageSource` over one image column, whose rows are encoded files."""

    rows: Any
    column: str
    name: str

    def __len__(self) -> int:
        return len(self.rows)

    def read(self, index: int) -> Picture:
        """Decode row ``index``; raises `BadImageError`."""
        entry = self.rows[index][self.column] or {}
        data = entry.get("bytes")
        if data is None and entry.get("path"):
            data = Path(entry["path"]).read_bytes()
        return decode_bytes(data or b"", self.name_of(index))

    def name_of(self, index: int) -> str:
        """The data set and the row."""
        return f"{self.name}[{index}]"

    def fingerprint(self) -> str | None:
        """Digest of the library's own fingerprint, which follows the content."""
        return hashlib.sha256(f"{self.name}\0{self.rows._fingerprint}".encode()).hexdigest()


def recognise(source: str) -> str | None:
    """A source that starts with `hf:`."""
    return "a Hugging Face data set" if source.startswith(PREFIX) else None


def read(source: str, options: ReadOptions) -> list[ImageSet]:
    """One lazy set; `hf:NAME` or `hf:NAME:CONFIGURATION`."""
    rows, split = _load(source, options)
    image, label = _columns(source, rows)
    encoded = rows.cast_column(image, type(rows.features[image])(decode=False))
    images = HubImages(encoded, image, source)
    name = options.name or source.removeprefix(PREFIX)
    found = f"Hugging Face data set {source.removeprefix(PREFIX)}, split {split}, column {image!r}"
    if label is None:
        nothing = torch.zeros(len(rows), dtype=torch.int64)
        return [ImageSet(images, nothing, NO_CLASSES, name, found, ("no class labels",), labelled=False)]
    labels = torch.tensor(rows[label][:], dtype=torch.int64)
    return [ImageSet(images, labels, tuple(rows.features[label].names), name, f"{found}, labels {label!r}")]


def _load(source: str, options: ReadOptions) -> tuple[Any, str]:
    try:
        import datasets
    except ImportError:
        raise MissingExtraError(source, "huggingface") from None
    name, _, configuration = source.removeprefix(PREFIX).partition(":")
    try:
        with nullcontext() if options.download else _offline():
            splits = datasets.load_dataset(name, configuration or None)
    # The library raises errors of many kinds, its own and those of the network below it.
    except Exception as problem:
        remedy = (
            "check the name and the connection" if options.download else "say download if it is not on this machine yet"
        )
        raise InputError(f"{source}: cannot be loaded ({type(problem).__name__}: {problem}); {remedy}") from None
    split = options.split or (next(iter(splits)) if len(splits) == 1 else None)
    if split is None or split not in splits:
        asked = "holds several splits" if split is None else f"has no split {split!r}"
        raise InputError(f"{source}: {asked}; choose split (--split) = {' or '.join(splits)}")
    return splits[split], split


@contextmanager
def _offline() -> Iterator[None]:
    """Inside, the libraries ask no network; `datasets.DownloadConfig` has no option that is heeded everywhere."""
    import datasets
    import huggingface_hub

    switches = [(datasets.config, "HF_HUB_OFFLINE"), (datasets.config, "HF_DATASETS_OFFLINE")]
    switches += [(huggingface_hub.constants, "HF_HUB_OFFLINE")]
    before = [getattr(module, name) for module, name in switches]
    try:
        for module, name in switches:
            setattr(module, name, True)
        yield
    finally:
        for (module, name), value in zip(switches, before, strict=True):
            setattr(module, name, value)


def _columns(source: str, rows: Any) -> tuple[str, str | None]:
    kinds = {name: type(feature).__name__ for name, feature in rows.features.items()}
    images = [name for name, kind in kinds.items() if kind == "Image"]
    labels = [name for name, kind in kinds.items() if kind == "ClassLabel"]
    if len(images) != 1 or len(labels) > 1:
        raise InputError(
            f"{source}: expected one column of images and at most one of class labels, got "
            f"{shorten(images) or 'none'} and {shorten(labels) or 'none'} among {shorten(list(kinds), 10)}"
        )
    return images[0], labels[0] if labels else None


register(Reader("huggingface", "hf:NAME: a Hugging Face data set", recognise, read, frozenset({"split"})))
