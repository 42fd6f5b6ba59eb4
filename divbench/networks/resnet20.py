"""The ResNet-20 of CIFAR: a fortieth of the parameters of a ResNet-18, a thirteenth of its arithmetic."""

from torch import Tensor, nn
from torch.nn import functional

_WIDTHS = (16, 32, 64)
_BLOCKS = 3  # of each width


class ResNet20(nn.Module):
    """The residual network of 20 layers that was made for CIFAR (He et al. 2016, arXiv:1512.03385, section 4.2).

    Shortcuts have no parameters: where a stage halves the image and doubles the channels, they take every second pixel
    and fill up with zero channels (option A). Layer names are those of akamaster/pytorch_resnet_cifar10, whose trained
    weights load as they are.

    Args:
        classes: outputs of ``linear``.
    """

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, _WIDTHS[0], 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(_WIDTHS[0])
        self.layer1 = _stage(_WIDTHS[0], _WIDTHS[0])
        self.layer2 = _stage(_WIDTHS[0], _WIDTHS[1])
        self.layer3 = _stage(_WIDTHS[1], _WIDTHS[2])
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.linear = nn.Linear(_WIDTHS[2], classes)
        for layer in self.modules():
            if isinstance(layer, nn.Conv2d | nn.Linear):
                nn.init.kaiming_normal_(layer.weight)

    def forward(self, images: Tensor) -> Tensor:
        maps = functional.relu(self.bn1(self.conv1(images)))
        maps = self.layer3(self.layer2(self.layer1(maps)))
        logits: Tensor = self.linear(self.pool(maps).flatten(1))
        return logits


class _Block(nn.Module):
    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.stride = outputs // inputs
        self.new_channels = outputs - inputs
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride=self.stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)

    def forward(self, maps: Tensor) -> Tensor:
        residual = self.bn2(self.conv2(functional.relu(self.bn1(self.conv1(maps)))))
        return functional.relu(residual + self._shortcut(maps))

    def _shortcut(self, maps: Tensor) -> Tensor:
        if not self.new_channels:
            return maps
        before = self.new_channels // 2
        padding = (0, 0, 0, 0, before, self.new_channels - before)
        return functional.pad(maps[:, :, :: self.stride, :: self.stride], padding)


def _stage(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(_Block(inputs, outputs), *(_Block(outputs, outputs) for _ in range(_BLOCKS - 1)))
