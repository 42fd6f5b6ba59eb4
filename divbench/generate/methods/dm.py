"""DM: class means of real and synthetic images agree in the eyes of ever new random networks."""

from collections.abc import Mapping

import torch
from torch import Tensor

from divbench.augment.siamese import STRATEGIES, siamese_augmentation
from divbench.errors import RecipeError
from divbench.generate.methods import Setup, method
from divbench.generate.methods._pieces import free_pixels, teacher_observer, teacher_view
from divbench.generate.recover import Pieces
from divbench.generate.view import RealFeatures, View
from divbench.networks import ConvNet
from divbench.seeds import seed_of, seeded


@method(cite="Zhao & Bilen 2023, arXiv:2110.04181", needs_teacher=False, shows=())
def dm(
    setup: Setup, width: int = 128, depth: int = 3, real_batch: int = 256, augmentation: str = "_".join(STRATEGIES)
) -> Pieces:
    """Pixels whose class means agree with those of random real images, seen by a new random network at every step.

    One augmentation is drawn for all classes of a step, where the released code draws one for each class. On a GPU
    ``scale`` and ``rotate`` have gradients that add up in any order, so the same seed gives the same bytes on the CPU
    only, or with an ``augmentation`` that leaves them out.

    Args:
        setup: the batch. Pixels are not clipped while they are optimised, as in the released code.
        width: channels of the random ConvNets.
        depth: their blocks, each of which halves the image.
        real_batch: real images of each class at every step.
        augmentation: differentiable augmentations joined by ``_``, one drawn for each step and done alike to real and
            synthetic images; ``none``: none.
    """
    size = setup.start.shape[-1]
    if size >> depth < 1:
        raise RecipeError(f"method 'dm': {depth} halvings are too many for images of {size} pixels; set method.depth")
    draws = seeded(setup.seed, "dm", setup.batch.number)
    augment = siamese_augmentation(augmentation, size)
    teacher = teacher_observer(setup, norms=setup.asks("teacher", "norms")) if setup.asks("teacher") else None
    classes = len(setup.batch.classes)

    def look(images: Tensor, labels: Tensor, step: int) -> Mapping[str, View]:
        network = ConvNet(1, width, depth, size, seed=seed_of(setup.seed, "dm network", setup.batch.number, step))
        network = network.to(setup.device).requires_grad_(False)
        real = setup.draw_real(real_batch, draws)
        seed = seed_of(setup.seed, "dm augment", setup.batch.number, step)
        with torch.no_grad():
            rows = network.features(augment(real, seed)).view(classes, real_batch, -1)
        features = network.features(augment(images, seed))
        counts = torch.full((classes,), float(real_batch), device=setup.device)
        views = {"method": View(images, labels, classes, features, features, (), RealFeatures(rows, counts))}
        if teacher is not None:
            views["teacher"] = teacher_view(setup, teacher, images, labels)
        return views

    return free_pixels(setup, look, clip=False)
