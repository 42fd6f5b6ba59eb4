"""The recovery loop: images are changed by gradient descent until weighted loss terms are small.

One loop for all methods. A method says what is optimised, how images are made of it, which networks look at them and
what is allowed (`Pieces`); a recipe says which terms count how much.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor
from torch.optim import Optimizer

from divbench.errors import RecoveryError
from divbench.generate.recipe import Adam, Recipe, Sgd
from divbench.generate.terms import Weighted
from divbench.generate.view import View

_EVERY = 20  # steps between looks at the losses, each of which waits for the device

Report = Callable[[int, dict[str, float]], None]
"""Called with the number of steps done since the last call, and the weighted loss of each term."""


@dataclass(frozen=True, eq=False)
class Pieces:
    """What a method puts into the loop, for one batch.

    Attributes:
        parameters: leaves that are optimised, on the device, with gradients.
        render: step -> images [B, 3, S, S] in the teacher's normalisation, differentiable in the parameters, and
            their labels [B]; B may depend on the step.
        look: (images, labels, step) -> views by who looks: ``method`` and, where terms ask for it, ``teacher``.
        project: brings the parameters back to what is allowed, in place; called after every step.
    """

    parameters: list[Tensor]
    render: Callable[[int], tuple[Tensor, Tensor]]
    look: Callable[[Tensor, Tensor, int], Mapping[str, View]]
    project: Callable[[], None]


class Recovered(NamedTuple):
    """The images [B, 3, S, S] after the last step, and the weighted losses [steps, terms] before each; on the CPU."""

    images: Tensor
    losses: Tensor


def recover(pieces: Pieces, terms: list[Weighted], recipe: Recipe, report: Report) -> Recovered:
    """Run all iterations of a recipe on one batch.

    Raises:
        RecoveryError: a loss is NaN or infinite; holds the images at the last look where all was well.
    """
    steps = recipe.iterations
    optimizer = _optimizer(recipe.optimizer, pieces.parameters)
    losses = torch.zeros(steps, len(terms), device=pieces.parameters[0].device)
    good, good_step = pieces.render(0)[0].detach().clone(), 0
    for step in range(steps):
        images, labels = pieces.render(step)
        views = pieces.look(images, labels, step)
        active = [(i, w) for i, w in enumerate(terms) if step >= w.begin * steps]
        values = {i: w.weight * w(views[w.term.sees]) for i, w in active}
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(recipe.optimizer, step, steps)
        if values:
            optimizer.zero_grad(set_to_none=True)
            torch.stack(list(values.values())).sum().backward()
            optimizer.step()
        for i, value in values.items():
            losses[step, i] = value.detach()
        with torch.no_grad():
            pieces.project()
        if (step + 1) % _EVERY == 0 or step + 1 == steps:
            _check(losses[good_step : step + 1], good_step, terms, good)
            report(step + 1 - good_step, {w.term.name: float(losses[step, i]) for i, w in enumerate(terms)})
            good, good_step = _images(pieces, step, terms, good), step + 1
    return Recovered(pieces.render(steps)[0].detach().cpu(), losses.cpu())


def learning_rate(settings: Adam | Sgd, step: int, steps: int) -> float:
    """The rate at ``step``: constant, or half a cosine from ``lr`` down to zero over all steps."""
    return settings.lr * (0.5 * (1 + math.cos(math.pi * step / steps)) if settings.schedule == "cosine" else 1)


def _optimizer(settings: Adam | Sgd, parameters: list[Tensor]) -> Optimizer:
    if isinstance(settings, Adam):
        return torch.optim.Adam(parameters, lr=settings.lr, betas=settings.betas, eps=1e-8)
    return torch.optim.SGD(parameters, lr=settings.lr, momentum=settings.momentum)


def _check(losses: Tensor, first: int, terms: list[Weighted], good: Tensor) -> None:
    bad = ~losses.isfinite()
    if bool(bad.any()):
        step = int(bad.any(1).nonzero()[0])
        names = [w.term.name for i, w in enumerate(terms) if bool(bad[step, i])]
        raise RecoveryError(first + step, names, good.cpu())


def _images(pieces: Pieces, step: int, terms: list[Weighted], good: Tensor) -> Tensor:
    """The images after ``step``; a gradient can be infinite where its loss is not."""
    images = pieces.render(step)[0].detach().clone()
    if not bool(images.isfinite().all()):
        raise RecoveryError(step, [f"the gradient of {' + '.join(w.term.name for w in terms)}"], good.cpu())
    return images
