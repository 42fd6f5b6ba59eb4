"""Recipes: everything that decides what a generated set looks like, as flat TOML. No torch in here.

A recipe is complete in itself: nothing is inherited and nothing has a hidden default, so a file says all there is to
know. ``sources`` says of every number where it comes from.
"""

import difflib
import hashlib
import math
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any, Literal

import msgspec
from msgspec import Struct

from divbench.errors import RecipeError, shorten
from divbench.settings import leaves, parse_value

Setting = bool | int | float | str
Settings = dict[str, Setting]
WORDS = ("name", "dataset", "description", "parity")
"""What of a recipe says where it comes from, and changes nothing."""
_CHANGED = "changed with --set"


class Adam(Struct, frozen=True, forbid_unknown_fields=True, tag="adam", tag_field="name"):
    """Adam; ``schedule`` is what the learning rate follows from ``lr`` on, over all iterations."""

    lr: float
    betas: tuple[float, float]
    schedule: Literal["cosine", "constant"]


class Sgd(Struct, frozen=True, forbid_unknown_fields=True, tag="sgd", tag_field="name"):
    """Gradient descent with momentum."""

    lr: float
    momentum: float
    schedule: Literal["cosine", "constant"]


class Batch(Struct, frozen=True, forbid_unknown_fields=True):
    """Which images see each other: ``per_class`` images of each of ``classes`` classes are optimised together."""

    classes: int
    per_class: int


class Augment(Struct, frozen=True, forbid_unknown_fields=True):
    """What happens to the images before the network sees them.

    Attributes:
        crop: least share of the area that a random resized crop keeps; 1: no cropping.
        flip: mirror with probability one half.
        roll: least and greatest cyclic shift in pixels, in both directions; [0, 0]: none.
        per: one draw for the whole ``batch``, as in the released code of the SRe2L family, or one for each ``image``.
    """

    crop: float
    flip: bool
    roll: tuple[int, int]
    per: Literal["batch", "image"]


class Real(Struct, frozen=True, forbid_unknown_fields=True):
    """Which real images a class is compared with.

    ``class``: those of the class. ``mixed``: as many images as a class has, one stretch of the data in stored order
    for each class whatever their labels, which is what the released code of DiRe does.
    """

    reference: Literal["class", "mixed"]


class Hard(Struct, frozen=True, forbid_unknown_fields=True, tag="hard", tag_field="kind"):
    """The class of each image and nothing else."""


class Static(Struct, frozen=True, forbid_unknown_fields=True, tag="static", tag_field="kind"):
    """The teacher's logits of each image as it is."""

    teacher: Literal["eval", "train"]


class Fkd(Struct, frozen=True, forbid_unknown_fields=True, tag="fkd", tag_field="kind"):
    """The teacher's logits of every augmented image of every epoch (Shen & Xing 2022, arXiv:2112.01528).

    Attributes:
        epochs: of the student.
        batch: images in a batch; the last of an epoch may be smaller.
        crop: least share of the area that a random resized crop keeps; 1: no cropping.
        mix: how two images of a batch are put together.
        alpha: both parameters of the Beta law of the mixing share.
        teacher: BatchNorm with stored statistics (``eval``) or those of the batch (``train``).
    """

    epochs: int
    batch: int
    crop: float
    mix: Literal["cutmix", "mixup", "none"]
    alpha: float
    teacher: Literal["eval", "train"]


class Online(Struct, frozen=True, forbid_unknown_fields=True, tag="online", tag_field="kind"):
    """None are written: whoever trains the student asks the teacher."""


class Recipe(Struct, frozen=True, forbid_unknown_fields=True):
    """How a set is generated.

    Attributes:
        name: such as ``sre2l+dire``.
        dataset: whose images the numbers are meant for.
        description: one line.
        parity: ``paper``: published formulas; ``released``: bug for bug with public code; ``divbench``: our default.
        method: ``name`` of what fills the recovery loop, and its settings.
        ipc: images per class.
        iterations: optimiser steps of each batch; 0: the set is its start.
        precision: of the network's convolutions.
        start: ``noise``; ``real``: random real images of the class; ``kmeans``: those nearest to the class's k-means
            centroids in the teacher's features; ``stored``: a set that is given.
        format: of the images on disk; ``jpeg75`` truncates to 8 bits and compresses as the released code does.
        terms: name -> ``weight`` and settings; weight 0 switches a term off.
        sources: where each number comes from, by its dotted name or the name of its section.
    """

    name: str
    dataset: str
    description: str
    parity: Literal["paper", "released", "divbench"]
    method: Settings
    ipc: int
    iterations: int
    precision: Literal["float32", "tf32", "bfloat16"]
    start: Literal["noise", "real", "kmeans", "stored"]
    format: Literal["png", "jpeg75"]
    terms: dict[str, Settings]
    batch: Batch
    optimizer: Adam | Sgd
    augment: Augment
    real: Real
    labels: Hard | Static | Fkd | Online
    sources: dict[str, str]

    def __post_init__(self) -> None:
        for problem in _problems(self):
            raise RecipeError(f"recipe {self.name!r}: {problem}")


def _problems(recipe: Recipe) -> list[str]:
    positive = {
        "ipc": recipe.ipc, "batch.classes": recipe.batch.classes,
        "batch.per_class": recipe.batch.per_class, "optimizer.lr": recipe.optimizer.lr,
    }  # fmt: skip
    found = [f"{key} is {value}; it must be positive" for key, value in positive.items() if not value > 0]
    if recipe.iterations < 0:
        found.append(f"iterations is {recipe.iterations}; give 0, for the start as it is, or more")
    if not 0 < recipe.augment.crop <= 1:
        found.append(f"augment.crop is {recipe.augment.crop}; a share of the area is above 0 and at most 1")
    if recipe.augment.roll[0] > recipe.augment.roll[1]:
        found.append(f"augment.roll is {list(recipe.augment.roll)}; the least shift comes first")
    optimizer = recipe.optimizer
    decays = optimizer.betas if isinstance(optimizer, Adam) else (optimizer.momentum,)
    if not all(0 <= decay < 1 for decay in decays):
        found.append(f"optimizer has betas or momentum {list(decays)}; they are from 0 to below 1")
    if not isinstance(recipe.method.get("name"), str):
        found.append("method needs a name")
    for name, settings in recipe.terms.items():
        weight = settings.get("weight")
        if not isinstance(weight, int | float) or isinstance(weight, bool) or not math.isfinite(weight):
            found.append(f"terms.{name} needs a weight, a finite number; 0 switches it off")
    return found


def digest(recipe: Recipe, *, labels: bool = True) -> str:
    """16 hexadecimal digits that change with whatever changes an image or, if asked for, a label.

    Words and sources do not count.
    """
    plain = msgspec.to_builtins(recipe)
    for key in (*WORDS, "sources", *(() if labels else ("labels",))):
        del plain[key]
    # A term without weight is none, and 1 is 1.0.
    plain["terms"] = {
        name: {key: float(value) if type(value) is int else value for key, value in settings.items()}
        for name, settings in recipe.terms.items()
        if settings["weight"]
    }
    return hashlib.sha256(msgspec.json.encode(plain, order="deterministic")).hexdigest()[:16]


def recipe_names() -> list[str]:
    """``dataset/name`` of every recipe that comes with divbench."""
    folders = [folder for folder in _shipped().iterdir() if folder.is_dir()]
    return sorted(
        f"{folder.name}/{file.name.removesuffix('.toml')}"
        for folder in folders
        for file in folder.iterdir()
        if file.name.endswith(".toml")
    )


def load_recipe(name: str, dataset: str | None = None) -> Recipe:
    """The shipped recipe ``name``, or the one in the file ``name`` (anything that ends in .toml).

    Args:
        name: ``dataset/recipe``, or the recipe alone where ``dataset`` says the rest.
        dataset: what the user calls the real data; only the names of data sets count.

    Raises:
        RecipeError: no such recipe, or a file with unknown or missing keys or wrong values.
    """
    if name.endswith(".toml"):
        try:
            return decode(Path(name).read_bytes(), name)
        except OSError as error:
            raise RecipeError(f"{name}: cannot be read ({error.strerror or error})") from error
    known = recipe_names()
    if dataset not in {one.partition("/")[0] for one in known}:
        dataset = None
    full = name if "/" in name or dataset is None else f"{dataset}/{name}"
    if full in known:
        return decode((_shipped() / f"{full}.toml").read_bytes(), f"recipe {full}")
    raise RecipeError(_unknown(name, dataset, known))


def _unknown(name: str, dataset: str | None, known: list[str]) -> str:
    alike = [one for one in known if one.partition("/")[2] == name]
    if alike:
        where = (
            "the real data is no data set that recipes know by name"
            if dataset is None
            else f"there is none for {dataset!r}"
        )
        return f"recipe {name!r}: {where}; say which numbers to use: {', '.join(alike)}"
    close = difflib.get_close_matches(name, [*known, *(one.partition("/")[2] for one in known)], n=1)
    hint = f"did you mean {close[0]!r}?" if close else "see 'divbench list recipes'."
    return f"unknown recipe {name!r}; {hint} A path that ends in .toml is read as a file"


def decode(data: bytes, where: str) -> Recipe:
    """A recipe from TOML; raises `RecipeError` that names ``where`` and the key."""
    try:
        return msgspec.toml.decode(data, type=Recipe)
    except (msgspec.DecodeError, UnicodeDecodeError, RecipeError) as error:
        raise RecipeError(f"{where}: {error}") from error


def change(recipe: Recipe, assignments: tuple[str, ...]) -> Recipe:
    """The recipe with values replaced.

    Args:
        recipe: left as it is.
        assignments: ``dotted.key=value`` each, with the value in TOML (``terms.cosine_diversity.weight=0``,
            ``batch.classes=50``, ``augment.roll=[0, 4]``, ``start=real``).

    Raises:
        RecipeError: no such key, a value of another type, or one that makes no sense.
    """
    plain = msgspec.to_builtins(recipe)
    for assignment in assignments:
        key, equals, text = assignment.partition("=")
        if not equals:
            raise RecipeError(f"--set {assignment}: expected key=value, such as optimizer.lr=0.1")
        if key.partition(".")[0] in (*WORDS, "sources"):
            raise RecipeError(f"--set {assignment}: {key} says where the recipe comes from; write a .toml of your own")
        *parents, last = key.split(".")
        place: Any = plain
        for depth, parent in enumerate(parents):
            if depth == 1 and parents[0] == "terms":
                place.setdefault(parent, {})  # whether there is such a term is asked when terms are resolved
            place = place.get(parent) if isinstance(place, dict) else None
        if not isinstance(place, dict) or (last not in place and parents[:1] not in (["terms"], ["method"])):
            close = difflib.get_close_matches(key, list(leaves(plain)), n=1)
            keys = shorten(sorted(k for k in leaves(plain) if k.partition(".")[0] not in (*WORDS, "sources")), 40)
            raise RecipeError(
                f"--set {assignment}: the recipe has no {key!r}; "
                + (f"did you mean {close[0]!r}?" if close else f"it has {keys}")
            )
        place[last] = parse_value(text)
        plain["sources"] = {k: v for k, v in plain["sources"].items() if not k.startswith(f"{key}.")}
        plain["sources"][key] = _CHANGED
    try:
        return msgspec.convert(plain, Recipe)
    except msgspec.ValidationError as error:
        raise RecipeError(f"--set {' '.join(assignments)}: {error}") from error


def changed_keys(recipe: Recipe) -> tuple[str, ...]:
    """The dotted names that `change` has given other values."""
    return tuple(key for key, source in recipe.sources.items() if source == _CHANGED)


def _shipped() -> Traversable:
    return resources.files("divbench") / "generate" / "recipes"
