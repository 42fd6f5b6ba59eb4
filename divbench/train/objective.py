"""What a network is asked to say of the images that it sees, and how far it is from that."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, kl_div, log_softmax, mse_loss

from divbench.teacher import Labeller
from divbench.train.feed import Shown
from divbench.train.recipe import TrainRecipe


def rounding(recipe: TrainRecipe, device: torch.device) -> torch.autocast:
    """Inside, convolutions and products have the precision of the recipe."""
    # A cache would outlive the step inside full_float32, and hold weights of the step before.
    return torch.autocast(device.type, torch.bfloat16, recipe.precision == "bfloat16", cache_enabled=False)


@dataclass(frozen=True, eq=False)
class Objective:
    """The loss of a recipe.

    Attributes:
        recipe: its ``labels``, ``loss`` and ``label_smoothing`` are used.
        teachers: that are asked about what the student sees; with online labels alone.
        static: [N, C] float32 logits of every image of the set as it is, on the device; with static labels alone.
    """

    recipe: TrainRecipe
    teachers: Sequence[Labeller] = ()
    static: Tensor | None = None

    def __call__(self, logits: Tensor, shown: Shown) -> Tensor:
        """[b] loss of each image, for logits [b, C] float32 of the network."""
        loss = self.recipe.loss
        if loss.kind == "cross_entropy":
            own = self._hard(logits, shown.labels)
            if shown.share == 1:
                return own
            return shown.share * own + (1 - shown.share) * self._hard(logits, shown.partner_labels)
        if loss.kind == "kl":
            heat = loss.temperature
            said = (self._logits(shown) / heat).softmax(1)
            soft = kl_div(log_softmax(logits / heat, 1), said, reduction="none").sum(1)
            soft = soft * heat**2 if loss.squared else soft
        else:
            soft = mse_loss(logits, self._logits(shown), reduction="none").mean(1)
        soft = soft if shown.weights is None else soft * shown.weights
        return soft + loss.hard * self._hard(logits, shown.labels) if loss.hard else soft

    def _hard(self, logits: Tensor, labels: Tensor) -> Tensor:
        return cross_entropy(logits, labels, reduction="none", label_smoothing=self.recipe.label_smoothing)

    def _logits(self, shown: Shown) -> Tensor:
        """[b, C] float32: the mean of the teachers' logits, or what is stored; static ones mixed as the images are."""
        if shown.logits is not None:
            return shown.logits
        if self.static is not None:
            return self.static[shown.rows].lerp(self.static[shown.partners], 1 - shown.share)
        with torch.no_grad(), rounding(self.recipe, shown.images.device):  # teachers compute as the student does
            return torch.stack([teacher(shown.images) for teacher in self.teachers]).float().mean(0)
