"""Read a set of images from whatever holds it."""

from dataclasses import replace
from pathlib import Path

from divbench.errors import InputError
from divbench.images.imageset import ImageSet
from divbench.images.named import DATASETS
from divbench.images.reader import Reader, ReadOptions, find_reader


def read_images(
    path: str | Path,
    *,
    split: str | None = None,
    normalized: str | None = None,
    as_is: bool = False,
    repeat: int | None = None,
    per_class: int | None = None,
    data_dir: Path | None = None,
    download: bool = False,
    name: str | None = None,
) -> ImageSet:
    """Images, labels and classes from a file, folder, archive or data set name.

    What is there decides the format; `ImageSet.recognised` says what was found and `ImageSet.notes` what was done.

    Args:
        path: file, folder or archive; or a data set such as ``"cifar10"``, ``"hf:NAME"`` or ``"wds:PATTERN"``.
        split: which part, where there are several.
        normalized: how float values were normalised: a name such as ``cifar10-dc``, or ``m,m,m,s,s,s``.
        as_is: read values that look ZCA-whitened or lie far outside the pixel range all the same, clipped.
        repeat: which repeat (seed) of a file that holds several.
        per_class: says that an image tensor without labels holds this many images of each class, class after class.
        data_dir: folder of the named data sets; default: ``DIVBENCH_DATA``, else the user's cache folder.
        download: fetch a named data set that is not there.
        name: what to call the set; default: from ``path``.

    Raises:
        InputError: nothing, or more than one thing, was recognised; or what is there cannot be used.
    """
    options = ReadOptions(split, normalized, as_is, repeat, per_class, data_dir, download, name)
    sets = _read(str(path), options)
    if len(sets) > 1:
        raise InputError(
            f"{path}: holds {len(sets)} repeats (seeds); choose one with repeat = 0 .. {len(sets) - 1}, "
            "or read them all with read_repeats"
        )
    return sets[0]


def read_repeats(
    path: str | Path,
    *,
    split: str | None = None,
    normalized: str | None = None,
    as_is: bool = False,
    repeat: int | None = None,
    per_class: int | None = None,
    data_dir: Path | None = None,
    download: bool = False,
    name: str | None = None,
) -> list[ImageSet]:
    """Every repeat (seed) that ``path`` holds, most often one; arguments and errors as `read_images`."""
    return _read(str(path), ReadOptions(split, normalized, as_is, repeat, per_class, data_dir, download, name))


def _read(source: str, options: ReadOptions) -> list[ImageSet]:
    if options.per_class is not None and options.per_class < 1:
        raise InputError(f"per_class must be at least 1, got {options.per_class}")
    reader = find_reader(source)
    notes = _unused(reader, options)
    if source in DATASETS and Path(source).exists():
        notes += (f"{source!r} is also the name of a data set; the {_kind(source)} of that name was read",)
    if options.repeat not in (None, 0) and "repeat" not in reader.takes:
        raise InputError(f"{source}: repeat {options.repeat} was asked for, but {reader.name} holds one set")
    return [replace(images, notes=images.notes + notes) for images in reader.read(source, options)]


def _unused(reader: Reader, options: ReadOptions) -> tuple[str, ...]:
    said = {"normalized": options.normalized, "as_is": options.as_is or None, "per_class": options.per_class}
    unused = [option for option, value in said.items() if value is not None and option not in reader.takes]
    if options.split is not None and "split" not in reader.takes:
        raise InputError(f"split {options.split!r} was asked for, but {reader.name} has no splits; leave it out")
    return tuple(f"{option} means nothing to {reader.name} and was not used" for option in unused)


def _kind(source: str) -> str:
    return "folder" if Path(source).is_dir() else "file"
