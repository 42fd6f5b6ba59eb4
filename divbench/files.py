"""Files that are written whole or not at all."""

import os
import tempfile
from pathlib import Path

from divbench.errors import OutputError


def check_writable(path: Path) -> None:
    """Raise `OutputError` where `write_whole` could not write: asked before long work."""
    if path.is_dir():
        raise OutputError(f"{path}: is a folder; name a file in it")
    if not path.parent.is_dir():
        raise OutputError(f"{path}: there is no folder {path.parent}; make it first")
    if not os.access(path.parent, os.W_OK):
        raise OutputError(f"{path}: the folder {path.parent} cannot be written to")


def write_whole(path: Path, data: bytes) -> None:
    """Write ``data`` to a temporary neighbour and rename it, so that ``path`` is never half-written.

    What is no regular file, such as a pipe or a terminal, is written to as it is.

    Raises:
        OutputError: the file cannot be written; an existing one is then unharmed.
    """
    check_writable(path)
    temporary = None
    try:
        if path.exists() and not path.is_file():
            path.write_bytes(data)
            return
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o666 & ~_umask())
        os.replace(temporary, path)
        temporary = None
    except OSError as error:
        raise OutputError(f"{path}: cannot be written ({error.strerror or error}); nothing was changed") from error
    finally:
        if temporary is not None:
            Path(temporary).unlink(missing_ok=True)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
