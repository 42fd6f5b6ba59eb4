"""Where the labels of a set come from: its classes, teachers that are asked, or what teachers have said."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec
import torch
from torch import Tensor

from divbench import parallel
from divbench.errors import InputError, RecipeError
from divbench.labels.fkd_tar import FkdFolder, read_fkd
from divbench.labels.store import LabelStore, agreement, read_labels
from divbench.seeds import seeded
from divbench.teacher import LABELLED_AT_ONCE, Labeller, Teacher
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
        source: where labels come from, for people; it has to be equal where accuracies are compared.
        notes: what had to differ from the recipe as asked for, and what the reader of labels noticed.
    """

    recipe: TrainRecipe
    batches: Batches
    objective: Objective
    source: str
    notes: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class Teaching:
    """Teachers, or nobody where labels are hard or stored.

    Attributes:
        recipe: as asked for.
        teachers: all of one data set; their logits are averaged.
        device: where they run.

    Raises:
        RecipeError: the recipe needs a teacher and there is none, or there is one that it would not ask.
    """

    recipe: TrainRecipe
    teachers: Sequence[Teacher]
    device: torch.device

    def __post_init__(self) -> None:
        kind = self.recipe.labels.kind
        if kind == "online" and not self.teachers:
            raise RecipeError("the recipe has labels.kind = online, which needs a teacher: give --teacher FILE")
        if self.teachers and kind in ("hard", "fkd"):
            raise RecipeError(
                f"a teacher was given, but the recipe has {kind} labels and asks none; leave --teacher out, choose "
                "another --recipe, such as sre2l-cifar, or add --set labels.kind=online --set loss.kind=kl"
            )

    def check(self, test: Stock) -> list[Tensor]:
        """How many test images of each class each teacher tells rightly.

        Raises:
            InputError: a teacher has other classes or another size, or is little better than chance.
        """
        found = []
        for teacher in self.teachers:
            teacher.check_fits(test.images)
            if teacher.size not in (None, test.side):
                raise InputError(
                    f"teacher {teacher.name} was trained on images of {teacher.size} pixels, but students see "
                    f"{test.side}; give a teacher that was trained on images of that size"
                )
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
        teachers = [Labeller(one, recipe.labels.teacher, self.device) for one in self.teachers]
        said = [f"{one.name} sha256:{one.sha256[:16]}" for one in self.teachers]
        source = ", ".join([recipe.labels.kind, *said, *([f"BatchNorm {recipe.labels.teacher}"] if said else [])])
        if recipe.labels.kind != "static":
            return Lesson(recipe, batches, Objective(recipe, teachers), source, notes)
        if teachers:
            static = self._asked(stock, teachers)
        else:
            store = _own_labels(stock, stored)
            static, source = store.static().to(self.device), _source(store)
        return Lesson(recipe, batches, Objective(recipe, (), static), source, notes)

    def _asked(self, stock: Stock, teachers: Sequence[Labeller]) -> Tensor:
        """[N, C] mean logits of every image as it is; in random batches, since those in order have few classes."""
        order = torch.randperm(len(stock.images), generator=seeded("static labels"))
        batches = stock.batches((rows, None) for rows in order.split(LABELLED_AT_ONCE))
        with torch.no_grad(), rounding(self.recipe, self.device):
            found = [torch.stack([teacher(pixels) for teacher in teachers]).float().mean(0) for pixels in batches]
        logits = torch.cat(found)
        return logits[order.argsort().to(logits.device)]

    def _replayed(self, stock: Stock, stored: Path | None, rank: int, world: int) -> Lesson:
        if stored is not None and (stored / "epoch_0").is_dir():
            store, notes, source = _public_labels(stock, stored)
        else:
            store, notes = _own_labels(stock, stored), ()
            source = _source(store)
        soft = store.epoch(0)
        if store.classes != len(stock.images.classes):
            raise InputError(
                f"{store.folder}: labels have {store.classes} classes, but there are {len(stock.images.classes)}; give "
                "the labels of these images"
            )
        share, chance = agreement(soft, stock.images.labels), min(1.0, 2 / store.classes)
        if share < chance + _BETTER_THAN_CHANCE * (1 - chance):
            raise InputError(
                f"{store.folder}: {share:.1%} of the soft labels name the class of their image, little better than "
                f"chance: they belong to other images, or to these in another order; give the labels of this set"
            )
        asked = self.recipe
        if asked.epochs > store.epochs and is_changed(asked, "epochs"):
            raise RecipeError(f"epochs is {asked.epochs}, but {store.folder} has labels of {store.epochs}; give fewer")
        epochs = min(asked.epochs, store.epochs)
        warmup = min(asked.warmup_epochs, epochs - 1)
        recipe = msgspec.structs.replace(asked, epochs=epochs, batch=store.batch, warmup_epochs=warmup)
        values = {"epochs": (asked.epochs, epochs), "batch": (asked.batch, store.batch)}
        changed = ", ".join(f"{key} {was} -> {now}" for key, (was, now) in values.items() if was != now)
        notes = (*notes, *([f"{changed}, as the labels are stored"] if changed else []))
        return Lesson(recipe, Replay(stock, store, rank, world), Objective(recipe), source, notes)


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
        raise RecipeError(f"batch is {batch}, but each of the {world} processes needs at least 2 images of it")
    recipe = msgspec.structs.replace(recipe, batch=batch)
    steps = steps_of(count, batch, world, recipe.leftover)
    asked = is_changed(recipe, "epochs") and not is_changed(recipe, "least_steps")
    if recipe.least_steps > recipe.epochs * steps and not asked:
        epochs = -(-recipe.least_steps // steps)
        notes.append(f"epochs {recipe.epochs} -> {epochs}, for {recipe.least_steps} steps")
        warmup = round(recipe.warmup_epochs * epochs / recipe.epochs)
        recipe = msgspec.structs.replace(recipe, epochs=epochs, warmup_epochs=warmup)
    return recipe, tuple(notes)


def _source(store: LabelStore) -> str:
    said = store.header
    seen = f", {said.epochs} epochs, batch {said.batch}, crop {said.crop:g}, {said.mix} {said.alpha:g}"
    return f"{said.kind}, teacher sha256:{said.teacher[:16]}, BatchNorm {said.mode}{seen if said.kind == 'fkd' else ''}"


def _public_labels(stock: Stock, folder: Path) -> tuple[LabelStore | FkdFolder, tuple[str, ...], str]:
    store = read_fkd(folder, len(stock.images))
    return store, store.notes, f"fkd, {store.epochs} epochs of public files, batch {store.batch}"


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
