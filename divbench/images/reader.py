"""What a reader is, what it may be told, and how the one that fits is found."""

import difflib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from divbench.errors import InputError, shorten
from divbench.images.imageset import ImageSet
from divbench.registry import Registry


@dataclass(frozen=True)
class ReadOptions:
    """What the user says about a source; None: nothing said.

    Attributes:
        split: which part to read, such as ``"train"``.
        normalized: how float values were normalised, see `divbench.constants.parse_mean_std`.
        as_is: read values that look whitened or out of range all the same, clipped.
        repeat: which of several repeats (seeds) in one file.
        per_class: for tensors without labels: this many images of each class, class after class.
        data_dir: folder of the named data sets; None: ``DIVBENCH_DATA``, else the user's cache folder.
        download: fetch a named data set that is not there.
        name: what to call the set; None: from the source.
    """

    split: str | None = None
    normalized: str | None = None
    as_is: bool = False
    repeat: int | None = None
    per_class: int | None = None
    data_dir: Path | None = None
    download: bool = False
    name: str | None = None


@dataclass(frozen=True)
class Reader:
    """One format.

    Attributes:
        name: what to call it in lists.
        summary: one line for `divbench list readers`.
        recognise: source as given by the user -> what was found there in a few words, or None.
        read: source -> one set, or one per repeat.
        takes: which of ``normalized``, ``as_is``, ``repeat``, ``per_class``, ``split`` mean something to it.
    """

    name: str
    summary: str
    recognise: Callable[[str], str | None]
    read: Callable[[str, ReadOptions], list[ImageSet]]
    takes: frozenset[str] = frozenset()


READERS: Registry[Reader] = Registry("reader", "divbench.images.readers", InputError)


def register(reader: Reader) -> None:
    """Add ``reader`` to the registry."""
    READERS.add(reader.name, reader)


def find_reader(source: str) -> Reader:
    """The only reader that recognises ``source``; raises `InputError` where none or several do."""
    found = [(reader, text) for _, reader in READERS.items() if (text := reader.recognise(source)) is not None]
    if len(found) == 1:
        return found[0][0]
    if found:
        claims = "; ".join(f"{reader.name}: {text}" for reader, text in found)
        raise InputError(
            f"{source}: can be read in more than one way ({claims}); keep one of them in a place of its own"
        )
    raise InputError(_unknown(source))


def _unknown(source: str) -> str:
    accepted = "\n".join(f"  {name}: {reader.summary}" for name, reader in READERS.items())
    path = Path(source)
    if not path.exists():
        from divbench.images.named import DATASETS  # which registers a reader here

        close = difflib.get_close_matches(source.lower(), DATASETS, n=1)
        what = "no such file, folder or data set"
        if close:
            return f"{source}: {what}; did you mean {close[0]!r}? (divbench list readers says what else is read)"
    elif path.is_dir():
        inside = sorted(entry.name for entry in path.iterdir())
        what = f"a folder with no images in a known layout (it holds {shorten(inside) or 'nothing'})"
    else:
        what = "a file of no known format"
    return f"{source}: {what}. Accepted:\n{accepted}"
