"""Images and networks small enough for quick tests."""

import threading

import torch
from torch import Tensor, nn

from divbench.images.imageset import BadImageError, ImageSet, Picture


class Source:
    """Images decoded on demand from a list; counts what is read, and fails where told to."""

    def __init__(self, images: list[Tensor], bad: tuple[int, ...] = (), print_: str | None = "first") -> None:
        self.images, self.bad, self.print = images, bad, print_
        self.reads = 0
        self.lock = threading.Lock()

    def __len__(self) -> int:
        return len(self.images)

    def read(self, index: int) -> Picture:
        with self.lock:
            self.reads += 1
        if index in self.bad:
            raise BadImageError(f"{self.name_of(index)}: truncated")
        return Picture(self.images[index], ("jpeg",) if index % 2 else ())

    def name_of(self, index: int) -> str:
        return f"folder/{index}.png"

    def fingerprint(self) -> str | None:
        return self.print


def image_set(images: Source | Tensor, classes: int = 2) -> ImageSet:
    labels = torch.arange(len(images)) % classes
    return ImageSet(images, labels, tuple(f"c{i}" for i in range(classes)), "set")


def random_images(count: int, side: int = 12, seed: int = 0) -> Tensor:
    return torch.randint(0, 256, (count, 3, side, side), generator=torch.Generator().manual_seed(seed)).to(torch.uint8)


def tiny_network() -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return nn.Sequential(nn.Conv2d(3, 16, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(2), nn.Flatten())
