"""One process's part of a set: read, embedded, checked together with the other parts, and gathered."""

import hashlib
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass

import torch
from torch import Tensor

from divbench import parallel
from divbench.embedders._forward import Forward
from divbench.embedders._reading import HASH_BYTES, PRINT_BYTES, Chunk, read_ahead
from divbench.embedders._record import Embedder
from divbench.errors import InputError
from divbench.images.imageset import ImageSet

_SHOWN = 10


@dataclass(frozen=True, eq=False)
class Content:
    """What reading a set tells.

    Attributes:
        prints: [n, 64] uint8, `image_print` of each readable image, in order.
        remarks: how often the reader remarked what.
        bad: the unreadable images: row in the set, and why.
    """

    prints: Tensor
    remarks: dict[str, int]
    bad: list[tuple[int, str]]

    @property
    def hashes(self) -> Tensor:
        """[n, 16] uint8: equal rows are equal images."""
        return self.prints[:, :HASH_BYTES].contiguous()

    @property
    def thumbnails(self) -> Tensor:
        """[n, 48] uint8: 4x4 pixels of three channels."""
        return self.prints[:, HASH_BYTES:].contiguous()

    @property
    def digest(self) -> str:
        """SHA-256 of all hashes in order."""
        return hashlib.sha256(self.hashes.numpy()).hexdigest()


@dataclass(frozen=True)
class Settings:
    """The options of `embed` that say how to compute, not what."""

    batch_size: int
    device: torch.device
    skip_bad: bool
    progress: Callable[[int], None] | None


class _Part:
    """What has been read and embedded so far."""

    def __init__(self, count: int, embedder: Embedder, settings: Settings) -> None:
        self.count, self.embedder, self.settings = count, embedder, settings
        self.prints = bytearray()
        self.sizes: Counter[tuple[int, int]] = Counter()
        self.remarks: Counter[str] = Counter()
        self.bad: list[tuple[int, str]] = []
        self.forward: Forward | None = None
        self.waiting: list[Tensor] = []
        self.computed: Tensor | None = None
        self.features = torch.empty(0, 0)
        self.done = 0

    def add(self, chunk: Chunk) -> None:
        """Take what a thread has read, and embed the batches that are full."""
        self.bad += chunk.bad
        self.prints += chunk.prints
        self.sizes.update(chunk.sizes)
        self.remarks.update(chunk.remarks)
        if (self.bad and not self.settings.skip_bad) or len(self.sizes) > 1:
            self.waiting = []  # there will be an error; the rest is read only to list what else is wrong
            return
        self.waiting += chunk.pixels
        while len(self.waiting) >= self.settings.batch_size:
            self._embed(self.settings.batch_size)

    def finish(self) -> Tensor:
        """Embed what is left; returns the features [n, D] of all readable images of this part."""
        if self.waiting:
            self._embed(len(self.waiting))
        self._collect()
        return self.features[: self.done]

    def _embed(self, count: int) -> None:
        if self.forward is None:
            self.forward = Forward(self.embedder, self.settings.batch_size, self.settings.device)
        features = self.forward(self.waiting[:count])
        del self.waiting[:count]
        self._collect()  # waits for the batch before, while a GPU works on this one
        self.computed = features

    def _collect(self) -> None:
        if self.computed is None:
            return
        if self.done == 0:
            self.features = torch.empty(self.count, self.computed.shape[1])
        self.features[self.done : self.done + len(self.computed)] = self.computed
        self.done += len(self.computed)
        self.computed = None


def compute(images: ImageSet, embedder: Embedder, settings: Settings) -> tuple[Content, Tensor]:
    """Read and embed a set on all processes.

    Returns:
        What reading told, and the features [n, D] float32 of the readable images, the same on every process.

    Raises:
        InputError: see `divbench.embedders.embed.embed`.
    """
    rows = parallel.shard(len(images))
    part = _Part(len(rows), embedder, settings)
    with closing(read_ahead(images, rows, embedder.prepare, settings.batch_size)) as chunks:
        for chunk in chunks:
            part.add(chunk)
            if settings.progress is not None:
                settings.progress(len(chunk.rows) + len(chunk.bad))
        features = part.finish()
    said = parallel.gather_json([part.bad, part.remarks, [[h, w, n] for (h, w), n in part.sizes.items()]])
    bad = [(row, why) for listed, _, _ in said for row, why in listed]
    sizes: Counter[tuple[int, int]] = Counter()
    remarks: Counter[str] = Counter()
    for _, counts, listed in said:
        remarks.update(counts)
        sizes.update({(height, width): number for height, width, number in listed})
    _check_readable(images, bad, settings.skip_bad)
    _check_sizes(images, embedder, sizes)
    prints = torch.tensor(list(part.prints), dtype=torch.uint8).view(-1, PRINT_BYTES)
    content = Content(parallel.gather_rows(prints), dict(sorted(remarks.items())), bad)
    features = parallel.gather_rows(features)
    _check_finite(images, embedder, features, {row for row, _ in bad})
    return content, features


def _check_readable(images: ImageSet, bad: list[tuple[int, str]], skip_bad: bool) -> None:
    if not bad or (skip_bad and len(bad) < len(images)):
        return
    remedy = "none is left to score" if skip_bad else "mend or remove them, or leave them out with --skip-bad"
    listed = "".join(f"\n  {why}" for _, why in bad)
    raise InputError(f"{images.name}: {len(bad)} of {len(images)} images cannot be read; {remedy}:{listed}")


def _check_sizes(images: ImageSet, embedder: Embedder, sizes: Counter[tuple[int, int]]) -> None:
    if len(sizes) <= 1:
        return
    common = sizes.most_common(_SHOWN)
    listed = ", ".join(f"{width}x{height} ({number})" for (height, width), number in common)
    more = f" and {len(sizes) - _SHOWN} more" if len(sizes) > _SHOWN else ""
    raise InputError(
        f"{images.name}: images have {len(sizes)} sizes, width x height: {listed}{more}; {embedder.network} takes them "
        f"as they are, so they must be equal; give one side in pixels with --input-size"
    )


def _check_finite(images: ImageSet, embedder: Embedder, features: Tensor, bad: set[int]) -> None:
    wrong = (~features.isfinite().all(dim=1)).nonzero().flatten().tolist()
    if not wrong:
        return
    rows = [row for row in range(len(images)) if row not in bad]
    named = ", ".join(images.name_of(rows[index]) for index in wrong[:_SHOWN])
    more = f" and {len(wrong) - _SHOWN} more" if len(wrong) > _SHOWN else ""
    raise InputError(
        f"{images.name}: {embedder.network} gives features that are NaN or infinite for {len(wrong)} of "
        f"{len(features)} images ({named}{more}); check the weights and their mean and std"
    )
