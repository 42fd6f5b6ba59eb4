"""CDA: SRe2L with crops that start as whole images and become as small as the recipe allows."""

import math

from divbench.errors import RecipeError
from divbench.generate.augment import augmentation
from divbench.generate.methods import Setup, method
from divbench.generate.methods._pieces import teacher_pieces
from divbench.generate.recover import Pieces
from divbench.seeds import seeded

_CURRICULA = ("cosine", "linear", "step")


@method(cite="Yin & Shen 2024, arXiv:2311.18838; released recover_cda_tiny.py 57-73", needs_teacher=True)
def cda(setup: Setup, curriculum: str = "cosine", milestone: float = 1.0) -> Pieces:
    """SRe2L whose random crops go from the whole image to small parts.

    Args:
        setup: the batch; ``augment.crop`` of its recipe is the smallest share of the area, reached at the milestone.
        curriculum: the way there: half a ``cosine``, ``linear``, or whole images until then (``step``).
        milestone: share of the iterations at which the smallest crops are reached, 0 to 1.
    """
    if curriculum not in _CURRICULA or not 0 <= milestone <= 1:
        raise RecipeError(
            f"method 'cda': curriculum = {curriculum!r}, milestone = {milestone}; expected one of "
            f"{', '.join(_CURRICULA)} and a share from 0 to 1"
        )
    recipe = setup.recipe
    until = milestone * recipe.iterations

    def least_crop(step: int) -> float:
        if step >= until:
            return recipe.augment.crop
        done = step / until
        left = {"cosine": 0.5 * (1 + math.cos(math.pi * done)), "linear": 1 - done, "step": 1.0}[curriculum]
        return recipe.augment.crop + (1 - recipe.augment.crop) * left

    augment = augmentation(
        recipe.augment,
        len(setup.start),
        setup.start.shape[-1],
        recipe.iterations,
        seeded(setup.seed, "augment", setup.batch.number),
        setup.device,
        least_crop=least_crop,
    )
    return teacher_pieces(setup, augment)
