"""Soft labels of public FKD files: `epoch_{e}/batch_{b}.tar`, which are lists written by `torch.save` and no tar files.

Six entries by SRe2L, CDA, CV-DD and LPLD: crops, flips, mix_index, mix_lam, mix_bbox, logits. Seven by G-VBSM and EDC
(which images they are) and by WMDD (how much each counts), told apart by their numbers being whole. Eight by EDC.

Where the images are not named, they are those that torch's RandomSampler(generator seed 42) gave, epoch after epoch,
over the files in ImageFolder's order: classes and ids in order of their names.
"""

import json
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from divbench.errors import InputError, shorten
from divbench.labels.store import Mix, SoftLabels, check_labels
from divbench.storage import load_torch

SEED = 42
"""Of the sampler in all public code."""
_ORDER = "sampler_indices_epoch.json"
_REMEDY = "fetch labels that hold tensors and numbers alone"


def sampler_order(count: int, epochs: int, seed: int = SEED) -> list[Tensor]:
    """The order [count] int64 in which `torch.utils.data.RandomSampler` visits ``count`` images, for each epoch.

    One generator serves all epochs. The sampler draws two permutations an epoch and gives out the first. Before 2022
    (pytorch pull request 71568) it drew one, so that of labels made then only epoch 0 is told rightly;
    `divbench.labels.store.agreement` shows it.
    """
    generator = torch.Generator().manual_seed(seed)
    return [torch.randperm(count, generator=generator) for _ in range(2 * epochs)][::2]


@dataclass(frozen=True, eq=False)
class FkdFolder:
    """Public labels of a set; nothing but the order is in memory. Made by `read_fkd`.

    Attributes:
        folder: that holds ``epoch_0``.
        samples, classes: number of images of the set, and of classes.
        epochs: number of epochs.
        batch: images in a batch.
        order: which images each epoch goes through; None: each file says so.
        notes: what the reader noticed.
    """

    folder: Path
    samples: int
    classes: int
    epochs: int
    batch: int
    order: Sequence[Tensor] | None
    notes: tuple[str, ...]

    def epoch(self, number: int) -> SoftLabels:
        """The labels of one epoch, read from its files alone; raises `InputError` where they make no sense."""
        if not 0 <= number < self.epochs:
            raise InputError(f"{self.folder}: has labels of epochs 0 to {self.epochs - 1}, not of {number}")
        folder = self.folder / f"epoch_{number}"
        count = len(_batches(folder)[0])
        parts = [_read_batch(folder / f"batch_{b}.tar") for b in range(count)]
        lengths = [len(part.crops) for part in parts]
        kinds = {(part.mix, part.logits.shape[1], part.ids is None, part.weights is None) for part in parts}
        if set(lengths[:-1]) - {self.batch} or lengths[-1] > self.batch or len(kinds) != 1:
            raise InputError(
                f"{folder}: batches differ: they hold {shorten([str(n) for n in lengths])} images where "
                f"{self.batch} were expected, or are unlike in classes, mixing or entries; fetch them again"
            )
        ids = self._ids(number, parts, sum(lengths))
        partners = [
            part if one.partners is None else part[one.partners]
            for part, one in zip(ids.split(self.batch), parts, strict=True)
        ]
        weights = [part.weights for part in parts if part.weights is not None]
        soft = SoftLabels(
            ids=ids,
            crops=torch.cat([part.crops for part in parts]),
            flips=torch.cat([part.flips for part in parts]),
            partners=torch.cat(partners),
            share=torch.tensor([part.share for part in parts]),
            boxes=torch.tensor([part.box for part in parts], dtype=torch.int32),
            logits=torch.cat([part.logits for part in parts]),
            batch=self.batch,
            mix=parts[0].mix,
            weights=torch.cat(weights) if weights else None,
        )
        check_labels(soft, self.samples, str(folder))
        return soft

    def _ids(self, number: int, parts: "list[_Batch]", count: int) -> Tensor:
        if self.order is None:
            return torch.cat([part.ids for part in parts if part.ids is not None])
        if len(self.order[number]) != count:
            raise InputError(
                f"{self.folder}: epoch {number} has labels for {count} images, but its order names "
                f"{len(self.order[number])}; give the images that these labels were made for"
            )
        return self.order[number]


def read_fkd(folder: Path, samples: int, *, order: Sequence[Tensor] | None = None) -> FkdFolder:
    """Recognise the public labels in ``folder``, without running anything that is in the files.

    Args:
        folder: that holds ``epoch_0`` and so on.
        samples: number of images of the set, whose order must be that of ImageFolder.
        order: [n] int64 for each epoch, which images it goes through, where the files do not say; default: what LPLD's
            ``sampler_indices_epoch.json`` says, else `sampler_order`.

    Raises:
        InputError: files are missing, damaged, hold other objects, or are not for so many images.
    """
    counts, notes = _scan(folder)
    first = _read_batch(folder / "epoch_0" / "batch_0.tar")
    if first.ids is not None:
        order = None
    elif order is None and (folder / _ORDER).is_file():
        order = _stored_order(folder / _ORDER, len(counts))
    elif order is None:
        order = sampler_order(samples, len(counts))
        notes.append(
            f"which image a label is of is not said; the order of torch's RandomSampler, seed {SEED}, is taken"
        )
    if order is not None and len(order) < len(counts):
        raise InputError(f"{folder}: has {len(counts)} epochs, but the order is given for {len(order)}; give all")
    if first.shuffled:
        notes.append("shuffled patches (8th entry) are not replayed: in the public code they change nothing")
    batch = len(first.crops)
    for epoch, found in enumerate(counts):
        images = samples if order is None else len(order[epoch])
        if found != -(-images // batch):
            raise InputError(
                f"{folder / f'epoch_{epoch}'}: has {found} batches of {batch}, but {images} images make "
                f"{-(-images // batch)}; fetch the batches that are missing, or give the images of these labels"
            )
    return FkdFolder(folder, samples, first.logits.shape[1], len(counts), batch, order, tuple(notes))


def _scan(folder: Path) -> tuple[list[int], list[str]]:
    """Number of batches of each epoch, and a note on what is neither."""
    try:
        names = sorted(path.name for path in folder.iterdir())
    except OSError as problem:
        raise InputError(f"{folder}: cannot be read ({problem.strerror or problem})") from problem
    numbers = {int(name[6:]) for name in names if re.fullmatch(r"epoch_\d+", name)}
    if missing := set(range(max(numbers, default=0) + 1)) - numbers:
        raise InputError(
            f"{folder}: epoch_{min(missing)} is missing; expected epoch_0 and so on, each with batch_0.tar"
        )
    stray = [name for name in names if not re.fullmatch(r"epoch_\d+", name) and name != _ORDER]
    counts = []
    for epoch in range(len(numbers)):
        found, others = _batches(folder / f"epoch_{epoch}")
        counts.append(len(found))
        stray += [f"epoch_{epoch}/{name}" for name in others]
    return counts, [f"ignored beside the labels: {shorten(stray)}"] if stray else []


def _batches(folder: Path) -> tuple[set[int], list[str]]:
    """The batches of an epoch, which start at 0 and leave none out, and the names of other files."""
    try:
        names = sorted(path.name for path in folder.iterdir())
    except OSError as problem:
        raise InputError(f"{folder}: cannot be read ({problem.strerror or problem})") from problem
    numbers = {int(name[6:-4]) for name in names if re.fullmatch(r"batch_\d+\.tar", name)}
    if missing := set(range(max(numbers, default=0) + 1)) - numbers:
        raise InputError(f"{folder}: batch_{min(missing)}.tar is missing; fetch it")
    return numbers, [name for name in names if not re.fullmatch(r"batch_\d+\.tar", name)]


def _stored_order(path: Path, epochs: int) -> list[Tensor]:
    try:
        found = json.loads(path.read_bytes())
        return [torch.tensor([int(row) for row in found[str(epoch)]], dtype=torch.int64) for epoch in range(epochs)]
    except (OSError, ValueError, TypeError, KeyError) as problem:
        raise InputError(
            f"{path}: expected an object with a list of image numbers for each of {epochs} epochs "
            f"({type(problem).__name__}: {problem}); fetch it again"
        ) from problem


class _Batch(NamedTuple):
    """One file. Partners are rows of the batch; share is 1 and the box empty where there is none."""

    crops: Tensor
    flips: Tensor
    partners: Tensor | None
    share: float
    box: tuple[int, ...]
    logits: Tensor
    ids: Tensor | None
    weights: Tensor | None
    shuffled: bool
    mix: Mix


def _read_batch(path: Path) -> _Batch:
    entries = load_torch(path, InputError, _REMEDY)
    if not isinstance(entries, list | tuple) or not 6 <= len(entries) <= 8:
        what = f"{len(entries)} entries" if isinstance(entries, list | tuple) else type(entries).__name__
        raise InputError(f"{path}: holds {what}; expected a list of 6, 7 or 8: crops, flips, mixing (3), logits, ...")
    crops, flips, partners, share, box, logits, *more = entries
    if isinstance(flips, Tensor) and flips.ndim == 2:
        raise InputError(f"{path}: holds cut-outs instead of flips (LPLD's ImageNet-21K), which cannot be replayed")
    count = len(crops) if isinstance(crops, Tensor) and crops.ndim else 0
    crops = _tensor(path, "crops", crops, (count, 4), "float")
    flips = _tensor(path, "flips", flips, (count,), "bool")
    classes = logits.shape[-1] if isinstance(logits, Tensor) and logits.ndim else 0
    logits = _tensor(path, "logits", logits, (count, classes), "float")
    if partners is not None:
        partners = _tensor(path, "mix_index", partners, (count,), "whole").long()
        if bool(((partners < 0) | (partners >= count)).any()):
            raise InputError(f"{path}: mix_index leaves the batch of {count} images; fetch it again")
    ids, weights = _seventh(path, more, count)
    return _Batch(
        crops=crops.float(),
        flips=flips,
        partners=partners,
        share=1.0 if share is None else _numbers(path, "mix_lam", [share], 1)[0],
        box=(0, 0, 0, 0) if box is None else tuple(int(x) for x in _numbers(path, "mix_bbox", box, 4)),
        logits=logits,
        ids=ids,
        weights=weights,
        shuffled=len(more) == 2 and isinstance(more[1], Tensor) and bool(more[1].any()),
        mix="none" if partners is None else "mixup" if box is None else "cutmix",
    )


def _seventh(path: Path, more: list[Any], count: int) -> tuple[Tensor | None, Tensor | None]:
    """Which images (whole numbers) or their weights (fractions)."""
    if not more:
        return None, None
    if len(more) == 1 and isinstance(more[0], Tensor) and more[0].is_floating_point():
        return None, _tensor(path, "weights", more[0], (count,), "float").float()
    return _tensor(path, "index", more[0], (count,), "whole").long(), None


def _tensor(path: Path, name: str, value: Any, shape: tuple[int, ...], kind: str) -> Tensor:
    if isinstance(value, Tensor) and tuple(value.shape) == shape and 0 not in shape:
        found = "float" if value.is_floating_point() else "bool" if value.dtype == torch.bool else "whole"
        if found == kind and not value.is_complex():
            return value
    got = f"{value.dtype} {list(value.shape)}" if isinstance(value, Tensor) else type(value).__name__
    raise InputError(f"{path}: {name} must be a tensor of {kind} numbers {list(shape)}, got {got}; fetch it again")


def _numbers(path: Path, name: str, values: Any, count: int) -> list[float]:
    """Python, numpy or 0-d tensor numbers."""
    try:
        found = [number for value in values if math.isfinite(number := float(value))]
    except (TypeError, ValueError, RuntimeError):
        found = []
    if len(found) != count:
        raise InputError(
            f"{path}: {name} must be {count} number{'s' * (count > 1)}, got {values!r:.100}; fetch it again"
        )
    return found
