"""Relabel: a teacher looks at the images as they are on disk and writes soft labels beside them.

What is drawn is drawn for a whole epoch ahead, written down, and carried out by `divbench.labels.replay.augment`.
Whoever trains a student calls the same function with the same numbers, and so shows it what the teacher saw.

The differences from the released code of FKD: there images are cropped as 8-bit pixels by PIL, here as numbers; one
random stream for each epoch makes epochs independent of each other.
"""

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import msgspec
import numpy as np
import torch
from torch import Tensor

from divbench.augment.geometry import crop_boxes
from divbench.errors import InputError, RecipeError
from divbench.generate.recipe import Fkd, Static
from divbench.labels.replay import augment, cutmix_boxes
from divbench.labels.store import Header, SoftLabels, digest_of, is_labelled, write_epoch, write_static
from divbench.precision import all_cores, deterministic, full_float32
from divbench.progress import Advance
from divbench.seeds import seed_of, seeded
from divbench.teacher import Labeller, Teacher, label_as_they_are


def label_parts(labels: Static | Fkd) -> int:
    """Number of parts that labelling falls into, each a file of its own: the epochs, or one."""
    return labels.epochs if isinstance(labels, Fkd) else 1


def relabel(
    images: Tensor,
    labels: Static | Fkd,
    teacher: Teacher,
    folder: Path,
    *,
    seed: int,
    device: torch.device,
    parts: Iterable[int] | None = None,
    report: Advance | None = None,
) -> None:
    """Write soft labels for ``images`` into ``folder``, part by part; what is there already is not made again.

    The bytes of a part depend on nothing but images, settings, teacher, seed and the kind of machine: not on which
    other parts are made, by whom, or what was interrupted.

    Args:
        images: [N, 3, S, S] uint8, as decoded from disk, in the order of the set (see `SoftLabels.ids`).
        labels: what to write; see `divbench.generate.recipe`.
        teacher: its own network is not changed, whichever statistics are used.
        folder: of the set; see `divbench.labels.store` for the files.
        seed: of all that is random.
        device: where the teacher runs.
        parts: which of the `label_parts` to write, where several processes share them; None: all.
        report: called with 1 and a short text for every part that is done or was there.

    Raises:
        RecipeError: the settings make no sense for this number of images.
        InputError: images of another size than the teacher's, or logits that are NaN or too large for 16 bits.
        OutputError: the folder holds other labels, or cannot be written.
    """
    _check(images, labels, teacher)
    header = _header_of(images, labels, teacher, seed)
    labeller = Labeller(teacher, labels.teacher, device)
    near = images.to(device) if _fits(images, device) else images
    for part in range(label_parts(labels)) if parts is None else parts:
        this = header if isinstance(labels, Static) else msgspec.structs.replace(header, epoch=part)
        there = is_labelled(folder, this)
        if not there:
            with torch.inference_mode(), all_cores(device), full_float32(device), deterministic():
                if isinstance(labels, Static):
                    write_static(folder, this, _finite(_label_static(near, seed, labeller), teacher))
                else:
                    drawn = draw_epoch(labels, len(images), header.size, seed, part)
                    logits = _finite(_label_epoch(near, drawn, labeller), teacher)
                    write_epoch(folder, this, replace(drawn, logits=logits))
        if report is not None:
            report(1, f"{'found' if there else 'labelled'} epoch {part}" if isinstance(labels, Fkd) else "")


def _check(images: Tensor, labels: Static | Fkd, teacher: Teacher) -> None:
    if images.dtype != torch.uint8 or images.ndim != 4 or images.shape[1] != 3 or images.shape[2] != images.shape[3]:
        raise InputError(
            f"images to label must be uint8 [N, 3, S, S], got {images.dtype} {list(images.shape)}; make them square"
        )
    if teacher.size not in (None, images.shape[-1]):
        raise InputError(
            f"teacher {teacher.name} was trained on images of {teacher.size} pixels, but those to label have "
            f"{images.shape[-1]}; give a teacher that was trained on this data"
        )
    check_settings(labels, len(images))


def check_settings(labels: Static | Fkd, count: int) -> None:
    """Raise `RecipeError` where the settings make no sense for ``count`` images."""
    smallest = count
    if isinstance(labels, Fkd):
        for key, fine, what in (
            ("epochs", labels.epochs > 0, "positive"),
            ("batch", labels.batch > 0, "positive"),
            ("crop", 0 < labels.crop <= 1, "a share of the area, above 0 and at most 1"),
            ("alpha", labels.alpha > 0 or labels.mix == "none", "positive where images are mixed"),
        ):
            if not fine:
                raise RecipeError(f"labels.{key} is {getattr(labels, key)}; it must be {what}")
        smallest = count % labels.batch or min(labels.batch, count)
    if labels.teacher == "train" and smallest == 1:
        raise RecipeError(
            f"labels.teacher is 'train', but a batch of the {count} images holds one alone, which has no "
            "statistics; choose another labels.batch or labels.teacher = 'eval'"
        )


def _header_of(images: Tensor, labels: Static | Fkd, teacher: Teacher, seed: int) -> Header:
    header = Header(
        format="divbench-labels-1",
        kind="static" if isinstance(labels, Static) else "fkd",
        teacher=teacher.sha256,
        mode=labels.teacher,
        images=digest_of(images),
        seed=seed,
        samples=len(images),
        classes=teacher.outputs,
        size=images.shape[-1],
    )
    if isinstance(labels, Static):
        return header
    return msgspec.structs.replace(
        header, epochs=labels.epochs, batch=labels.batch, crop=labels.crop, mix=labels.mix, alpha=labels.alpha
    )


def _fits(images: Tensor, device: torch.device) -> bool:
    return device.type == "cuda" and images.nbytes <= torch.cuda.mem_get_info(device)[0] // 2


def _picked(images: Tensor, ids: Tensor, device: torch.device) -> Tensor:
    """The images ``ids``, which are where the images are, on the device without waiting for it."""
    found = images[ids]
    if device.type == "cuda" and images.device.type == "cpu":
        found = found.pin_memory()
    return found.to(device, non_blocking=True)


def _label_static(images: Tensor, seed: int, labeller: Labeller) -> Tensor:
    """[N, C] float32 on the CPU."""
    count = len(images)
    order = torch.randperm(count, generator=seeded(seed, "labels")) if labeller.by_batch else torch.arange(count)
    near = images.device
    return label_as_they_are(
        order, lambda parts: (_picked(images, ids.to(near), labeller.device) for ids in parts), labeller
    )


def _label_epoch(images: Tensor, drawn: SoftLabels, labeller: Labeller) -> Tensor:
    """[N, C] float16 on the CPU, in the order of what was drawn."""
    here, ids = drawn.to(labeller.device), drawn.ids.to(images.device).split(drawn.batch)
    found = [
        labeller(augment(_picked(images, rows, labeller.device), here.part(number))).half()
        for number, rows in enumerate(ids)
    ]
    return torch.cat(found).cpu()


def _finite(logits: Tensor, teacher: Teacher) -> Tensor:
    if not bool(logits.isfinite().all()):
        raise InputError(
            f"teacher {teacher.name} gives logits that are NaN or too large; give its own mean and std, or another one"
        )
    return logits


def draw_epoch(settings: Fkd, count: int, size: int, seed: int, epoch: int) -> SoftLabels:
    """All that is random in one epoch: order, crops, mirrors and mixing, with logits [N, 0] still to be filled in.

    Args:
        settings: ``batch``, ``crop``, ``mix`` and ``alpha`` are used.
        count: number of images.
        size: side of the images in pixels; crops are whole pixels.
        seed: of the run.
        epoch: its number, from 0. Every epoch has random numbers of its own.
    """
    generator = seeded(seed, "labels", epoch)
    ids = torch.randperm(count, generator=generator)
    crops = crop_boxes(torch.full((count,), float(settings.crop)), size, generator) / size
    flips = torch.rand(count, generator=generator) < 0.5
    batches = -(-count // settings.batch)
    share, boxes, partners = torch.ones(batches), torch.zeros(batches, 4, dtype=torch.int32), ids.clone()
    if settings.mix != "none":
        partners = torch.cat(
            [part[torch.randperm(len(part), generator=generator)] for part in ids.split(settings.batch)]
        )
        numbers = np.random.default_rng(seed_of(seed, "labels", epoch, "mix"))  # torch's Beta law takes no generator
        share = torch.from_numpy(numbers.beta(settings.alpha, settings.alpha, batches)).float()
    if settings.mix == "cutmix":
        boxes = cutmix_boxes(share, size, generator)
    logits = torch.empty(count, 0, dtype=torch.float16)
    return SoftLabels(ids, crops, flips, partners, share, boxes, logits, settings.batch, settings.mix)
