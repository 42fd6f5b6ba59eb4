"""embed(): an image set and an embedder give Embeddings, read once, and found again by content."""

import hashlib
import json
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import numpy as np
import PIL
import torch
from torch import Tensor

from divbench import parallel
from divbench.cache import Cache
from divbench.embedders._forward import choose_device
from divbench.embedders._reading import PRINT_BYTES, image_print
from divbench.embedders._record import PREPROCESSING, Embedder
from divbench.embedders._registry import load_embedder
from divbench.embedders._shard import Content, Settings, compute
from divbench.errors import InputError
from divbench.images.imageset import ImageSet
from divbench.origin import Origin

_TENSORS = ("features", "labels", "hashes", "thumbnails")


@dataclass(frozen=True, eq=False)
class Embeddings:
    """Features of the images of a set, and what is known of the set.

    Attributes:
        features: [N, D] float32 on the CPU, all finite.
        labels: [N] int64, indices into ``classes``.
        classes: class names.
        source: SHA-256 of the pixels and labels of all N images, whatever their order.
        embedder: the embedder's id; rows compare only inside one.
        name: what to call the set.
        hashes: [N, 16] uint8, BLAKE2b of each image's shape and pixels: equal images have equal rows.
        thumbnails: [N, 48] uint8, each image shrunk to 4x4 pixels: near copies have nearly equal rows.
        labelled: False for a set without classes.
        remarks: what the reader remarked on how many images, such as ``{"jpeg": 10}``.
        skipped: the unreadable images that were left out, with the reasons.
        recognised: which format was found.
        notes: what else the reader noticed.
        origin: how divbench generated the set; None of other sets.
    """

    features: Tensor
    labels: Tensor
    classes: tuple[str, ...]
    source: str
    embedder: str
    name: str
    hashes: Tensor
    thumbnails: Tensor
    labelled: bool = True
    remarks: dict[str, int] = field(default_factory=dict)
    skipped: tuple[str, ...] = ()
    recognised: str = ""
    notes: tuple[str, ...] = ()
    origin: Origin | None = None

    def __len__(self) -> int:
        return len(self.features)

    def to(self, device: str) -> "Embeddings":
        """The same with its tensors on ``device``."""
        moved = {key: getattr(self, key).to(device) for key in _TENSORS}
        return replace(self, **moved)

    def select(self, rows: Tensor) -> "Embeddings":
        """The images at ``rows`` [n] int64 alone, with the ``source`` that names them."""
        kept = {key: getattr(self, key)[rows] for key in _TENSORS}
        return replace(self, **kept, source=_source(kept["hashes"], kept["labels"]))


def embed(
    images: ImageSet,
    embedder: Embedder | str,
    *,
    batch_size: int = 128,
    device: str | None = None,
    skip_bad: bool = False,
    cache: Cache | None = None,
    progress: Callable[[int], None] | None = None,
) -> Embeddings:
    """Features of every image, in order.

    An image's features do not depend on the other images, on their order or on the number of processes: on the CPU
    they are the same bits for every ``batch_size``. Under torchrun each process reads and embeds a part, and all get
    all rows.

    Args:
        images: what to embed; read by threads while the network works, a few batches at a time.
        embedder: a record, or the name of one whose weights need no options; see `load_embedder`.
        batch_size: images on the device at a time.
        device: a torch device; default: the GPU of this process if there is one, else the CPU.
        skip_bad: leave out images that cannot be read, and say so in ``skipped``, instead of stopping.
        cache: where features are kept, by the content of the images, the id of the embedder and the kind of device,
            which rounds in its own way. A set whose source has a fingerprint that was seen before is not read again.
        progress: called with the number of images that have been done since the last call.

    Raises:
        InputError: images cannot be read (all of them are listed), have several sizes where the network takes them as
            they are, or give features that are not finite.
        WeightsError: the weights do not fit the network.
        ProtocolError: the embedder or the device is unknown.
    """
    if batch_size < 1:
        raise InputError(f"batch_size must be at least 1, got {batch_size}")
    if isinstance(embedder, str):
        embedder = load_embedder(embedder)
    where = choose_device(device)
    fingerprint = None if isinstance(images.images, Tensor) or cache is None else images.images.fingerprint()
    content = _known_content(images, fingerprint, skip_bad, cache)
    features = _known_features(content, embedder, where, cache)
    if content is None or features is None:
        content, features = compute(images, embedder, Settings(batch_size, where, skip_bad, progress))
        if cache is not None and parallel.local_rank() == 0:
            cache.store("features", _features_key(content, embedder, where), {"features": features})
            _keep_content(cache, fingerprint, content)
    labels = images.labels
    if content.bad:
        good = torch.ones(len(labels), dtype=torch.bool)
        good[[row for row, _ in content.bad]] = False
        labels = labels[good]
    return Embeddings(
        features=features,
        labels=labels,
        classes=images.classes,
        source=_source(content.hashes, labels),
        embedder=embedder.id,
        name=images.name,
        hashes=content.hashes,
        thumbnails=content.thumbnails,
        labelled=images.labelled,
        remarks=content.remarks,
        skipped=tuple(reason for _, reason in content.bad),
        recognised=images.recognised,
        notes=images.notes,
        origin=images.origin,
    )


class SetContent(NamedTuple):
    """What a set holds, as `Embeddings` have it, of whose ``source`` the digest is the same."""

    digest: str
    remarks: dict[str, int]
    hashes: Tensor
    thumbnails: Tensor


def content_of(images: ImageSet) -> SetContent:
    """Read a set through; raises `BadImageError` for the first image that cannot be read."""
    prints, remarks = bytearray(), Counter[str]()
    for index in range(len(images)):
        picture = images.read(index)
        prints += image_print(picture.pixels)
        remarks.update(picture.remarks)
    content = Content(torch.frombuffer(prints, dtype=torch.uint8).view(-1, PRINT_BYTES), {}, [])
    source, said = _source(content.hashes, images.labels), dict(sorted(remarks.items()))
    return SetContent(source, said, content.hashes, content.thumbnails)


def _known_content(images: ImageSet, fingerprint: str | None, skip_bad: bool, cache: Cache | None) -> Content | None:
    """What is known of a set without reading its files; something on all processes or None on all."""
    content = None
    if cache is not None and isinstance(images.images, Tensor):
        prints = bytearray(b"".join(image_print(pixels) for pixels in images.images))
        content = Content(torch.frombuffer(prints, dtype=torch.uint8).view(-1, PRINT_BYTES), {}, [])
    elif cache is not None and fingerprint is not None:
        found = cache.load("index", _index_key(fingerprint))
        if found is not None:
            said: dict[str, Any] = json.loads(found.text)
            content = Content(found.tensors["prints"], said["remarks"], [(row, why) for row, why in said["bad"]])
    if content is not None and content.bad and not skip_bad:
        content = None  # the files are looked at again: they may have become readable
    return content if parallel.agree(content is not None) else None


def _known_features(
    content: Content | None, embedder: Embedder, device: torch.device, cache: Cache | None
) -> Tensor | None:
    if content is None or cache is None:
        return None
    found = cache.load("features", _features_key(content, embedder, device))
    features = None if found is None else found.tensors["features"]
    return features if parallel.agree(features is not None) else None


def _keep_content(cache: Cache, fingerprint: str | None, content: Content) -> None:
    if fingerprint is not None:  # of before reading, so what changed meanwhile is read again next time
        text = json.dumps({"remarks": content.remarks, "bad": content.bad})
        cache.store("index", _index_key(fingerprint), {"prints": content.prints}, text)


def _source(hashes: Tensor, labels: Tensor) -> str:
    """SHA-256 of the pixels and labels of a set, in any order, through the hashes of its images."""
    rows = torch.cat([hashes.cpu(), labels.cpu()[:, None].contiguous().view(torch.uint8)], 1).contiguous().numpy()
    return hashlib.sha256(np.sort(rows.view(f"V{rows.shape[1]}"), axis=0)).hexdigest()


def _features_key(content: Content, embedder: Embedder, device: torch.device) -> str:
    return f"{content.digest} {embedder.id} on {device.type}"


def _index_key(fingerprint: str) -> str:
    return f"{fingerprint} decoded by Pillow {PIL.__version__}, v{PREPROCESSING}"
