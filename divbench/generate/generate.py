"""generate(): recipe + real data + teacher -> a set on disk; interrupted anywhere, it goes on where it was.

check the job -> recover its batches (shared over processes, kept when done) -> write images -> label -> one rename
"""

import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

import msgspec
import torch
from torch import Tensor

from divbench import parallel
from divbench.errors import DivbenchError, InputError, OutputError, RecoveryError
from divbench.files import write_whole
from divbench.generate.batches import Batch
from divbench.generate.job import Job, Options, prepare
from divbench.generate.methods import Setup
from divbench.generate.real import normalised
from divbench.generate.recipe import Fkd, Recipe, Static, changed_keys
from divbench.generate.recover import recover
from divbench.generate.relabel import label_parts, relabel
from divbench.generate.view import RealFeatures
from divbench.generate.work import Identity, Work, check_same, finished_before, identify, sizes
from divbench.images import ImageSet, read_images, write_images
from divbench.images.manifest import MANIFEST, load_manifest, save_manifest
from divbench.origin import Origin
from divbench.precision import all_cores, deterministic, full_float32
from divbench.progress import Progress, no_progress
from divbench.provenance import environment
from divbench.seeds import seeded
from divbench.storage import safetensors_bytes
from divbench.teacher import Teacher

_MASTER = "master.safetensors"


def generate(
    recipe: Recipe,
    real: ImageSet,
    folder: Path,
    *,
    teacher: Teacher | None = None,
    options: Options | None = None,
    again: Origin | None = None,
    progress: Progress = no_progress,
) -> Origin:
    """Make the set that ``recipe`` describes and write it to ``folder``, complete or not at all.

    Finished batches are kept in ``<folder>.unfinished`` until the set is complete: the same call goes on there after
    an interruption, and ends with the same images and labels. Under torchrun the batches are shared out, and any
    number of processes writes the same images. All processes must see the same file system.

    Args:
        recipe: see `load_recipe` and `change`.
        real: the real data, with labels.
        folder: must not exist, unless it holds this very set already.
        teacher: see `load_teacher`; some methods need none.
        options: see there.
        again: what made the very set before, where that is known.
        progress: shows what is going on.

    Returns:
        What `set.json` says of how the set was made.

    Raises:
        RecipeError: the recipe contradicts itself or the data.
        InputError: teacher, real data and recipe do not fit together, or are not those of ``again``.
        OutputError: the folder holds something else, or cannot be written.
        RecoveryError: a loss was not finite; the last good images lie in the unfinished folder.
    """
    folder = folder.absolute()
    work = Work(folder.with_name(f"{folder.name}.unfinished"))
    if not folder.parent.is_dir() or folder == folder.parent:
        raise OutputError(f"{folder}: there is no folder {folder.parent}; make it first")
    exists = folder.exists() or folder.is_symlink()
    if exists:
        finished_before(folder, {})  # before long work is done for a place that is taken
    job = prepare(recipe, real, teacher, options or Options(), progress)
    identity = identify(job)
    if again is not None:
        check_same(identity, again)
    if exists:
        origin = finished_before(folder, identity)
        _alone(lambda: work.discard(identity))  # a run may have been ended between its last two steps
        return origin
    _alone(lambda: work.open(identity))
    _together(lambda: _recover_batches(job, work, progress))
    _alone(lambda: _write_set(job, work))
    began = time.perf_counter()
    _together(lambda: _label(job, work, progress))
    _alone(lambda: _finish(job, work, identity, folder, time.perf_counter() - began))
    return finished_before(folder, identity)


def _together(task: Callable[[], None]) -> None:
    """Do this process's part; where any process fails, all raise, so that none waits for ever."""
    failure: DivbenchError | None = None
    try:
        task()
    except DivbenchError as error:
        failure = error
    except OSError as error:
        failure = OutputError(str(error))
    said = parallel.gather_json(None if failure is None else str(failure))
    if failure is not None:
        raise failure
    for text in said:
        if text is not None:
            raise OutputError(f"another process stopped: {text}")


def _alone(task: Callable[[], None]) -> None:
    """The first process does it while the others wait."""
    _together(task if parallel.rank() == 0 else lambda: None)


def _recover_batches(job: Job, work: Work, progress: Progress) -> None:
    mine = job.batches[parallel.rank() :: parallel.world()]
    todo = [batch for batch in mine if not work.has(batch)]
    steps = job.recipe.iterations
    with progress(f"recover {job.recipe.name}", len(mine) * steps) as advance:
        if len(mine) > len(todo):
            advance((len(mine) - len(todo)) * steps, "found finished batches")
        for batch in todo:
            where = f"batch {batch.number + 1}/{len(job.batches)} " if len(job.batches) > 1 else ""

            def report(done: int, losses: dict[str, float], where: str = where) -> None:
                advance(done, where + " ".join(f"{name} {value:.4g}" for name, value in losses.items()))

            _recover_batch(job, batch, work, report)


def _recover_batch(job: Job, batch: Batch, work: Work, report: Callable[[int, dict[str, float]], None]) -> None:
    began = time.perf_counter()
    device = job.options.device
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    nothing = RealFeatures(torch.empty(0, 0, 0), torch.empty(0))
    setup = Setup(
        recipe=job.recipe,
        batch=batch,
        terms=job.terms,
        teacher=job.teacher,
        mean_std=job.mean_std,
        start=_start(job, batch),
        real=nothing if job.bank is None else job.bank.of(batch.classes, device),
        draw_real=lambda count, generator: _draw(job, batch, count, generator),
        seed=job.options.seed,
        device=device,
    )
    with all_cores(device), full_float32(device, tf32=job.recipe.precision == "tf32"), deterministic():
        pieces = job.method.function(setup, **job.method.resolve(job.recipe))
        try:
            found = recover(pieces, job.terms, job.recipe, report)
        except RecoveryError as error:
            kept = work.keep_last_good(batch, error.images)
            error.args = (f"batch {batch.number}, {error}. The last good images are in {kept}",)
            raise
    tensors = {"images": found.images, "losses": found.losses}
    work.keep(batch, tensors, time.perf_counter() - began, _peak_memory(device))


def _peak_memory(device: torch.device) -> int | None:
    """Bytes: of the GPU since the batch began; on the CPU of this process since it did; None where nobody knows."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    try:
        import resource
    except ImportError:  # Windows
        return None
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def _start(job: Job, batch: Batch) -> Tensor:
    """[B, 3, S, S] normalised images on the device."""
    size, device, seed = job.real.size, job.options.device, job.options.seed
    if job.recipe.start == "noise":
        shape = (len(batch.classes) * len(batch.ids), 3, size, size)
        return torch.randn(shape, generator=seeded(seed, "start", batch.number)).to(device)
    ids = slice(batch.ids.start, batch.ids.stop)
    if job.start is not None:
        pixels = torch.cat([job.start[label][ids] for label in batch.classes])
    else:
        pixels = job.real.read(torch.cat([job.start_rows(label)[ids] for label in batch.classes]))
    return normalised(pixels, job.mean_std, device)


def _draw(job: Job, batch: Batch, count: int, generator: torch.Generator) -> Tensor:
    rows = torch.cat([job.real.draw(label, count, generator) for label in batch.classes])
    return normalised(job.real.read(rows), job.mean_std, job.options.device)


def _write_set(job: Job, work: Work) -> None:
    """Put the finished batches together as images on disk."""
    target = work.images
    if target.exists():
        return
    recipe, classes = job.recipe, job.real.images.classes
    shape = (len(classes), recipe.ipc, 3, job.real.size, job.real.size)
    pixels = torch.empty(shape, dtype=torch.uint8)
    master = torch.empty(shape if job.options.keep_float else 0)
    for batch in job.batches:
        images = work.load(batch).tensors["images"]
        place = list(batch.classes), slice(batch.ids.start, batch.ids.stop)
        pixels[place] = _pixels(images, job).unflatten(0, (len(batch.classes), -1))
        if job.options.keep_float:
            master[place] = images.unflatten(0, (len(batch.classes), -1))
    labels = torch.arange(len(classes)).repeat_interleave(recipe.ipc)
    if job.options.keep_float:
        said = {"mean": str(list(job.mean_std[0])), "std": str(list(job.mean_std[1]))}
        data = safetensors_bytes({"images": master.flatten(0, 1), "labels": labels}, said)
        write_whole(work.folder / _MASTER, data)
    try:
        write_images(
            ImageSet(pixels.flatten(0, 1), labels, classes, recipe.name),
            target,
            format=recipe.format,
            layout=job.options.layout,
        )
    except InputError as problem:
        raise OutputError(str(problem)) from problem


def _pixels(images: Tensor, job: Job) -> Tensor:
    """Normalised images -> uint8. The released code of the SRe2L family, whose files jpeg75 is for, truncates."""
    mean, std = (torch.tensor(numbers).view(1, -1, 1, 1) for numbers in job.mean_std)
    values = (images * std + mean).clamp(0, 1) * 255
    return (values if job.recipe.format == "jpeg75" else values.round()).to(torch.uint8)


def _label(job: Job, work: Work, progress: Progress) -> None:
    """Label the images as they are on disk, after rounding."""
    wanted, teacher = job.recipe.labels, job.teacher
    if teacher is None or not isinstance(wanted, Static | Fkd):
        return
    target, parts = work.images, range(label_parts(wanted))[parallel.rank() :: parallel.world()]
    images = read_images(target).pixels()
    with progress(f"label {job.recipe.name}", len(parts)) as advance:
        relabel(
            images,
            wanted,
            teacher,
            target,
            seed=job.options.seed,
            device=job.options.device,
            parts=parts,
            report=advance,
        )


def _finish(job: Job, work: Work, identity: Identity, folder: Path, labelling: float) -> None:
    """Say how the set was made, and put it into its place."""
    target = work.images
    ends = (0, -1) if job.recipe.iterations else ()
    kept = [work.account(batch) for batch in job.batches]
    losses = [torch.stack([one.losses[step] for one in kept]).double().mean(0) for step in ends]
    machine = environment(0.0, str(job.options.device))
    origin = Origin(
        **{key: value for key, value in identity.items() if key not in ("classes", "images_digest")},
        ipc=job.recipe.ipc,
        changed=changed_keys(job.recipe),
        teacher_accuracy=job.accuracy,
        losses={w.term.name: (float(losses[0][i]), float(losses[1][i])) for i, w in enumerate(job.terms) if ends},
        seconds={
            "recover": round(sum(one.seconds for one in kept), 3),
            "label": round(labelling, 3),
        },
        bytes=sizes(target),
        versions={
            "divbench": machine.divbench,
            "commit": f"{machine.commit or 'unknown'}{' with changes' if machine.dirty else ''}",
            "python": machine.python,
            "torch": machine.torch,
            "device": machine.device,
            "platform": machine.platform,
            "date": machine.date,
        },
        peak_memory=max((one.memory for one in kept if one.memory is not None), default=None),
    )
    manifest = load_manifest(target / MANIFEST)
    save_manifest(msgspec.structs.replace(manifest, origin=origin), target)
    try:
        if (work.folder / _MASTER).exists():
            os.replace(work.folder / _MASTER, target / _MASTER)
        os.rename(target, folder)
    except OSError as problem:
        raise OutputError(
            f"{folder}: cannot be put into place ({problem.strerror or problem}); the set is in {target}"
        ) from problem
    work.discard(identity)
