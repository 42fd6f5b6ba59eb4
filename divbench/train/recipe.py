"""Training recipes: how a teacher or a student is trained, as flat TOML with a source for every number. No torch here.

What a recipe leaves out it does not do: no mixing, no augmentation beyond the stated, hard labels, cross-entropy.
"""

import difflib
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any, Literal

import msgspec
from msgspec import Struct

from divbench.constants import parse_mean_std
from divbench.errors import InputError, RecipeError
from divbench.settings import json_types

COMPUTED, OF_TEACHER = "computed", "teacher"
"""As ``mean_std``: of the training images themselves, or that of the (first) teacher that is asked for labels."""
_CHANGED = "changed by the user"
_WORDS = ("dataset", "description")
Kind = Literal["teachers", "students"]


class Augmentation(Struct, frozen=True, forbid_unknown_fields=True):
    """What happens to a training image; all but ``siamese`` and ``mix`` is drawn for each image on its own.

    The order is ``patches``, ``randaugment``, ``padding`` or ``crop``, ``flip``, ``mix``, ``siamese``.

    Attributes:
        padding: black pixels put around the image before a square of the old size is cut out anywhere; 0: none.
        crop: least share of the area that a random resized crop keeps; 1: no cropping. Of this and ``padding`` a recipe
            has one at most.
        flip: mirror with probability one half.
        patches: cut the image into this many rows and columns and shuffle the rows and the columns before cropping
            (RDED, arXiv:2312.03526); 1: do not.
        randaugment: number and magnitude of the operations of RandAugment (arXiv:1909.13719), each of which is left out
            with probability one half, as in timm's; [0, 0]: none.
        siamese: strategy of DSA (arXiv:2102.08259), one operation for a whole batch, such as ``color_crop_flip``.
        mix: how two images of a batch are put together: ``mixup`` (arXiv:1710.09412) or ``cutmix`` (arXiv:1905.04899).
        alpha: both parameters of the Beta law of the mixing share, which is drawn once for a batch.
    """

    padding: int
    crop: float
    flip: bool
    patches: int = 1
    randaugment: tuple[int, int] = (0, 0)
    siamese: str = "none"
    mix: Literal["cutmix", "mixup", "none"] = "none"
    alpha: float = 1.0

    @property
    def first_crop(self) -> float:
        """``crop`` where it is what comes first, so that it can be made of the original; else 1."""
        return self.crop if self.patches == 1 and not self.randaugment[0] else 1


class Labels(Struct, frozen=True, forbid_unknown_fields=True):
    """What the network is to say of an image.

    Attributes:
        kind: ``hard``: its class. ``online``: what the teachers say of the very image that the student sees; logits of
            several are averaged. ``static``: what they say of the image as it is, from the labels stored beside the set
            or, where teachers are given, from them; of mixed images the mixture of the logits, as in the released code
            of INFER. ``fkd``: what is stored for every augmented image of every epoch, with the augmentation, batches
            and order that belong to it.
        teacher: of online and static labels: BatchNorm with stored statistics (``eval``) or the batch's (``train``).
    """

    kind: Literal["hard", "online", "static", "fkd"] = "hard"
    teacher: Literal["eval", "train"] = "eval"


class Loss(Struct, frozen=True, forbid_unknown_fields=True):
    """What is made small, as a mean over the images of a batch.

    Attributes:
        kind: ``cross_entropy`` with hard labels, of mixed ones by their shares; ``kl``: Kullback-Leibler divergence of
            the network's distribution from the soft label, summed over classes; ``mse``: squared difference of logits,
            a mean over classes (MSE-GT).
        temperature: that divides both logits in ``kl``.
        squared: multiply ``kl`` by the squared temperature, so that gradients do not shrink with it.
        hard: weight of the cross-entropy with the image's own class that is added to ``kl`` or ``mse``, whatever
            is mixed in, as in the released code of G-VBSM.
    """

    kind: Literal["cross_entropy", "kl", "mse"] = "cross_entropy"
    temperature: float = 1.0
    squared: bool = False
    hard: float = 0.0


class TrainRecipe(Struct, frozen=True, forbid_unknown_fields=True):
    """How a network is trained.

    Attributes:
        dataset: whose images the numbers are meant for.
        description: one line.
        net: see `divbench.networks.build_classifier`.
        size: side in pixels of the images that the network sees; 0: that of the images, which must all be alike.
        resize: pixels that the shorter edge gets before the middle is cut out, in testing and where no random resized
            crop does it in training; 0 where ``size`` is 0.
        mean_std: normalisation, as `parse_mean_std` takes it, ``computed`` from the training images, or ``teacher``:
            that of the first one; computed where none is asked for labels.
        epochs: passes over the training images.
        batch: images in a batch, of all processes together.
        lr: greatest learning rate.
        weight_decay: of the parameters that ``decayed`` names.
        schedule: ``cosine``: half a wave from ``lr`` to 0, epoch by epoch; ``one-cycle``: the same step by step;
            ``half-cosine``: a quarter of a wave, from ``lr`` to 0.85 ``lr`` halfway and 0.5 ``lr`` at the end, epoch by
            epoch; ``thirds``: a tenth of the rate after each third of the epochs; ``halves``: a tenth of it after the
            first ``epochs // 2 + 1``; ``constant``.
        warmup_epochs: the rate rises in a straight line from a hundredth of ``lr`` before the schedule starts.
        precision: of the network's convolutions and products; weights and their updates are float32.
        augment: see there.
        sources: where each number comes from, by its dotted name or the name of its section.
        holdout: share of the images of each class that are kept for testing where there is no test set.
        optimizer: ``sgd``; ``adam`` and ``adamw`` (decoupled weight decay) have ``betas`` instead of ``momentum``.
        momentum: of the gradients.
        nesterov: look ahead along the momentum.
        betas: decay rates of the two moments.
        decayed: ``all`` parameters, or ``matrices``: those with two or more dimensions.
        label_smoothing: share of each hard label that is spread evenly over the classes.
        leftover: whether what is left over after the last whole batch makes a smaller one, or waits for another epoch.
        least_steps: more epochs are trained where ``epochs`` make fewer optimiser steps than this; 0: never, as where
            the user gives ``epochs`` alone.
        test_every: epochs between tests; the last one is always tested.
        labels, loss: see there.
    """

    dataset: str
    net: str
    size: int
    resize: int
    mean_std: str
    epochs: int
    batch: int
    lr: float
    weight_decay: float
    schedule: Literal["cosine", "one-cycle", "half-cosine", "thirds", "halves", "constant"]
    warmup_epochs: int
    precision: Literal["float32", "bfloat16"]
    augment: Augmentation
    sources: dict[str, str]
    description: str = ""
    holdout: float = 0.0
    optimizer: Literal["sgd", "adam", "adamw"] = "sgd"
    momentum: float = 0.0
    nesterov: bool = False
    betas: tuple[float, float] = (0.9, 0.999)
    decayed: Literal["all", "matrices"] = "all"
    label_smoothing: float = 0.0
    leftover: bool = False
    least_steps: int = 0
    test_every: int = 1
    labels: Labels = Labels()
    loss: Loss = Loss()

    def __post_init__(self) -> None:
        for problem in _problems(self):
            raise RecipeError(f"recipe {self.dataset!r}: {problem}")


def _problems(recipe: TrainRecipe) -> list[str]:
    augment, loss = recipe.augment, recipe.loss
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
        "betas": (all(0 <= beta < 1 for beta in recipe.betas), "two numbers from 0 to below 1"),
        "weight_decay": (recipe.weight_decay >= 0, "at least 0"),
        "label_smoothing": (0 <= recipe.label_smoothing < 1, "a share from 0 to below 1"),
        "warmup_epochs": (0 <= recipe.warmup_epochs < recipe.epochs, "from 0 to below epochs"),
        "least_steps": (recipe.least_steps >= 0, "a number of steps, or 0"),
        "test_every": (recipe.test_every >= 1, "at least 1"),
        "augment.padding": (augment.padding >= 0, "a number of pixels"),
        "augment.crop": (0 < augment.crop <= 1, "a share of the area, above 0 and at most 1"),
        "augment.patches": (augment.patches >= 1, "at least 1"),
        "augment.randaugment": (
            augment.randaugment[0] >= 0 and 0 <= augment.randaugment[1] <= 30,
            "a number of operations and a magnitude from 0 to 30",
        ),
        "augment.alpha": (augment.alpha > 0, "above 0"),
        "loss.temperature": (loss.temperature > 0, "above 0"),
        "loss.hard": (loss.hard >= 0, "at least 0"),
    }
    found = [f"{key} is {_value(recipe, key)}; it must be {what}" for key, (fine, what) in ranges.items() if not fine]
    if augment.padding and augment.crop < 1:
        found.append("augment has both padding and crop; set padding = 0 or crop = 1")
    if (loss.kind == "cross_entropy") != (recipe.labels.kind == "hard"):
        found.append(
            f"labels are {recipe.labels.kind}, but loss.kind is {loss.kind!r}: cross_entropy goes with hard labels, kl "
            "and mse with soft ones"
        )
    if augment.siamese != "none" and recipe.labels.kind in ("online", "fkd"):
        found.append(
            f"augment.siamese is {augment.siamese!r}, but labels are {recipe.labels.kind}: the teacher would not see "
            "what the student sees; set augment.siamese = none"
        )
    if recipe.optimizer != "sgd" and recipe.momentum:
        found.append(f"momentum is {recipe.momentum}, but {recipe.optimizer} has betas; set momentum = 0")
    if recipe.mean_std not in (COMPUTED, OF_TEACHER):
        try:
            parse_mean_std(recipe.mean_std)
        except InputError as error:
            found.append(f"mean_std: {error}; or {COMPUTED!r}, or {OF_TEACHER!r}")
    return found


def _value(recipe: TrainRecipe, key: str) -> Any:
    part: Any = recipe
    for name in key.split("."):
        part = getattr(part, name)
    return part


def what_counts(recipe: TrainRecipe | dict[str, Any]) -> dict[str, Any]:
    """What of a recipe decides the weights of the network, in JSON types: neither its name nor the sources."""
    return {key: value for key, value in json_types(recipe).items() if key not in (*_WORDS, "sources")}


def recipe_names(kind: Kind) -> list[str]:
    """The recipes that come with divbench: of teachers by data set, of students by publication."""
    return sorted(file.name.removesuffix(".toml") for file in _shipped(kind).iterdir() if file.name.endswith(".toml"))


def load_training(kind: Kind, name: str) -> TrainRecipe:
    """The shipped recipe ``name``, or the one in the file ``name`` (anything that ends in .toml).

    Raises:
        RecipeError: no such recipe, or a file with unknown or missing keys or wrong values.
    """
    if name.endswith(".toml"):
        try:
            return _decode(Path(name).read_bytes(), name)
        except OSError as error:
            raise RecipeError(f"{name}: cannot be read ({error.strerror or error})") from error
    known = recipe_names(kind)
    if name in known:
        return _decode((_shipped(kind) / f"{name}.toml").read_bytes(), f"recipe {name}")
    what, option = {"teachers": ("squeeze", "--like"), "students": ("training", "--recipe")}[kind]
    close = [] if Path(name).exists() else difflib.get_close_matches(name, known, n=1)
    hint = f"did you mean {close[0]!r}?" if close else f"say whose numbers to use ({option}): {', '.join(known)}."
    raise RecipeError(f"there is no {what} recipe {name!r}; {hint} A path that ends in .toml is read as a file")


def change_training(recipe: TrainRecipe, **values: Any) -> TrainRecipe:
    """The recipe with those of the ``values`` that are not None, such as ``epochs=10``; the sources say so.

    Where ``epochs`` are given, ``warmup_epochs`` are at most one fewer and ``least_steps`` 0, unless given themselves.

    Args:
        recipe: left as it is.
        values: by name; those of a section by their dotted names, as in ``**{"augment.mix": "none"}``.

    Raises:
        RecipeError: no such key, or the recipe does not make sense with them.
    """
    given = {key: value for key, value in values.items() if value is not None}
    if "epochs" in given and "warmup_epochs" not in given and isinstance(given["epochs"], int):
        given["warmup_epochs"] = min(recipe.warmup_epochs, max(0, given["epochs"] - 1))  # few leave little to warm up
    if "epochs" in given and recipe.least_steps and not is_changed(recipe, "least_steps"):
        given.setdefault("least_steps", 0)  # who gives epochs wants no more of them
    plain = msgspec.to_builtins(recipe)
    for key, value in given.items():
        *sections, last = key.split(".")
        place = plain
        for section in sections:
            place = place.get(section) if isinstance(place.get(section), dict) else {}
        if last not in place or key.partition(".")[0] in ("sources", *_WORDS):
            raise RecipeError(f"recipe {recipe.dataset!r} has no {key!r} to change; {_keys(key, plain)}")
        place[last] = value
    plain["sources"] = {**recipe.sources, **dict.fromkeys(given, _CHANGED)}
    try:
        return msgspec.convert(plain, TrainRecipe)
    except msgspec.ValidationError as error:
        raise RecipeError(f"recipe {recipe.dataset!r}: {error}") from error


def is_changed(recipe: TrainRecipe, key: str) -> bool:
    """Whether the user gave the value under the dotted ``key``."""
    return recipe.sources.get(key) == _CHANGED


def _keys(wrong: str, plain: dict[str, Any]) -> str:
    sections = {f"{key}.{inner}" for key in ("augment", "labels", "loss") for inner in plain[key]}
    known = sorted((set(plain) | sections) - {"sources", *_WORDS})
    close = difflib.get_close_matches(wrong, known, n=1)
    return f"did you mean {close[0]!r}?" if close else f"it has {', '.join(known)}"


def _decode(data: bytes, where: str) -> TrainRecipe:
    try:
        return msgspec.toml.decode(data, type=TrainRecipe)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise RecipeError(f"{where}: {error}") from error


def _shipped(kind: Kind) -> Traversable:
    return resources.files("divbench") / "train" / "recipes" / kind
