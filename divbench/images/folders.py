"""Find the images in a folder tree: which folder holds the classes, or the flat images, and what surrounds it."""

import os
from pathlib import Path

from divbench.errors import InputError, shorten, shown
from divbench.images.decode import SUFFIXES

SPLITS = ("train", "val", "test", "valid", "validation", "training", "testing")
_WRAPPERS = frozenset({*SPLITS, "images", "syn_data"})
_DEPTH = 5
ANNOTATIONS = "val_annotations.txt"


def entries(folder: Path) -> tuple[list[Path], list[Path]]:
    """(files, folders) in ``folder``, sorted by name; hidden ones are left out."""
    files: list[str] = []
    folders: list[str] = []
    try:
        with os.scandir(folder) as found:
            for entry in found:
                if not entry.name.startswith("."):
                    (folders if entry.is_dir() else files).append(entry.name)
    except OSError as problem:
        raise InputError(f"{folder}: cannot be listed: {problem.strerror}") from None
    return [folder / name for name in sorted(files)], [folder / name for name in sorted(folders)]


def is_image(path: Path) -> bool:
    """Whether the name ends like an image's."""
    return _has_suffix(path.name)


def image_folder(folder: Path) -> Path | None:
    """``folder`` or its `images/`, whichever holds images directly; None: neither."""
    return next((place for place in (folder, folder / "images") if _holds_image(place)), None)


def _holds_image(folder: Path) -> bool:
    """Whether any image lies in ``folder``; looks no further than the first, since folders can hold a million."""
    try:
        with os.scandir(folder) as found:
            return any(_has_suffix(entry.name) and not entry.is_dir() for entry in found)
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError as problem:
        raise InputError(f"{folder}: cannot be listed: {problem.strerror}") from None


def _has_suffix(name: str) -> bool:
    return not name.startswith(".") and os.path.splitext(name)[1].lower() in SUFFIXES


def kind_of(folder: Path) -> str | None:
    """What ``folder`` itself is: ``"classes"``, ``"annotated"`` (Tiny-ImageNet's val), ``"flat"``, or None."""
    files, folders = entries(folder)
    if any(path.name == ANNOTATIONS for path in files):
        return "annotated"
    if any(path.name not in _WRAPPERS and image_folder(path) for path in folders):
        return "classes"
    return "flat" if any(is_image(path) for path in files) else None


def kind_within(folder: Path, depth: int = _DEPTH) -> str | None:
    """The kind of ``folder`` or of the first folder below it that has one."""
    found = kind_of(folder)
    if found is not None or depth == 0:
        return found
    return next((kind for path in entries(folder)[1] if (kind := kind_within(path, depth - 1))), None)


def find_root(folder: Path, split: str | None) -> tuple[Path, str, tuple[str, ...]]:
    """The folder below ``folder`` that holds the classes or the flat images.

    Args:
        folder: where to start.
        split: name of the split folder to enter, or None.

    Returns:
        The folder, its kind (see `kind_of`) and notes.

    Raises:
        InputError: there are several, or the split is not there.
    """
    here, wanted, notes = folder, split, []
    for _ in range(_DEPTH + 1):
        kind = kind_of(here)
        below = entries(here)[1]
        splits = [path for path in below if path.name in SPLITS and kind_within(path)]
        if wanted in [path.name for path in splits]:
            here, wanted = here / str(wanted), None
            continue
        if (wanted is not None and splits) or (kind is None and len(splits) > 1):
            names = " or ".join(path.name for path in splits)
            raise InputError(
                f"{here}: {_asked(wanted)}; choose split (--split, for real data) = {names}, or give that folder itself"
            )
        if kind is not None:
            break
        candidates = [path for path in below if kind_within(path)]
        if len(candidates) != 1:
            names = shorten([path.name for path in candidates])
            raise InputError(
                f"{here}: holds {len(candidates)} folders with images ({names}); give the one that is meant"
            )
        here = candidates[0]
        notes.append(f"entered {shown(str(here.relative_to(folder)))}")
    if kind is None or (wanted is not None and wanted not in (folder.resolve().name, here.name)):
        raise InputError(f"{folder}: {_asked(wanted)}, but it has no split folders; leave split out")
    return here, kind, tuple(notes[-1:])


def _asked(split: str | None) -> str:
    return "holds several splits" if split is None else f"split {split!r} was asked for"
