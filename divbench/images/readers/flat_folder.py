"""A folder of images without classes."""

from pathlib import Path

from divbench.images.folders import kind_within
from divbench.images.imageset import ImageSet
from divbench.images.manifest import MANIFEST
from divbench.images.reader import Reader, ReadOptions, register
from divbench.images.readers.class_folders import read_folder


def recognise(source: str) -> str | None:
    """A folder with images directly in it, or in the first folder below that holds any."""
    path = Path(source)
    if not path.is_dir() or (path / MANIFEST).is_file():
        return None
    return "images without class folders" if kind_within(path) == "flat" else None


def read(source: str, options: ReadOptions) -> list[ImageSet]:
    """One lazy, unlabelled set."""
    return [read_folder(Path(source), options)]


register(
    Reader(
        "flat-folder",
        "a flat folder of images without labels (dataset scope only)",
        recognise,
        read,
        frozenset({"split"}),
    )
)
