"""From paths to a Result: read, match classes, embed, score. What the command line and the demo share."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from divbench.cache import Cache
from divbench.embedders import Embedder, load_embedder
from divbench.embedders.embed import Embeddings, embed
from divbench.errors import InputError, shorten
from divbench.images import BadImageError, ImageSet, match_sets, take_per_class
from divbench.progress import Progress, no_progress
from divbench.protocol import Protocol
from divbench.results import Result
from divbench.scoring import resolved, score


@dataclass(frozen=True)
class Embedding:
    """Which embedder, and how it is run; None: the protocol's, or the embedder's default.

    Attributes:
        name: see `divbench.load_embedder`, as for ``weights``, ``mean_std``, ``input_size`` and ``precision``.
        device, batch_size, skip_bad: see `divbench.embed`.
    """

    name: str | None = None
    weights: Path | None = None
    mean_std: str | None = None
    input_size: int | None = None
    precision: str = "float32"
    device: str | None = None
    batch_size: int = 128
    skip_bad: bool = False


def evaluate(
    sets: Sequence[ImageSet],
    real: ImageSet,
    protocol: Protocol,
    embedding: Embedding,
    *,
    name: str | None = None,
    ipc: int | None = None,
    classes: str | None = None,
    common_classes: bool = False,
    cache: Cache | None = None,
    progress: Progress = no_progress,
) -> Result:
    """Score image sets, several seeds of one entry, against real images.

    Args:
        ipc: take the first ``ipc`` images of each class only.
        classes: how the sets name the real classes (``index``, ``name``, ``wnid``), where that is not plain.
        common_classes: leave out classes that only one side has.
    """
    protocol = resolved(protocol)
    fakes, real = match_sets(sets, real, classes, common_classes)
    if ipc is not None:
        fakes = [take_per_class(fake, ipc) for fake in fakes]
    embedder = embedder_for(protocol.embedder, embedding, real)
    vectors = embed_sets([real, *fakes], embedder, embedding, cache=cache, progress=progress)
    units = len(real.classes) * ("class" in protocol.scopes) + ("dataset" in protocol.scopes)
    protocol = msgspec.structs.replace(protocol, embedder=embedding.name or protocol.embedder)
    with progress("score", units) as advance:
        return score(
            vectors[1:],
            vectors[0],
            protocol,
            name=name,
            device=embedding.device,
            cache=cache,
            progress=lambda _: advance(1),
        )


def embed_sets(
    sets: Sequence[ImageSet],
    embedder: Embedder,
    embedding: Embedding,
    *,
    cache: Cache | None = None,
    progress: Progress = no_progress,
) -> list[Embeddings]:
    """Embeddings of each set by one embedder, run as ``embedding`` says; see `divbench.embed`."""
    vectors: list[Embeddings] = []
    for images in sets:
        with progress(f"embed {images.name}", len(images)) as advance:
            vectors.append(
                embed(
                    images,
                    embedder,
                    batch_size=embedding.batch_size,
                    device=embedding.device,
                    skip_bad=embedding.skip_bad,
                    cache=cache,
                    progress=advance,
                )
            )
    return vectors


def embedder_for(default: str, embedding: Embedding, real: ImageSet) -> Embedder:
    """The embedder at a stated size: that of the real images, where the network takes any.

    Args:
        default: its name, where ``embedding`` has none.
        embedding: its weights and preprocessing.
        real: the real images.

    Raises:
        InputError: the network takes any size, and the real images have several.
    """
    embedder = load_embedder(
        embedding.name or default,
        weights=embedding.weights,
        mean_std=embedding.mean_std,
        input_size=embedding.input_size,
        precision=embedding.precision,
    )
    if embedder.size is not None:
        return embedder
    sizes = {size for size in _sizes_of_some(real) if size is not None}
    if len(sizes) > 1:
        shown = shorten(sorted(f"{width}x{height}" for height, width in sizes))
        raise InputError(f"{real.name}: images have several sizes ({shown}); give one side in pixels with --input-size")
    height, width = sizes.pop() if sizes else (0, 1)
    return embedder.at_size(height) if height == width else embedder


def _sizes_of_some(images: ImageSet, most: int = 200) -> Iterator[tuple[int, int] | None]:
    """Heights and widths of images spread over the set; None for unreadable ones, which `embed` reports."""
    for index in range(0, len(images), max(1, len(images) // most)):
        try:
            shape = images.read(index).pixels.shape
        except BadImageError:
            yield None
        else:
            yield int(shape[1]), int(shape[2])
