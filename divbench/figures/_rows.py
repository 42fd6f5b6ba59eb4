"""Which rows of embeddings a figure looks at, and whether they belong together."""

from collections.abc import Sequence

from torch import Tensor

from divbench.embedders.embed import Embeddings
from divbench.errors import InputError


def check_alike(sets: Sequence[Embeddings]) -> None:
    """Raise `InputError` where sets were embedded by different embedders or have different classes."""
    if not sets:
        raise InputError("no set was given")
    first = sets[0]
    for other in sets[1:]:
        if other.embedder != first.embedder:
            raise InputError(
                f"{first.name} and {other.name} were embedded by different embedders ({first.embedder}; "
                f"{other.embedder}); embed both alike"
            )
        if other.labelled and first.labelled and other.classes != first.classes:
            raise InputError(f"{first.name} and {other.name} have different classes; match them first")


def check_labels(sets: Sequence[Embeddings], label: int | None) -> None:
    """Raise `InputError` where one class is asked for, and a set has none or not that one."""
    for images in sets if label is not None else ():
        if not images.labelled:
            raise InputError(f"{images.name}: has no class labels, so no class can be shown; show the whole set")
        if not 0 <= (label or 0) < len(images.classes):
            raise InputError(f"class {label}: there are {len(images.classes)} classes, numbered from 0")


def units_of(sets: Sequence[Embeddings], label: int | None) -> list[int | None]:
    """What is looked at one by one: a class, all classes, or None, the whole, where some set has no classes."""
    check_labels(sets, label)
    if label is not None or not all(images.labelled for images in sets):
        return [label]
    return list(range(len(sets[0].classes)))


def rows_of(images: Embeddings, label: int | None) -> Tensor:
    """Row numbers of one class, or of all; raises `InputError` where the class has none."""
    rows = (images.labels >= 0 if label is None else images.labels == label).nonzero()[:, 0]
    if not len(rows):
        raise InputError(f"{images.name}: has no image of class {images.classes[label or 0]}")
    return rows


def of_class(images: Embeddings, label: int | None) -> Tensor:
    """Features [n, D] of one class, or of all; raises `InputError` where it has no image."""
    return images.features[rows_of(images, label)]
