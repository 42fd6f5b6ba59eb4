"""`.npz` with `images`, `labels` and perhaps `classes`; or `<split>`, `<split>_labels` and perhaps `classes`."""

from pathlib import Path

import numpy as np

from divbench.errors import InputError, shorten
from divbench.images.arrays import as_tensor, image_set
from divbench.images.imageset import ImageSet
from divbench.images.reader import Reader, ReadOptions, register
from divbench.images.storage import load_npz, npz_keys


def recognise(source: str) -> str | None:
    """Any `.npz` file."""
    path = Path(source)
    return "arrays" if path.suffix == ".npz" and path.is_file() else None


def read(source: str, options: ReadOptions) -> list[ImageSet]:
    """One set."""
    path = Path(source)
    keys = npz_keys(path)
    images_key, labels_key = _keys(path, keys, options.split)
    wanted = [images_key, labels_key, *(["classes"] if "classes" in keys else [])]
    arrays = load_npz(path, wanted)
    classes = None
    if "classes" in arrays:
        if arrays["classes"].ndim != 1 or arrays["classes"].dtype.kind not in "US":
            raise InputError(f"{path}: 'classes' must be a list of texts, got {arrays['classes'].dtype}")
        names = arrays["classes"]
        if names.dtype.kind == "S":
            names = np.char.decode(names, "utf-8", "surrogateescape")
        classes = tuple(map(str, names))
    images = image_set(
        as_tensor(arrays[images_key], f"{path}, {images_key!r}"),
        as_tensor(arrays[labels_key], f"{path}, {labels_key!r}"),
        what=str(path),
        found=f".npz with {images_key!r} and {labels_key!r}" + (f" and {len(classes)} class names" if classes else ""),
        options=options,
        name=path.stem,
        classes=classes,
    )
    return [images]


def _keys(path: Path, keys: list[str], split: str | None) -> tuple[str, str]:
    splits = [key for key in keys if f"{key}_labels" in keys]
    if split is None and "images" in keys and "labels" in keys:
        return "images", "labels"
    if split is None and len(splits) == 1:
        return splits[0], f"{splits[0]}_labels"
    if split in splits:
        return split, f"{split}_labels"
    if splits:
        asked = "choose" if split is None else f"split {split!r} was asked for, but the choice is"
        raise InputError(f"{path}: holds several splits; {asked} split (--split) = {' or '.join(splits)}")
    raise InputError(
        f"{path}: expected arrays 'images' and 'labels', or NAME and NAME_labels for a split NAME"
        + (f" = {split!r}" if split else "")
        + f"; got {shorten(keys)}"
    )


register(
    Reader(
        "npz",
        ".npz with images, labels and perhaps classes; or <split>, <split>_labels",
        recognise,
        read,
        frozenset({"normalized", "as_is", "split"}),
    )
)
