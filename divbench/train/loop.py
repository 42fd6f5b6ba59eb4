"""The training loop: teachers and students, in one process or several, interrupted and gone on with."""

import math
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from divbench import parallel
from divbench.augment.siamese import siamese_augmentation
from divbench.constants import MeanStd
from divbench.errors import RecipeError
from divbench.networks import exact_classifier, last_layer
from divbench.progress import Advance
from divbench.results import EpochRecord
from divbench.seeds import seed_of
from divbench.train.feed import Batches, Shown
from divbench.train.files import Facts, Found, Unfinished
from divbench.train.objective import Objective, rounding
from divbench.train.recipe import TrainRecipe
from divbench.train.stock import Stock

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
        network: with its first weights, on the CPU.
        batches: those of this process.
        objective: the loss.
        test: the images to test on; None: there are none.
        mean_std: the normalisation.
        identity: what decides the weights, in JSON types.
    """

    recipe: TrainRecipe
    seed: int
    device: torch.device
    network: nn.Module
    batches: Batches
    objective: Objective
    test: Stock | None
    mean_std: MeanStd
    identity: Facts


def learning_rate(recipe: TrainRecipe, epoch: int, part: float) -> float:
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
    if recipe.schedule == "halves":
        return recipe.lr * (0.1 if epoch > recipe.epochs // 2 else 1)
    half = 0.5 if recipe.schedule == "half-cosine" else 1
    return recipe.lr * 0.5 * (1 + math.cos(math.pi * done * half))


class Training:
    """A network and its optimiser, somewhere between the first step and the last.

    Attributes:
        network: on the device.
        curve: the records of tested epochs; of all where there is nothing to test on.
        right: [C] int64 on the CPU, the test images of each class that were told rightly last time, on the first
            process; None: nothing was tested.
    """

    def __init__(self, job: Job, unfinished: Unfinished, found: Found | None) -> None:
        self.job, self.unfinished = job, unfinished
        now = found or Found()
        self.epoch, self.step, self.curve = now.epoch, now.step, list(now.curve)
        self.world, self.first = parallel.world(), parallel.rank() == 0
        kept = unfinished.load() if found is not None and self.first else {}
        self.format = _format(job.network)
        self.network = job.network.to(job.device).to(memory_format=self.format)
        exact_classifier(self.network, last_layer(self.network, job.batches.stock.side))
        if kept:
            self.network.load_state_dict({name: kept[f"network.{name}"] for name in self.network.state_dict()})
        self.model = self._shared()
        self.optimizer = self._optimizer(kept)
        self.right: Tensor | None = None
        self.sums = torch.tensor(now.sums if self.first else (0.0, 0.0), dtype=torch.float64, device=job.device)
        self.began = time.perf_counter() - now.seconds
        self.kept_at = time.perf_counter()
        self.mean, self.std = (torch.tensor(numbers, device=job.device).view(1, -1, 1, 1) for numbers in job.mean_std)
        self.siamese = siamese_augmentation(job.recipe.augment.siamese, job.batches.stock.side)

    @property
    def total(self) -> int:
        """Training images that go by in all epochs, for showing progress."""
        return self.job.recipe.epochs * self.job.batches.steps * self.job.recipe.batch

    def run(self, advance: Advance, report: Callable[[EpochRecord], object]) -> None:
        """All epochs that are left."""
        recipe = self.job.recipe
        if behind := (self.epoch * self.job.batches.steps + self.step) * recipe.batch:
            advance(behind, "found unfinished work")
        while self.epoch < recipe.epochs:
            self._train(advance)
            record = self._record()
            if self.first:
                report(record)

    def _train(self, advance: Advance) -> None:
        """The steps of this epoch that are left."""
        recipe, batches = self.job.recipe, self.job.batches
        self.network.train()
        tested = next((f", test {one.test_accuracy:.1%}" for one in self.curve[-1:] if one.test_accuracy), "")
        text = f"epoch {self.epoch + 1}/{recipe.epochs}{tested}"
        with closing(batches.epoch(self.epoch, self.step)) as shown_ones:
            for shown in shown_ones:
                self._step(shown)
                self.step += 1
                if self.step % _EVERY == 0 and self.step < batches.steps:
                    loss, right = self._totals()
                    self._keep_if_due((loss, right))
                    text = f"epoch {self.epoch + 1}/{recipe.epochs} loss {loss / self.step:.3g}{tested}"
                advance(recipe.batch, text)

    def _step(self, shown: Shown) -> None:
        recipe = self.job.recipe
        torch.manual_seed(seed_of(self.job.seed, "dropout", self.epoch, self.step, parallel.rank()))
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate(recipe, self.epoch, self.step / self.job.batches.steps)
        images = self._normalised(shown.images)
        if recipe.augment.siamese != "none":
            seed = seed_of(self.job.seed, "siamese", self.epoch, self.step)
            images = self.siamese(images, seed, (shown.size, shown.mine))
        logits = self._logits(self.model, images)
        loss = self.job.objective(logits, shown).sum() / shown.size
        self.optimizer.zero_grad(set_to_none=True)
        (loss * self.world).backward()  # processes' gradients are averaged
        self.optimizer.step()
        right = (logits.detach().argmax(1) == shown.labels).sum() / shown.size
        self.sums += torch.stack([loss.detach().double(), right.double()])

    def _normalised(self, pixels: Tensor) -> Tensor:
        """[b, 3, S, S] float32 for pixels in [0, 255]."""
        return (pixels.float() / 255).sub_(self.mean).div_(self.std)

    def _logits(self, network: nn.Module, images: Tensor) -> Tensor:
        """[b, classes] float32 for normalised images [b, 3, S, S]."""
        with rounding(self.job.recipe, self.job.device):
            logits: Tensor = network(images.contiguous(memory_format=self.format))
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
            self.unfinished.forget()  # it would end here again
        recipe = self.job.recipe
        raise RecipeError(
            f"epoch {self.epoch + 1}: the loss is NaN or infinite; give a lower lr (it is {recipe.lr:g})"
            + (", or precision float32" if recipe.precision != "float32" else "")
        )

    def _record(self) -> EpochRecord:
        """End the epoch."""
        loss, right = (total / self.job.batches.steps for total in self._totals())
        number, recipe = self.epoch + 1, self.job.recipe
        due = self.job.test is not None and (number % recipe.test_every == 0 or number == recipe.epochs)
        accuracy = self._accuracy(self.job.test) if due and self.job.test is not None and self.first else None
        seconds = round(time.perf_counter() - self.began, 3)
        record = EpochRecord(number, loss, right, accuracy, seconds)
        if due or self.job.test is None:
            self.curve.append(record)
            self.began = time.perf_counter()
        self.epoch, self.step = number, 0
        self.sums.zero_()
        if self.epoch < recipe.epochs:
            self._keep_if_due((0.0, 0.0))
        return record

    def _accuracy(self, test: Stock) -> float:
        self.network.eval()
        self.right = right_per_class(lambda pixels: self._logits(self.network, self._normalised(pixels)), test)
        return int(self.right.sum()) / len(test.images)

    def _keep_if_due(self, sums: tuple[float, float]) -> None:
        if not self.first or time.perf_counter() - self.kept_at < KEEP_SECONDS:
            return
        tensors = {f"network.{name}": value for name, value in self.network.state_dict().items()}
        for name, parameter in self.network.named_parameters():
            tensors |= {f"{key}.{name}": value for key, value in self.optimizer.state[parameter].items()}
        seconds = time.perf_counter() - self.began
        now = Found(self.epoch, self.step, sums, seconds, tuple(self.curve))
        self.unfinished.keep(tensors, now, self.job.identity)
        self.kept_at = time.perf_counter()

    def _shared(self) -> nn.Module:
        """The network, with gradients averaged over processes and the first one's state where there are several."""
        if self.world == 1:
            return self.network
        device = self.job.device
        return DistributedDataParallel(self.network, device_ids=[device] if device.type == "cuda" else None)

    def _optimizer(self, kept: dict[str, Tensor]) -> torch.optim.Optimizer:
        recipe = self.job.recipe
        named = list(self.network.named_parameters())
        decayed = [value for _, value in named if recipe.decayed == "all" or value.ndim > 1]
        others = [value for _, value in named if recipe.decayed != "all" and value.ndim <= 1]
        groups = [{"params": decayed, "weight_decay": recipe.weight_decay}, {"params": others, "weight_decay": 0.0}]
        groups = [group for group in groups if group["params"]]
        optimizer: torch.optim.Optimizer
        if recipe.optimizer == "sgd":
            optimizer = torch.optim.SGD(groups, recipe.lr, recipe.momentum, nesterov=recipe.nesterov, fused=True)
            keys = ["momentum_buffer"] if recipe.momentum else []
        else:
            kind = torch.optim.AdamW if recipe.optimizer == "adamw" else torch.optim.Adam
            optimizer = kind(groups, recipe.lr, recipe.betas, fused=True)
            keys = ["step", "exp_avg", "exp_avg_sq"]
        for name, value in named:
            for key in keys:
                state = torch.zeros((), device=value.device) if key == "step" else torch.zeros_like(value).detach()
                if kept:
                    state.copy_(kept[f"{key}.{name}"])
                if self.world > 1:
                    dist.broadcast(state, 0)
                optimizer.state[value][key] = state
        return optimizer


def _format(network: nn.Module) -> torch.memory_format:
    """Convolutions are faster with the channels last; group normalisation is many times slower so on the CPU."""
    grouped = any(isinstance(module, nn.GroupNorm) for module in network.modules())
    return torch.contiguous_format if grouped else torch.channels_last


def right_per_class(logits: Callable[[Tensor], Tensor], test: Stock) -> Tensor:
    """[C] int64 on the CPU: how many images of each class a network tells rightly.

    Args:
        logits: [b, C] for pixels [b, 3, S, S] uint8, of a network in evaluation mode.
        test: the images.
    """
    right = torch.zeros(len(test.images.classes), dtype=torch.int64, device=test.device)
    with torch.no_grad():
        for pixels, labels in test.in_order(_TEST_BATCH):
            right += labels[logits(pixels).argmax(1) == labels].bincount(minlength=len(right))
    return right.cpu()
