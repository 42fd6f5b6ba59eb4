"""A real set and a teacher for it, made in a second: random features and a last layer fitted in closed form."""

import torch
from torch import nn

from divbench.images import ImageSet
from divbench.networks import resnet18
from divbench.teacher import load_teacher, save_teacher

CLASSES = ("ant", "bee", "cow")


def real_set(each=12, size=8, seed=0, classes=CLASSES):
    """Images [3 each, 3, size, size] whose classes differ in their mean."""
    g = torch.Generator().manual_seed(seed)
    centres = torch.rand(len(classes), 3, size, size, generator=torch.Generator().manual_seed(9)) * 160 + 48
    labels = torch.arange(len(classes)).repeat(each)
    pixels = centres[labels] + 20 * torch.randn(len(labels), 3, size, size, generator=g)
    return ImageSet(pixels.round().clamp(0, 255).to(torch.uint8), labels, classes, "insects")


def write_teacher(path, real=None, mean=0.5, std=0.25, **facts):
    """Write a small-stem ResNet-18 that classifies ``real``; returns the teacher as read back."""
    real = real or real_set()
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = resnet18(len(real.classes), small_stem=True)
    inputs = (real.pixels().float() / 255 - mean) / std
    with torch.no_grad():
        for module in network.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.momentum = 1.0
        body = nn.Sequential(*list(network.children())[:-1], nn.Flatten())
        body(inputs)
        rows = torch.cat([body.eval()(inputs), torch.ones(len(inputs), 1)], 1).double()
        wanted = 8 * torch.nn.functional.one_hot(real.labels).double()
        solution = torch.linalg.lstsq(rows, wanted, driver="gelsd").solution
        network.fc.weight.copy_(solution[:-1].T)
        network.fc.bias.copy_(solution[-1])
    said = {"net": "resnet18", "classes": list(real.classes), "mean": [mean] * 3, "std": [std] * 3, "input_size": "8"}
    save_teacher(network, path, {key: value for key, value in (said | facts).items() if value is not None})
    return load_teacher(path)
