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


def labels_of(images: Embeddings, label: int | None) -> list[int]:
    """The class ``label`` alone, or all classes."""
    if label is not None and not 0 <= label < len(images.classes):
        raise InputError(f"class {label}: there are {len(images.classes)} classes, numbered from 0")
    return list(range(len(images.classes))) if label is None else [label]


def rows_of(images: Embeddings, label: int | None) -> Tensor:
    """Row numbers of one class, or of all; raises `InputError` where the class has none."""
    rows = (images.labels >= 0 if label is None else images.labels == label).nonzero()[:, 0]
    if not len(rows):
        raise InputError(f"{images.name}: has no image of class {images.classes[label or 0]}")
    return rows


def of_class(images: Embeddings, label: int) -> Tensor:
    """Features [n, D] of one class; raises `InputError` where it has no image."""
    return images.features[rows_of(images, label)]
