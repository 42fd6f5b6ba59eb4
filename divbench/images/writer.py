"""Write a set as `images/<class>/<id>.png` and `set.json`, all of it or nothing."""

import os
import secrets
import shutil
from pathlib import Path
from urllib.parse import quote

import msgspec
from PIL import Image

from divbench.errors import InputError
from divbench.images.imageset import ImageSet
from divbench.images.manifest import MANIFEST, SCHEMA, ClassFolder, Manifest

_RESERVED = frozenset({"con", "prn", "aux", "nul", *(f"{port}{n}" for port in ("com", "lpt") for n in range(1, 10))})
_LONGEST = 100


def write_images(images: ImageSet, folder: Path) -> None:
    """Write every image losslessly, in stored order within its class.

    The folder appears complete or not at all: it is written under a temporary name beside its place and renamed. Class
    names that a file system could refuse are written in a safe form; `set.json` maps them back.

    Args:
        images: the set; lazy ones are decoded one image at a time.
        folder: must not exist yet.

    Raises:
        InputError: the folder exists, an image cannot be decoded, or writing fails.
    """
    if folder.exists() or folder.is_symlink():
        raise InputError(f"{folder}: exists already; give a new place or remove it first")
    partial = None
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        partial = folder.parent / f".{folder.name}.{secrets.token_hex(4)}.partial"
        _write(images, partial)
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


def _write(images: ImageSet, partial: Path) -> None:
    folders = safe_names(images.classes)
    for name in folders:
        (partial / "images" / name).mkdir(parents=True)
    written = [0] * len(folders)
    for index, label in enumerate(images.labels.tolist()):
        pixels = images.read(index).pixels.permute(1, 2, 0).contiguous().numpy()
        path = partial / "images" / folders[label] / f"{written[label]:05d}.png"
        Image.fromarray(pixels).save(path, format="PNG")
        written[label] += 1
    classes = tuple(ClassFolder(name, folder) for name, folder in zip(images.classes, folders, strict=True))
    manifest = Manifest(SCHEMA, images.name, classes, images.labelled)
    (partial / MANIFEST).write_bytes(msgspec.json.format(msgspec.json.encode(manifest)) + b"\n")
