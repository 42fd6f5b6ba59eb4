"""Class folders, Tiny-ImageNet's annotated folder and flat folders -> paths, labels and class names."""

import itertools
import re
from dataclasses import dataclass
from pathlib import Path

import torch

from divbench.errors import InputError, shorten
from divbench.images.files import Files
from divbench.images.folders import ANNOTATIONS, entries, image_folder, is_image
from divbench.images.imageset import NO_CLASSES, ImageSet
from divbench.images.wordnet import WNID

_SNAPSHOT = re.compile(r"_iter\d+$")
_NUMBERED = re.compile(r"(?:new)?(\d+)")
_DISTILLED = re.compile(r"class(\d+)_id\d+$")


@dataclass(frozen=True)
class Layout:
    """Where a set's images are: one path and one label each, the class names, and what was noticed."""

    paths: tuple[Path, ...]
    labels: tuple[int, ...]
    classes: tuple[str, ...]
    found: str
    notes: tuple[str, ...]
    labelled: bool = True

    def image_set(self, name: str, notes: tuple[str, ...] = ()) -> ImageSet:
        """The lazy set of these files."""
        labels = torch.tensor(self.labels, dtype=torch.int64)
        return ImageSet(Files(self.paths), labels, self.classes, name, self.found, (*notes, *self.notes), self.labelled)


def natural(path: Path) -> tuple[tuple[int, int | str], ...]:
    """Sort key under which ``id9`` stands before ``id10``."""
    return tuple(
        (0, int(part)) if part[0] in "0123456789" else (1, part) for part in re.split(r"([0-9]+)", path.name) if part
    )


def lay_out(root: Path, kind: str) -> Layout:
    """The layout of ``root``, which is of ``kind`` (see `folders.kind_of`); raises `InputError`."""
    if kind == "annotated":
        return _annotated(root)
    return _flat(root) if kind == "flat" else _classes(root)


def _classes(root: Path) -> Layout:
    files, folders = entries(root)
    holding = [path for path in folders if image_folder(path)]
    notes = [f"ignored files beside the class folders: {shorten([p.name for p in files])}"] if files else []
    if len(holding) == 1 and any(map(is_image, files)):
        raise InputError(
            f"{root}: holds both images and one folder of images ({holding[0].name}); keep the ones that are meant "
            "in a folder of their own"
        )
    chosen, form = _choose(root, holding)
    stray = [path.name for path in folders if path not in chosen]
    if stray:
        notes.append(f"ignored folders that are no classes or hold no images: {shorten(stray)}")
    paths: list[Path] = []
    labels: list[int] = []
    seen: dict[str, int] = {}
    for label, folder in enumerate(chosen):
        images = _images_of(folder, seen)
        _check_numbers(folder, images, form)
        paths += images
        labels += [label] * len(images)
    if any(_DISTILLED.match(path.stem) for path in paths[:1]):
        form += ", files class*_id*"
    notes += [f"{what}: {count}" for what, count in seen.items()]
    found = f"{len(chosen)} {form}, {len(paths)} images"
    return Layout(tuple(paths), tuple(labels), tuple(path.name for path in chosen), found, tuple(notes))


def _choose(root: Path, holding: list[Path]) -> tuple[list[Path], str]:
    """The class folders in class order, and what form their names have."""
    new = [path for path in holding if re.fullmatch(r"new\d+", path.name)]
    wnids = [path for path in holding if WNID.fullmatch(path.name)]
    digits = [path for path in holding if path.name.isdecimal()]
    if wnids and not new:
        return wnids, "class folders named by WordNet id"
    if not new and not digits:
        return holding, "class folders in order of name"
    if digits and len(digits) < len(holding) and not new:
        others = [path.name for path in holding if path not in digits]
        raise InputError(
            f"{root}: some folders of images are numbered and others not ({shorten(others)}); "
            "move away what is no class"
        )
    numbered = sorted(new or digits, key=lambda path: number_of(path.name) or 0)
    for one, two in itertools.pairwise(numbered):
        if number_of(one.name) == number_of(two.name):
            raise InputError(f"{root}: {one.name} and {two.name} are both class {number_of(one.name)}")
    return numbered, f"numbered class folders ({numbered[0].name}, ...)"


def number_of(name: str) -> int | None:
    """The index in a class name such as ``"7"``, ``"00007"`` or ``"new007"``; None: there is none."""
    match = _NUMBERED.fullmatch(name)
    return int(match[1]) if match else None


def _images_of(folder: Path, seen: dict[str, int]) -> list[Path]:
    """The images of one class in stored order; what was left out is counted in ``seen``."""
    place = image_folder(folder) or folder
    files, folders = entries(place)
    images = sorted((path for path in files if is_image(path)), key=natural)
    final = [path for path in images if not _SNAPSHOT.search(path.stem)]
    if not final:
        raise InputError(f"{folder}: holds only iteration snapshots (*_iter*); no final images")
    left_out = {
        "left out iteration snapshots (*_iter*)": len(images) - len(final),
        "ignored files in class folders that are no images": len(files) - len(images),
        "ignored folders inside class folders": len(folders),
    }
    for what, count in left_out.items():
        if count:
            seen[what] = seen.get(what, 0) + count
    return final


def _check_numbers(folder: Path, images: list[Path], form: str) -> None:
    """`class003_id000.jpg` belongs into class folder 3."""
    index = number_of(folder.name)
    if index is None or not form.startswith("numbered"):
        return
    for path in images:
        match = _DISTILLED.match(path.stem)
        if match and int(match[1]) != index:
            raise InputError(f"{path}: is named as class {int(match[1])} but lies in the folder of class {index}")


def _annotated(root: Path) -> Layout:
    """Tiny-ImageNet's val: `images/` and a table of file name and WordNet id; classes in order of id."""
    table = root / ANNOTATIONS
    try:
        rows = [line.split("\t") for line in table.read_text(encoding="utf-8").splitlines() if line.strip()]
    except (OSError, UnicodeDecodeError) as problem:
        raise InputError(f"{table}: cannot be read: {problem}") from None
    for number, row in enumerate(rows, 1):
        if len(row) < 2 or not WNID.fullmatch(row[1]) or Path(row[0]).name != row[0]:
            raise InputError(f"{table}, line {number}: expected a file name and a WordNet id, separated by a tab")
    classes = tuple(sorted({row[1] for row in rows}))
    index = {name: label for label, name in enumerate(classes)}
    of_file = {row[0]: index[row[1]] for row in rows}
    paths = [path for path in entries(root / "images")[0] if is_image(path)]
    unknown = [path.name for path in paths if path.name not in of_file]
    missing = sorted(set(of_file) - {path.name for path in paths})
    if unknown or missing:
        raise InputError(
            f"{root}: images without annotation: {shorten(unknown) or 'none'}; "
            f"annotated but missing: {shorten(missing) or 'none'}"
        )
    paths.sort(key=lambda path: (of_file[path.name], natural(path)))
    labels = tuple(of_file[path.name] for path in paths)
    return Layout(tuple(paths), labels, classes, f"images with {ANNOTATIONS}, {len(classes)} classes", ())


def _flat(root: Path) -> Layout:
    files, folders = entries(root)
    images = sorted((path for path in files if is_image(path)), key=natural)
    final = [path for path in images if not _SNAPSHOT.search(path.stem)]
    if not final:
        raise InputError(f"{root}: holds only iteration snapshots (*_iter*); no final images")
    notes = ["no class folders: only measures of the whole set apply"]
    if len(images) > len(final):
        notes.append(f"left out iteration snapshots (*_iter*): {len(images) - len(final)}")
    others = [path.name for path in (*files, *folders) if path not in set(images)]
    if others:
        notes.append(f"ignored beside the images: {shorten(others)}")
    found = f"flat folder of {len(final)} images without labels"
    return Layout(tuple(final), (0,) * len(final), NO_CLASSES, found, tuple(notes), labelled=False)
