"""The batches of a training run: drawn, augmented and mixed on the device, or replayed as a teacher labelled them.

What a batch looks like is decided by the seed, the epoch and the number of the batch alone, so that training can go on
anywhere, and that several processes can take a slice each of the batches that one process would see.
"""

from collections.abc import Generator
from dataclasses import dataclass, replace
from itertools import tee
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from divbench.augment.geometry import TRIES, crop_boxes, resample, source_pixels
from divbench.augment.randaugment import rand_augment
from divbench.errors import InputError
from divbench.labels.replay import augment, cutmix_boxes, mix_in
from divbench.labels.store import SoftLabels
from divbench.seeds import seed_of, seeded
from divbench.train.recipe import Augmentation
from divbench.train.stock import Stock


@dataclass(frozen=True, eq=False)
class Shown:
    """A process's slice of a batch, as the network sees it; all on the device.

    Attributes:
        images: [b, 3, S, S] float32 in [0, 255].
        rows: [b] int64, which images of the set.
        labels: [b] int64, their classes.
        partners: [b] int64, which images of the set are mixed in.
        partner_labels: [b] int64, their classes.
        share: part of the image itself, in [0, 1]; 1: nothing is mixed in.
        size: number of images in the whole batch, of all processes.
        mine: [b] int64 on the CPU, the places of this slice in the batch.
        logits: [b, C] stored soft labels; None: there are none.
        weights: [b] how much each image counts, where stored labels say so.
    """

    images: Tensor
    rows: Tensor
    labels: Tensor
    partners: Tensor
    partner_labels: Tensor
    share: float
    size: int
    mine: Tensor
    logits: Tensor | None = None
    weights: Tensor | None = None


class Batches(Protocol):
    """What a training run goes through."""

    @property
    def stock(self) -> Stock:
        """The images."""
        ...

    @property
    def steps(self) -> int:
        """Batches in an epoch."""
        ...

    def epoch(self, epoch: int, start: int = 0) -> Generator[Shown, None, None]:
        """This process's slices of the batches from ``start`` on."""
        ...


@dataclass(frozen=True, eq=False)
class _Plan:
    """What is drawn for a batch. ``needed`` are the places in it that this process has to make: its own and theirs."""

    step: int
    rows: Tensor
    needed: Tensor
    mine: Tensor
    partners: Tensor
    share: float
    box: Tensor
    crops: Tensor | None


@dataclass(frozen=True, eq=False)
class Feed:
    """Batches in random order, each image augmented on its own.

    Attributes:
        stock: the images.
        augment: what happens to them.
        batch: images in a batch, of all processes together.
        seed: of order, augmentation and mixing.
        rank, world: this process, and how many there are: each takes a slice of every batch.
        leftover: whether what is left over makes a smaller batch, where that gives two images to every process.
    """

    stock: Stock
    augment: Augmentation
    batch: int
    seed: int
    rank: int = 0
    world: int = 1
    leftover: bool = False

    @property
    def steps(self) -> int:
        """Batches in an epoch."""
        return steps_of(len(self.stock.images), self.batch, self.world, self.leftover)

    def epoch(self, epoch: int, start: int = 0) -> Generator[Shown, None, None]:
        """This process's slices of the batches from ``start`` on."""
        order = torch.randperm(len(self.stock.images), generator=seeded(self.seed, "order", epoch))
        plans, ahead = tee(self._plan(order, epoch, step) for step in range(start, self.steps))
        found = self.stock.batches((plan.rows[plan.needed], plan.crops) for plan in ahead)
        for plan, pixels in zip(plans, found, strict=True):
            yield self._shown(plan, pixels, epoch)

    def _plan(self, order: Tensor, epoch: int, step: int) -> _Plan:
        rows = order[step * self.batch : (step + 1) * self.batch]
        size = len(rows)
        mine = torch.arange(size * self.rank // self.world, size * (self.rank + 1) // self.world)
        partners, share, box = torch.arange(size), 1.0, torch.zeros(4, dtype=torch.int32)
        if self.augment.mix != "none":
            generator = seeded(self.seed, "mix", epoch, step)
            partners = torch.randperm(size, generator=generator)
            numbers = np.random.default_rng(seed_of(self.seed, "share", epoch, step))  # torch's Beta takes no generator
            share = float(numbers.beta(self.augment.alpha, self.augment.alpha))
            if self.augment.mix == "cutmix":
                box = cutmix_boxes(torch.tensor([share]), self.stock.side, generator)[0]
                share = 1 - float((box[2] - box[0]) * (box[3] - box[1])) / self.stock.side**2
        needed = torch.cat([mine, partners[mine]]).unique()
        crops = None
        if self.stock.crops:
            crops = torch.rand(size, 2 * TRIES + 2, generator=seeded(self.seed, "crop", epoch, step))[needed]
        return _Plan(step, rows, needed, mine, partners, share, box, crops)

    def _shown(self, plan: _Plan, pixels: Tensor, epoch: int) -> Shown:
        images = self._augmented(pixels, plan, epoch)
        place = torch.empty(len(plan.rows), dtype=torch.int64)
        place[plan.needed] = torch.arange(len(plan.needed))
        own, others = (place[places].to(images.device) for places in (plan.mine, plan.partners[plan.mine]))
        mixed = mix_in(images[own], images[others], self.augment.mix, plan.share, plan.box.tolist())
        rows, partners = plan.rows[plan.mine], plan.rows[plan.partners[plan.mine]]
        return _labelled(self.stock, mixed, rows, partners, plan.share, len(plan.rows), plan.mine)

    def _augmented(self, pixels: Tensor, plan: _Plan, epoch: int) -> Tensor:
        """[n, 3, S, S] float32 in [0, 255]: the needed images before mixing."""
        side, settings, size = self.stock.side, self.augment, len(plan.rows)
        if settings.patches > 1:
            draws = torch.rand(size, 2, settings.patches, generator=seeded(self.seed, "patches", epoch, plan.step))
            pixels = shuffle_patches(pixels, *draws[plan.needed].argsort(2).unbind(1))
        if settings.randaugment[0]:
            seeds = [seed_of(self.seed, "randaugment", epoch, plan.step, place) for place in plan.needed.tolist()]
            pixels = rand_augment(pixels, *settings.randaugment, seeds)
        crops = settings.crop < 1 and not self.stock.crops
        images = pixels.float()
        if crops or settings.padding or settings.flip:
            generator = seeded(self.seed, "augment", epoch, plan.step)
            flips = (torch.rand(size, generator=generator) < 0.5) & settings.flip
            if crops:
                boxes = crop_boxes(torch.full((size,), settings.crop), side, generator)
            else:
                shifts = torch.randint(-settings.padding, settings.padding + 1, (size, 2), generator=generator)
                boxes = torch.cat([shifts, torch.full_like(shifts, side)], 1).float()
            images = cut(pixels, boxes[plan.needed], flips[plan.needed])
        return images


class Labelled(Protocol):
    """Stored labels of every augmented image: `divbench.labels.store.LabelStore` or `.fkd_tar.FkdFolder`."""

    @property
    def epochs(self) -> int:
        """How many have labels of their own."""
        ...

    @property
    def batch(self) -> int:
        """Images in a batch."""
        ...

    def epoch(self, number: int) -> SoftLabels:
        """One of them."""
        ...


@dataclass(frozen=True, eq=False)
class Replay:
    """The batches that a teacher has labelled, in its order and with its augmentation.

    Attributes:
        stock: the images, in the order in which they were labelled.
        store: the labels.
        count: how many images an epoch of them has; fewer than the set where labels were pruned.
        rank, world: as of `Feed`.
    """

    stock: Stock
    store: Labelled
    count: int
    rank: int = 0
    world: int = 1

    @property
    def steps(self) -> int:
        """Batches in an epoch."""
        return steps_of(self.count, self.store.batch, self.world, leftover=True)

    def epoch(self, epoch: int, start: int = 0) -> Generator[Shown, None, None]:
        """This process's slices of the batches from ``start`` on."""
        soft = self.store.epoch(epoch)
        if len(soft) != self.count:
            raise InputError(
                f"{self.stock.images.name}: epoch {epoch} has labels of {len(soft)} images, others of {self.count}; "
                "fetch them again"
            )
        plans, ahead = tee(self._plan(soft.part(step)) for step in range(start, self.steps))
        found = self.stock.batches((part.ids[needed], None) for part, _, needed in ahead)
        for (part, mine, needed), pixels in zip(plans, found, strict=True):
            share = float(part.share)
            if part.mix == "cutmix":
                x1, y1, x2, y2 = part.boxes[0].tolist()
                share = 1 - (x2 - x1) * (y2 - y1) / self.stock.side**2
            there = part.rows(needed).to(self.stock.device)
            images = augment(pixels, there)[torch.searchsorted(needed, mine).to(pixels.device)]
            own = part.rows(mine)
            shown = _labelled(self.stock, images, own.ids, own.partners, share, len(part), mine)
            logits, weights = (
                None if value is None else value.to(self.stock.device).float() for value in (own.logits, own.weights)
            )
            yield replace(shown, logits=logits, weights=weights)

    def _plan(self, part: SoftLabels) -> tuple[SoftLabels, Tensor, Tensor]:
        size = len(part)
        mine = torch.arange(size * self.rank // self.world, size * (self.rank + 1) // self.world)
        partners = (part.partners[mine, None] == part.ids).int().argmax(1)
        return part, mine, torch.cat([mine, partners]).unique()


def _labelled(
    stock: Stock, images: Tensor, rows: Tensor, partners: Tensor, share: float, size: int, mine: Tensor
) -> Shown:
    labels, others = stock.images.labels[rows], stock.images.labels[partners]
    moved = [value.to(stock.device, non_blocking=True) for value in (rows, labels, partners, others)]
    rows, labels, partners, others = moved
    return Shown(images, rows, labels, partners, others, share, size, mine)


def steps_of(count: int, batch: int, world: int, leftover: bool) -> int:
    """Batches that an epoch of ``count`` images makes: what is left over is one where every process has two of it."""
    whole, rest = divmod(count, batch)
    return whole + (leftover and rest >= 2 * world)


def cut(pixels: Tensor, boxes: Tensor, flips: Tensor) -> Tensor:
    """Parts of images at the size of the whole, by straight lines between pixels, as one product for rows and columns.

    Args:
        pixels: [b, 3, S, S] uint8; what lies outside is black.
        boxes: [b, 4] top, left, height and width, on the CPU.
        flips: [b] bool, on the CPU: whether to mirror the result.

    Returns:
        [b, 3, S, S] float32 in [0, 255].
    """
    size = pixels.shape[-1]
    rows = source_pixels(boxes[:, 0], boxes[:, 2], size)
    columns = source_pixels(boxes[:, 1], boxes[:, 3], size, flips=flips)
    rows, columns = (places.to(pixels.device, non_blocking=True) for places in (rows, columns))
    return resample(pixels.float(), rows, columns)


def shuffle_patches(pixels: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """Images whose rows of square patches change places, and whose columns do, as in the released code of RDED.

    Patches of one row stay in one row (LINs-lab/RDED at 3f6453d8, ShufflePatches; arXiv:2312.03526).

    Args:
        pixels: [b, 3, S, S].
        rows, columns: [b, n] int64, which of the n rows and columns of patches each place gets.

    Raises:
        InputError: S is not a multiple of n.
    """
    size, grid = pixels.shape[-1], rows.shape[1]
    if size % grid:
        raise InputError(f"images of {size} pixels do not fall into {grid} x {grid} patches; set augment.patches = 1")
    side = size // grid
    down, across = (
        (order[..., None] * side + torch.arange(side)).flatten(1).to(pixels.device) for order in (rows, columns)
    )
    return pixels.take_along_dim(down[:, None, :, None], 2).take_along_dim(across[:, None, None, :], 3)
