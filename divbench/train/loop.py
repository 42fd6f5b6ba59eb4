"""The training of a teacher: stochastic gradient descent on cross-entropy, in one process or several."""

import math
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.nn.parallel import DistributedDataParallel

from divbench import parallel
from divbench.constants import MeanStd
from divbench.errors import RecipeError
from divbench.progress import Advance, Progress
from divbench.seeds import seed_of
from divbench.train.feed import Feed, Stock
from divbench.train.files import EpochRecord, Facts, Files, Found
from divbench.train.recipe import SqueezeRecipe

KEEP_SECONDS = 15.0
"""How often the state of the training is kept."""
_EVERY = 20  # steps between looks at the loss, each of which waits for the device
_TEST_BATCH = 256


@dataclass(frozen=True, eq=False)
class Job:
    """A run, checked and read.

    Attributes:
        recipe: as given.
        seed: as given.
        device: as given.
        classes: class names.
        network: with its first weights, on the CPU.
        feed: the batches of this process.
        test: the images to test on.
        tested_on: which they are, in words.
        mean_std: the normalisation.
        identity: what decides the weights; see `IDENTITY`.
    """

    recipe: SqueezeRecipe
    seed: int
    device: torch.device
    classes: tuple[str, ...]
    network: nn.Module
    feed: Feed
    test: Stock | None
    tested_on: str
    mean_std: MeanStd
    identity: Facts


def learning_rate(recipe: SqueezeRecipe, epoch: int, part: float) -> float:
    """The rate of a step.

    Args:
        recipe: with the schedule.
        epoch: from 0 on.
        part: of the epoch that lies behind, from 0 to below 1.
    """
    now = epoch + part if recipe.schedule == "one-cycle" else epoch
    if now < recipe.warmup_epochs:
        return recipe.lr * (0.01 + 0.99 * now / recipe.warmup_epochs)
    done = (now - recipe.warmup_epochs) / (recipe.epochs - recipe.warmup_epochs)
    if recipe.schedule == "constant":
        return recipe.lr
    if recipe.schedule == "thirds":
        return recipe.lr * 0.1 ** int(3 * done + 1e-9)
    return recipe.lr * 0.5 * (1 + math.cos(math.pi * done))


class Training:
    """A network and its optimiser, somewhere between the first step and the last."""

    def __init__(self, job: Job, files: Files, found: Found) -> None:
        self.job, self.files = job, files
        self.epoch, self.step, self.curve = found.epoch, found.step, list(found.curve)
        self.world, self.first = parallel.world(), parallel.rank() == 0
        kept = files.load() if found.kind != "nothing" and self.first else {}
        self.network = job.network.to(job.device).to(memory_format=torch.channels_last)
        if kept:
            self.network.load_state_dict({name: kept[f"network.{name}"] for name in self.network.state_dict()})
        self.model = self._shared()
        self.optimizer = self._optimizer(kept)
        sums = found.sums if self.first else (0.0, 0.0)
        self.sums = torch.tensor(sums, dtype=torch.float64, device=job.device)
        self.began = time.perf_counter() - found.seconds
        self.kept_at = time.perf_counter()
        self.mean, self.std = (torch.tensor(numbers, device=job.device).view(1, -1, 1, 1) for numbers in job.mean_std)

    def run(self, progress: Progress, report: Callable[[EpochRecord], object]) -> None:
        """All epochs that are left."""
        recipe, images = self.job.recipe, self.job.feed.steps * self.job.recipe.batch
        with progress(f"squeeze {recipe.dataset}", recipe.epochs * images) as advance:
            if behind := self.epoch * images + self.step * recipe.batch:
                advance(behind, "found unfinished work")
            while self.epoch < recipe.epochs:
                self._train(advance)
                record = self._record()
                if self.first:
                    report(record)

    def _train(self, advance: Advance) -> None:
        """The steps of this epoch that are left."""
        recipe, feed = self.job.recipe, self.job.feed
        self.network.train()
        text = f"epoch {self.epoch + 1}/{recipe.epochs}"
        with closing(feed.epoch(self.epoch, self.step)) as batches:
            for pixels, labels in batches:
                self._step(pixels, labels)
                self.step += 1
                if self.step % _EVERY == 0 and self.step < feed.steps:
                    loss, right = self._totals()
                    self._keep_if_due((loss, right))
                    text = f"epoch {self.epoch + 1}/{recipe.epochs} loss {loss / self.step:.3g}"
                advance(recipe.batch, text)

    def _step(self, pixels: Tensor, labels: Tensor) -> None:
        recipe = self.job.recipe
        torch.manual_seed(seed_of(self.job.seed, "dropout", self.epoch, self.step, parallel.rank()))
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate(recipe, self.epoch, self.step / self.job.feed.steps)
        logits = self._logits(self.model, pixels)
        smoothing = recipe.label_smoothing
        loss = cross_entropy(logits, labels, reduction="sum", label_smoothing=smoothing) / recipe.batch
        self.optimizer.zero_grad(set_to_none=True)
        (loss * self.world).backward()  # processes' gradients are averaged
        self.optimizer.step()
        right = (logits.detach().argmax(1) == labels).sum() / recipe.batch
        self.sums += torch.stack([loss.detach().double(), right.double()])

    def _logits(self, network: nn.Module, pixels: Tensor) -> Tensor:
        """[b, classes] float32 for pixels [b, 3, S, S] in [0, 255]."""
        images = (pixels.float() / 255).sub_(self.mean).div_(self.std).contiguous(memory_format=torch.channels_last)
        half = self.job.recipe.precision == "bfloat16"
        # A cache would outlive the step inside full_float32, and hold weights of the step before.
        with torch.autocast(self.job.device.type, torch.bfloat16, half, cache_enabled=False):
            logits: Tensor = network(images)
        return logits.float()

    def _totals(self) -> tuple[float, float]:
        """Loss and accuracy, summed over the steps of this epoch so far and over processes."""
        said = parallel.gather_json(self.sums.tolist())
        loss, right = (sum(one[which] for one in said) for which in (0, 1))
        if not math.isfinite(loss):
            self._give_up()
        return loss, right

    def _give_up(self) -> None:
        if self.first:
            self.files.forget()  # it would end here again
        recipe = self.job.recipe
        raise RecipeError(
            f"epoch {self.epoch + 1}: the loss is NaN or infinite; give a lower lr (it is {recipe.lr:g})"
            + (", or precision float32" if recipe.precision != "float32" else "")
        )

    def _record(self) -> EpochRecord:
        """End the epoch."""
        loss, right = (total / self.job.feed.steps for total in self._totals())
        accuracy = self._accuracy(self.job.test) if self.job.test is not None and self.first else None
        seconds = round(time.perf_counter() - self.began, 3)
        record = EpochRecord(self.epoch + 1, loss, right, accuracy, seconds)
        self.curve.append(record)
        self.epoch, self.step, self.began = self.epoch + 1, 0, time.perf_counter()
        self.sums.zero_()
        if self.epoch < self.job.recipe.epochs:
            self._keep_if_due((0.0, 0.0))
        return record

    def _accuracy(self, test: Stock) -> float:
        self.network.eval()
        right = torch.zeros((), dtype=torch.int64, device=self.job.device)
        with torch.no_grad():
            for pixels, labels in test.in_order(_TEST_BATCH):
                right += (self._logits(self.network, pixels).argmax(1) == labels).sum()
        return int(right) / len(test.images)

    def _keep_if_due(self, sums: tuple[float, float]) -> None:
        if not self.first or time.perf_counter() - self.kept_at < KEEP_SECONDS:
            return
        tensors = {f"network.{name}": value for name, value in self.network.state_dict().items()}
        tensors |= {f"momentum.{name}": self._momentum(value) for name, value in self.network.named_parameters()}
        seconds = time.perf_counter() - self.began
        now = Found("unfinished", self.epoch, self.step, sums, seconds, tuple(self.curve))
        self.files.keep(tensors, now, self.job.identity)
        self.kept_at = time.perf_counter()

    def _shared(self) -> nn.Module:
        """The network, with gradients averaged over processes and the first one's state where there are several."""
        if self.world == 1:
            return self.network
        device = self.job.device
        return DistributedDataParallel(self.network, device_ids=[device] if device.type == "cuda" else None)

    def _optimizer(self, kept: dict[str, Tensor]) -> torch.optim.Optimizer:
        recipe = self.job.recipe
        optimizer = torch.optim.SGD(
            self.network.parameters(), recipe.lr, recipe.momentum, 0, recipe.weight_decay, recipe.nesterov, fused=True
        )
        for name, value in self.network.named_parameters():
            momentum = torch.zeros_like(value, requires_grad=False)
            if kept:
                momentum.copy_(kept[f"momentum.{name}"])
            if self.world > 1:
                dist.broadcast(momentum, 0)
            optimizer.state[value]["momentum_buffer"] = momentum
        return optimizer

    def _momentum(self, parameter: Tensor) -> Tensor:
        momentum: Tensor = self.optimizer.state[parameter]["momentum_buffer"]
        return momentum
