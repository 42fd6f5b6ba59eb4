"""Data sets by name: what they are, and where to find them."""

import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import platformdirs
import torch

from divbench.errors import InputError
from divbench.images.folders import find_root
from divbench.images.imageset import ImageSet
from divbench.images.layout import lay_out
from divbench.images.reader import ReadOptions


@dataclass(frozen=True)
class DataSet:
    """A data set that can be read by name.

    Attributes:
        name: what to write for it.
        classes: how many it has.
        splits: its parts; the first is read where none is asked for.
        size: of its images, for people.
        origin: where it comes from, for people.
        load: (split, data folder, may download) -> the set.
    """

    name: str
    classes: int
    splits: tuple[str, ...]
    size: str
    origin: str
    load: Callable[[str, Path, bool], ImageSet]


def data_dir(options: ReadOptions) -> Path:
    """The folder of the named data sets: as given, else ``DIVBENCH_DATA``, else in the user's cache folder."""
    if options.data_dir is not None:
        return options.data_dir
    return Path(os.environ.get("DIVBENCH_DATA") or platformdirs.user_cache_path("divbench") / "data")


def read_named(name: str, options: ReadOptions) -> ImageSet:
    """The data set ``name``; raises `InputError` for an unknown split, or where it is not there."""
    known = DATASETS[name]
    split = options.split or known.splits[0]
    if split not in known.splits:
        raise InputError(f"{name}: has no split {split!r}; choose split (--split) = {' or '.join(known.splits)}")
    images = known.load(split, data_dir(options), options.download)
    return replace(
        images,
        name=options.name or name,
        recognised=f"data set {name}, split {split}, {len(images)} images",
    )


def _digits(split: str, folder: Path, download: bool) -> ImageSet:
    """scikit-learn's 8 x 8 digits, 0 .. 16 scaled to 0 .. 255 and repeated over three channels.

    They come without a test part, so every fifth image of each class is one.
    """
    from sklearn.datasets import load_digits

    bunch = load_digits()
    grey = torch.from_numpy(bunch.images).mul(255 / 16).round().to(torch.uint8)
    pixels = grey[:, None].expand(-1, 3, -1, -1).contiguous()
    labels = torch.from_numpy(bunch.target).to(torch.int64)
    classes = tuple(str(index) for index in range(10))
    place = (labels[:, None] == torch.arange(10)).long().cumsum(0).gather(1, labels[:, None])[:, 0]  # 1 .. in a class
    rows = ((place % 5 == 0) == (split == "test")).nonzero()[:, 0]
    return ImageSet(pixels[rows], labels[rows], classes, "digits")


def _cifar(kind: str) -> Callable[[str, Path, bool], ImageSet]:
    def load(split: str, folder: Path, download: bool) -> ImageSet:
        from torchvision import datasets

        make: Any = datasets.CIFAR10 if kind == "cifar10" else datasets.CIFAR100
        try:
            data = make(str(folder), train=split == "train", download=download)
        except (RuntimeError, OSError) as problem:
            raise _absent(kind, folder, download, problem) from None
        pixels = torch.from_numpy(data.data).permute(0, 3, 1, 2).contiguous()
        return ImageSet(pixels, torch.tensor(data.targets), tuple(data.classes), kind)

    return load


def _imagenette(split: str, folder: Path, download: bool) -> ImageSet:
    place = folder / "imagenette2"
    if not place.is_dir():
        if not download:
            raise _absent("imagenette", folder, download, f"no {place}")
        from torchvision import datasets

        try:
            datasets.Imagenette(str(folder), split=split, size="full", download=True)
        except (RuntimeError, OSError) as problem:
            raise _absent("imagenette", folder, download, problem) from None
    return _class_folders(place, split)


def _imagenet(split: str, folder: Path, download: bool) -> ImageSet:
    place = folder / "imagenet"
    if not (place / split).is_dir():
        raise InputError(
            f"imagenet: not found as {place / split}; it cannot be downloaded without an account at image-net.org: "
            "put its class folders (WordNet ids) there, or link them, or give their folder"
        )
    return _class_folders(place, split)


def _tiny_imagenet(split: str, folder: Path, download: bool) -> ImageSet:
    place = folder / "tiny-imagenet-200"
    if not place.is_dir():
        if not download:
            raise _absent("tiny-imagenet", folder, download, f"no {place}")
        from torchvision.datasets.utils import download_and_extract_archive

        try:
            url, md5 = "http://cs231n.stanford.edu/tiny-imagenet-200.zip", "90528d7ca1a48142e341f4ef8d21d0de"
            download_and_extract_archive(url, str(folder), md5=md5)
        except (RuntimeError, OSError) as problem:
            raise _absent("tiny-imagenet", folder, download, problem) from None
    return _class_folders(place, split)


def _class_folders(place: Path, split: str) -> ImageSet:
    root, kind, notes = find_root(place, split)
    return lay_out(root, kind).image_set(place.name, notes)


_REMEDY = "say download (--download), or name the folder with data_dir (--data-dir)"


def _absent(name: str, folder: Path, download: bool, problem: object) -> InputError:
    remedy = "check the connection, or put it there" if download else _REMEDY
    return InputError(f"{name}: not available in {folder} ({problem}); {remedy}")


_TABLE = (
    DataSet("digits", 10, ("train", "test"), "8x8 grey", "scikit-learn, always available", _digits),
    DataSet("cifar10", 10, ("train", "test"), "32x32", "torchvision", _cifar("cifar10")),
    DataSet("cifar100", 100, ("train", "test"), "32x32", "torchvision", _cifar("cifar100")),
    DataSet("imagenette", 10, ("train", "val"), "various", "torchvision, full size", _imagenette),
    DataSet("imagenet", 1000, ("train", "val"), "various", "your own copy of its class folders", _imagenet),
    DataSet("tiny-imagenet", 200, ("train", "val"), "64x64", "Stanford CS231n", _tiny_imagenet),
)
DATASETS: dict[str, DataSet] = {known.name: known for known in _TABLE}
"""Name -> data set, in the order of `divbench list datasets`."""
