"""Image tensors in a `.pt` or `.safetensors` file, with labels inside, beside, or stated by the user."""

from pathlib import Path
from typing import Any

from torch import Tensor

from divbench.errors import InputError
from divbench.images.arrays import image_set, in_order
from divbench.images.imageset import ImageSet
from divbench.images.normalization import WhitenedError
from divbench.images.reader import Reader, ReadOptions, register
from divbench.images.readers.dc import holds_repeats
from divbench.images.storage import TORCH_SUFFIXES, load_safetensors, load_torch

TAKES = frozenset({"normalized", "as_is", "per_class"})


def recognise(source: str) -> str | None:
    """A tensor file that is not one of repeats."""
    path = Path(source)
    if not path.is_file():
        return None
    if path.suffix == ".safetensors":
        return "a file of tensors"
    if path.suffix not in TORCH_SUFFIXES or path.name.startswith("res_") or holds_repeats(load_torch(path, peek=True)):
        return None
    return "a tensor, or a dictionary of tensors"


def read(source: str, options: ReadOptions) -> list[ImageSet]:
    """One set."""
    return [read_file(Path(source), options)]


def read_file(path: Path, options: ReadOptions) -> ImageSet:
    """The image tensor in ``path`` with its labels, wherever they are; raises `InputError` where there are none."""
    images, inside = _parts(path)
    beside = None if inside is not None else labels_beside(path)
    if inside is not None:
        labels, origin = inside, "labels in the same file"
    elif beside is not None:
        labels, origin = _label_tensor(beside), f"labels from {beside.name}"
    else:
        labels, origin = _stated(path, images, options)
    notes: tuple[str, ...] = ()
    if options.per_class is not None and (inside is not None or beside is not None):
        notes = (f"{origin}: per_class was not used",)
    try:
        return image_set(
            images,
            labels,
            what=str(path),
            found=f"image tensor {path.name}, {origin}",
            options=options,
            name=path.stem,
            notes=notes,
        )
    except WhitenedError as problem:
        twin = path.with_name(path.name.replace("images_", "images_zca_", 1))
        if "images_zca_" in path.name or twin == path or not twin.is_file():
            raise
        raise WhitenedError(f"{problem}. Its inverse-transformed twin stands beside it: {twin}") from None


def labels_beside(path: Path) -> Path | None:
    """The label file of an image file: ``images`` in its name replaced by ``labels``, or ``_labels`` added.

    Raises:
        InputError: there are several.
    """
    stem = path.stem
    stems = [stem.replace("images", "labels"), f"{stem}_labels", stem.replace("images", "soft_labels")]
    stems += [stem.replace("images_zca", "labels"), stem.replace("_normalize_images", "_labels")]
    suffixes = dict.fromkeys([path.suffix, *sorted(TORCH_SUFFIXES)])
    names = dict.fromkeys(f"{one}{suffix}" for one in stems for suffix in suffixes)
    found = [path.with_name(name) for name in names if name != path.name and path.with_name(name).is_file()]
    if len(found) > 1:
        raise InputError(
            f"{path}: several label files stand beside it: {', '.join(one.name for one in found)}; keep "
            "the one that is meant"
        )
    return found[0] if found else None


def _parts(path: Path) -> tuple[Tensor, Tensor | None]:
    """The images in ``path``, and the labels in it."""
    content: Any = load_safetensors(path) if path.suffix == ".safetensors" else load_torch(path)
    if isinstance(content, Tensor):
        return content.detach(), None
    if not isinstance(content, dict) or not isinstance(content.get("images"), Tensor):
        keys = f"a dictionary of {list(content)[:5]}" if isinstance(content, dict) else type(content).__name__
        raise InputError(f"{path}: expected an image tensor, or a dictionary of 'images' and 'labels'; got {keys}")
    labels = content.get("labels")
    if labels is not None and not isinstance(labels, Tensor):
        raise InputError(f"{path}: 'labels' must be a tensor, got {type(labels).__name__}")
    return content["images"].detach(), None if labels is None else labels.detach()


def _label_tensor(path: Path) -> Tensor:
    content: Any = load_safetensors(path) if path.suffix == ".safetensors" else load_torch(path)
    if isinstance(content, dict) and len(content) == 1:
        content = next(iter(content.values()))
    if not isinstance(content, Tensor):
        raise InputError(f"{path}: expected a tensor of labels, got {type(content).__name__}")
    return content.detach()


def _stated(path: Path, images: Tensor, options: ReadOptions) -> tuple[Tensor, str]:
    if options.per_class is None:
        raise InputError(
            f"{path}: {len(images) if images.ndim else 0} images have no labels: none in the file, and no "
            f"{path.stem.replace('images', 'labels')}{path.suffix} beside it. If the images lie class after class, "
            "say how many there are of each with per_class (--per-class)"
        )
    labels = in_order(images, options.per_class, str(path))
    classes = len(images) // options.per_class
    return labels, f"labels as stated: {options.per_class} of each of {classes} classes in order"


register(
    Reader(
        "tensor-file", "image tensors (.pt, .safetensors), labels inside, beside, or per_class", recognise, read, TAKES
    )
)
