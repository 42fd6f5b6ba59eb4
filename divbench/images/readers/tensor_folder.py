"""A folder of `tensor_{i}.pt`: one file per class, or one file per image of every class."""

import re
from pathlib import Path

import torch
from torch import Tensor

from divbench.errors import InputError
from divbench.images.arrays import image_set
from divbench.images.imageset import ImageSet
from divbench.images.reader import Reader, ReadOptions, register
from divbench.images.storage import load_torch

_USUAL_CLASSES = frozenset({10, 100, 200, 1000})
_NAME = re.compile(r"tensor_(\d+)\.pt")


def recognise(source: str) -> str | None:
    """A folder that holds `tensor_0.pt`."""
    return "tensor_0.pt, ..." if (Path(source) / "tensor_0.pt").is_file() else None


def read(source: str, options: ReadOptions) -> list[ImageSet]:
    """One set, class after class."""
    folder = Path(source)
    tensors = _load(folder)
    by_class, why = _is_by_class([len(tensor) for tensor in tensors], folder, options.per_class)
    counts = torch.tensor([len(tensor) for tensor in tensors])
    images = torch.cat(tensors)
    if by_class:
        labels = torch.repeat_interleave(torch.arange(len(tensors)), counts)
    else:
        # Row = class: gather the files' rows class after class.
        order = torch.arange(len(images)).view(len(tensors), -1).T.flatten()
        images, labels = images[order], torch.repeat_interleave(torch.arange(len(tensors[0])), len(tensors))
    layout = "one file per class" if by_class else "one file per image of every class (row = class)"
    found = f"{len(tensors)} files tensor_*.pt, {layout}: {why}"
    return [image_set(images, labels, what=str(folder), found=found, options=options, name=folder.resolve().name)]


def _load(folder: Path) -> list[Tensor]:
    numbered = {int(match[1]): path for path in folder.iterdir() if (match := _NAME.fullmatch(path.name))}
    if sorted(numbered) != list(range(len(numbered))):
        missing = sorted(set(range(max(numbered) + 1)) - set(numbered))
        raise InputError(
            f"{folder}: tensor_{missing[0]}.pt is missing between tensor_0.pt and tensor_{max(numbered)}.pt"
        )
    tensors = [load_torch(numbered[index]) for index in sorted(numbered)]
    for index, tensor in enumerate(tensors):
        if not isinstance(tensor, Tensor) or tensor.ndim != 4 or tensor.shape[1:] != tensors[0].shape[1:]:
            shape = list(tensor.shape) if isinstance(tensor, Tensor) else type(tensor).__name__
            raise InputError(
                f"{folder}/tensor_{index}.pt: expected images [n, 3, H, W] as in the other files, got {shape}"
            )
        if tensor.dtype != tensors[0].dtype:
            raise InputError(f"{folder}/tensor_{index}.pt: is {tensor.dtype}, but tensor_0.pt is {tensors[0].dtype}")
    return [tensor.detach() for tensor in tensors]


def _is_by_class(rows: list[int], folder: Path, per_class: int | None) -> tuple[bool, str]:
    """Whether file = class, and the evidence; raises `InputError` where the shapes allow both."""
    files = len(rows)
    if len(set(rows)) > 1:
        return True, "the files differ in length"
    fits_class, fits_row = per_class == rows[0], per_class == files
    if per_class is not None:
        if fits_class == fits_row:
            raise InputError(
                f"{folder}: {files} files of {rows[0]} images: per_class = {per_class} does not tell the layout"
            )
        return fits_class, f"per_class = {per_class} as stated"
    usual_files, usual_rows = files in _USUAL_CLASSES, rows[0] in _USUAL_CLASSES
    if usual_files == usual_rows:
        raise InputError(
            f"{folder}: {files} files of {rows[0]} images each could be {files} classes or {rows[0]} classes; "
            f"say which with per_class = {rows[0]} (one file per class) or {files} (one file per image of every class)"
        )
    usual = files if usual_files else rows[0]
    return usual_files, f"{usual} is a usual number of classes and {rows[0] if usual_files else files} is not"


register(
    Reader(
        "tensor-folder",
        "a folder of tensor_{i}.pt, one file per class or per image of every class",
        recognise,
        read,
        frozenset({"normalized", "as_is", "per_class"}),
    )
)
