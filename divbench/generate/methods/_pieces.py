"""Pieces that several methods share: free pixels, the valid range, the teacher's view of a batch."""

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from divbench.constants import MeanStd
from divbench.generate.augment import Augmentation
from divbench.generate.methods import Setup
from divbench.generate.observe import Observer
from divbench.generate.recover import Pieces
from divbench.generate.view import View


def pixel_range(mean_std: MeanStd, device: torch.device) -> tuple[Tensor, Tensor]:
    """[1, 3, 1, 1] values of black and of white after normalisation."""
    mean, std = (torch.tensor(numbers, device=device).view(1, -1, 1, 1) for numbers in mean_std)
    return -mean / std, (1 - mean) / std


def teacher_observer(setup: Setup, *, norms: bool) -> Observer:
    """An observer of a new copy of the teacher."""
    assert setup.teacher is not None
    return Observer(
        setup.teacher.network(), setup.teacher.classifier, setup.recipe.precision, setup.device, norms=norms
    )


def teacher_view(setup: Setup, observer: Observer, images: Tensor, labels: Tensor) -> View:
    """What the teacher sees of a class-grouped batch."""
    logits, features, norms = observer(images)
    return View(images, labels, len(setup.batch.classes), logits, features, norms, setup.real)


def free_pixels(setup: Setup, look: Callable[[Tensor, Tensor, int], Mapping[str, View]], *, clip: bool) -> Pieces:
    """Every pixel of every image is a parameter.

    Args:
        setup: where the images start.
        look: see `Pieces`.
        clip: keep pixels between black and white.
    """
    images = setup.start.clone().requires_grad_()
    labels = setup.batch.labels.to(setup.device)
    low, high = pixel_range(setup.mean_std, setup.device)

    def project() -> None:
        if clip:
            images.clamp_(low, high)

    return Pieces([images], lambda step: (images, labels), look, project)


def teacher_pieces(setup: Setup, augment: Augmentation) -> Pieces:
    """Free pixels that the teacher sees augmented."""
    observer = teacher_observer(setup, norms=any("norms" in w.term.needs for w in setup.terms))

    def look(images: Tensor, labels: Tensor, step: int) -> Mapping[str, View]:
        view = teacher_view(setup, observer, augment(images, step), labels)
        return {"method": view, "teacher": view}

    return free_pixels(setup, look, clip=True)
