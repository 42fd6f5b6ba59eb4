"""Unpack a `.zip` or `.tar` into an empty folder, with nothing outside it and no more than it may hold."""

import bz2
import gzip
import io
import lzma
import shutil
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path, PurePosixPath
from typing import IO, Any, TypeVar

from divbench.errors import InputError

SUFFIXES = (".zip", ".tar", ".tar.gz", ".tgz", ".tar.xz", ".txz", ".tar.bz2", ".tbz2")
MAX_RATIO = 100
"""An archive may grow to this many times its size; images hardly compress at all, bombs more than a thousandfold."""
ALWAYS_ALLOWED = 256 * 2**20
MAX_MEMBERS = 5_000_000
_CHUNK = 2**20
_COMPRESSED: dict[bytes, Callable[..., Any]] = {b"\x1f\x8b": gzip.open, b"BZh": bz2.open, b"\xfd7zXZ\0": lzma.open}
_Member = TypeVar("_Member")
_DAMAGED = (
    tarfile.TarError,
    zipfile.BadZipFile,
    lzma.LZMAError,
    zlib.error,
    EOFError,
    ValueError,
    NotImplementedError,
    RuntimeError,
)


def is_archive(path: Path) -> bool:
    """Whether the name ends like an archive's. The content does not tell: `.pt` and `.npz` files are zips as well."""
    return path.name.lower().endswith(SUFFIXES) and path.is_file()


def unpack(archive: Path, folder: Path) -> None:
    """Unpack the regular files of ``archive`` into ``folder``; hidden and macOS resource files are left out.

    Raises:
        InputError: the archive is damaged or too large when unpacked; a member is absolute, climbs out with ``..``,
            is a link or a device, or comes twice.
    """
    allowed = max(ALWAYS_ALLOWED, MAX_RATIO * archive.stat().st_size)
    allowed = min(allowed, shutil.disk_usage(folder).free * 9 // 10)
    zipped = archive.name.lower().endswith(".zip")
    try:
        _extract(archive, _zip_members(archive) if zipped else _tar_members(archive, allowed), folder, allowed)
    except _DAMAGED as problem:
        raise InputError(f"{archive}: is damaged or of a kind that cannot be unpacked: {problem}") from None
    except OSError as problem:
        raise InputError(f"{archive}: cannot be unpacked: {problem}") from None


def _extract(archive: Path, members: Iterator[tuple[str, IO[bytes]]], folder: Path, allowed: int) -> None:
    written = 0
    for name, file in members:
        place = _place(archive, name)
        if place is None:
            continue
        target = folder / place
        target.parent.mkdir(parents=True, exist_ok=True)
        if target.exists():
            raise InputError(f"{archive}: holds {name!r} twice")
        with target.open("xb") as out:
            while chunk := file.read(_CHUNK):
                written += len(chunk)
                if written > allowed:
                    raise _too_large(archive, allowed)
                out.write(chunk)


def _too_large(archive: Path, allowed: int) -> InputError:
    return InputError(
        f"{archive}: unpacks to more than {allowed} bytes ({MAX_RATIO} times its size, or what the disk has free); if "
        "it is genuine, unpack it yourself and give the folder"
    )


def _counted(archive: Path, members: Iterable[_Member]) -> Iterator[_Member]:
    for count, member in enumerate(members):
        if count >= MAX_MEMBERS:
            raise InputError(f"{archive}: holds more than {MAX_MEMBERS} files and folders")
        yield member


def _place(archive: Path, name: str) -> PurePosixPath | None:
    """Where a member goes, relative to the folder; None: left out."""
    plain = name.replace("\\", "/")
    path = PurePosixPath(plain)
    if path.is_absolute() or ".." in path.parts or (len(plain) > 1 and plain[1] == ":") or "\0" in plain:
        raise InputError(f"{archive}: member {name!r} would be written outside its folder; nothing was read")
    hidden = any(part.startswith(".") or part == "__MACOSX" for part in path.parts)
    return None if hidden or not path.parts else path


def _zip_members(archive: Path) -> Iterator[tuple[str, IO[bytes]]]:
    with zipfile.ZipFile(archive) as file:
        for member in _counted(archive, file.infolist()):
            kind = stat.S_IFMT(member.external_attr >> 16)
            if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
                raise InputError(f"{archive}: member {member.filename!r} is a link or a device; nothing was read")
            _place(archive, member.filename)
            if not member.is_dir():
                with file.open(member) as content:
                    yield member.filename, content


def _tar_members(archive: Path, allowed: int) -> Iterator[tuple[str, IO[bytes]]]:
    with archive.open("rb") as file:
        start = file.read(max(map(len, _COMPRESSED)))
    opened = next((opened for magic, opened in _COMPRESSED.items() if start.startswith(magic)), open)
    with opened(archive, "rb") as plain, tarfile.open(fileobj=_Limited(plain, archive, allowed), mode="r:") as tar:
        for member in _counted(archive, tar):
            if not (member.isfile() or member.isdir()):
                raise InputError(f"{archive}: member {member.name!r} is a link or a device; nothing was read")
            _place(archive, member.name)
            content = tar.extractfile(member)
            if content is not None:
                with content:
                    yield member.name, content


class _Limited(io.RawIOBase):
    """What `tarfile` needs of a file, which ends in an error where a bomb would go on.

    Headers are no content that could be counted when it is written, and `tarfile` reads each into memory at once.
    """

    def __init__(self, file: IO[bytes], archive: Path, allowed: int) -> None:
        self.file, self.archive, self.allowed = file, archive, allowed

    def tell(self) -> int:
        return self.file.tell()

    def read(self, size: int = _CHUNK) -> bytes:
        """At most ``size`` bytes; raises `InputError` where they are more than any header or chunk has."""
        if size > _CHUNK:
            raise InputError(f"{self.archive}: holds a header of {size} bytes, more than {_CHUNK}; pack it anew")
        data = self.file.read(size)
        if self.tell() > self.allowed:
            raise _too_large(self.archive, self.allowed)
        return data

    def seek(self, position: int, whence: int = 0) -> int:
        """Go to ``position``, in bytes from the start; raises `InputError` where that is too far."""
        if position > self.allowed:
            raise _too_large(self.archive, self.allowed)
        return self.file.seek(position)
