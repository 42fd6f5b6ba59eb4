"""Tiny sets, teachers and plans for the tests of training."""

from contextlib import contextmanager

import torch

from divbench.images import ImageSet
from divbench.train.recipe import change_training, load_training
from divbench.train.train import Plan

CPU = torch.device("cpu")
CLASSES = ("ant", "bee", "cow")


def images(count=6, size=8, classes=CLASSES, seed=0, name="patches", spread=15):
    """Noise around a colour of its own for each class, class after class."""
    g = torch.Generator().manual_seed(seed)
    labels = torch.arange(len(classes)).repeat_interleave(count)
    base = torch.randint(40, 200, (len(classes), 3, 1, 1), generator=torch.Generator().manual_seed(0))
    noise = torch.randint(-spread, spread + 1, (len(labels), 3, size, size), generator=g)
    return ImageSet((base[labels] + noise).clamp(0, 255).to(torch.uint8), labels, classes, name)


def recipe(name="quick", **values):
    """A student recipe with few epochs of float32."""
    few = {"epochs": 3, "least_steps": 0, "warmup_epochs": 0, "precision": "float32", "test_every": 1}
    return change_training(load_training("students", name), **{**few, **values})


def plan(rules=None, **values):
    """One run of a small network."""
    given = {"nets": ("convnet1",), "runs": 1, "seed": 0, "device": CPU, **values}
    return Plan("quick", recipe() if rules is None else rules, **given)


@contextmanager
def stopping(after, of="["):
    """A progress that stops everything once ``after`` images have gone by under a title that begins with ``of``."""

    @contextmanager
    def progress(title, total):
        done = 0

        def advance(count, text="", /):
            nonlocal done
            done += count
            if title.startswith(of) and done >= after:
                raise KeyboardInterrupt

        yield advance

    yield progress
