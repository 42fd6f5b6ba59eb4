"""Which images of which classes are optimised together: the unit of resuming and of sharing the work out."""

from typing import NamedTuple

import torch
from torch import Tensor

from divbench.errors import RecipeError
from divbench.generate.recipe import Recipe
from divbench.generate.terms import Weighted


class Batch(NamedTuple):
    """Images ``ids`` of each of the ``classes``, class after class."""

    number: int
    classes: tuple[int, ...]
    ids: range

    @property
    def labels(self) -> Tensor:
        """[B] int64."""
        return torch.tensor(self.classes).repeat_interleave(len(self.ids))


def plan_batches(recipe: Recipe, classes: int) -> list[Batch]:
    """All batches of a set of ``classes`` classes: for each stretch of images, all classes block by block.

    They depend on the recipe alone, and neither on the machine nor on the number of processes.
    """
    blocks = [tuple(range(c, min(c + recipe.batch.classes, classes))) for c in range(0, classes, recipe.batch.classes)]
    each = recipe.batch.per_class
    stretches = [range(i, min(i + each, recipe.ipc)) for i in range(0, recipe.ipc, each)]
    parts = [(block, ids) for ids in stretches for block in blocks]
    return [Batch(index, block, ids) for index, (block, ids) in enumerate(parts)]


def check_pairs(batches: list[Batch], terms: list[Weighted]) -> None:
    """Raise `RecipeError` where a term compares images of a class and a batch has one of each class."""
    lonely = [batch for batch in batches if len(batch.ids) < 2]
    asking = [weighted.term.name for weighted in terms if "pairs" in weighted.term.needs]
    if lonely and asking:
        raise RecipeError(
            f"{', '.join(asking)} compares images of one class, but batch {lonely[0].number} has one image of each "
            f"class, number {lonely[0].ids[0]}, so there is nothing to compare; set batch.per_class to at least 2 that "
            f"leaves no remainder of 1, give an --ipc of at least 2, or set terms.{asking[0]}.weight=0"
        )
