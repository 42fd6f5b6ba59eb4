"""Data sets by name."""

from pathlib import Path

from divbench.images.imageset import ImageSet
from divbench.images.named import DATASETS, read_named
from divbench.images.reader import Reader, ReadOptions, register


def recognise(source: str) -> str | None:
    """A known name that is not also a path."""
    return f"data set {source}" if source in DATASETS and not Path(source).exists() else None


def read(source: str, options: ReadOptions) -> list[ImageSet]:
    """One set."""
    return [read_named(source, options)]


register(Reader("named", f"a data set by name: {', '.join(DATASETS)}", recognise, read, frozenset({"split"})))
