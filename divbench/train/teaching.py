"""Where the labels of a set come from: its classes, teachers that are asked, or what teachers have said."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import msgspec
import torch
from torch import Tensor

from divbench import parallel
from divbench.errors import InputError, RecipeError
from divbench.labels.fkd_tar import FkdFolder, read_fkd
from divbench.labels.store import LabelStore, SoftLabels, agreement, read_labels
from divbench.seeds import seeded
from divbench.settings import json_types
from divbench.teacher import Labeller, Teacher, label_as_they_are
from divbench.train.feed import Batches, Feed, Replay, steps_of
from divbench.train.loop import right_per_class
from divbench.train.objective import Objective, rounding
from divbench.train.recipe import TrainRecipe, is_changed
from divbench.train.stock import Stock

_BETTER_THAN_CHANCE = 0.1
"""Share of the way from chance to always that a teacher, or stored labels, must have come to count as knowing."""


@dataclass(frozen=True, eq=False)
class Lesson:
    """What a student of one set is given.

    Attributes:
        recipe: that fits the set: the number of epochs, the batch and the augmentation are those that are used.
        batches: of this process.
        objective: the loss.
        source: where labels come from, for people.
        key: the same in JSON types, without names of files: equal where accuracies may be compared.
        notes: what had to differ from the recipe as asked for, and what the reader of labels noticed.
    """

    recipe: TrainRecipe
    batches: Batches
    objective: Objective
    source: str
    key: list[Any]
    notes: tuple[str, ...]

    def with_seed(self, seed: int) -> "Lesson":
        """The same with another order and augmentation, where these are drawn."""
        batches = self.batches
        return replace(self, batches=replace(batches, seed=seed)) if isinstance(batches, Feed) else self


@dataclass(frozen=True, eq=False)
class Teaching:
    """Teachers, or nobody where labels are hard or stored.

    Attributes:
        recipe: as asked for.
        teachers: all of one data set; their logits are averaged where labels are online or static.
        device: where they run.
    """

    recipe: TrainRecipe
    teachers: Sequence[Teacher]
    device: torch.device

    @property
    def asks(self) -> bool:
        """Whether labels come from the teachers."""
        kind = self.recipe.labels.kind
        return kind == "online" or (kind == "static" and bool(self.teachers))

    def check_fits(self, test: Stock) -> None:
        """Raise where there is no teacher to ask, or one that has other classes or another size than the test images.

        Raises:
            RecipeError: the recipe needs a teacher.
            InputError: a teacher does not fit.
        """
        if self.asks and not self.teachers:
            raise RecipeError("the recipe has labels.kind = online, which needs a teacher: give --teacher FILE")
        for teacher in self.teachers:
            teacher.check_fits(test.images)
            if teacher.size not in (None, test.side):
                raise InputError(
                    f"teacher {teacher.name} was trained on images of {teacher.size} pixels, but students see "
                    f"{test.side}; give a teacher that was trained on images of that size"
                )

    def right(self, test: Stock) -> list[Tensor]:
        """How many test images of each class each teacher tells rightly; raises `InputError` where it is hardly any."""
        found = []
        for teacher in self.teachers:
            with rounding(self.recipe, self.device):
                right = right_per_class(Labeller(teacher, "eval", self.device), test)
            share, chance = int(right.sum()) / len(test.images), 1 / teacher.outputs
            if share < chance + _BETTER_THAN_CHANCE * (1 - chance):
                raise InputError(
                    f"teacher {teacher.name} tells {share:.1%} of {test.images.name} rightly, little better than "
                    f"chance ({chance:.1%}): its classes are in another order, its mean and std are wrong, "
                    "or it was trained on other data"
                )
            found.append(right)
        return found

    def lesson(self, stock: Stock, seed: int, stored: Path | None) -> Lesson:
        """The batches and labels of a set.

        Args:
            stock: the set.
            seed: of order and augmentation.
            stored: folder with soft labels.

        Raises:
            RecipeError: the batch is larger than the set, or the labels have fewer epochs.
            InputError: there are no stored labels, or they belong to other images.
        """
        rank, world = parallel.rank(), parallel.world()
        if self.recipe.labels.kind == "fkd":
            return self._replayed(stock, stored, rank, world)
        recipe, notes = fit(self.recipe, len(stock.images), world)
        batches = Feed(stock, recipe.augment, recipe.batch, seed, rank, world, recipe.leftover)
        kind, mode = recipe.labels.kind, recipe.labels.teacher
        if kind == "hard":
            return Lesson(recipe, batches, Objective(recipe), kind, [kind], notes)
        if not self.asks:
            store = _own_labels(stock, stored)
            static = store.static()
            notes += _check_knows(store, stock, static.argmax(1), stock.images.labels, 1 / store.classes)
            objective = Objective(recipe, (), static.to(self.device))
            return Lesson(recipe, batches, objective, _source(store), _key(store), notes)
        said = [f"{one.name} sha256:{one.sha256[:16]}" for one in self.teachers]
        key = [kind, mode, *([one.sha256, one.mean_std] for one in self.teachers)]
        asked = self._asked(stock) if kind == "static" else None
        objective = Objective(recipe, self._labellers if asked is None else (), asked)
        return Lesson(recipe, batches, objective, ", ".join([kind, *said, f"BatchNorm {mode}"]), json_types(key), notes)

    @cached_property
    def _labellers(self) -> list[Labeller]:
        """The teachers on the device, once for all sets."""
        return [Labeller(one, self.recipe.labels.teacher, self.device) for one in self.teachers]

    def _asked(self, stock: Stock) -> Tensor:
        """[N, C] float32 on the device, the mean logits of every image as it is."""

        def logits(pixels: Tensor) -> Tensor:
            return torch.stack([teacher(pixels) for teacher in self._labellers]).float().mean(0)

        order = torch.randperm(len(stock.images), generator=seeded("static labels"))
        with torch.no_grad(), rounding(self.recipe, self.device):
            found = label_as_they_are(order, lambda parts: stock.batches((rows, None) for rows in parts), logits)
        return found.to(self.device)

    def _replayed(self, stock: Stock, stored: Path | None, rank: int, world: int) -> Lesson:
        store: LabelStore | FkdFolder
        if stored is not None and (stored / "epoch_0").is_dir():
            store, notes, source, key = _public_labels(stock, stored)
        else:
            store = _own_labels(stock, stored)
            notes, source, key = (), _source(store), _key(store)
        soft = store.epoch(0)
        _check_boxes(store, soft, stock.side)
        own = (soft.share >= 0.5).repeat_interleave(soft.batch)[: len(soft)] | (soft.mix == "none")
        named, labels = soft.logits.argmax(1)[own], stock.images.labels[soft.ids[own]]
        chance = (1 if soft.mix == "none" else 2) / store.classes
        notes += _check_knows(store, stock, named, labels, chance, agreement(soft, stock.images.labels))
        asked = self.recipe
        if asked.epochs > store.epochs and is_changed(asked, "epochs"):
            raise RecipeError(f"epochs is {asked.epochs}, but {store.folder} has labels of {store.epochs}; give fewer")
        epochs = min(asked.epochs, store.epochs)
        warmup = min(asked.warmup_epochs, epochs - 1)
        recipe = msgspec.structs.replace(asked, epochs=epochs, batch=store.batch, warmup_epochs=warmup)
        values = {"epochs": (asked.epochs, epochs), "batch": (asked.batch, store.batch)}
        changed = ", ".join(f"{name} {was} -> {now}" for name, (was, now) in values.items() if was != now)
        notes = (*notes, *([f"{changed}, as the labels are stored"] if changed else []))
        batches = Replay(stock, store, len(soft), rank, world)
        return Lesson(recipe, batches, Objective(recipe), source, key, notes)


def fit(recipe: TrainRecipe, count: int, world: int) -> tuple[TrainRecipe, tuple[str, ...]]:
    """The recipe for a set of ``count`` images, and what had to be changed.

    Raises:
        RecipeError: the user asked for a batch that is larger than the set, or too small for the processes.
    """
    notes = []
    if recipe.batch > count:
        if is_changed(recipe, "batch"):
            raise RecipeError(
                f"batch is {recipe.batch}, but the set has {count} images; give --set batch={count} or less"
            )
        notes.append(f"batch {recipe.batch} -> {count}, the whole set, as published loaders do")
    batch = min(recipe.batch, count)
    if batch < 2 * world:
        raise RecipeError(
            f"batch is {batch}, but each of the {world} processes needs at least 2 images of it; give a larger batch "
            "or set, or fewer processes"
        )
    recipe = msgspec.structs.replace(recipe, batch=batch)
    steps = steps_of(count, batch, world, recipe.leftover)
    if recipe.least_steps > recipe.epochs * steps:
        epochs = -(-recipe.least_steps // steps)
        notes.append(f"epochs {recipe.epochs} -> {epochs}, for {recipe.least_steps} steps")
        warmup = round(recipe.warmup_epochs * epochs / recipe.epochs)
        recipe = msgspec.structs.replace(recipe, epochs=epochs, warmup_epochs=warmup)
    return recipe, tuple(notes)


def _source(store: LabelStore) -> str:
    said = store.header
    seen = f", {said.epochs} epochs, batch {said.batch}, crop {said.crop:g}, {said.mix} {said.alpha:g}"
    return f"{said.kind}, teacher sha256:{said.teacher[:16]}, BatchNorm {said.mode}{seen if said.kind == 'fkd' else ''}"


def _key(store: LabelStore) -> list[Any]:
    """What the labels of several seeds of one method have in common."""
    said = json_types(store.header)
    return [{key: value for key, value in said.items() if key not in ("images", "seed", "samples")}]


def _public_labels(stock: Stock, folder: Path) -> tuple[FkdFolder, tuple[str, ...], str, list[Any]]:
    store = read_fkd(folder, len(stock.images))
    source = f"fkd, {store.epochs} epochs of public files, batch {store.batch}"
    return store, store.notes, source, ["fkd", "public", store.epochs, store.batch]


def _own_labels(stock: Stock, stored: Path | None) -> LabelStore:
    if stored is None:
        raise InputError(
            f"{stock.images.name}: the recipe asks for stored soft labels, and this is no folder that holds any; give "
            "--labels FOLDER, or --set labels.kind=online and a --teacher"
        )
    store = read_labels(stored)
    pixels = stock.pixels if stock.pixels is not None else stock.images.pixels()
    store.check_fits(pixels.cpu())
    return store


def _check_boxes(store: LabelStore | FkdFolder, soft: SoftLabels, side: int) -> None:
    if int(soft.boxes.max()) > side:
        raise InputError(
            f"{store.folder}: boxes reach to pixel {int(soft.boxes.max())}, but images have {side} pixels; give the "
            "labels of images of that size"
        )


def _check_knows(
    store: LabelStore | FkdFolder,
    stock: Stock,
    named: Tensor,
    labels: Tensor,
    chance: float,
    share: float | None = None,
) -> tuple[str, ...]:
    """A note on classes that the labels mostly call otherwise.

    Args:
        store: the labels.
        stock: the images.
        named: [n] int64, the class that the labels name for some images.
        labels: [n] int64, the classes of these images.
        chance: share of labels that name the right class by chance.
        share: of labels that name a right class; default: of the given ones.

    Raises:
        InputError: there are more or fewer classes, or labels name the class of an image hardly more often than by
            chance.
    """
    classes = stock.images.classes
    if store.classes != len(classes):
        raise InputError(
            f"{store.folder}: labels have {store.classes} classes, but there are {len(classes)}; give the labels of "
            "these images"
        )
    share = float((named == labels).double().mean()) if share is None else share
    if share < min(1.0, chance) + _BETTER_THAN_CHANCE * (1 - min(1.0, chance)):
        raise InputError(
            f"{store.folder}: {share:.1%} of the soft labels name the class of their image, little better than "
            "chance: they belong to other images, or to these in another order; give the labels of this set"
        )
    counts = torch.bincount(labels * len(classes) + named, minlength=len(classes) ** 2).view(len(classes), -1)
    most = counts.argmax(1)
    wrong = [label for label in range(len(classes)) if counts[label].sum() and int(most[label]) != label]
    if not wrong:
        return ()
    shown = ", ".join(f"{classes[label]} is called {classes[most[label]]}" for label in wrong[:3])
    return (f"soft labels name another class for most images of {len(wrong)} classes ({shown}): check their order",)
