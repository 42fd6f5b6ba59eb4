"""Methods: what each puts into the recovery loop.

Each module holds one method. A method is a function and one decorator::

    @method(cite="Yin et al. 2023, arXiv:2306.13092", needs_teacher=True)
    def sre2l(setup: Setup) -> Pieces: ...

Its further parameters are its settings in a recipe, beside ``name``.
"""

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import Tensor

from divbench.constants import MeanStd
from divbench.errors import RecipeError
from divbench.generate.batches import Batch
from divbench.generate.recipe import Recipe, Setting
from divbench.generate.recover import Pieces
from divbench.generate.terms import Weighted
from divbench.generate.view import RealFeatures
from divbench.registry import Registry, resolve_settings
from divbench.teacher import Teacher

__all__ = ["METHODS", "Method", "Setup", "method"]

Function = TypeVar("Function", bound=Callable[..., Pieces])


@dataclass(frozen=True, eq=False)
class Setup:
    """Everything that a method may use for one batch.

    Attributes:
        recipe, batch, terms: what to do.
        teacher: the trained network; None where neither the method nor a term needs one.
        mean_std: normalisation of the images, per channel.
        start: [B, 3, S, S] float32 on the device, normalised: where the images begin.
        real: features of the real images of the classes of the batch as the teacher sees them; empty rows where no
            term asks for them.
        draw_real: (n, generator) -> n random real images of each class of the batch, [C n, 3, S, S] float32 on the
            device, normalised, class after class.
        seed: the user's seed.
        device: where to compute.
    """

    recipe: Recipe
    batch: Batch
    terms: list[Weighted]
    teacher: Teacher | None
    mean_std: MeanStd
    start: Tensor
    real: RealFeatures
    draw_real: Callable[[int, torch.Generator], Tensor]
    seed: int
    device: torch.device

    def asks(self, sees: str, need: str | None = None) -> bool:
        """Whether a term looks through ``sees`` and, where given, needs ``need``."""
        return any(w.term.sees == sees and (need is None or need in w.term.needs) for w in self.terms)


@dataclass(frozen=True)
class Method:
    """A method and what has to be known of it before it runs.

    Attributes:
        function: ``f(setup, **settings)``.
        cite: paper.
        needs_teacher: whether it looks at images through the teacher.
        shows: what its own networks have that terms may need: ``logits``, ``norms``.
        settings: names and defaults.
    """

    name: str
    function: Callable[..., Pieces]
    cite: str
    needs_teacher: bool
    shows: frozenset[str]
    settings: dict[str, Setting]

    @property
    def summary(self) -> str:
        """First line of the docstring."""
        return (inspect.getdoc(self.function) or "").split("\n")[0]

    def resolve(self, recipe: Recipe) -> dict[str, Setting]:
        """All settings for ``recipe``; raises `RecipeError` for unknown ones or values of another type."""
        given = {key: value for key, value in recipe.method.items() if key != "name"}
        return resolve_settings(f"method {self.name!r}", self.settings, given, RecipeError, least=1)


METHODS: Registry[Method] = Registry("method", "divbench.generate.methods", RecipeError)


def method(
    *, cite: str, needs_teacher: bool, shows: tuple[str, ...] = ("logits", "norms")
) -> Callable[[Function], Function]:
    """Register the decorated function under its own name and return it unchanged."""

    def register(function: Function) -> Function:
        parameters = list(inspect.signature(function).parameters.values())
        settings = {p.name: p.default for p in parameters[1:]}
        METHODS.add(
            function.__name__, Method(function.__name__, function, cite, needs_teacher, frozenset(shows), settings)
        )
        return function

    return register
