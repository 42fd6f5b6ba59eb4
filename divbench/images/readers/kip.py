"""KIP: `images.npy` (channels last) and `labels.npy` (one row of scores per image)."""

from pathlib import Path

from divbench.errors import InputError
from divbench.images.arrays import as_tensor, image_set, in_order
from divbench.images.imageset import ImageSet
from divbench.images.reader import Reader, ReadOptions, register
from divbench.images.storage import load_npy


def recognise(source: str) -> str | None:
    """A folder with `images.npy` and `labels.npy`, or one `.npy` file."""
    path = Path(source)
    if path.is_dir() and (path / "images.npy").is_file():
        return "images.npy and labels.npy" if (path / "labels.npy").is_file() else "images.npy without labels.npy"
    return "an array" if path.suffix == ".npy" and path.is_file() else None


def read(source: str, options: ReadOptions) -> list[ImageSet]:
    """One set."""
    given = Path(source)
    path = given / "images.npy" if given.is_dir() else given
    images = as_tensor(load_npy(path), str(path))
    beside = path.with_name(path.name.replace("images", "labels"))
    if beside != path and beside.is_file():
        labels, origin = as_tensor(load_npy(beside), str(beside)), f"labels from {beside.name}"
    elif options.per_class is not None:
        labels = in_order(images, options.per_class, str(path))
        origin = f"labels as stated: {options.per_class} of each class in order"
    else:
        raise InputError(
            f"{path}: has no {path.name.replace('images', 'labels')} beside it; if the images lie class after class, "
            "say how many there are of each with per_class (--per-class)"
        )
    name = given.resolve().name if given.is_dir() else path.stem
    found = f"array {path.name}, {origin}"
    return [image_set(images, labels, what=str(path), found=found, options=options, name=name)]


register(
    Reader(
        "npy",
        "KIP: images.npy and labels.npy",
        recognise,
        read,
        frozenset({"normalized", "as_is", "per_class"}),
    )
)
