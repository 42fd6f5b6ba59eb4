"""divbench demo: three sets of digits whose worth is known, scored offline."""

import torch

from divbench.controls import kmeans_rows
from divbench.evaluate import Embedding, evaluate
from divbench.images import ImageSet, read_images
from divbench.progress import Progress, no_progress
from divbench.protocol import load_protocol
from divbench.results import Result

IPC = 10


def demo_sets(seed: int = 0) -> tuple[ImageSet, list[ImageSet]]:
    """The real digits, and three sets of ten images per class made of other digits.

    A quarter of scikit-learn's 1797 digits is held out to make the sets from: ``random`` picks, ``k-means`` centroids
    (as images, rounded), and ``collapsed``, near-copies of the class mean. The rest is the real set they are scored
    against, so that no set holds an image that it is scored against.
    """
    digits = read_images("digits")
    g = torch.Generator().manual_seed(seed)
    order = torch.randperm(len(digits), generator=g)
    held_out, rest = digits.select(order[: len(digits) // 4]), digits.select(order[len(digits) // 4 :].sort().values)
    pixels = held_out.pixels()
    parts: dict[str, list[torch.Tensor]] = {"random": [], "k-means": [], "collapsed": []}
    for c in range(len(digits.classes)):
        own = pixels[held_out.labels == c]
        flat = own.flatten(1).double()
        parts["random"].append(own[:IPC])
        parts["k-means"].append(_image(kmeans_rows(flat, IPC, seed), own))
        noise = torch.randn(IPC, flat.shape[1], generator=g, dtype=torch.float64)
        parts["collapsed"].append(_image(flat.mean(0) + 2 * noise, own))
    labels = torch.arange(len(digits.classes)).repeat_interleave(IPC)
    sets = [
        ImageSet(torch.cat(images), labels, digits.classes, name, f"{IPC} images per class of digits")
        for name, images in parts.items()
    ]
    return rest, sets


def demo(progress: Progress = no_progress) -> list[Result]:
    """Score the demo's sets by the ``quick`` protocol; nothing is read from the network or written to disk."""
    rest, sets = demo_sets()
    return [evaluate([images], rest, load_protocol("quick"), Embedding(), progress=progress) for images in sets]


def _image(rows: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
    return rows.round().clamp(0, 255).to(torch.uint8).view(-1, *like.shape[1:])
