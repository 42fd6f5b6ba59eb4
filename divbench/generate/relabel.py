"""Relabel: a teacher looks at the images as they are on disk and writes soft labels beside them.

What is drawn is drawn for a whole epoch ahead, written down, and carried out by `augment`. Whoever trains a student
calls the same function with the same numbers, and so shows it what the teacher saw.

The differences from the released code of FKD: there images are cropped as 8-bit pixels by PIL, here as numbers; one
random stream for each epoch makes epochs independent of each other.
"""

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import msgspec
import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from divbench.errors import InputError, RecipeError
from divbench.generate.augment import crop_boxes
from divbench.generate.labels import Header, SoftLabels, digest_of, is_labelled, write_epoch, write_static
from divbench.generate.recipe import Fkd, Static
from divbench.generate.seeds import seed_of, seeded
from divbench.generate.teacher import Teacher
from divbench.precision import all_cores, deterministic, full_float32
from divbench.progress import Advance

_AT_ONCE = 256
"""Images that a teacher looks at together where there is no batch, or where it changes nothing."""


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
        folder: of the set; see `divbench.generate.labels` for the files.
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
    labeller = _Labeller(teacher, labels.teacher, device)
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


class _Labeller:
    """A teacher on its device, asked for logits.

    Args:
        mode: with ``train``, BatchNorm uses the statistics of the batch and keeps none; all else, such as dropout, is
            as in evaluation.
    """

    def __init__(self, teacher: Teacher, mode: str, device: torch.device) -> None:
        self.device, self.by_batch = device, mode == "train"
        self.network: nn.Module = teacher.network().to(device)
        for module in self.network.modules():
            if self.by_batch and isinstance(module, _BatchNorm):
                module.train()
                module.track_running_stats = False
        self.mean, self.std = (torch.tensor(numbers, device=device).view(1, -1, 1, 1) for numbers in teacher.mean_std)

    def __call__(self, images: Tensor) -> Tensor:
        """[B, C] float32 logits of images [B, 3, S, S] in [0, 255]."""
        parts = (images,) if self.by_batch else images.split(_AT_ONCE)
        return torch.cat([self.network((part.float() / 255 - self.mean) / self.std) for part in parts])


def _picked(images: Tensor, ids: Tensor, device: torch.device) -> Tensor:
    """The images ``ids``, which are where the images are, on the device without waiting for it."""
    found = images[ids]
    if device.type == "cuda" and images.device.type == "cpu":
        found = found.pin_memory()
    return found.to(device, non_blocking=True)


def _label_static(images: Tensor, seed: int, labeller: _Labeller) -> Tensor:
    """[N, C] float32 on the CPU. By batch statistics, batches are random: those of the set's order have few classes."""
    count = len(images)
    order = torch.randperm(count, generator=seeded(seed, "labels")) if labeller.by_batch else torch.arange(count)
    parts = order.to(images.device).tensor_split(-(-count // _AT_ONCE))
    found = torch.cat([labeller(_picked(images, ids, labeller.device)) for ids in parts]).cpu()
    logits = torch.empty_like(found)
    logits[order] = found
    return logits


def _label_epoch(images: Tensor, drawn: SoftLabels, labeller: _Labeller) -> Tensor:
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


def cutmix_boxes(share: Tensor, size: int, generator: torch.Generator) -> Tensor:
    """Boxes [n, 4] int32 (x1, y1, x2, y2) around random centres, of area 1 - share, clipped at the border.

    Yun et al. 2019, arXiv:1905.04899, algorithm A1, with the rounding of the released code.

    Args:
        share: [n] in [0, 1].
        size: side of the images in pixels.
        generator: of the centres, on the CPU.
    """
    half = (size * (1 - share.double()).sqrt()).long() // 2
    centres = torch.randint(size, (len(share), 2), generator=generator)
    return torch.cat([centres - half[:, None], centres + half[:, None]], 1).clamp(0, size).int()


def augment(images: Tensor, labels: SoftLabels) -> Tensor:
    """A batch as the teacher saw it and as the student has to: cut out, stretched, mirrored, mixed.

    Values between pixels lie on straight lines, and a cut-out does not see beyond its border, as torchvision's
    resized_crop of a tensor has it. Whole images come out as they are. The result does not depend on autocast or TF32.

    Args:
        images: [B, 3, H, W] uint8 or floating point, those of ``labels.ids``.
        labels: of this batch alone (`SoftLabels.part`); what there is per image is on the device of the images, what
            there is per batch is on the CPU (`SoftLabels.to`).

    Returns:
        [B, 3, H, W] float32 in the units of the images: [0, 255] for uint8.
    """
    if len(images) != len(labels) or labels.batches != 1:
        raise ValueError(
            f"{len(images)} images and {len(labels)} labels in {labels.batches} batches; expected one batch"
        )
    top, left, height, width = labels.crops.unbind(1)
    rows, columns = _places(top, height, images.shape[2]), _places(left, width, images.shape[3])
    columns = torch.where(labels.flips[:, None], columns.flip(1), columns)
    return _mixed(_between(_between(images, rows, 2), columns, 3), labels)


def _places(start: Tensor, length: Tensor, size: int) -> Tensor:
    """[B, size] float32: which source pixel, in fractions, each pixel of the result takes along one axis."""
    inside = (torch.arange(size, device=start.device) + 0.5) * length[:, None] - 0.5
    return start[:, None] * size + inside.clamp_min(0).minimum(length[:, None] * size - 1)


def _between(images: Tensor, places: Tensor, dim: int) -> Tensor:
    """float32 values at ``places`` [B, n] along one axis of ``images``, on straight lines between pixels."""
    size = images.shape[dim]
    low = places.floor()
    shape = [len(images), 1, 1, 1]
    shape[dim] = -1
    wanted = [*images.shape[:dim], places.shape[1], *images.shape[dim + 1 :]]

    def take(pixels: Tensor) -> Tensor:
        return images.gather(dim, pixels.long().clamp(0, size - 1).view(shape).expand(wanted)).float()

    return torch.lerp(take(low), take(low + 1), (places - low).view(shape))


def _mixed(images: Tensor, labels: SoftLabels) -> Tensor:
    """Images [B, 3, H, W] float32 with their partners mixed in; they are written over."""
    if labels.mix == "none":
        return images
    partner = (labels.partners[:, None] == labels.ids).int().argmax(1)
    if labels.mix == "mixup":
        share = float(labels.share)
        return share * images + (1 - share) * images[partner]
    x1, y1, x2, y2 = labels.boxes[0].tolist()
    images[:, :, x1:x2, y1:y2] = images[partner, :, x1:x2, y1:y2]
    return images
