"""Class folders, one per class, in every layout that is in use."""

from pathlib import Path

from divbench.images.folders import find_root, kind_within
from divbench.images.imageset import ImageSet
from divbench.images.layout import lay_out
from divbench.images.manifest import MANIFEST
from divbench.images.reader import Reader, ReadOptions, register


def recognise(source: str) -> str | None:
    """A folder with class folders somewhere below, which is no set of divbench's own."""
    path = Path(source)
    if not path.is_dir() or (path / MANIFEST).is_file():
        return None
    return "class folders" if kind_within(path) in ("classes", "annotated") else None


def read(source: str, options: ReadOptions) -> list[ImageSet]:
    """One lazy set; its classes are the folders' names, numbered ones in order of number."""
    return [read_folder(Path(source), options)]


def read_folder(folder: Path, options: ReadOptions) -> ImageSet:
    """The images below ``folder``, in class folders or flat."""
    root, kind, notes = find_root(folder, options.split)
    return lay_out(root, kind).image_set(options.name or folder.resolve().name, notes)


register(
    Reader(
        "class-folders",
        "one folder per class: SRe2L new000/class000_id000.jpg, RDED 00000/, ImageFolder, Tiny-ImageNet",
        recognise,
        read,
        frozenset({"split"}),
    )
)
