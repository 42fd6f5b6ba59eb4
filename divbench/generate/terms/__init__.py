"""Loss terms of recovery: functions of a `View` that give one number to be made small.

Each module holds one family. A term is a plain function and one decorator::

    @term(cite="DiRe eq. 3", sees="teacher", needs=("pairs",))
    def cosine_diversity(view: View, reduction: str = "mean") -> Tensor: ...

Its further parameters are its settings in a recipe, beside ``weight`` and ``begin`` (the share of the iterations after
which it starts to count; 0 unless given).
"""

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

from torch import Tensor

from divbench.errors import RecipeError
from divbench.generate.recipe import Setting, Settings
from divbench.registry import Registry, resolve_settings

__all__ = ["TERMS", "Term", "Weighted", "resolve_terms", "term"]

Need = Literal["real", "pairs", "logits", "norms"]
Function = TypeVar("Function", bound=Callable[..., Tensor])


@dataclass(frozen=True)
class Term:
    """A loss term and what the loop needs to know about it.

    Attributes:
        function: ``f(view, **settings)``, a scalar.
        cite: paper and equation.
        sees: through which network: the ``teacher``, or the one that the ``method`` uses (for most, the teacher).
        needs: ``real``: features of the real images of each class; ``pairs``: at least two images of each class in
            a batch; ``logits``: of a network that knows the classes; ``norms``: the inputs of BatchNorm layers.
        settings: names and defaults.
    """

    name: str
    function: Callable[..., Tensor]
    cite: str
    sees: Literal["teacher", "method"]
    needs: frozenset[Need]
    settings: dict[str, Setting]

    @property
    def summary(self) -> str:
        """First line of the docstring."""
        return (inspect.getdoc(self.function) or "").split("\n")[0]


@dataclass(frozen=True)
class Weighted:
    """A term as a recipe uses it."""

    term: Term
    weight: float
    begin: float
    settings: dict[str, Any]

    def __call__(self, view: Any) -> Tensor:
        return self.term.function(view, **self.settings)


TERMS: Registry[Term] = Registry("term", "divbench.generate.terms", RecipeError)


def term(
    *, cite: str, sees: Literal["teacher", "method"] = "method", needs: tuple[Need, ...] = ()
) -> Callable[[Function], Function]:
    """Register the decorated function under its own name and return it unchanged."""

    def register(function: Function) -> Function:
        parameters = list(inspect.signature(function).parameters.values())
        settings = {p.name: p.default for p in parameters[1:]}
        TERMS.add(function.__name__, Term(function.__name__, function, cite, sees, frozenset(needs), settings))
        return function

    return register


def resolve_terms(settings: dict[str, Settings]) -> list[Weighted]:
    """The terms of a recipe that have a weight, sorted by name: the sum of losses has one order, and so one rounding.

    Raises:
        RecipeError: an unknown term or setting, a value of another type, or no term at all.
    """
    found = []
    for name, given in sorted(settings.items()):
        known = TERMS[name]
        own = {"weight": 0.0, "begin": 0.0, **known.settings}
        full = resolve_settings(f"term {name!r}", own, given, RecipeError, least=1)
        weight, begin = float(full.pop("weight")), float(full.pop("begin"))
        if not 0 <= begin < 1:
            raise RecipeError(f"term {name!r}: begin = {begin} is the share of iterations before it; give 0 to below 1")
        if weight:
            found.append(Weighted(known, weight, begin, full))
    if not found:
        raise RecipeError("the recipe has no term with a weight, so there is nothing to optimise")
    return found
