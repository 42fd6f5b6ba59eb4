"""ImageSet: images as uint8 pixels, their labels, and what was recognised when they were read."""

import hashlib
from collections import Counter
from dataclasses import dataclass, replace
from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from divbench.errors import InputError, shown
from divbench.origin import Origin

NO_CLASSES = ("all",)
"""The classes of a set that has none: everything is in one."""
_MAX_UNNAMED = 1_000_000


class Picture(NamedTuple):
    """One decoded image: pixels [3, H, W] uint8, and remarks such as ``"jpeg"`` or ``"cmyk"`` that are counted."""

    pixels: Tensor
    remarks: tuple[str, ...] = ()


class BadImageError(InputError):
    """One image cannot be used; the message names the file and the reason."""


class ImageSource(Protocol):
    """Images that are read one at a time, for sets that need not fit into memory."""

    def __len__(self) -> int: ...

    def read(self, index: int) -> Picture:
        """Decode one image; thread-safe; raises `BadImageError`."""
        ...

    def name_of(self, index: int) -> str:
        """What to call the image in messages, usually its path."""
        ...

    def fingerprint(self) -> str | None:
        """Digest that changes whenever the stored bytes may have changed, found without reading them; None: unknown."""
        ...


def unnamed_classes(count: int, what: str) -> tuple[str, ...]:
    """The names of ``count`` classes that have none: their indices.

    Raises:
        InputError: more than a million, which one damaged label can ask for; ``what`` names the source.
    """
    if count > _MAX_UNNAMED:
        raise InputError(
            f"{what}: labels reach {count - 1}, which would be more than {_MAX_UNNAMED} classes without names; "
            "mend the labels, or number the classes from 0 on"
        )
    return tuple(str(index) for index in range(count))


@dataclass(frozen=True, eq=False)
class ImageSet:
    """Images, labels and class names.

    Pixels are stored un-normalised as uint8: normalisation is the network's business.

    Attributes:
        images: [N, 3, H, W] uint8 in memory, or an `ImageSource` that decodes on demand.
        labels: [N] int64, indices into ``classes``; all zero where ``labelled`` is False.
        classes: class names; the order is the label order.
        name: what to call the set in tables.
        recognised: one line that says which format was found.
        notes: what else the reader noticed (ignored files, clipped values, ...).
        labelled: False for a flat folder without classes; only dataset scope applies to it.
        origin: how divbench generated it; None of other sets.
        repeat: which of several repeats (seeds) in one file it is; ``name`` then ends in ``#repeat``.
    """

    images: Tensor | ImageSource
    labels: Tensor
    classes: tuple[str, ...]
    name: str
    recognised: str = "tensor in memory"
    notes: tuple[str, ...] = ()
    labelled: bool = True
    origin: Origin | None = None
    repeat: int | None = None

    def __post_init__(self) -> None:
        for name in (self.name, *self.classes):  # a file's name may be any bytes; no result holds what is no text
            if shown(name) != name:
                raise InputError(
                    f"{shown(self.name)}: the name {name!a} is not UTF-8; rename the file or folder, or the class"
                )
        if len(set(self.classes)) < len(self.classes):
            twice = next(name for name, count in Counter(self.classes).items() if count > 1)
            raise InputError(f"{self.name}: two classes are called {twice!r}; give each a name of its own")
        count = len(self.images)
        if count == 0:
            raise InputError(f"{self.name}: holds no images")
        if isinstance(self.images, Tensor) and (
            self.images.dtype != torch.uint8 or self.images.ndim != 4 or self.images.shape[1] != 3
        ):
            raise InputError(
                f"{self.name}: images must be uint8 [N, 3, H, W], got {self.images.dtype} {tuple(self.images.shape)}"
            )
        if self.labels.dtype != torch.int64 or tuple(self.labels.shape) != (count,):
            raise InputError(
                f"{self.name}: labels must be int64 [{count}], got {self.labels.dtype} {tuple(self.labels.shape)}"
            )
        if int(self.labels.min()) < 0 or int(self.labels.max()) >= len(self.classes):
            raise InputError(
                f"{self.name}: labels run from {int(self.labels.min())} to {int(self.labels.max())}, "
                f"but there are {len(self.classes)} classes"
            )

    def __len__(self) -> int:
        return len(self.images)

    @property
    def entry(self) -> str:
        """What to call this set and other seeds of it together: the name without the number of the repeat."""
        return self.name if self.repeat is None else self.name.removesuffix(f"#{self.repeat}")

    def read(self, index: int) -> Picture:
        """Image ``index`` as uint8 pixels [3, H, W] with its remarks; raises `BadImageError`."""
        if isinstance(self.images, Tensor):
            return Picture(self.images[index])
        return self.images.read(index)

    def name_of(self, index: int) -> str:
        """What to call image ``index`` in messages."""
        return f"{self.name}[{index}]" if isinstance(self.images, Tensor) else self.images.name_of(index)

    def pixels(self) -> Tensor:
        """All images as one uint8 tensor [N, 3, H, W]; raises `InputError` where sizes are mixed."""
        if isinstance(self.images, Tensor):
            return self.images
        pictures = [self.images.read(index).pixels for index in range(len(self))]
        sizes = Counter(tuple(p.shape[1:]) for p in pictures)
        if len(sizes) > 1:
            raise InputError(f"{self.name}: images of {len(sizes)} sizes cannot be one tensor: {dict(sizes)}")
        return torch.stack(pictures)

    def select(self, rows: Tensor) -> "ImageSet":
        """The images at ``rows`` [n] int64, in that order, with unchanged classes."""
        images = self.images[rows] if isinstance(self.images, Tensor) else _Selection(self.images, rows.tolist())
        return replace(self, images=images, labels=self.labels[rows])


@dataclass(frozen=True, eq=False)
class _Selection:
    """Some rows of another source."""

    source: ImageSource
    rows: list[int]

    def __len__(self) -> int:
        return len(self.rows)

    def read(self, index: int) -> Picture:
        return self.source.read(self.rows[index])

    def name_of(self, index: int) -> str:
        return self.source.name_of(self.rows[index])

    def fingerprint(self) -> str | None:
        whole = self.source.fingerprint()
        return None if whole is None else hashlib.sha256(f"{whole}{self.rows}".encode()).hexdigest()
