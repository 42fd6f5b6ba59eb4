"""A set that divbench wrote: `set.json`, and class folders in `images/`."""

from dataclasses import replace
from pathlib import Path

from divbench.errors import InputError
from divbench.images.folders import entries, is_image
from divbench.images.imageset import ImageSet
from divbench.images.layout import Layout, natural
from divbench.images.manifest import MANIFEST, load_manifest
from divbench.images.reader import Reader, ReadOptions, register


def recognise(source: str) -> str | None:
    """A folder with `set.json` and `images/`."""
    path = Path(source)
    return "set.json and images/" if (path / MANIFEST).is_file() and (path / "images").is_dir() else None


def read(source: str, options: ReadOptions) -> list[ImageSet]:
    """One lazy set with the classes of `set.json`, those without images included."""
    root = Path(source)
    manifest = load_manifest(root / MANIFEST)
    place = root / "images"
    paths: list[Path] = []
    labels: list[int] = []
    for label, one in enumerate(manifest.classes):
        folder = place / one.folder
        if not folder.is_dir():
            raise InputError(f"{root}: {MANIFEST} names class {one.name!r}, but {folder} is missing")
        images = sorted((path for path in entries(folder)[0] if is_image(path)), key=natural)
        paths += images
        labels += [label] * len(images)
    unnamed = {path.name for path in entries(place)[1]} - {one.folder for one in manifest.classes}
    if unnamed:
        raise InputError(f"{place / min(unnamed)} is not named in {MANIFEST}")
    classes = tuple(one.name for one in manifest.classes)
    found = f"divbench set {manifest.name!r}, {len(classes)} classes, {len(paths)} images"
    layout = Layout(tuple(paths), tuple(labels), classes, found, (), manifest.labelled)
    return [replace(layout.image_set(options.name or manifest.name), origin=manifest.origin)]


register(Reader("divbench-set", "a set that divbench wrote: images/<class>/<id>.png and set.json", recognise, read))
