"""Images that lie in files and are decoded when asked for."""

import hashlib
import os
import time
from dataclasses import dataclass
from pathlib import Path

from divbench.errors import shown
from divbench.images.decode import decode_file
from divbench.images.imageset import Picture

_SETTLED_NS = 2 * 10**9


@dataclass(frozen=True, eq=False)
class Files:
    """An `ImageSource` of one file per image.

    Attributes:
        paths: the files.
        names: for files unpacked from an archive: what to call them in messages; None: their paths.
        archive: for the same: the fingerprint of the archive before it was unpacked, which stands for their state; None
            where it had just been written.
    """

    paths: tuple[Path, ...]
    names: tuple[str, ...] | None = None
    archive: str | None = None

    def __len__(self) -> int:
        return len(self.paths)

    def read(self, index: int) -> Picture:
        """Decode file ``index``; raises `BadImageError`."""
        return decode_file(self.paths[index], self.name_of(index))

    def name_of(self, index: int) -> str:
        """The path, or the archive and the path inside it."""
        return shown(self.names[index] if self.names else str(self.paths[index]))

    def fingerprint(self) -> str | None:
        """Digest of every file's path, size, times and inode; None where one changed in the last two seconds.

        File times are coarse: a file written again in the same tick would look unchanged. Unpacked files are what the
        archive held when it was read, whatever lies in its place now.
        """
        if self.names is None:
            return fingerprint_files(self.paths)
        if self.archive is None:
            return None
        whole = "\0".join((self.archive, *self.names))
        return hashlib.sha256(whole.encode("utf-8", "surrogateescape")).hexdigest()


def fingerprint_files(paths: tuple[Path, ...]) -> str | None:
    """Digest of the files' absolute paths, sizes, times and inodes; None: missing, or changed less than 2 s ago."""
    digest = hashlib.sha256()
    now = time.time_ns()
    for path in paths:
        try:
            state = os.stat(path)
        except OSError:
            return None
        if max(state.st_mtime_ns, state.st_ctime_ns) > now - _SETTLED_NS:
            return None
        whole = f"{os.path.abspath(path)}\0{state.st_size}\0{state.st_mtime_ns}\0{state.st_ctime_ns}\0{state.st_ino}\n"
        digest.update(whole.encode("utf-8", "surrogateescape"))
    return digest.hexdigest()
