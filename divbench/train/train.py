"""train(): students of several networks and seeds on distilled sets, and what they tell rightly of real test images.

sets, test images -> classes matched, images taken in -> for each network, set and seed: labels, a training run that is
kept when it is finished -> the runs of each network -> scores (`divbench.train.accuracy`)
"""

import hashlib
import re
import shutil
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec
import torch

from divbench import parallel
from divbench.constants import MeanStd, parse_mean_std
from divbench.errors import InputError, OutputError, shorten
from divbench.files import write_whole
from divbench.images import ImageSet
from divbench.networks import build_classifier
from divbench.precision import all_cores, deterministic, full_float32
from divbench.progress import Progress, no_progress
from divbench.results import Run
from divbench.seeds import seed_of, seeded
from divbench.teacher import Teacher
from divbench.train.files import Unfinished, first_alone
from divbench.train.loop import Job, Training
from divbench.train.recipe import COMPUTED, OF_TEACHER, TrainRecipe, what_counts
from divbench.train.stock import Stock, take_in
from divbench.train.teaching import Lesson, Teaching

Unit = tuple[str, int | None, int]
"""A student: its network, the index of its set (None: a random real subset) and its seed."""


@dataclass(frozen=True)
class Plan:
    """Which students are trained.

    Attributes:
        name: of the recipe.
        recipe: how; its ``net`` does not count.
        nets: networks, as `divbench.networks.build_classifier` takes them.
        runs: students of each network on each set.
        seed: of the first run; further ones count up from it, alike for every set.
        device: where.
        test_digest: of the test images, as results have it; a part of the digest of accuracies.
        labels: folder of stored soft labels, where it is not that of the set.
        kept: folder where finished and unfinished runs are kept until `forget`; None: nowhere.
    """

    name: str
    recipe: TrainRecipe
    nets: tuple[str, ...]
    runs: int
    seed: int
    device: torch.device
    test_digest: str = ""
    labels: Path | None = None
    kept: Path | None = None

    def forget(self) -> None:
        """Remove what was kept."""
        if self.kept is not None and parallel.rank() == 0:
            shutil.rmtree(self.kept, ignore_errors=True)


@dataclass(frozen=True, eq=False)
class Trained:
    """Students that have been trained.

    Attributes:
        runs: network -> its students, those on the sets first, set by set.
        labels: where labels came from.
        digests: network -> of all that decides its accuracies but images and seeds.
        notes: what had to differ from the recipe.
        teachers: share of the test images of each class that each teacher tells rightly; None: there is no such image.
        counts: test images of each class.
    """

    runs: dict[str, tuple[Run, ...]]
    labels: str
    digests: dict[str, str]
    notes: tuple[str, ...]
    teachers: tuple[tuple[float | None, ...], ...]
    counts: tuple[int, ...]


def train(
    sets: Sequence[tuple[ImageSet, Path | None]],
    test: ImageSet,
    plan: Plan,
    *,
    teachers: Sequence[Teacher] = (),
    real: ImageSet | None = None,
    known: Callable[[str, str], Iterable[Run]] = lambda net, digest: (),
    progress: Progress = no_progress,
    report: Callable[[str, Run], object] = lambda title, run: None,
) -> Trained:
    """Train students and test each after its last epoch.

    The same seed gives the same student on the same machine's CPU, whatever else is trained; on a GPU all but for
    operations that have no deterministic version there. Under torchrun every process
    takes a slice of each batch; BatchNorm statistics are those of the slice.

    Args:
        sets: distilled sets with the classes of ``test``, and the folder of each where it may hold soft labels.
        test: real images that are in no set.
        plan: which students.
        teachers: that are asked for soft labels, where the recipe does; else they are tested alone.
        real: real training images: a random subset of the size of the first set is trained on as well, another one for
            each seed, as a yardstick.
        known: given a network and a digest, the runs that are known already; they are not trained again.
        progress: shows each run, in images.
        report: called by the first process with the title of a run and what came of it.

    Raises:
        InputError: images, labels or teachers do not fit.
        RecipeError: the recipe does not fit the sets, or a loss was not finite.
        WeightsError: there is no such network, or it cannot take the images.
        OutputError: the folder of unfinished runs holds other work, or cannot be written.
    """
    with ExitStack() as settings:
        settings.enter_context(all_cores(plan.device))
        settings.enter_context(full_float32(plan.device))
        settings.enter_context(deterministic())
        settings.enter_context(torch.random.fork_rng([plan.device] if plan.device.type == "cuda" else []))
        return _School(sets, test, plan, teachers, real, progress).all_runs(known, report)


class _School:
    """What all runs share."""

    def __init__(
        self,
        sets: Sequence[tuple[ImageSet, Path | None]],
        test: ImageSet,
        plan: Plan,
        teachers: Sequence[Teacher],
        real: ImageSet | None,
        progress: Progress,
    ) -> None:
        for images in [one for one, _ in sets] + ([] if real is None else [real]):
            _check(images, test)
        if plan.labels is not None and len(sets) > 1:
            raise InputError(f"--labels {plan.labels} are of one set, but {len(sets)} were given; train one by one")
        self.plan, self.progress, self.real = plan, progress, real
        stocks = [(self._stock(images), plan.labels or folder) for images, folder in sets]
        self.test = self._test_stock(test, stocks[0][0])
        self.teaching = Teaching(plan.recipe, teachers, plan.device)
        self.teaching.check_fits(self.test)
        self.lessons = [self.teaching.lesson(stock, plan.seed, folder) for stock, folder in stocks]
        for lesson in self.lessons:
            self._check_lesson(lesson)
        if real is not None:
            self._check_lesson(self._random_lesson(plan.seed))
        self.counts = test.labels.bincount(minlength=len(test.classes))
        for net in plan.nets:
            self._build(net, 0)
        if plan.kept is not None:
            first_alone(lambda: _make(plan.kept))

    def _check_lesson(self, lesson: Lesson) -> None:
        stock, first = lesson.batches.stock, self.lessons[0]
        if stock.side != self.test.side:
            raise InputError(
                f"{stock.images.name}: images have {stock.side} pixels, those of {self.test.images.name} "
                f"{self.test.side}; say what all are resized to, such as --set size={self.test.side} "
                f"--set resize={self.test.side}"
            )
        if lesson.key != first.key:
            raise InputError(
                f"{stock.images.name} has other labels ({lesson.source}) than {first.batches.stock.images.name} "
                f"({first.source}); several sets are several seeds of one entry: train them one by one"
            )

    def all_runs(self, known: Callable[[str, str], Iterable[Run]], report: Callable[[str, Run], object]) -> Trained:
        plan, first = self.plan, self.lessons[0]
        digests = {net: self._digest(net) for net in plan.nets}
        done = {(net, run.set, run.seed): run for net in plan.nets for run in known(net, digests[net])}
        teachers = tuple(_shares(right, self.counts) for right in self.teaching.right(self.test))
        which = [*range(len(self.lessons)), *([None] if self.real is not None else [])]
        units = [(net, one, plan.seed + run) for net in plan.nets for one in which for run in range(plan.runs)]
        for number, unit in enumerate(units, 1):
            if unit not in done:
                _, index, seed = unit
                lesson = self._random_lesson(seed) if index is None else self.lessons[index].with_seed(seed)
                title = f"[{number}/{len(units)}] {unit[0]} on {lesson.batches.stock.images.name}, seed {seed}"
                done[unit] = self._run(unit, lesson, title)
                if parallel.rank() == 0:
                    report(title, done[unit])
        order = sorted(done, key=lambda unit: (unit[1] is None, unit[1] or 0, unit[2]))
        runs = {net: tuple(done[unit] for unit in order if unit[0] == net) for net in plan.nets}
        notes = dict.fromkeys(note for lesson in self.lessons for note in (*lesson.notes, *self._normalisation(lesson)))
        return Trained(runs, first.source, digests, tuple(notes), teachers, tuple(self.counts.tolist()))

    def _normalisation(self, lesson: Lesson) -> tuple[str, ...]:
        """A note where the recipe asks for a teacher's normalisation and no teacher gives the labels."""
        if self.plan.recipe.mean_std != OF_TEACHER or self.teaching.asks:
            return ()
        mean, std = self._mean_std(lesson.batches.stock)
        said = ",".join(f"{number:g}" for number in (*mean, *std))
        return (f"mean_std {said}, of the set itself, since no teacher is asked for labels",)

    def _run(self, unit: Unit, lesson: Lesson, title: str) -> Run:
        """One student, trained to the end or found."""
        job = self._job(unit, lesson)
        file = None if self.plan.kept is None else self.plan.kept / re.sub(r"[^\w.-]", "-", "_".join(map(str, unit)))
        finished = None if file is None else file.with_name(f"{file.name}.json")
        if (found := first_alone(lambda: _found(finished, job))) is not None:
            return msgspec.convert(found, Run)
        unfinished = Unfinished(None if file is None else file.with_name(f"{file.name}.safetensors"))
        training = Training(job, unfinished, unfinished.look(job.identity))
        with self.progress(title, training.total) as advance:
            training.run(advance, lambda record: None)
        made = first_alone(lambda: msgspec.to_builtins(self._finished(unit, training)))
        run = msgspec.convert(made, Run)
        first_alone(lambda: _keep(finished, job, run))
        unfinished.forget()
        return run

    def _finished(self, unit: Unit, training: Training) -> Run:
        _, which, seed = unit
        assert training.right is not None, "the last epoch is always tested"
        curve = tuple(training.curve)
        best = max(curve, key=lambda record: (record.test_accuracy or 0.0, -record.epoch))
        return Run(
            set=which,
            seed=seed,
            accuracy=int(training.right.sum()) / int(self.counts.sum()),
            per_class=_shares(training.right, self.counts),
            best_on_test=best.test_accuracy or 0.0,
            best_epoch=best.epoch,
            curve=tuple(msgspec.structs.replace(record, seconds=None) for record in curve),
            seconds=round(sum(record.seconds or 0.0 for record in curve), 3),
        )

    def _random_lesson(self, seed: int) -> Lesson:
        return self.teaching.lesson(self._random_subset(seed), seed, None)

    def _job(self, unit: Unit, lesson: Lesson) -> Job:
        net, _, seed = unit
        plan, stock = self.plan, lesson.batches.stock
        recipe = msgspec.structs.replace(lesson.recipe, net=net)
        identity = {
            "recipe": what_counts(recipe),
            "seed": seed,
            "classes": list(stock.images.classes),
            "data": stock.digest(),
            "test": self.test.digest(),
            "labels": lesson.key,
            "processes": parallel.world(),
            "threads": torch.get_num_threads() if plan.device.type == "cpu" else None,
            "device": plan.device.type,
        }
        return Job(
            recipe=recipe,
            seed=seed,
            device=plan.device,
            network=self._build(net, seed),
            batches=lesson.batches,
            objective=lesson.objective,
            test=self.test,
            mean_std=self._mean_std(stock),
            identity=identity,
        )

    def _build(self, net: str, seed: int) -> torch.nn.Module:
        torch.default_generator.manual_seed(seed_of(seed, "weights"))
        return build_classifier(net, len(self.test.images.classes), self.test.side)

    def _mean_std(self, stock: Stock) -> MeanStd:
        said = self.plan.recipe.mean_std
        if said == OF_TEACHER and self.teaching.asks:
            return self.teaching.teachers[0].mean_std
        return stock.mean_std() if said in (COMPUTED, OF_TEACHER) else parse_mean_std(said)

    def _digest(self, net: str) -> str:
        recipe = what_counts(msgspec.structs.replace(self.plan.recipe, net=net))
        del recipe["test_every"]
        text = msgspec.json.encode([recipe, self.lessons[0].key, self.plan.test_digest], order="deterministic")
        return hashlib.sha256(text).hexdigest()[:16]

    def _stock(self, images: ImageSet) -> Stock:
        recipe = self.plan.recipe
        crop = recipe.augment.first_crop if recipe.labels.kind != "fkd" else 1
        return take_in(images, recipe.size, recipe.resize, self.plan.device, self.progress, crop=crop, ready=True)

    def _test_stock(self, test: ImageSet, first: Stock) -> Stock:
        recipe = self.plan.recipe
        stock = take_in(test, recipe.size, recipe.resize, self.plan.device, self.progress)
        if first.side != stock.side:
            raise InputError(
                f"{test.name}: test images have {stock.side} pixels, those of {first.images.name} {first.side}; "
                f"say what all are resized to, such as --set size={first.side} --set resize={first.side}"
            )
        return stock

    def _random_subset(self, seed: int) -> Stock:
        """As many random real images of each class as the first set has."""
        assert self.real is not None
        real, first = self.real, self.lessons[0].batches.stock.images
        order, rows = torch.randperm(len(real), generator=seeded(seed, "random subset")), []
        for label, wanted in enumerate(first.labels.bincount(minlength=len(first.classes)).tolist()):
            of_class = order[real.labels[order] == label][:wanted]
            if len(of_class) < wanted:
                raise InputError(
                    f"{real.name}: has {len(of_class)} images of {real.classes[label]}, and the yardstick needs "
                    f"{wanted}; give the whole training data with --real"
                )
            rows.append(of_class)
        return self._stock(replace(real.select(torch.cat(rows)), name="random real images"))


def _check(images: ImageSet, test: ImageSet) -> None:
    if images.classes != test.classes or not images.labelled:
        raise InputError(
            f"{images.name}: its classes are not those of {test.name}; give class folders or labels of these classes"
        )
    counts = images.labels.bincount(minlength=len(images.classes)).tolist()
    if empty := [name for name, count in zip(images.classes, counts, strict=True) if not count]:
        raise InputError(
            f"{images.name}: has no images of {shorten(empty)}, which {test.name} has; give the whole set, or "
            "train and test on what both have (--common-classes)"
        )


def _shares(right: torch.Tensor, counts: torch.Tensor) -> tuple[float | None, ...]:
    return tuple(
        int(some) / int(every) if every else None for some, every in zip(right.tolist(), counts.tolist(), strict=True)
    )


def _make(folder: Path | None) -> None:
    try:
        if folder is not None:
            folder.mkdir(exist_ok=True)
    except OSError as problem:
        raise OutputError(f"{folder}: cannot be made ({problem.strerror or problem}); give another -o") from problem


class _Finished(msgspec.Struct, frozen=True):
    """A run that is kept until all are finished."""

    identity: dict[str, object]
    run: Run


def _found(path: Path | None, job: Job) -> dict[str, object] | None:
    """The run in a file, as JSON types, where it is this very run."""
    if path is None or not path.exists():
        return None
    try:
        kept = msgspec.json.decode(path.read_bytes(), type=_Finished)
    except (OSError, msgspec.DecodeError) as problem:
        raise OutputError(f"{path}: is no run that divbench kept ({problem}); remove it") from problem
    if kept.identity != job.identity:
        raise OutputError(
            f"{path}: is a finished run of other work; finish that with its own command, remove {path.parent}, or give "
            "another -o"
        )
    plain: dict[str, object] = msgspec.to_builtins(kept.run)
    return plain


def _keep(path: Path | None, job: Job, run: Run) -> None:
    if path is not None:
        write_whole(path, msgspec.json.encode(_Finished(job.identity, run)))
