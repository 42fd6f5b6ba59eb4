"""Images read and prepared ahead of the network by a bounded number of threads."""

import hashlib
import os
from collections import Counter, deque
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field

from torch import Tensor, uint8
from torch.nn.functional import adaptive_avg_pool2d

from divbench.images.imageset import BadImageError, ImageSet

HASH_BYTES = 16
THUMBNAIL_SIDE = 4
PRINT_BYTES = HASH_BYTES + 3 * THUMBNAIL_SIDE**2
_AHEAD = 2  # batches that are ready or being read while the network works


@dataclass
class Chunk:
    """Neighbouring images that one thread has read.

    Attributes:
        pixels: prepared images, uint8 [3, S, S] each, without the unreadable ones.
        rows: which rows of the image set these are.
        prints: `image_print` of each of them as read.
        sizes: how many prepared images have which height and width.
        remarks: how often the reader remarked what.
        bad: unreadable rows with the reason.
    """

    pixels: list[Tensor] = field(default_factory=list)
    rows: list[int] = field(default_factory=list)
    prints: bytearray = field(default_factory=bytearray)
    sizes: Counter[tuple[int, int]] = field(default_factory=Counter)
    remarks: Counter[str] = field(default_factory=Counter)
    bad: list[tuple[int, str]] = field(default_factory=list)


Chunks = Generator[Chunk, None, None]


def image_print(pixels: Tensor) -> bytes:
    """What tells one uint8 image [3, H, W] from others: BLAKE2b-128 of its shape and pixels, then a 4x4 thumbnail.

    Equal images have equal hashes; recompressed or resized copies have thumbnails that differ by a few grey levels.
    """
    digest = hashlib.blake2b(str(tuple(pixels.shape)).encode(), digest_size=HASH_BYTES)
    digest.update(pixels.contiguous().numpy())
    thumbnail = adaptive_avg_pool2d(pixels.float(), THUMBNAIL_SIDE).round().to(uint8)
    return digest.digest() + thumbnail.numpy().tobytes()


def read_chunk(images: ImageSet, rows: Sequence[int], prepare: Callable[[Tensor], Tensor]) -> Chunk:
    """Read, fingerprint and prepare some rows."""
    chunk = Chunk()
    for row in rows:
        try:
            picture = images.read(row)
        except BadImageError as error:
            chunk.bad.append((row, str(error)))
            continue
        ready = prepare(picture.pixels)
        chunk.pixels.append(ready)
        chunk.rows.append(row)
        chunk.prints += image_print(picture.pixels)
        chunk.sizes[int(ready.shape[1]), int(ready.shape[2])] += 1
        chunk.remarks.update(picture.remarks)
    return chunk


def read_ahead(images: ImageSet, rows: range, prepare: Callable[[Tensor], Tensor], batch_size: int) -> Chunks:
    """Read ``rows`` in order; close the iterator to stop the threads, which then finish the image they are at.

    Args:
        images: where to read.
        rows: which rows, consecutive.
        prepare: applied to each image by the threads.
        batch_size: at most about two such batches are held.
    """
    workers = min(8, os.cpu_count() or 1)
    step = max(1, batch_size // workers)
    waiting: deque[Future[Chunk]] = deque()
    pool = ThreadPoolExecutor(workers, thread_name_prefix="divbench-reader")
    try:
        for start in range(0, len(rows), step):
            if len(waiting) * step >= _AHEAD * batch_size:
                yield waiting.popleft().result()
            waiting.append(pool.submit(read_chunk, images, rows[start : start + step], prepare))
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
