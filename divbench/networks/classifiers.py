"""Classifiers by name: what papers on dataset distillation train, and any network of torchvision and timm."""

import difflib
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import nn

from divbench.errors import WeightsError
from divbench.networks.convnet import ConvNet
from divbench.networks.layers import trace
from divbench.networks.resnet20 import ResNet20
from divbench.networks.small import SMALL, small_mobilenet, small_resnet, small_shufflenet, small_vgg16, tiny_vit

_WIDTH = 128  # of ConvNets
_NOT_PLAIN = ("googlenet", "inception_v3")  # give more than logits in training


class _Classifier(NamedTuple):
    about: str
    build: Callable[[int, int], nn.Module]  # (classes, side of the images in pixels)


def build_classifier(net: str, classes: int, size: int) -> nn.Module:
    """A randomly initialised classifier of [B, 3, size, size] images to [B, classes] logits, float32.

    Its weights follow from the global random state, which is left as it was. It is tried on the meta device.

    Args:
        net: a name of `CLASSIFIERS`, ``"torchvision:NAME"`` for a classification network of torchvision, or
            ``"timm:NAME"``. These two come as their library makes them; transformers are made for ``size``.
        classes: number of outputs.
        size: side of the images in pixels. Below `SMALL` the networks of `CLASSIFIERS` have their small-image version.

    Raises:
        WeightsError: there is no such network, or it cannot take images of this size.
    """
    build = _builder(net)
    with torch.random.fork_rng(devices=[]):
        try:
            network = build(classes, size)
        except (ValueError, AssertionError, ZeroDivisionError) as error:
            raise _cannot_take(net, size, error) from error
    check_size(network, net, size)
    return network


def check_size(network: nn.Module, net: str, size: int) -> None:
    """Run a network once on the meta device, where it takes no time.

    Args:
        network: may live anywhere.
        net: what to call it in the message.
        size: side of the images in pixels.

    Raises:
        WeightsError: the network cannot take [1, 3, size, size] images.
    """
    try:
        trace(network, size)
    except (RuntimeError, ValueError, AssertionError, ZeroDivisionError, IndexError, TypeError) as error:
        raise _cannot_take(net, size, error) from error


def _cannot_take(net: str, size: int, error: Exception) -> WeightsError:
    reason = str(error).strip().partition("\n")[0] or type(error).__name__
    return WeightsError(f"{net} cannot take images of {size} pixels ({reason:.200}); give another net or size")


def _builder(net: str) -> Callable[[int, int], nn.Module]:
    kind, _, name = net.partition(":")
    if net in _TABLE:
        return _TABLE[net].build
    if kind == "torchvision" and name:
        return _named_torchvision(name)
    if kind == "timm" and name:
        return _named_timm(name)
    raise WeightsError(f"unknown network {net!r}; {_hint(net)}")


def _hint(net: str) -> str:
    library = _library_with(net)
    close = difflib.get_close_matches(net.lower(), _TABLE, n=1, cutoff=0.9 if library else 0.6)
    hints = [f"did you mean {close[0]!r}?"] if close else []
    if library:
        hints.append(f"{library} has one of that name: write {library}:{net}")
    return " ".join(hints) or f"known: {', '.join(_TABLE)}, torchvision:NAME, timm:NAME"


def _library_with(name: str) -> str | None:
    if name in _torchvision_names():
        return "torchvision"
    import timm

    return "timm" if timm.is_model(name) else None


def _torchvision_names() -> list[str]:
    import torchvision.models

    return [name for name in torchvision.models.list_models(module=torchvision.models) if name not in _NOT_PLAIN]


def _named_torchvision(name: str) -> Callable[[int, int], nn.Module]:
    names = _torchvision_names()
    if name not in names:
        close = difflib.get_close_matches(name, names, n=1)
        hint = f"did you mean torchvision:{close[0]}?" if close else "see torchvision.models.list_models()"
        raise WeightsError(f"torchvision has no plain classifier {name!r}; {hint}")
    return partial(_torchvision, name)


def _named_timm(name: str) -> Callable[[int, int], nn.Module]:
    import timm

    if not timm.is_model(name):
        close = difflib.get_close_matches(name, timm.list_models(), n=1)
        hint = f"did you mean timm:{close[0]}?" if close else "see timm.list_models()"
        raise WeightsError(f"timm has no model {name!r}; {hint}")
    return partial(_timm, name)


def _torchvision(name: str, classes: int, size: int) -> nn.Module:
    from torchvision.models import get_model

    options = {"image_size": size} if name.startswith("vit_") else {}
    network: nn.Module = get_model(name, weights=None, num_classes=classes, **options)
    return network


def _timm(name: str, classes: int, size: int) -> nn.Module:
    from timm import create_model

    make: Any = partial(create_model, name, pretrained=False, num_classes=classes)
    try:
        network: nn.Module = make(img_size=size)
    except TypeError:  # not made for one size
        network = make()
    return network


def _adapted(name: str, shrink: Callable[[nn.Module], nn.Module], classes: int, size: int) -> nn.Module:
    """The network that torchvision calls ``name``, changed by ``shrink`` where images are small."""
    network = _torchvision(name, classes, size)
    return shrink(network) if size < SMALL else network


def _convnet_of(depth: int, classes: int, size: int) -> nn.Module:
    if size >> depth < 1:
        raise ValueError(f"it halves them {depth} times")
    return ConvNet(classes, _WIDTH, depth, size, seed=None)


def _vgg16(classes: int, size: int) -> nn.Module:
    """With BatchNorm at every size; tables across architectures say just VGG-16."""
    return small_vgg16(classes) if size < SMALL else _torchvision("vgg16_bn", classes, size)


def _vit(classes: int, size: int) -> nn.Module:
    if size >= SMALL and size % 16:
        raise ValueError("the side must be a multiple of 16, that of its patches")
    return tiny_vit(classes, size) if size < SMALL else _torchvision("vit_b_16", classes, size)


def _resnet20(classes: int, size: int) -> nn.Module:
    return ResNet20(classes)


def _resnet(depth: int) -> _Classifier:
    about = f"ResNet-{depth}; for small images with a 3x3 first convolution of stride 1 and no max pooling"
    return _Classifier(about, partial(_adapted, f"resnet{depth}", small_resnet))


def _convnet(depth: int) -> _Classifier:
    about = f"ConvNet of dataset condensation: {depth} blocks of {_WIDTH} channels, each of which halves the image"
    return _Classifier(about, partial(_convnet_of, depth))


_TABLE: dict[str, _Classifier] = {
    **{f"resnet{depth}": _resnet(depth) for depth in (18, 50, 101)},
    "resnet20": _Classifier("ResNet-20 of CIFAR: 16, 32 and 64 channels, shortcuts without parameters", _resnet20),
    **{f"convnet{depth}": _convnet(depth) for depth in range(1, 7)},
    "vgg16": _Classifier("VGG-16 with BatchNorm; for small images with one linear layer, of 512 inputs", _vgg16),
    "mobilenetv2": _Classifier(
        "MobileNetV2; for small images with stride 1 in the first convolution and the stage of 24 channels",
        partial(_adapted, "mobilenet_v2", small_mobilenet),
    ),
    "shufflenetv2": _Classifier(
        "ShuffleNetV2 x1.0; for small images with a first convolution of stride 1 and no max pooling",
        partial(_adapted, "shufflenet_v2_x1_0", small_shufflenet),
    ),
    "vit": _Classifier("ViT-B/16; for small images ViT-Tiny with 8x8 patches", _vit),
}

CLASSIFIERS: dict[str, str] = {name: entry.about for name, entry in _TABLE.items()}
"""What each name of `build_classifier` is, in one line; it takes ``torchvision:NAME`` and ``timm:NAME`` besides."""
