"""Small views made by hand, for tests of everything that looks at one."""

import torch

from divbench.generate.view import NormInput, RealFeatures, View


def a_view(classes=3, each=4, real=(7, 5, 6), dim=8, dtype=torch.float64, seed=0, features=None, norms=()):
    """Random features of class-grouped images, and real ones with another number of rows in each class."""
    g = torch.Generator().manual_seed(seed)
    if features is None:
        features = torch.randn(classes * each, dim, generator=g, dtype=dtype)
    parts = [torch.randn(n, dim, generator=g, dtype=dtype) for n in real]
    rows = torch.nn.utils.rnn.pad_sequence(parts, batch_first=True)
    labels = torch.arange(classes).repeat_interleave(each)
    logits = torch.randn(classes * each, classes, generator=g, dtype=dtype)
    images = torch.zeros(classes * each, 3, 2, 2, dtype=dtype)
    counts = torch.tensor([float(n) for n in real], dtype=dtype)
    return View(images, labels, classes, logits, features, norms, RealFeatures(rows, counts)), parts


def norm_inputs(*shapes, dtype=torch.float64, seed=0):
    """Inputs of BatchNorm layers with random statistics."""
    g = torch.Generator().manual_seed(seed)
    return tuple(NormInput(*(torch.rand(c, generator=g, dtype=dtype) + 0.1 for _ in range(4))) for c in shapes)
