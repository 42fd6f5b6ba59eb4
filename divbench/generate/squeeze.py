"""squeeze(): a teacher is trained on real images; interrupted, it goes on where it was.

read the images -> look for an earlier run -> train epoch by epoch, keeping what is needed to go on -> write the teacher
"""

import hashlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import msgspec
import torch
from torch import nn

from divbench import __version__, parallel
from divbench.constants import parse_mean_std
from divbench.errors import InputError, OutputError, RecipeError, WeightsError, shorten
from divbench.files import check_writable
from divbench.images import ImageSet, match_classes
from divbench.networks import build_classifier, last_layer
from divbench.precision import cores, deterministic, full_float32
from divbench.progress import Progress, no_progress
from divbench.provenance import code_version
from divbench.results import EpochRecord
from divbench.seeds import seed_of, seeded
from divbench.teacher import save_teacher
from divbench.train.feed import Feed
from divbench.train.files import Facts, Unfinished, differences, first_alone, header_of
from divbench.train.loop import Job, Training
from divbench.train.objective import Objective
from divbench.train.recipe import COMPUTED, OF_TEACHER, TrainRecipe, what_counts
from divbench.train.stock import take_in

Before = Literal["nothing", "unfinished", "finished"]

THREADS = 2
"""CPU threads of the network, or one where there is one core: sums in another order would give another teacher, and
threads that share a core wait for each other, ten times as long as they compute."""


@dataclass(frozen=True)
class Squeezed:
    """A teacher that has been written.

    Attributes:
        path: its file.
        sha256: of the file.
        curve: one record for each epoch.
        accuracy: on the test images after the last epoch; None: there are none.
        tested_on: which images these are.
        found: what there was of the same run before: ``nothing``, ``unfinished`` work, or the ``finished`` teacher.
    """

    path: Path
    sha256: str
    curve: tuple[EpochRecord, ...]
    accuracy: float | None
    tested_on: str
    found: Before


def squeeze(
    real: ImageSet,
    recipe: TrainRecipe,
    path: Path,
    *,
    test: ImageSet | None = None,
    seed: int = 0,
    device: torch.device | None = None,
    threads: int | None = None,
    progress: Progress = no_progress,
    report: Callable[[EpochRecord], object] = lambda record: None,
) -> Squeezed:
    """Train a teacher and write it with all that recovery has to know: classes, normalisation, recipe and accuracy.

    The same seed gives the same bytes on the same machine. On the CPU that needs a stated number of threads, since
    another one changes the last bits of convolutions and, through them, the teacher. State is kept beside ``path``, in
    ``<path>.unfinished``, about every 15 seconds: the same call goes on there after an interruption and ends with the
    same bytes; how long epochs took is therefore not in the file.

    Under torchrun every process takes a slice of each batch, so that the recipe means the same for any number of them;
    all must see the images. As in published scripts, BatchNorm statistics are those of a process's own slice, and the
    first process's running ones are written: other numbers of processes give slightly different teachers.

    Args:
        real: the training images, labelled.
        recipe: see `load_training` and `change_training`.
        path: file to write, ending in .safetensors; must not exist, unless it is this very teacher.
        test: images of the same classes to test on; None: the recipe's share of each class of ``real`` is held out.
        seed: of weights, order and augmentation. What is held out does not depend on it; see `hold_out`.
        device: where to compute; None: the CPU.
        threads: of the network on the CPU, in each process; None: `THREADS`, or as many as there are cores.
        progress: shows what is going on, in images.
        report: called after each epoch, by the first process.

    Raises:
        InputError: the images cannot be used: classes without images, one class, mixed sizes, unreadable files.
        RecipeError: the recipe does not fit the images, or the loss was not finite.
        WeightsError: there is no such network, it cannot take the images, or it has no linear classifier.
        OutputError: the file exists and is another one, or cannot be written.
    """
    if path.suffix != ".safetensors":
        raise OutputError(f"{path}: teachers are written as safetensors; give a name that ends in .safetensors")
    check_writable(path)
    device = torch.device("cpu") if device is None else device
    threads = min(THREADS, cores()) if threads is None else threads
    with ExitStack() as settings:
        if device.type == "cpu":
            settings.enter_context(_threads(threads))
        settings.enter_context(full_float32(device))
        settings.enter_context(deterministic())
        settings.enter_context(torch.random.fork_rng([device] if device.type == "cuda" else []))
        job, tested_on = _prepare(real, recipe, test, seed, device, threads, progress)
        if finished := _finished(path, job.identity):
            return _squeezed(path, finished, tested_on, "finished")
        unfinished = Unfinished(path.with_name(f"{path.name}.unfinished"))
        found = unfinished.look(job.identity)
        training = Training(job, unfinished, found)
        with progress(f"squeeze {recipe.dataset}", training.total) as advance:
            training.run(advance, report)
        written = first_alone(lambda: _write(job, tested_on, path, training))
        unfinished.forget()
        return _squeezed(path, msgspec.convert(written, _Written), tested_on, "unfinished" if found else "nothing")


def hold_out(real: ImageSet, share: float) -> tuple[ImageSet, ImageSet]:
    """Training images and images held out for testing: the same ones every time.

    Args:
        real: a labelled set.
        share: of each class that is held out, rounded: at least one image, unless it is the only one of its class.

    Raises:
        InputError: nothing would be held out.
    """
    held = torch.zeros(len(real), dtype=torch.bool)
    for label in range(len(real.classes)):
        rows = (real.labels == label).nonzero()[:, 0]
        count = min(max(1, round(share * len(rows))), len(rows) - 1)
        order = torch.randperm(len(rows), generator=seeded("hold out", label, len(rows)))
        held[rows[order[: max(0, count)]]] = True
    if not bool(held.any()):
        raise InputError(f"{real.name}: has one image per class; none can be held out for testing")
    return real.select((~held).nonzero()[:, 0]), real.select(held.nonzero()[:, 0])


def _prepare(
    real: ImageSet, recipe: TrainRecipe, test: ImageSet | None, seed: int, device: torch.device, threads: int,
    progress: Progress,
) -> tuple[Job, str]:  # fmt: skip
    """The run, and in words what is tested on."""
    _check_classes(real)
    _check_recipe(recipe)
    train, test, tested_on = _parts(real, test, recipe.holdout)
    world = parallel.world()
    if len(train) < recipe.batch:
        raise RecipeError(
            f"batch is {recipe.batch}, but {real.name} has {len(train)} training images; give a smaller one"
        )
    if recipe.batch < 2 * world:
        raise RecipeError(f"batch is {recipe.batch}, but each of the {world} processes needs at least 2 images of it")
    stock = take_in(train, recipe.size, recipe.resize, device, progress, crop=recipe.augment.first_crop)
    tests = None if test is None else take_in(test, recipe.size, recipe.resize, device, progress)
    if tests is not None and tests.side != stock.side:
        raise InputError(f"test images have {tests.side} pixels and not {stock.side}; give a size in the recipe")
    identity = {
        "recipe": what_counts(recipe),
        "seed": seed,
        "classes": list(real.classes),
        "data": stock.digest(),
        "test": None if tests is None else tests.digest(),
        "processes": world,
        "threads": threads if device.type == "cpu" else None,
        "device": device.type,
    }
    job = Job(
        recipe=recipe,
        seed=seed,
        device=device,
        network=_build(recipe, len(real.classes), stock.side, seed),
        batches=Feed(stock, recipe.augment, recipe.batch, seed, parallel.rank(), world, recipe.leftover),
        objective=Objective(recipe),
        test=tests,
        mean_std=stock.mean_std() if recipe.mean_std == COMPUTED else parse_mean_std(recipe.mean_std),
        identity=identity,
    )
    return job, tested_on


def _check_recipe(recipe: TrainRecipe) -> None:
    """Raise `RecipeError` for what means something to students only."""
    for key, given, wanted in (
        ("labels.kind", recipe.labels.kind, "hard"),
        ("mean_std", recipe.mean_std, COMPUTED if recipe.mean_std == OF_TEACHER else recipe.mean_std),
        ("least_steps", recipe.least_steps, 0),
    ):
        if given != wanted:
            raise RecipeError(f"{key} is {given}, which is for students; a teacher needs {key} = {wanted}")


def _check_classes(real: ImageSet) -> None:
    if not real.labelled or len(real.classes) < 2:
        raise InputError(f"{real.name}: a teacher tells classes apart, and here is only one; give class folders")
    counts = real.labels.bincount(minlength=len(real.classes)).tolist()
    if empty := [name for name, count in zip(real.classes, counts, strict=True) if not count]:
        raise InputError(
            f"{real.name}: has no images of {shorten(empty)}; give the whole set, or leave the classes out"
        )


def _parts(real: ImageSet, test: ImageSet | None, share: float) -> tuple[ImageSet, ImageSet | None, str]:
    """Training images, test images, and in words what is tested on."""
    if test is not None:
        same = test.classes == real.classes
        return real, test if same else match_classes(test, real.classes).fake, f"{len(test)} images of {test.name}"
    if share == 0:
        return real, None, "nothing"
    train, held = hold_out(real, share)
    return train, held, f"{len(held)} images of {real.name} that were held out ({share:.0%} of each class)"


def _build(recipe: TrainRecipe, classes: int, side: int, seed: int) -> nn.Module:
    torch.default_generator.manual_seed(seed_of(seed, "weights"))
    network = build_classifier(recipe.net, classes, side)
    last = network.get_submodule(last_layer(network, side))
    if not isinstance(last, nn.Linear):
        raise WeightsError(
            f"network {recipe.net!r} does not end in a linear layer, which a teacher needs; give another"
        )
    return network


def _facts(job: Job, tested_on: str, curve: list[EpochRecord]) -> Facts:
    """The header of a teacher; nothing in it differs between two equal runs on one machine and one version."""
    commit, dirty = code_version()
    on_gpu = {"gpu": torch.cuda.get_device_name(job.device)} if job.device.type == "cuda" else {}
    accuracy = {} if curve[-1].test_accuracy is None else {"accuracy": curve[-1].test_accuracy}
    return {
        "net": job.recipe.net,
        "mean": job.mean_std[0],
        "std": job.mean_std[1],
        "input_size": job.batches.stock.side,
        **accuracy,
        "tested_on": tested_on,
        "curve": [msgspec.structs.replace(record, seconds=None) for record in curve],
        **job.identity,
        "recipe": job.recipe,
        "versions": {
            "divbench": __version__,
            "torch": str(torch.__version__),
            "commit": commit,
            "dirty": dirty,
            **on_gpu,
        },
    }


class _Written(msgspec.Struct, frozen=True):
    """What there is to say of a teacher's file."""

    sha256: str
    curve: tuple[EpochRecord, ...]


def _finished(path: Path, identity: Facts) -> _Written | None:
    """The teacher that an earlier run of this kind has written; raises `OutputError` where ``path`` is another file."""

    def look() -> Facts | None:
        if not path.exists():
            return None
        said = header_of(path)
        if differing := differences(identity, said):
            raise OutputError(f"{path}: exists and was made otherwise ({differing}); give another -o")
        return {"sha256": hashlib.sha256(path.read_bytes()).hexdigest(), "curve": said["curve"]}

    return msgspec.convert(first_alone(look), _Written | None)


def _write(job: Job, tested_on: str, path: Path, training: Training) -> Facts:
    digest = save_teacher(training.network, path, _facts(job, tested_on, training.curve))
    written: Facts = msgspec.to_builtins(_Written(digest, tuple(training.curve)))
    return written


def _squeezed(path: Path, written: _Written, tested_on: str, before: Before) -> Squeezed:
    curve = written.curve
    return Squeezed(path, written.sha256, curve, curve[-1].test_accuracy, tested_on, before)


@contextmanager
def _threads(count: int) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
