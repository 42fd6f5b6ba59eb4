"""MTT: a folder with `images_*.pt` and `labels_*.pt`, perhaps of several iterations, perhaps in numbered parts."""

import re
from dataclasses import replace
from pathlib import Path

import torch

from divbench.errors import InputError, shorten
from divbench.images.imageset import ImageSet
from divbench.images.reader import Reader, ReadOptions, register
from divbench.images.readers.tensors import TAKES, read_file

_PART = re.compile(r"images_best_(\d+)\.pt")


def recognise(source: str) -> str | None:
    """A folder that holds `images_*.pt`, or `*_images.pt`."""
    path = Path(source)
    if not path.is_dir():
        return None
    found = _image_files(path)
    return f"image tensors {shorten([one.name for one in found])}" if found else None


def read(source: str, options: ReadOptions) -> list[ImageSet]:
    """The only image tensor of the folder, or all its numbered parts in order."""
    folder = Path(source)
    named = replace(options, name=options.name or folder.resolve().name)
    found = _image_files(folder)
    parts = _parts(found)
    if parts:
        return [_joined([read_file(part, named) for part in parts])]
    plain = [path for path in found if "_zca_" not in path.name]
    if len(plain) > 1 or (not plain and len(found) > 1):
        raise InputError(
            f"{folder}: holds several image tensors ({shorten([p.name for p in found], 10)}); name one of them"
        )
    # A zca twin is another view of the same set: the plain one is read, or refused with a pointer to the twin.
    path = plain[0] if plain else found[0]
    images = read_file(path, named)
    return [replace(images, notes=(*images.notes, *_left_out(found, path)))]


def _left_out(found: list[Path], path: Path) -> tuple[str, ...]:
    others = [other.name for other in found if other != path]
    return (f"not read: {shorten(others)}",) if others else ()


def _image_files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.glob("*.pt") if re.fullmatch(r"(images_.+|.+_images)\.pt", path.name))


def _parts(found: list[Path]) -> list[Path]:
    """`images_best_0.pt`, `images_best_1.pt`, ... where the folder holds these and nothing else."""
    numbered = {int(match[1]): path for path in found if (match := _PART.fullmatch(path.name))}
    if len(numbered) < len(found) or sorted(numbered) != list(range(len(numbered))):
        return []
    return [numbered[index] for index in sorted(numbered)]


def _joined(parts: list[ImageSet]) -> ImageSet:
    classes = max((part.classes for part in parts), key=len)
    notes = dict.fromkeys(f"part {index}: {note}" for index, part in enumerate(parts) for note in part.notes)
    return replace(
        parts[0],
        images=torch.cat([part.pixels() for part in parts]),
        labels=torch.cat([part.labels for part in parts]),
        classes=classes,
        recognised=f"{len(parts)} numbered parts; {parts[0].recognised}",
        notes=tuple(notes),
    )


register(Reader("mtt-folder", "MTT: a folder with images_*.pt and labels_*.pt", recognise, read, TAKES))
