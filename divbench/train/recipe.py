"""Squeeze recipes: how a teacher is trained, as flat TOML in which every number has a source. No torch in here."""

import difflib
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any, Literal

import msgspec
from msgspec import Struct

from divbench.constants import parse_mean_std
from divbench.errors import InputError, RecipeError

COMPUTED = "computed"
"""As ``mean_std``: of the training images themselves."""


class Augmentation(Struct, frozen=True, forbid_unknown_fields=True):
    """What happens to a training image, drawn for each image on its own.

    Attributes:
        padding: black pixels put around the image before a square of the old size is cut out anywhere; 0: none.
        crop: least share of the area that a random resized crop keeps; 1: no cropping. Of this and ``padding`` a recipe
            has one at most.
        flip: mirror with probability one half.
    """

    padding: int
    crop: float
    flip: bool


class SqueezeRecipe(Struct, frozen=True, forbid_unknown_fields=True):
    """How a teacher is trained by stochastic gradient descent on cross-entropy.

    Attributes:
        dataset: whose images the numbers are meant for.
        net: ``resnet18``, which has the small-image stem where images have up to 64 pixels, or ``torchvision:NAME``.
        size: side in pixels of the images that the network sees; 0: that of the images, which must all be alike.
        resize: pixels that the shorter edge gets before the middle is cut out, in testing and where no random resized
            crop does it in training; 0 where ``size`` is 0.
        mean_std: normalisation, as `parse_mean_std` takes it, or ``computed`` from the training images.
        holdout: share of the images of each class that are kept for testing where there is no test set.
        epochs: passes over the training images; what is left over after the last whole batch waits for another one.
        batch: images in a batch, of all processes together.
        lr: greatest learning rate.
        momentum: of the gradients.
        nesterov: look ahead along the momentum.
        weight_decay: of all parameters.
        label_smoothing: share of each label that is spread evenly over the classes.
        schedule: ``cosine``: half a wave from ``lr`` to 0, epoch by epoch; ``one-cycle``: the same step by step;
            ``thirds``: a tenth of the rate after each third of the epochs; ``constant``.
        warmup_epochs: the rate rises in a straight line from a hundredth of ``lr`` before the schedule starts.
        precision: of the network's convolutions and products; weights and their updates are float32.
        augment: see there.
        sources: where each number comes from, by its dotted name or the name of its section.
    """

    dataset: str
    net: str
    size: int
    resize: int
    mean_std: str
    holdout: float
    epochs: int
    batch: int
    lr: float
    momentum: float
    nesterov: bool
    weight_decay: float
    label_smoothing: float
    schedule: Literal["cosine", "one-cycle", "thirds", "constant"]
    warmup_epochs: int
    precision: Literal["float32", "bfloat16"]
    augment: Augmentation
    sources: dict[str, str]

    def __post_init__(self) -> None:
        for problem in _problems(self):
            raise RecipeError(f"squeeze recipe {self.dataset!r}: {problem}")


def _problems(recipe: SqueezeRecipe) -> list[str]:
    ranges = {
        "size": (recipe.size >= 0, "a side in pixels, or 0 for that of the images"),
        "resize": (
            recipe.resize >= recipe.size and bool(recipe.resize) == bool(recipe.size),
            "at least size; 0 with it",
        ),
        "holdout": (0 <= recipe.holdout < 1, "a share from 0 to below 1"),
        "epochs": (recipe.epochs >= 1, "at least 1"),
        "batch": (recipe.batch >= 2, "at least 2"),
        "lr": (recipe.lr > 0, "above 0"),
        "momentum": (0 <= recipe.momentum < 1, "from 0 to below 1"),
        "nesterov": (not recipe.nesterov or recipe.momentum > 0, "false without momentum"),
        "weight_decay": (recipe.weight_decay >= 0, "at least 0"),
        "label_smoothing": (0 <= recipe.label_smoothing < 1, "a share from 0 to below 1"),
        "warmup_epochs": (0 <= recipe.warmup_epochs < recipe.epochs, "from 0 to below epochs"),
        "augment.padding": (recipe.augment.padding >= 0, "a number of pixels"),
        "augment.crop": (0 < recipe.augment.crop <= 1, "a share of the area, above 0 and at most 1"),
    }
    found = [f"{key} is {_value(recipe, key)}; it must be {what}" for key, (fine, what) in ranges.items() if not fine]
    if recipe.augment.padding and recipe.augment.crop < 1:
        found.append("augment has both padding and crop; set padding = 0 or crop = 1")
    if recipe.mean_std != COMPUTED:
        try:
            parse_mean_std(recipe.mean_std)
        except InputError as error:
            found.append(f"mean_std: {error}; or {COMPUTED!r}")
    return found


def _value(recipe: SqueezeRecipe, key: str) -> Any:
    part: Any = recipe
    for name in key.split("."):
        part = getattr(part, name)
    return part


def what_counts(recipe: dict[str, Any]) -> dict[str, Any]:
    """What of a recipe, as built-in types, decides the weights of the teacher: neither its name nor the sources."""
    return {key: value for key, value in recipe.items() if key not in ("dataset", "sources")}


def squeeze_names() -> list[str]:
    """The data sets that have a recipe in divbench."""
    return sorted(file.name.removesuffix(".toml") for file in _shipped().iterdir() if file.name.endswith(".toml"))


def load_squeeze(name: str) -> SqueezeRecipe:
    """The recipe of the data set ``name``, or the one in the file ``name`` (anything that ends in .toml).

    Raises:
        RecipeError: no such recipe, or a file with unknown or missing keys or wrong values.
    """
    if name.endswith(".toml"):
        try:
            return _decode(Path(name).read_bytes(), name)
        except OSError as error:
            raise RecipeError(f"{name}: cannot be read ({error.strerror or error})") from error
    known = squeeze_names()
    if name in known:
        return _decode((_shipped() / f"{name}.toml").read_bytes(), f"squeeze recipe {name}")
    close = [] if Path(name).exists() else difflib.get_close_matches(name, known, n=1)
    hint = f"did you mean {close[0]!r}?" if close else f"say whose numbers to use (--like): {', '.join(known)}."
    raise RecipeError(f"there is no squeeze recipe {name!r}; {hint} A path that ends in .toml is read as a file")


def change_squeeze(recipe: SqueezeRecipe, **values: Any) -> SqueezeRecipe:
    """The recipe with those of the ``values`` that are not None, such as ``epochs=10``; the sources say so.

    Raises:
        RecipeError: the recipe does not make sense with them.
    """
    given = {key: value for key, value in values.items() if value is not None}
    if "epochs" in given and "warmup_epochs" not in given:  # few epochs leave little to warm up
        given["warmup_epochs"] = min(recipe.warmup_epochs, max(0, given["epochs"] - 1))
    sources = {**recipe.sources, **dict.fromkeys(given, "changed by the user")}
    try:
        return msgspec.convert({**msgspec.to_builtins(recipe), **given, "sources": sources}, SqueezeRecipe)
    except msgspec.ValidationError as error:
        raise RecipeError(f"squeeze recipe {recipe.dataset!r}: {error}") from error


def _decode(data: bytes, where: str) -> SqueezeRecipe:
    try:
        return msgspec.toml.decode(data, type=SqueezeRecipe)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise RecipeError(f"{where}: {error}") from error


def _shipped() -> Traversable:
    return resources.files("divbench") / "train" / "recipes" / "teachers"
