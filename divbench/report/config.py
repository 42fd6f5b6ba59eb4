"""Report files: `reports/<name>.toml` (people) says what is in `reports/<name>.html` (machine). No torch in here."""

from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from divbench.errors import ResultError


class SetSource(Struct, frozen=True, forbid_unknown_fields=True):
    """Where the images of a set are, and how they are read: as for `divbench score`."""

    path: str
    normalized: str | None = None
    per_class: int | None = None
    as_is: bool = False


class EmbedderSource(Struct, frozen=True, forbid_unknown_fields=True):
    """The embedder that the results were made with: as for `divbench score`; ``name`` defaults to the protocol's."""

    name: str | None = None
    weights: str | None = None
    mean_std: str | None = None
    input_size: int | None = None
    precision: str = "float32"


class Map(Struct, frozen=True, forbid_unknown_fields=True):
    """Settings of the t-SNE; ``real`` is the number of real images shown at most."""

    perplexity: Annotated[float, Meta(ge=1)] = 30.0
    real: Annotated[int, Meta(ge=1)] = 1000
    seed: Annotated[int, Meta(ge=0, lt=2**32)] = 0


class ReportConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """What a page is made of. Paths are relative to the file.

    Attributes:
        results: result files, in the order of the page.
        title, note: in the author's words; empty lines part the note's paragraphs.
        pairs: names of entries, before and after; none: those whose names say so, such as ``x`` and ``x+dire``.
        nets: networks whose students are shown; none: all.
        cost: results of a run that was made to measure what it costs to generate sets.
        sets: images of the entries; they find their result by their digest.
        classes: how the sets name the classes, where that is not plain.
        real, split: real images, for maps, spectra and neighbours.
        embedder: which embedded the results.
        tsne: settings of the map.
    """

    results: tuple[str, ...]
    title: str = ""
    note: str = ""
    pairs: tuple[tuple[str, str], ...] = ()
    nets: tuple[str, ...] = ()
    cost: tuple[str, ...] = ()
    sets: tuple[SetSource, ...] = ()
    classes: str | None = None
    real: str | None = None
    split: str | None = None
    embedder: EmbedderSource = EmbedderSource()
    tsne: Map = Map()


def load_config(path: Path) -> ReportConfig:
    """Read a report file.

    Raises:
        ResultError: it cannot be read, or has unknown or missing keys; the message names the key.
    """
    try:
        config = msgspec.toml.decode(path.read_bytes(), type=ReportConfig)
    except OSError as error:
        raise ResultError(f"{path}: cannot be read ({error.strerror or error})") from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ResultError(f"{path}: is no report file: {error}") from error
    if not config.results:
        raise ResultError(f"{path}: names no results; list files that 'divbench score -o' wrote: results = ['x.json']")
    return config
