"""Embedder: what turns pixels into features, as a record whose id holds everything that changes a number."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np
from PIL import Image
from torch import Tensor, from_numpy, nn

from divbench.constants import MeanStd
from divbench.errors import ProtocolError

PRECISIONS = ("float32", "bfloat16")
PREPROCESSING = 1
"""Raised whenever a change of code changes the features of any embedder; part of every id."""


@dataclass(frozen=True)
class Geometry:
    """How an image gets the size that the network expects; the same pixels as torchvision, timm and open_clip give.

    Attributes:
        size: side of the square that the network sees; None: images are taken as they are.
        resize: length of the shorter edge before the centre is cut out; of both edges where ``squash``.
        interpolation: name of a filter of Pillow (``"bilinear"``, ``"bicubic"``, ...), which smooths when shrinking.
        squash: give up the aspect ratio instead of what lies outside the central square.
    """

    size: int | None = None
    resize: int = 0
    interpolation: str = "bilinear"
    squash: bool = False

    def __post_init__(self) -> None:
        if self.size is not None and not 1 <= self.size <= self.resize:
            raise ProtocolError(
                f"input size {self.size}: expected at least 1, and at most the resized edge {self.resize}"
            )

    def __str__(self) -> str:
        if self.size is None:
            return "size=native"
        return f"size={self.size} resize={'squash' if self.squash else 'shorter'}:{self.resize}:{self.interpolation}"

    def at_size(self, size: int) -> "Geometry":
        """The same share of the image at another side in pixels."""
        resize = size if self.size is None else round(size * self.resize / self.size)
        return replace(self, size=size, resize=resize)

    def apply(self, pixels: Tensor) -> Tensor:
        """Resize and crop uint8 [3, H, W] to uint8 [3, S, S]; the pixels themselves where S is None."""
        if self.size is None:
            return pixels
        height, width = pixels.shape[1:]
        short, long = min(height, width), max(height, width)
        edges = (self.resize, self.resize if self.squash else int(self.resize * long / short))
        target = edges if width <= height else edges[::-1]
        if target == (width, height) == (self.size, self.size):
            return pixels
        image = Image.fromarray(np.ascontiguousarray(pixels.permute(1, 2, 0).numpy()))
        if target != (width, height):
            image = image.resize(target, Image.Resampling[self.interpolation.upper()])
        left, top = (round((edge - self.size) / 2) for edge in target)
        cropped = np.asarray(image)[top : top + self.size, left : left + self.size]
        return from_numpy(np.array(cropped.transpose(2, 0, 1), order="C"))


@dataclass(frozen=True)
class Embedder:
    """A network with its weights, layer and preprocessing.

    Attributes:
        network: the architecture, such as ``"resnet18 small-stem"``.
        weights: digest of the weights, ``"sha256:..."``, or ``"none"``.
        layer: what of the network is the embedding.
        mean_std: mean and standard deviation per channel of pixels in [0, 1], applied before the network.
        geometry: resizing and cropping, per image.
        build: makes the network; called by `load`.
        resizable: the network takes images of any size, so that `at_size` may change it.
        precision: ``"float32"``, or ``"bfloat16"``: autocast, faster where the hardware has it, with rounded features.
    """

    network: str
    weights: str
    layer: str
    mean_std: MeanStd
    geometry: Geometry
    build: Callable[[], nn.Module] = field(repr=False, compare=False)
    resizable: bool = True
    precision: str = "float32"

    def __post_init__(self) -> None:
        if self.precision not in PRECISIONS:
            raise ProtocolError(f"unknown precision {self.precision!r}; known: {', '.join(PRECISIONS)}")

    @property
    def id(self) -> str:
        """Everything that changes a number, in one line: equal ids give comparable features."""
        mean, std = (",".join(f"{number:.6g}" for number in numbers) for numbers in self.mean_std)
        return (
            f"v{PREPROCESSING}; network={self.network}; weights={self.weights}; layer={self.layer}; {self.geometry}; "
            f"mean={mean}; std={std}; precision={self.precision}"
        )

    @property
    def size(self) -> int | None:
        """Side in pixels of the images that the network sees; None: any, but all the same."""
        return self.geometry.size

    def at_size(self, size: int) -> "Embedder":
        """The record with another input size, which is part of its id.

        Raises:
            ProtocolError: the size is not positive, or the network takes one size only.
        """
        if size < 1:
            raise ProtocolError(f"input size {size}: expected at least 1 pixel")
        if not self.resizable and size != self.size:
            raise ProtocolError(f"{self.network} takes images of {self.size} pixels only, not {size}")
        return self if size == self.size else replace(self, geometry=self.geometry.at_size(size))

    def load(self) -> nn.Module:
        """The network in evaluation mode, float32, on the CPU: normalised [B, 3, S, S] to features [B, D].

        Raises:
            WeightsError: the weights do not fit the network.
        """
        return self.build().eval().requires_grad_(False)

    def prepare(self, pixels: Tensor) -> Tensor:
        """Resize and crop one image, uint8 [3, H, W], to uint8 [3, S, S]; thread-safe."""
        return self.geometry.apply(pixels)
