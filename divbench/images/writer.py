"""Write a set as image files and `set.json`, all of it or nothing."""

import os
import secrets
import shutil
from pathlib import Path
from typing import Any, Literal
from urllib.parse import quote

from PIL import Image

from divbench.errors import InputError
from divbench.images.imageset import ImageSet
from divbench.images.manifest import SCHEMA, ClassFolder, Manifest, save_manifest

_RESERVED = frozenset({"con", "prn", "aux", "nul", *(f"{port}{n}" for port in ("com", "lpt") for n in range(1, 10))})
_LONGEST = 100
Format = Literal["png", "jpeg75"]
FolderLayout = Literal["divbench", "sre2l"]
_FORMATS: dict[str, tuple[str, dict[str, Any]]] = {
    "png": (".png", {"format": "PNG"}),
    "jpeg75": (".jpg", {"format": "JPEG", "quality": 75}),
}


def write_images(images: ImageSet, folder: Path, *, format: Format = "png", layout: FolderLayout = "divbench") -> None:
    """Write every image, in stored order within its class.

    The folder appears complete or not at all: it is written under a temporary name beside its place and renamed. Class
    names that a file system could refuse are written in a safe form; `set.json` maps them back.

    Args:
        images: the set; lazy ones are decoded one image at a time.
        folder: must not exist yet.
        format: ``png`` is lossless; ``jpeg75`` is what the released code of the SRe2L family writes.
        layout: ``divbench``: `images/<class>/<id>.png`; ``sre2l``: `images/new000/class000_id000.png`, as other
            people's tools expect below the folder that they are given.

    Raises:
        InputError: the folder exists, an image cannot be decoded, or writing fails.
    """
    if folder.exists() or folder.is_symlink():
        raise InputError(f"{folder}: exists already; give a new place or remove it first")
    partial = None
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        partial = folder.parent / f".{folder.name}.{secrets.token_hex(4)}.partial"
        _write(images, partial, format, layout)
        os.rename(partial, folder)
    except OSError as problem:
        raise InputError(
            f"{folder}: cannot be written: {problem.strerror or problem}; nothing was left behind"
        ) from problem
    finally:
        if partial is not None and partial.exists():
            shutil.rmtree(partial, ignore_errors=True)


def safe_names(classes: tuple[str, ...]) -> tuple[str, ...]:
    """One folder name per class that every common file system takes, distinct even where case does not count."""
    taken: set[str] = set()
    names = []
    for index, name in enumerate(classes):
        safe = quote(name, safe=" ,()+").replace(" ", "_").strip("_")
        if not safe or safe.startswith(".") or safe.endswith(".") or len(safe) > _LONGEST:
            safe = f"class{index}"
        if safe.split(".")[0].casefold() in _RESERVED:
            safe = f"class{index}_{safe}"
        while safe.casefold() in taken:
            safe += "_"
        taken.add(safe.casefold())
        names.append(safe)
    return tuple(names)


def _write(images: ImageSet, partial: Path, format: Format, layout: FolderLayout) -> None:
    names = (
        safe_names(images.classes) if layout == "divbench" else tuple(f"new{c:03d}" for c in range(len(images.classes)))
    )
    folders = [partial / "images" / name for name in names]
    for folder in folders:
        folder.mkdir(parents=True)
    written = [0] * len(folders)
    suffix, options = _FORMATS[format]
    for index, label in enumerate(images.labels.tolist()):
        pixels = images.read(index).pixels.permute(1, 2, 0).contiguous().numpy()
        number = written[label]
        stem = f"{number:05d}" if layout == "divbench" else f"class{label:03d}_id{number:03d}"
        Image.fromarray(pixels).save(folders[label] / f"{stem}{suffix}", **options)
        written[label] += 1
    classes = tuple(ClassFolder(name, folder) for name, folder in zip(images.classes, names, strict=True))
    save_manifest(Manifest(SCHEMA, images.name, classes, images.labelled), partial)
