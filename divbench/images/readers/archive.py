"""`.zip` and `.tar` archives: unpacked into a temporary folder that goes when the set goes."""

import shutil
import tempfile
import weakref
from dataclasses import replace
from pathlib import Path

from divbench.errors import InputError
from divbench.images.files import Files, fingerprint_files
from divbench.images.imageset import BadImageError, ImageSet
from divbench.images.reader import Reader, ReadOptions, find_reader, register
from divbench.images.unpack import SUFFIXES, is_archive, unpack


def recognise(source: str) -> str | None:
    """A file whose name ends like an archive's."""
    return "an archive" if is_archive(Path(source)) else None


def read(source: str, options: ReadOptions) -> list[ImageSet]:
    """What the archive holds, read as a folder."""
    archive = Path(source)
    folder = Path(tempfile.mkdtemp(prefix="divbench-"))
    try:
        sets = _read(archive, folder, options)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    sources = [images.images for images in sets if isinstance(images.images, Files)]
    if not sources:
        shutil.rmtree(folder, ignore_errors=True)
    for one in sources:
        weakref.finalize(one, shutil.rmtree, folder, ignore_errors=True)
    return sets


def _read(archive: Path, folder: Path, options: ReadOptions) -> list[ImageSet]:
    state = fingerprint_files((archive,))
    unpack(archive, folder)
    if any(folder.rglob("*.cls")):
        raise InputError(f"{archive}: holds .cls files as webdataset shards do; give it as wds:{archive}")
    named = replace(options, name=options.name or _stem(archive))
    try:
        reader = find_reader(str(folder))
        if options.split is not None and "split" not in reader.takes:
            raise InputError(f"{folder}: split {options.split!r} was asked for, but {reader.name} has no splits")
        return [_from_archive(images, archive, state, folder) for images in reader.read(str(folder), named)]
    except BadImageError:
        raise
    except InputError as problem:
        raise InputError(str(problem).replace(str(folder), str(archive))) from None


def _from_archive(images: ImageSet, archive: Path, state: str | None, folder: Path) -> ImageSet:
    found = f"{archive.name} with {images.recognised}"
    if not isinstance(images.images, Files):
        return replace(images, recognised=found)
    paths = images.images.paths
    names = tuple(f"{archive}:{path.relative_to(folder).as_posix()}" for path in paths)
    return replace(images, images=Files(paths, names, state), recognised=found)


def _stem(archive: Path) -> str:
    name = archive.name
    ending = max((one for one in SUFFIXES if name.lower().endswith(one)), key=len)
    return name[: -len(ending)]


register(
    Reader(
        "archive",
        f"{', '.join(SUFFIXES)} of a folder in any of these layouts",
        recognise,
        read,
        frozenset({"normalized", "as_is", "repeat", "per_class", "split"}),
    )
)
