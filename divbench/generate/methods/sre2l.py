"""SRe2L's recovery."""

from divbench.generate.augment import augmentation
from divbench.generate.methods import Setup, method
from divbench.generate.methods._pieces import teacher_pieces
from divbench.generate.recover import Pieces
from divbench.seeds import seeded


@method(cite="Yin et al. 2023, arXiv:2306.13092", needs_teacher=True)
def sre2l(setup: Setup) -> Pieces:
    """Pixels that a trained teacher classifies as their class and whose BatchNorm statistics are those of real data."""
    augment = augmentation(
        setup.recipe.augment,
        len(setup.start),
        setup.start.shape[-1],
        setup.recipe.iterations,
        seeded(setup.seed, "augment", setup.batch.number),
        setup.device,
    )
    return teacher_pieces(setup, augment)
