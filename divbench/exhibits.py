"""From sets and results to what a page shows of images: check that they belong, embed, draw.

results, image sets, real images
  -> each set's classes in the results' order, its digest found in a result       [find_sets]
  -> embeddings, by the embedder of the results                                  [see]
  -> figures (t-SNE, spectra) and pictures of each class                         [gallery]
"""

import io
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

import torch
from PIL import Image

from divbench.cache import Cache
from divbench.embedders.embed import Embeddings, content_of
from divbench.errors import InputError, ResultError, shorten
from divbench.evaluate import Embedding, embed_sets, embedder_for
from divbench.figures._rows import of_class
from divbench.figures.grids import GAP, Pixels, first_rows, strip
from divbench.figures.maps import tsne
from divbench.figures.neighbours import Ranked, by_coverage, nearest_real
from divbench.figures.spectra import spectrum
from divbench.images import BadImageError, ImageSet, match_classes, take_per_class
from divbench.metrics import radii
from divbench.progress import Progress, no_progress
from divbench.report.gallery import NO_GALLERY, ClassPictures, Gallery, Shown, Strip
from divbench.results import Result
from divbench.scoring import real_rows

MOST_CLASSES = 20
"""Of which a page shows pictures."""
_BYTES = 1_000_000
"""What the pictures of a page may weigh, about, before base64."""
_SIDES = (64, 48, 32)
_COUNTS = (8, 6, 5, 4, 3)
_PNG, _JPEG = 2.9, 0.75  # bytes per pixel of distilled images in PNG and of photographs in JPEG, measured on CIFAR-10
_QUALITY = 85


@dataclass(frozen=True, eq=False)
class Found:
    """A set that was scored or trained on: the images with the labels of the results, and which set of the entry."""

    images: ImageSet
    index: int


def find_sets(results: Sequence[Result], sets: Sequence[ImageSet], classes: str | None = None) -> dict[str, Found]:
    """Entry -> one of its sets, the first that is among ``sets``, recognised by the digest of pixels and labels.

    Where a result was made with ``--ipc``, the first images of each class are tried, and without unreadable images
    where it was made with ``--skip-bad``.

    Args:
        results: of the same classes.
        sets: image sets as they were read.
        classes: how the sets name the classes (``index``, ``name``, ``wnid``), where that is not plain.

    Raises:
        InputError: a set belongs to none of the results; the message holds its digest.
    """
    found: dict[str, Found] = {}
    for images in sets:
        owners = _owners(results, images, classes)
        if not owners:
            known = shorten([f"{r.name} {record.digest:.8}" for r in results for record in r.sets])
            raise InputError(
                f"{images.name}: these images (digest {content_of(images).digest:.8}) belong to none of the results "
                f"({known}); give the sets that were scored, read in the same way (--normalized, --per-class), or "
                "score them again"
            )
        for name, one in owners.items():
            if name not in found or one.index < found[name].index:
                found[name] = one
    return {result.name: found[result.name] for result in results if result.name in found}


def _owners(results: Sequence[Result], images: ImageSet, classes: str | None) -> dict[str, Found]:
    """Every entry that the images are a set of; of an entry of fewer images, the first of each class."""
    if images.labelled:
        images = as_in(images, results[0].classes, classes)
    images = _readable(images, results)
    counts = torch.bincount(images.labels, minlength=len(images.classes))
    digests: dict[int | None, str] = {None: content_of(images).digest}
    found = {}
    for result in results:
        ipc = result.ipc
        for take in (None, ipc[0] if ipc and images.labelled and ipc[0] == ipc[1] <= int(counts.min()) else None):
            if take not in digests:
                digests[take] = content_of(take_per_class(images, take or 1)).digest
            places = [i for i, record in enumerate(result.sets) if record.digest == digests[take]]
            if places and result.name not in found:
                own = images if take is None else take_per_class(images, take)
                found[result.name] = Found(replace(own, name=result.name), places[0])
    return found


def as_in(images: ImageSet, classes: tuple[str, ...], how: str | None) -> ImageSet:
    """The images with the classes of a result, which may be fewer, as with ``--common-classes``."""
    fewer = set(classes) < set(images.classes)
    return match_classes(images, classes, how=how, common=fewer).fake


def _readable(images: ImageSet, results: Sequence[Result]) -> ImageSet:
    """Without the images that cannot be read, where some result was made so."""
    if not any(record.skipped for result in results for record in result.sets):
        return images
    good = []
    for row in range(len(images)):
        with suppress(BadImageError):
            images.read(row)
            good.append(row)
    return images.select(torch.tensor(good))


@dataclass(frozen=True, eq=False)
class Seen:
    """Real images and sets with their embeddings, row for row; ``k`` neighbours set the balls of the results."""

    real_images: ImageSet
    real: Embeddings
    fakes: dict[str, Embeddings]
    k: int


def see(
    results: Sequence[Result],
    found: dict[str, Found],
    real: ImageSet,
    embedding: Embedding,
    *,
    cache: Cache | None = None,
    progress: Progress = no_progress,
) -> Seen:
    """Embeddings of the real images and of the sets, by the very embedder that the results were made with.

    Raises:
        ResultError: no result has scores; or the embedder or the real images are not those of the results.
    """
    scored = next((result for result in results if result.protocol is not None), None)
    if scored is None or scored.protocol is None or scored.real is None:
        raise ResultError("the results hold accuracies alone: there is no embedder to show images with; score the sets")
    if real.classes != scored.classes:
        real = as_in(real, scored.classes, None)
    embedder = embedder_for(scored.protocol.embedder, embedding, real)
    if embedder.id != scored.embedder:
        raise ResultError(
            f"the results were made with the embedder {scored.embedder}, and this is {embedder.id}; give the same "
            "--embedder, --weights, --mean-std, --input-size and --precision as to 'divbench score'"
        )

    truth, *fakes = embed_sets(
        [real, *(one.images for one in found.values())], embedder, embedding, cache=cache, progress=progress
    )
    if scored.protocol.real_per_class is not None:
        rows = real_rows(truth.labels, len(real.classes), scored.protocol.real_per_class, scored.protocol.seed)
        truth, real = truth.select(rows), real.select(rows)
    if truth.source != scored.real.digest:
        raise ResultError(
            f"{real.name}: these real images (digest {truth.source:.8}) are not those of the results "
            f"({scored.real.name}, {scored.real.digest:.8}); give the same --real and --split"
        )
    k = int(scored.protocol.metrics.get("coverage", {}).get("k", 5))
    return Seen(real, truth, dict(zip(found, fakes, strict=True)), k)


@dataclass(frozen=True)
class MapOptions:
    """Of the t-SNE: see `divbench.figures.tsne`."""

    perplexity: float = 30.0
    real_points: int = 1000
    seed: int = 0


_MAP = MapOptions()


def gallery(
    results: Sequence[Result],
    found: dict[str, Found],
    seen: Seen | None = None,
    *,
    focus: Sequence[int] | None = None,
    options: MapOptions = _MAP,
) -> Gallery:
    """Figures and pictures of the sets that were found.

    Args:
        results: of the same classes.
        found: of `find_sets`.
        seen: of `see`; None: images alone, without maps, spectra and neighbours.
        focus: classes to show pictures of, where there are many; default: the first.
        options: of the t-SNE.
    """
    if not found:
        return NO_GALLERY
    classes = results[0].classes
    labelled = all(one.images.labelled for one in found.values())
    chosen = list(range(len(classes)))
    if len(chosen) > MOST_CLASSES:
        chosen = list(focus or chosen)[:MOST_CLASSES]
    notes = [] if len(chosen) == len(classes) else [f"Pictures of {len(chosen)} of {len(classes)} classes."]
    missing = [result.name for result in results if result.name not in found]
    if missing:
        notes.append(f"No images were given of {shorten(missing)}.")
    sizes = {result.name: len(result.sets) for result in results}
    notes += [f"{name}: set {one.index + 1} of {sizes[name]}." for name, one in found.items() if sizes[name] > 1]
    if not labelled:
        notes.append("A set without classes has no pictures class by class: 'divbench plot grid' shows it.")
    pictures: list[ClassPictures] = []
    if labelled:
        side, count = _measure([one.images for one in found.values()], len(chosen), seen)
        shown = "" if side is None else f", fitted into {side} x {side} pixels"
        notes.append(
            f"The first {count} images of each class{shown}; distilled ones pixel by pixel, real ones as JPEG "
            "where that is lighter."
        )
        if seen is not None:
            notes.append(
                "The number beside covered images is their distance to the nearest synthetic one over the radius of "
                f"their ball of {seen.k} neighbours: below 1 they count as covered."
            )
        pictures = [_of_class(label, classes[label], found, seen, side, count) for label in chosen]
    return Gallery(_figures(seen, options, labelled), pictures, notes)


def _figures(seen: Seen | None, options: MapOptions, labelled: bool) -> list[Shown]:
    if seen is None:
        return []
    fakes = [replace(one, name=name) for name, one in seen.fakes.items()]
    chart = tsne(seen.real, fakes, perplexity=options.perplexity, real_points=options.real_points, seed=options.seed)
    shown = [
        Shown(
            "tsne",
            "Where the images lie",
            "One joint fit, so that panels may be compared. Only neighbourhoods mean something: distances between "
            "clusters and their sizes do not.",
            chart,
        )
    ]
    if len({len(one) for one in fakes}) == 1 and (not labelled or all(map(_even, fakes))):
        shown.append(
            Shown(
                "spectrum",
                "What the Vendi Score is made of",
                "A set whose images all point the same way has one eigenvalue, 1. The slower the others fall, the more "
                "spread out the images.",
                spectrum(fakes, seen.real),
            )
        )
    return shown


def _even(images: Embeddings) -> bool:
    return len(torch.bincount(images.labels, minlength=len(images.classes)).unique()) == 1


def _measure(sets: Sequence[ImageSet], classes: int, seen: Seen | None) -> tuple[int | None, int]:
    """Side of an image and images of a strip such that the page stays light; a side of None is the images' own."""
    shown = [*sets, *([] if seen is None else [seen.real_images])]
    own = max(max(images.read(0).pixels.shape[1:]) for images in shown)
    most = max(int(torch.bincount(images.labels).max()) for images in sets)
    for count in (one for one in _COUNTS if one <= most or one == _COUNTS[-1]):
        for side in (min(one, own) for one in _SIDES):
            photographs = 0 if seen is None else 1 + 3 * len(sets)
            weight = classes * count * side**2 * (_PNG * len(sets) + _JPEG * photographs)
            if weight <= _BYTES:
                return (None if side == own else side), count
    return min(_SIDES[-1], own), _COUNTS[-1]


def _of_class(
    label: int, name: str, found: dict[str, Found], seen: Seen | None, side: int | None, count: int
) -> ClassPictures:
    groups: list[tuple[str, tuple[Strip, ...]]] = []
    reach = None
    if seen is not None:
        rows = first_rows(seen.real_images, label, count)
        groups.append(
            ("real", (_strip("the first ones", seen.real_images, rows, side, f"Real images of {name}", True),))
        )
        reach = radii(of_class(seen.real, label), seen.k)
    for entry, one in found.items():
        rows = first_rows(one.images, label, count)
        strips = [_strip("synthetic", one.images, rows, side, f"Images of {name} by {entry}")] if rows else []
        if seen is not None and rows:
            near = nearest_real(seen.real, seen.fakes[entry], label, 1)[: len(rows)]
            ranked = by_coverage(seen.real, seen.fakes[entry], label, seen.k, reach)
            strips += _real_strips(entry, name, seen.real_images, near, ranked, side)
        groups.append((entry, tuple(strips)))
    return ClassPictures(name, tuple(groups))


def _real_strips(
    entry: str, name: str, real: ImageSet, near: Sequence[Ranked], ranked: Ranked, side: int | None
) -> list[Strip]:
    """The nearest real image below each synthetic one; then the best and the least covered ones."""
    count = len(near)
    shown = (
        ("nearest real, one below each", [one.rows[0] for one in near], f"Real images nearest to those of {entry}"),
        (
            f"best covered real, from {ranked.values[0]:.2f}",
            ranked.rows[:count],
            f"Real images of {name} that {entry} covers best",
        ),
        (
            f"least covered real, up to {ranked.values[-1]:.2f}",
            ranked.rows[-count:],
            f"Real images of {name} that {entry} covers least",
        ),
    )
    return [_strip(title, real, rows, side, alt, True) for title, rows, alt in shown]


def _strip(title: str, images: ImageSet, rows: Any, side: int | None, alt: str, photograph: bool = False) -> Strip:
    pixels = strip(images, rows, side)
    files = {"image/png": _encoded(pixels, format="PNG", optimize=True)}
    if photograph:
        files["image/jpeg"] = _encoded(pixels, format="JPEG", quality=_QUALITY, subsampling=0)
    kind = min(files, key=lambda one: len(files[one]))
    count = (pixels.shape[1] + GAP) // (pixels.shape[0] + GAP)
    return Strip(title, files[kind], kind, count, alt)


def _encoded(pixels: Pixels, **options: Any) -> bytes:
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, **options)
    return out.getvalue()
