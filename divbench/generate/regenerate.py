"""regenerate(): what a result says of a generated set -> the same set once more, and whether it is the same."""

import filecmp
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec

from divbench.embedders import choose_device
from divbench.errors import InputError, OutputError
from divbench.generate.generate import generate
from divbench.generate.job import Options
from divbench.generate.recipe import Fkd, Recipe, Static
from divbench.images import ImageSet, match_classes, read_images, take_per_class
from divbench.images.manifest import MANIFEST
from divbench.labels.store import label_files
from divbench.origin import Origin
from divbench.progress import Progress, no_progress
from divbench.results import SetRecord, load_result
from divbench.teacher import Teacher
from divbench.train.accuracy import record_of


class Generated(NamedTuple):
    """A set that was generated once.

    Attributes:
        record, origin: what is known of it.
        classes: over which it was read, in their order.
        folder: where it lies; None where a result alone tells of it.
    """

    record: SetRecord
    origin: Origin
    classes: tuple[str, ...]
    folder: Path | None = None


class Regenerated(NamedTuple):
    """The set that was, and the one that was made now.

    Attributes:
        expected, found: digests of the pixels and classes of both.
        other_labels: files of soft labels that only one of them has, or that are not the same byte for byte; None:
            there are soft labels, but they could not be compared, since a result holds no digest of them.
    """

    expected: str
    found: str
    other_labels: tuple[str, ...] | None

    @property
    def same(self) -> bool:
        """Whether all that could be compared is the same: images, their classes and soft labels."""
        return self.expected == self.found and not self.other_labels


def generated_sets(source: Path) -> list[Generated]:
    """The sets of a result file, or the set in a folder, that divbench generated.

    Raises:
        ResultError: no result can be read there.
        InputError: nothing of it says how it was generated.
    """
    folder = source if source.is_dir() else source.parent if source.name == MANIFEST else None
    if folder is not None:
        images = read_images(folder)
        classes, records = images.classes, [record_of(images)]
    else:
        result = load_result(source)
        classes, records = result.classes, list(result.sets)
    found = [Generated(one, one.origin, classes, folder) for one in records if one.origin is not None]
    if not found:
        raise InputError(
            f"{source}: holds no set that says how it was generated; give the result of a set, or the folder of a set, "
            "that 'divbench generate' made"
        )
    return found


def choose(sets: Sequence[Generated], seed: int | None, where: Path) -> Generated:
    """The one with that seed, or the only one; raises `InputError` where none or several are."""
    fitting = [one for one in sets if seed is None or one.origin.seed == seed]
    if len(fitting) != 1:
        listed = ", ".join(f"{one.record.name} (seed {one.origin.seed})" for one in sets)
        asked = "several sets" if seed is None else f"{len(fitting) or 'no'} sets of seed {seed}"
        raise InputError(f"{where}: holds {asked}: {listed}; say which with --seed")
    return fitting[0]


def check_new(folder: Path) -> None:
    """Raise `OutputError` where ``folder`` exists: to read a set that is there already would verify nothing."""
    if folder.exists() or folder.is_symlink():
        raise OutputError(
            f"{folder}: exists already, and a set is verified only by making it now; remove it, or give another -o"
        )


def regenerate(
    before: Generated,
    real: ImageSet,
    folder: Path,
    *,
    teacher: Teacher | None = None,
    how: str | None = None,
    options: Options | None = None,
    progress: Progress = no_progress,
) -> Regenerated:
    """Generate a set again from what is recorded of it.

    Args:
        before: see `generated_sets`.
        real: the real data that it was distilled from.
        folder: must not exist; what an interrupted call left in ``<folder>.unfinished`` is gone on with.
        teacher: that it was distilled from.
        how: to match the classes with those over which it was read, where that is not certain; see `match_classes`.
        options: of them only ``start`` and ``cache`` count; seed, layout and kind of device are as they were.
        progress: shows what is going on.

    Raises:
        InputError: the real data, the teacher, the start or the classes are others, which is found before the first
            step; or the recipe belongs to another version of divbench.
        OutputError: the folder exists.
        As `generate`, else.
    """
    check_new(folder)
    origin, given = before.origin, options or Options()
    try:
        recipe = msgspec.convert(origin.recipe, Recipe)
    except msgspec.ValidationError as problem:
        made_by = origin.versions.get("commit", "unknown")
        raise InputError(
            f"{before.record.name}: its recipe belongs to another version of divbench, commit {made_by}: {problem}"
        ) from problem
    mean, std = origin.mean, origin.std
    same = Options(
        seed=origin.seed,
        start=given.start,
        mean_std=",".join(map(repr, (*mean, *std))),
        layout=origin.layout,
        keep_float=origin.keep_float,
        device=choose_device(origin.device),
        cache=given.cache,
    )
    common = len(before.classes) < len(real.classes)  # scored with --common-classes
    match_classes(real, before.classes, how=how, common=common)  # the set will have the same: ask before it is made
    generate(recipe, real, folder, teacher=teacher, options=same, again=origin, progress=progress)
    images = match_classes(read_images(folder), before.classes, how=how, common=common).fake
    fewest = min(before.record.per_class, default=0)
    if before.record.count < len(images) and before.record.count == fewest * len(before.classes):
        images = take_per_class(images, fewest)  # scored with --ipc
    if before.folder is not None:
        other_labels: tuple[str, ...] | None = _other_labels(before.folder, folder)
    else:
        other_labels = None if isinstance(recipe.labels, Static | Fkd) else ()
    return Regenerated(before.record.digest, record_of(images).digest, other_labels)


def _other_labels(before: Path, now: Path) -> tuple[str, ...]:
    """Files of soft labels in two folders that are not the same in both, as paths in there."""
    names = {str(path.relative_to(folder)) for folder in (before, now) for path in label_files(folder)}
    _, differing, lacking = filecmp.cmpfiles(before, now, sorted(names), shallow=False)
    return tuple(sorted(differing + lacking))
