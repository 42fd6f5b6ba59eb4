"""`wds:PATTERN`: uncompressed webdataset tar shards on disk, read in place."""

import glob
import re
import tarfile
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import torch

from divbench.errors import InputError, shorten
from divbench.images.decode import SUFFIXES, decode_bytes
from divbench.images.files import fingerprint_files
from divbench.images.imageset import NO_CLASSES, BadImageError, ImageSet, Picture, unnamed_classes
from divbench.images.reader import Reader, ReadOptions, register

PREFIX = "wds:"
_RANGE = re.compile(r"\{(\d+)\.\.(\d+)\}")


@dataclass(frozen=True)
class _Sample:
    """One image inside a shard."""

    shard: Path
    member: str
    offset: int
    size: int


@dataclass(frozen=True, eq=False)
class ShardImages:
    """An `ImageSource` that reads members of tar files at their offsets; nothing is unpacked.

    Attributes:
        samples: where each image is.
        state: the fingerprint of the shards before they were searched; None where one had just been written.
    """

    samples: tuple[_Sample, ...]
    state: str | None

    def __len__(self) -> int:
        return len(self.samples)

    def read(self, index: int) -> Picture:
        """Decode sample ``index``; raises `BadImageError`."""
        sample = self.samples[index]
        try:
            with sample.shard.open("rb") as file:
                file.seek(sample.offset)
                data = file.read(sample.size)
        except OSError as problem:
            raise BadImageError(f"{self.name_of(index)}: cannot be read: {problem.strerror}") from None
        return decode_bytes(data, self.name_of(index))

    def name_of(self, index: int) -> str:
        """The shard and the member."""
        return f"{self.samples[index].shard}:{self.samples[index].member}"

    def fingerprint(self) -> str | None:
        """Digest of the shards' paths, sizes and times when they were searched: the offsets are true of no others."""
        return self.state


def recognise(source: str) -> str | None:
    """A source that starts with `wds:`."""
    return "webdataset shards" if source.startswith(PREFIX) else None


def read(source: str, options: ReadOptions) -> list[ImageSet]:
    """One lazy set; PATTERN may hold `{000..012}` and `*`; labels are the whole numbers of the `.cls` members."""
    shards = _shards(source)
    state = fingerprint_files(tuple(shards))
    samples: list[_Sample] = []
    labels: list[int | None] = []
    for shard in shards:
        for sample, label in _index(shard):
            samples.append(sample)
            labels.append(label)
    if not samples:
        raise InputError(f"{source}: the {len(shards)} shards hold no images")
    name = options.name or shards[0].stem
    found = f"{len(shards)} webdataset shards, {len(samples)} images"
    images = ShardImages(tuple(samples), state)
    unlabelled = [index for index, label in enumerate(labels) if label is None]
    if len(unlabelled) == len(samples):
        nothing = torch.zeros(len(samples), dtype=torch.int64)
        return [ImageSet(images, nothing, NO_CLASSES, name, found, ("no .cls members: no labels",), labelled=False)]
    if unlabelled:
        raise InputError(
            f"{images.name_of(unlabelled[0])}: has no .cls beside it, as {len(unlabelled)} of {len(samples)} images"
        )
    hard = [label for label in labels if label is not None]
    classes = unnamed_classes(max(hard) + 1, source)
    return [ImageSet(images, torch.tensor(hard), classes, name, found)]


def _shards(source: str) -> list[Path]:
    pattern = source.removeprefix(PREFIX)
    if "://" in pattern:
        raise InputError(f"{source}: shards are read from disk; download them first")
    spread = [pattern]
    while any(_RANGE.search(one) for one in spread):
        spread = [wide for one in spread for wide in _widen(one)]
    shards = [Path(found) for one in spread for found in (sorted(glob.glob(one)) if "*" in one else [one])]
    missing = [str(shard) for shard in shards if not shard.is_file()]
    if missing or not shards:
        raise InputError(f"{source}: no such shards: {shorten(missing) or 'none match'}")
    return shards


def _widen(pattern: str) -> list[str]:
    match = _RANGE.search(pattern)
    if match is None:
        return [pattern]
    first, last = match[1], match[2]
    numbers = range(int(first), int(last) + 1)
    return [pattern[: match.start()] + str(n).zfill(len(first)) + pattern[match.end() :] for n in numbers]


def _index(shard: Path) -> list[tuple[_Sample, int | None]]:
    """The images of one shard in stored order, with their labels."""
    images: dict[str, _Sample] = {}
    labels: dict[str, int] = {}
    try:
        with tarfile.open(shard, "r:") as file:
            for member in file:
                path = PurePosixPath(member.name)
                stem, _, ending = path.name.partition(".")
                key = str(path.parent / stem)
                if not member.isreg():
                    continue
                if ending == "cls":
                    content = file.extractfile(member)
                    labels[key] = _label(shard, member.name, content.read(32) if content else b"")
                elif f".{ending.lower()}" in SUFFIXES:
                    if key in images:
                        raise InputError(f"{shard}: sample {key!r} has two images")
                    images[key] = _Sample(shard, member.name, member.offset_data, member.size)
    except (tarfile.TarError, OSError) as problem:
        raise InputError(f"{shard}: cannot be read as an uncompressed tar: {problem}") from None
    return [(sample, labels.get(key)) for key, sample in images.items()]


def _label(shard: Path, member: str, content: bytes) -> int:
    try:
        label = int(content.decode("ascii").strip())
    except ValueError:
        label = -1
    if label < 0:
        raise InputError(f"{shard}:{member}: must hold a class number, got {content[:16]!r}")
    return label


register(
    Reader(
        "webdataset", "wds:PATTERN: uncompressed webdataset shards, such as wds:train-{000..012}.tar", recognise, read
    )
)
