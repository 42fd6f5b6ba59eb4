"""What a page shows besides results: figures, and pictures class by class, as plain data. No torch in here."""

import base64
from collections.abc import Sequence
from dataclasses import dataclass

from divbench.figures.canvas import Picture


@dataclass(frozen=True)
class Shown:
    """A figure of the page.

    Attributes:
        key: an anchor.
        title: its heading.
        caption: how to read it.
        figure: the figure, with its alternative text.
    """

    key: str
    title: str
    caption: str
    figure: Picture


@dataclass(frozen=True)
class Strip:
    """Images side by side in one file.

    Attributes:
        title: what they are.
        data: the file.
        kind: its media type.
        count: images.
        alt: the strip in words.
    """

    title: str
    data: bytes
    kind: str
    count: int
    alt: str

    @property
    def url(self) -> str:
        return f"data:{self.kind};base64,{base64.b64encode(self.data).decode()}"


@dataclass(frozen=True)
class ClassPictures:
    """The strips of one class, one above the other, in groups with a heading each."""

    name: str
    groups: tuple[tuple[str, tuple[Strip, ...]], ...]


@dataclass(frozen=True)
class Gallery:
    """Everything made from images; empty where none were given."""

    figures: Sequence[Shown] = ()
    classes: Sequence[ClassPictures] = ()
    notes: Sequence[str] = ()


NO_GALLERY = Gallery()
