"""Measured entries: ``results/<dataset>/ipc<N>/<method>/<protocol>.json``, one result to a file.

The place says what the result is of, and is checked against it, so that nothing is found under a wrong heading.
"""

import re
from collections.abc import Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from divbench.comparison import check_comparable
from divbench.errors import ResultError
from divbench.leaderboard.methods import Methods
from divbench.results import Result, SetRecord, load_result

CLASSES = {
    "cifar10": 10,
    "cifar100": 100,
    "tiny-imagenet": 200,
    "imagenette": 10,
    "imagenet-100": 100,
    "imagenet-1k": 1000,
}
"""How many classes the data sets of papers have."""
_NOTE = 300  # characters
_DATASET = re.compile(r"[a-z0-9][a-z0-9-]*")


@dataclass(frozen=True)
class Entry:
    """A measured result at its place.

    Attributes:
        dataset, ipc, method: of the folders: ``cifar10``, 10, ``sre2l+dire``.
        protocol: name of the protocol and the beginning of its digest; the file's name.
    """

    dataset: str
    ipc: int
    method: str
    protocol: str
    result: Result

    @property
    def place(self) -> str:
        """Below the folder of results, without ``.json``: what claims may call it."""
        return f"{self.dataset}/ipc{self.ipc}/{self.method}/{self.protocol}"


def entry_of(result: Result, dataset: str, method: str, methods: Methods) -> Entry:
    """The entry that a result makes, under the method's printed name.

    Args:
        result: scored, of as many images in every class.
        dataset: key of the data set: ``cifar10``.
        method: its key: ``sre2l+dire``.
        methods: those that are known.

    Raises:
        ResultError: the result was not scored, its classes have unequal numbers of images, the method is not known, or
            the data set's key is none.
    """
    if result.protocol is None or result.protocol_digest is None:
        raise ResultError(
            f"{result.name}: holds accuracies alone; score its images into the same file: divbench score ... -o FILE"
        )
    methods.check(method)
    if not _DATASET.fullmatch(dataset):
        raise ResultError(f"{dataset!r} is no key of a data set: expected lower case, digits and '-', as in cifar10")
    if result.ipc is None or result.ipc[0] != result.ipc[1] or result.ipc[0] < 1:
        found = "no labels" if result.ipc is None else f"{result.ipc[0]} to {result.ipc[1]} images per class"
        raise ResultError(f"{result.name}: has {found}; a leaderboard compares sets of equal size: score it with --ipc")
    if len(result.note) > _NOTE or not (result.note.isprintable() and result.note == result.note.strip()):
        raise ResultError(f"{result.name}: a note is one line of at most {_NOTE} characters, got {result.note[:60]!r}")
    slug = re.sub(r"[^A-Za-z0-9.+-]+", "-", result.protocol.name).strip("-.") or "protocol"
    named = msgspec.structs.replace(result, name=methods.name(method))
    return Entry(dataset, result.ipc[0], method, f"{slug}-{result.protocol_digest:.8}", named)


def load_entries(folder: Path, methods: Methods) -> tuple[list[Entry], list[str]]:
    """All entries below ``folder``, by place, and what is wrong with files and entries, each with its path."""
    entries: list[Entry] = []
    problems: list[str] = []
    if folder.exists() and not folder.is_dir():
        problems.append(f"{folder}: is no folder of entries")
    for path in sorted(one for one in folder.rglob("*") if not one.is_dir() and not one.name.startswith(".")):
        try:
            entries.append(_load(path, folder, methods))
        except ResultError as problem:
            problems.append(str(problem))
    entries.sort(key=lambda one: (one.dataset, one.ipc, methods.order(one.method), one.protocol))
    return entries, problems + list(quarrels(entries))


def _load(path: Path, folder: Path, methods: Methods) -> Entry:
    parts = path.relative_to(folder).parts
    if len(parts) != 4 or path.suffix != ".json":
        raise ResultError(f"{path}: is no entry; entries are <dataset>/ipc<N>/<method>/<protocol>.json")
    result = load_result(path)
    try:
        entry = entry_of(result, parts[0], parts[2], methods)
    except ResultError as problem:
        raise ResultError(f"{path}: {problem}") from None
    if f"{entry.place}.json" != "/".join(parts):
        raise ResultError(f"{path}: holds the result of {entry.place}.json; move it there")
    return entry


def quarrels(entries: Sequence[Entry]) -> Iterator[str]:
    """What is wrong with entries beside each other, each with the place of the later one.

    Those of one data set and protocol compare, other than by how their students were trained; a data set is the same
    images and classes under every protocol, and stands under one key; the same synthetic images are one method's.
    """
    yield from _differing(entries)
    for what, key, kept in (
        ("other classes than", lambda e: e.dataset, lambda e: sorted(e.result.classes)),
        ("other real images than", lambda e: (e.dataset, _real(e).count), lambda e: _real(e).digest),
        ("the very real images, under another key, of", lambda e: _real(e).digest, lambda e: e.dataset),
        ("the very synthetic images, as another method, of", lambda e: (e.dataset, e.protocol, _images(e)), _method),
    ):
        first: dict[Hashable, Entry] = {}
        for entry in entries:
            known = first.setdefault(key(entry), entry)
            if kept(known) != kept(entry):
                yield f"{entry.place}.json: has {what} {known.place}.json"
    for entry in entries:
        count = len(entry.result.classes)
        if count != CLASSES.get(entry.dataset, count):
            yield f"{entry.place}.json: {entry.dataset} has {CLASSES[entry.dataset]} classes, and the result {count}"


def _differing(entries: Iterable[Entry]) -> Iterator[str]:
    first: dict[tuple[str, str], Entry] = {}
    for entry in entries:
        known = first.setdefault((entry.dataset, entry.protocol), entry)
        try:
            check_comparable([msgspec.structs.replace(one.result, accuracies=()) for one in (known, entry)])
        except ResultError as problem:
            yield f"{entry.place}.json beside {known.place}.json: {problem}"


def _real(entry: Entry) -> SetRecord:
    assert entry.result.real is not None
    return entry.result.real


def _images(entry: Entry) -> tuple[str, ...]:
    return tuple(sorted(one.digest for one in entry.result.sets))


def _method(entry: Entry) -> tuple[int, str]:
    return entry.ipc, entry.method
