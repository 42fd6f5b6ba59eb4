"""Images on their way into a network that is trained: in memory where they fit, else read ahead by threads."""

import hashlib
import math
import os
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import torch
from torch import Tensor

from divbench.augment.geometry import LOG_RATIO
from divbench.constants import MeanStd
from divbench.embedders import Geometry
from divbench.errors import InputError
from divbench.images import ImageSet
from divbench.progress import Progress

MEMORY = 4 * 2**30
"""Bytes of pixels up to which a set is held in memory; on a GPU, also at most half of what is free there."""
_AHEAD = 3  # batches that are ready or being read
_SAMPLE = 2000  # images of a set that is not held in memory whose mean and deviation stand for all


@dataclass(frozen=True, eq=False)
class Stock:
    """A set at the size that a network takes in; made by `take_in`.

    Attributes:
        images: the set.
        side: of the images in pixels.
        geometry: what brings an image to that side.
        device: where batches are wanted.
        crop: least share of the area of the random resized crops that images are wanted in; 1: none.
        ready: images of that side stay as they are; see `take_in`.
        pixels: [N, 3, side, side] uint8, on the device where there is room; None: read when asked for.
    """

    images: ImageSet
    side: int
    geometry: Geometry
    device: torch.device
    crop: float
    ready: bool
    pixels: Tensor | None

    @property
    def crops(self) -> bool:
        """Images are cropped when they are read, from the originals."""
        return self.pixels is None and self.crop < 1

    def batches(self, wanted: Iterable[tuple[Tensor, Tensor | None]]) -> Iterator[Tensor]:
        """Pixels [b, 3, side, side] uint8 on the device, batch after batch.

        Args:
            wanted: of each batch the rows [b] int64 and, where the stock `crops`, the [b, 22] numbers in [0, 1) that
                decide on the crops; None: the middle of the image.
        """
        if self.pixels is not None:
            for rows, _ in wanted:
                yield self.pixels[rows.to(self.pixels.device)].to(self.device, non_blocking=True)
            return
        pool = ThreadPoolExecutor(_workers(), thread_name_prefix="divbench-reader")
        waiting: deque[list[Future[Tensor]]] = deque()
        try:
            for rows, draws in wanted:
                crops = [None] * len(rows) if draws is None else draws.tolist()
                waiting.append([pool.submit(self._read, *task) for task in zip(rows.tolist(), crops, strict=True)])
                if len(waiting) == _AHEAD:
                    yield self._stack(waiting.popleft())
            while waiting:
                yield self._stack(waiting.popleft())
        finally:
            pool.shutdown(wait=True, cancel_futures=True)

    def in_order(self, batch: int) -> Iterator[tuple[Tensor, Tensor]]:
        """All images and their labels [b], both on the device."""
        parts = torch.arange(len(self.images)).split(batch)
        for rows, pixels in zip(parts, self.batches((part, None) for part in parts), strict=True):
            yield pixels, self.images.labels[rows].to(self.device)

    def mean_std(self) -> MeanStd:
        """Mean and deviation per channel of the pixels in [0, 1], to six digits; of a sample where they are not held.

        Raises:
            InputError: all pixels are the same.
        """
        step = 1 if self.pixels is not None else math.ceil(len(self.images) / _SAMPLE)
        parts = torch.arange(0, len(self.images), step).split(256)
        counts = torch.zeros(3, 256, dtype=torch.int64)
        for pixels in self.batches((part, None) for part in parts):
            counts += torch.stack([channel.flatten().bincount(minlength=256).cpu() for channel in pixels.unbind(1)])
        shares, values = counts / counts.sum(1, keepdim=True, dtype=torch.float64), torch.arange(256) / 255
        means = (shares * values).sum(1)
        deviations = (shares * (values - means[:, None]).square()).sum(1).sqrt()
        if not bool((deviations > 0).all()):
            raise InputError(f"{self.images.name}: a channel has the same value everywhere; there is nothing to learn")
        return tuple(round(x, 6) for x in means.tolist()), tuple(round(x, 6) for x in deviations.tolist())

    def digest(self) -> str:
        """SHA-256 of pixels, labels and classes where the pixels are held, else of labels and the files' state."""
        found = hashlib.sha256(repr((self.images.classes, self.side)).encode())
        found.update(self.images.labels.numpy())
        if self.pixels is None:
            state = None if isinstance(self.images.images, Tensor) else self.images.images.fingerprint()
            found.update(str(state).encode())
            return f"files:{found.hexdigest()}"
        for part in self.pixels.split(4096):
            found.update(part.cpu().contiguous().numpy())
        return f"sha256:{found.hexdigest()}"

    def _read(self, row: int, draws: list[float] | None) -> Tensor:
        pixels = self.images.read(row).pixels
        if draws is not None:
            top, left, height, width = _box(pixels.shape[1], pixels.shape[2], self.crop, draws)
            part = pixels[:, top : top + height, left : left + width]
            return Geometry(self.side, self.side, squash=True).apply(part)
        return _sized(self.images, self.geometry, pixels, self.side, self.ready)

    def _stack(self, reading: list[Future[Tensor]]) -> Tensor:
        pixels = torch.stack([future.result() for future in reading])
        if self.device.type == "cuda":
            pixels = pixels.pin_memory()
        return pixels.to(self.device, non_blocking=True)


def take_in(
    images: ImageSet,
    size: int,
    resize: int,
    device: torch.device,
    progress: Progress,
    *,
    crop: float = 1,
    ready: bool = False,
) -> Stock:
    """A set at one size: held in memory where it fits and every crop can be made of what is held.

    Args:
        images: the set.
        size: side in pixels; 0: that of the images, which must be alike and square.
        resize: pixels that the shorter edge gets before the middle is cut out.
        device: where batches are wanted.
        progress: shows the reading.
        crop: least share of the area of the random resized crops that images are wanted in; 1: none. Crops are of
            originals, so with them a set is held only where all its images have that size already.
        ready: images of that size stay as they are, as those of a distilled set have to, instead of being enlarged
            before the middle is cut out.

    Raises:
        InputError: an image cannot be read, or the images have several sizes and none was given.
    """
    geometry = Geometry(size, resize) if size else Geometry()
    side = size or _side(images)
    pixels = images.images if isinstance(images.images, Tensor) else None
    ready = ready or crop < 1 or resize in (0, size)
    if pixels is None or not ready or tuple(pixels.shape[2:]) != (side, side):
        fits = len(images) * 3 * side**2 <= MEMORY
        pixels = _read_all(images, geometry, side, progress, ready, as_stored=crop < 1) if fits else None
    if pixels is not None and device.type == "cuda" and pixels.nbytes <= torch.cuda.mem_get_info(device)[0] // 2:
        pixels = pixels.to(device)
    return Stock(images, side, geometry, device, crop, ready, pixels)


def _side(images: ImageSet) -> int:
    height, width = images.read(0).pixels.shape[1:]
    if height != width:
        raise InputError(f"{images.name}: images are {width}x{height}, not square; give a size in the recipe")
    return int(height)


def _sized(images: ImageSet, geometry: Geometry, pixels: Tensor, side: int, ready: bool) -> Tensor:
    made = pixels if ready and tuple(pixels.shape[1:]) == (side, side) else geometry.apply(pixels)
    if tuple(made.shape[1:]) != (side, side):
        height, width = made.shape[1:]
        raise InputError(
            f"{images.name}: images have several sizes, such as {side}x{side} and {width}x{height}; give a size in the "
            "recipe, to which they are resized"
        )
    return made


def _read_all(
    images: ImageSet, geometry: Geometry, side: int, progress: Progress, ready: bool, *, as_stored: bool
) -> Tensor | None:
    """[N, 3, side, side] uint8, or None where that is not the size of all images and it has to be."""
    held = torch.empty(len(images), 3, side, side, dtype=torch.uint8)

    def read(row: int) -> bool:
        pixels = images.read(row).pixels
        if as_stored and tuple(pixels.shape[1:]) != (side, side):
            return False
        held[row] = _sized(images, geometry, pixels, side, ready)
        return True

    pool = ThreadPoolExecutor(_workers(), thread_name_prefix="divbench-reader")
    try:
        with progress(f"read {images.name}", len(images)) as advance:
            for fine in pool.map(read, range(len(images))):
                if not fine:
                    return None
                advance(1)
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
    return held


def _workers() -> int:
    return min(16, os.cpu_count() or 1)


def _box(height: int, width: int, least: float, draws: list[float]) -> tuple[int, int, int, int]:
    """Top, left, height and width of a random part of an image, as torchvision's RandomResizedCrop draws it.

    Args:
        height: of the image, as for ``width``.
        least: least share of the area.
        draws: 22 numbers in [0, 1): two for each of ten tries, two for the place.
    """
    *tries, down, right = draws
    for share, stretch in zip(tries[::2], tries[1::2], strict=True):
        area = height * width * (least + (1 - least) * share)
        ratio = math.exp(LOG_RATIO[0] + (LOG_RATIO[1] - LOG_RATIO[0]) * stretch)
        high, wide = round(math.sqrt(area / ratio)), round(math.sqrt(area * ratio))
        if 0 < high <= height and 0 < wide <= width:
            return int(down * (height - high + 1)), int(right * (width - wide + 1)), high, wide
    wide = min(width, round(height * math.exp(LOG_RATIO[1])))
    high = min(height, round(width / math.exp(LOG_RATIO[0])))
    return (height - high) // 2, (width - wide) // 2, high, wide
