"""The ConvNet of dataset condensation."""

import torch
from torch import Tensor, nn


class ConvNet(nn.Module):
    """The ConvNet of dataset condensation: blocks of convolution, instance normalisation, ReLU and average pooling.

    Zhao et al. 2021, arXiv:2006.05929; in the released code instance normalisation is a group normalisation with one
    group for each channel.

    Args:
        classes: outputs of the last layer.
        width: channels.
        depth: blocks, each of which halves the image.
        size: side of the images in pixels.
        seed: of the weights; the global random state is left as it was. None: the weights follow from that state.
    """

    def __init__(self, classes: int, width: int = 128, depth: int = 3, size: int = 32, *, seed: int | None = 0) -> None:
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            if seed is not None:
                torch.default_generator.manual_seed(seed)
            blocks: list[nn.Module] = []
            for index in range(depth):
                blocks += [
                    nn.Conv2d(width if index else 3, width, 3, padding=1),
                    nn.GroupNorm(width, width),
                    nn.ReLU(inplace=True),
                    nn.AvgPool2d(2),
                ]
            self.blocks = nn.Sequential(*blocks)
            self.classifier = nn.Linear(width * (size >> depth) ** 2, classes)

    def features(self, images: Tensor) -> Tensor:
        """[B, D]: the input of the last layer for images [B, 3, size, size]."""
        rows: Tensor = self.blocks(images).flatten(1)
        return rows

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.classifier(self.features(images))
        return logits
