"""Arrays and tensors of images and labels -> ImageSet, whatever their layout and type."""

import numpy as np
import torch
from torch import Tensor

from divbench.errors import InputError
from divbench.images.imageset import ImageSet, unnamed_classes
from divbench.images.normalization import to_uint8
from divbench.images.reader import ReadOptions


def image_set(
    images: Tensor,
    labels: Tensor,
    *,
    what: str,
    found: str,
    options: ReadOptions,
    name: str,
    classes: tuple[str, ...] | None = None,
    notes: tuple[str, ...] = (),
) -> ImageSet:
    """An in-memory set from images [N, C, H, W], [N, H, W, C] or [N, H, W] and labels [N] or [N, classes].

    Args:
        images: uint8, whole numbers 0 .. 255, or floats with a normalisation.
        labels: hard labels, or one row of class scores per image.
        what: what to call the source in messages.
        found: the format, for `ImageSet.recognised`.
        options: ``normalized`` and ``as_is`` are used.
        name: name of the set unless ``options`` has one.
        classes: class names; None: the indices.
        notes: what the reader noticed so far.

    Raises:
        InputError: the shapes, types or values make no sense.
    """
    stacked, shape_notes = _channels_first(images, what)
    pixels, understood, value_notes = _to_pixels(stacked, what, options)
    hard, count, label_notes = hard_labels(labels, len(pixels), what)
    classes = classes or unnamed_classes(count, what)
    if count > len(classes):
        raise InputError(f"{what}: labels reach {count - 1}, but there are {len(classes)} class names")
    return ImageSet(
        images=pixels,
        labels=hard,
        classes=classes,
        name=options.name or name,
        recognised=f"{found}; {understood}",
        notes=(*notes, *shape_notes, *value_notes, *label_notes),
    )


def hard_labels(labels: Tensor, count: int, what: str) -> tuple[Tensor, int, tuple[str, ...]]:
    """Labels [count] int64, the number of classes they speak of, and notes; rows of scores give their largest entry."""
    if labels.is_complex() or labels.dtype == torch.bool or not _holds_values(labels):
        raise InputError(f"{what}: labels must be numbers in a dense tensor, got {_kind(labels)}")
    if labels.is_floating_point() and not bool(torch.isfinite(labels).all()):
        raise InputError(f"{what}: labels hold NaN or infinite values")
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    if labels.ndim not in (1, 2) or len(labels) != count or 0 in labels.shape:
        raise InputError(f"{what}: labels must be [{count}] or [{count}, classes], got {list(labels.shape)}")
    if labels.ndim == 2:
        return _largest(labels, what)
    hard = labels.to(torch.int64)
    if not bool((hard == labels).all()):
        raise InputError(f"{what}: labels must be whole numbers, got {labels[hard != labels][0].item()}")
    if int(hard.min()) < 0:
        raise InputError(f"{what}: labels must not be negative, got {int(hard.min())}")
    return hard, int(hard.max()) + 1, ()


def in_order(images: Tensor, per_class: int, what: str) -> Tensor:
    """Labels 0, .., 0, 1, .., 1, ... [N] with ``per_class`` of each for images [N, ...].

    Raises:
        InputError: that fails, or there is one number instead of images.
    """
    if images.ndim == 0:
        raise InputError(f"{what}: expected images [N, ...], got a single number")
    if len(images) % per_class:
        raise InputError(f"{what}: holds {len(images)} images, which cannot be {per_class} of each class")
    return torch.arange(len(images)) // per_class


def as_tensor(array: np.ndarray, what: str) -> Tensor:
    """The array as a tensor; raises `InputError` for types without numbers."""
    if array.dtype.kind not in "biuf":
        raise InputError(f"{what}: must hold numbers, got {array.dtype}")
    native = array.astype(array.dtype.newbyteorder("="), copy=False)
    if native.dtype in (np.uint16, np.uint32, np.uint64):
        native = native.astype(np.int64)
    if native.dtype.kind == "f" and native.dtype.itemsize > 8:
        native = native.astype(np.float64)
    return torch.from_numpy(np.array(native, order="C"))


def _holds_values(tensor: Tensor) -> bool:
    """Sparse tensors do not, nor do those of the meta device, which are shapes alone."""
    return tensor.layout == torch.strided and not tensor.is_meta


def _kind(tensor: Tensor) -> str:
    return f"{tensor.dtype}" if _holds_values(tensor) else f"{tensor.layout} on {tensor.device}"


def _largest(scores: Tensor, what: str) -> tuple[Tensor, int, tuple[str, ...]]:
    top = scores.float().topk(2, dim=1).values
    tied = int((top[:, 0] == top[:, 1]).sum())
    if tied:
        raise InputError(f"{what}: {tied} rows of the label scores have no single largest entry")
    one_hot = bool(((scores == 0) | (scores == 1)).all() and (scores.sum(1) == 1).all())
    kind = "one-hot labels" if one_hot else "soft labels: the class with the largest score was taken"
    return scores.argmax(1), scores.shape[1], (kind,)


def _channels_first(images: Tensor, what: str) -> tuple[Tensor, tuple[str, ...]]:
    """[N, 3, H, W] and notes on what was done for it."""
    shape = list(images.shape)
    expected = f"{what}: images must be [N, 3, H, W], [N, H, W, 3] or grey with 1 channel or none, got {shape}"
    if not _holds_values(images):
        raise InputError(f"{what}: images must be a dense tensor with values, got {_kind(images)}")
    if images.ndim not in (3, 4) or 0 in shape:
        raise InputError(expected)
    if images.ndim == 3:
        if 3 in (shape[0], shape[2]):
            raise InputError(f"{expected}; one colour image needs a leading 1")
        images = images[:, None]
    first, last = images.shape[1] in (1, 3), images.shape[3] in (1, 3)
    if not first and not last:
        raise InputError(expected)
    if first and last and images.ndim == 4 and len(shape) == 4:
        raise InputError(f"{expected}; the channels could be first or last")
    notes: tuple[str, ...] = ()
    if last and len(shape) == 4:
        images, notes = images.permute(0, 3, 1, 2), ("channels last",)
    if images.shape[1] == 1:
        images, notes = images.expand(-1, 3, -1, -1), (*notes, "grey images: the channel was repeated three times")
    return images.contiguous(), notes


def _to_pixels(images: Tensor, what: str, options: ReadOptions) -> tuple[Tensor, str, tuple[str, ...]]:
    if images.is_floating_point():
        return to_uint8(images, what, options.normalized, options.as_is)
    if images.is_complex() or images.is_quantized or images.dtype == torch.bool:
        raise InputError(f"{what}: images must be uint8 or floats, got {images.dtype}")
    ignored = (f"whole-number pixels: normalized = {options.normalized} was not used",) if options.normalized else ()
    if images.dtype == torch.uint8:
        return images, "uint8 pixels", ignored
    low, high = int(images.min()), int(images.max())
    if low < 0 or high > 255:
        raise InputError(f"{what}: {images.dtype} images must lie in 0 .. 255, got {low} .. {high}")
    return images.to(torch.uint8), f"{images.dtype} pixels in 0 .. 255", ignored
