"""`set.json`: what divbench writes beside the images of a set of its own."""

from pathlib import Path

import msgspec

from divbench.errors import InputError
from divbench.files import write_whole
from divbench.origin import Origin

MANIFEST = "set.json"
SCHEMA = 1


class ClassFolder(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A class and the folder below `images/` that holds it."""

    name: str
    folder: str


class Manifest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Name, classes in label order, whether the labels mean anything, and how the set was generated."""

    schema: int
    name: str
    classes: tuple[ClassFolder, ...]
    labelled: bool = True
    origin: Origin | None = None


def load_manifest(path: Path) -> Manifest:
    """Read and check a `set.json`; raises `InputError` that names the key."""
    try:
        manifest = msgspec.json.decode(path.read_bytes(), type=Manifest)
    except (OSError, msgspec.DecodeError, UnicodeDecodeError, RecursionError) as problem:
        raise InputError(f"{path}: is not a set that divbench wrote: {problem}") from None
    if manifest.schema != SCHEMA:
        raise InputError(
            f"{path}: has schema {manifest.schema}, this divbench reads {SCHEMA}; use the version that wrote it"
        )
    folders = [one.folder for one in manifest.classes]
    if len(set(folders)) < len(folders):
        raise InputError(f"{path}: a folder stands for two classes")
    for folder in folders:
        if folder in ("", ".", "..") or "/" in folder or "\\" in folder:
            raise InputError(f"{path}: class folder {folder!r} must be a plain name")
    return manifest


def save_manifest(manifest: Manifest, folder: Path) -> None:
    """Write `set.json` into ``folder``, whole or not at all; raises `OutputError`."""
    write_whole(folder / MANIFEST, msgspec.json.format(msgspec.json.encode(manifest)) + b"\n")
