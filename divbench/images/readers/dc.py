"""DC, DSA, DM and their kin: one `.pt` file with a list of [images, labels], one per repeat."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from torch import Tensor

from divbench.errors import InputError
from divbench.images.arrays import image_set
from divbench.images.imageset import ImageSet
from divbench.images.reader import Reader, ReadOptions, register
from divbench.images.storage import TORCH_SUFFIXES, load_torch


def recognise(source: str) -> str | None:
    """A `res_*.pt` file, or another whose content has that form."""
    path = Path(source)
    if path.suffix not in TORCH_SUFFIXES or not path.is_file():
        return None
    if path.name.startswith("res_") or holds_repeats(load_torch(path, peek=True)):
        return "repeats of [images, labels] as DC, DSA and DM save them"
    return None


def holds_repeats(content: Any) -> bool:
    """Whether ``content`` is a dictionary whose ``data`` is a list."""
    return isinstance(content, dict) and isinstance(content.get("data"), list)


def read(source: str, options: ReadOptions) -> list[ImageSet]:
    """One set per repeat, named ``NAME#repeat`` where there are several."""
    path = Path(source)
    content = load_torch(path)
    if not holds_repeats(content) or not content["data"]:
        raise InputError(f"{path}: expected a dictionary whose 'data' is a list of [images, labels], one per repeat")
    repeats = content["data"]
    chosen = range(len(repeats)) if options.repeat is None else [options.repeat]
    if options.repeat is not None and not 0 <= options.repeat < len(repeats):
        raise InputError(f"{path}: repeat {options.repeat} was asked for, but it holds 0 .. {len(repeats) - 1}")
    return [_one(path, repeats[index], index, len(repeats), options) for index in chosen]


def _one(path: Path, pair: Any, index: int, count: int, options: ReadOptions) -> ImageSet:
    what = f"{path}, repeat {index}"
    if not (isinstance(pair, list | tuple) and len(pair) == 2 and all(isinstance(part, Tensor) for part in pair)):
        raise InputError(f"{what}: expected [images, labels], two tensors")
    images = image_set(
        pair[0].detach(),
        pair[1].detach(),
        what=what,
        found=f"DC-family file, repeat {index} of {count} (0 .. {count - 1})",
        options=options,
        name=path.stem,
    )
    return images if count == 1 else replace(images, name=f"{images.name}#{index}", repeat=index)


register(
    Reader(
        "dc-repeats",
        "DC, DSA, DM: res_*.pt with one [images, labels] per repeat",
        recognise,
        read,
        frozenset({"normalized", "as_is", "repeat"}),
    )
)
