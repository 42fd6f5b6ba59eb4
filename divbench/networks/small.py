"""Versions of networks for small images: the first stages of those for 224 pixels would shrink them to nothing."""

from collections import OrderedDict

import torch
from torch import nn

SMALL = 96
"""Images with a side below this many pixels are small: networks for them come in their small-image version."""
_VIT_PATCHES = 8  # in each row and column


def resnet18(classes: int = 1000, *, small_stem: bool = False) -> nn.Module:
    """ResNet-18 with torchvision's layer names, randomly initialised; the global random state is left as it was.

    Args:
        classes: outputs of ``fc``.
        small_stem: for images of about 32 pixels: ``conv1`` is 3x3 with stride 1 and there is no max pooling.
    """
    from torchvision.models import resnet18 as torchvision_resnet18

    with torch.random.fork_rng(devices=[]):
        network: nn.Module = torchvision_resnet18(num_classes=classes)
        return small_resnet(network) if small_stem else network


def small_resnet(network: nn.Module) -> nn.Module:
    """Give a ResNet of torchvision the stem of SRe2L and its successors (arXiv:2306.13092), in place.

    ``conv1`` is 3x3 with stride 1 and there is no max pooling: images of 32 pixels are 4x4 before the global pooling.
    """
    network.conv1 = nn.Conv2d(3, 64, kernel_size=3, stride=1, padding=1, bias=False)
    network.maxpool = nn.Identity()
    return network


def small_mobilenet(network: nn.Module) -> nn.Module:
    """Let MobileNetV2 of torchvision halve images three times and not five, in place.

    The first convolution and the stage of 24 channels have stride 1, as the widely used CIFAR versions do.
    """
    for name in ("features.0.0", "features.2.conv.1.0"):
        _set_stride_1(network, name)
    return network


def small_shufflenet(network: nn.Module) -> nn.Module:
    """Let ShuffleNetV2 of torchvision halve images three times and not five, in place.

    The first convolution has stride 1 and there is no max pooling.
    """
    _set_stride_1(network, "conv1.0")
    network.maxpool = nn.Identity()
    return network


def _set_stride_1(network: nn.Module, name: str) -> None:
    layer = network.get_submodule(name)
    assert isinstance(layer, nn.Conv2d)
    layer.stride = (1, 1)


def small_vgg16(classes: int) -> nn.Module:
    """VGG-16 with BatchNorm whose only linear layer follows a global average pooling; for 32 pixels or more.

    The features and their initialisation are torchvision's ``vgg16_bn``; the widely used CIFAR versions also put one
    layer 512 -> classes in the place of three with 4096 units.
    """
    from torchvision.models.vgg import cfgs, make_layers

    features: nn.Module = make_layers(cfgs["D"], batch_norm=True)
    for layer in features.modules():
        if isinstance(layer, nn.Conv2d) and layer.bias is not None:
            nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")
            nn.init.zeros_(layer.bias)
    layers = {"features": features, "avgpool": nn.AdaptiveAvgPool2d(1), "flatten": nn.Flatten()}
    return nn.Sequential(OrderedDict(layers, classifier=nn.Linear(512, classes)))


def tiny_vit(classes: int, size: int) -> nn.Module:
    """ViT-Tiny (DeiT-Ti, arXiv:2012.12877: 12 layers, width 192, 3 heads) that cuts any image into 8x8 patches.

    Raises:
        ValueError: the side of the images cannot be divided by 8.
    """
    from torchvision.models import VisionTransformer

    if size % _VIT_PATCHES:
        raise ValueError(f"the side must be a multiple of {_VIT_PATCHES}, the number of patches in a row")
    network: nn.Module = VisionTransformer(
        image_size=size,
        patch_size=size // _VIT_PATCHES,
        num_layers=12,
        num_heads=3,
        hidden_dim=192,
        mlp_dim=768,
        num_classes=classes,
    )
    return network
