"""The real images that a set is distilled from: as pixels for starts and random batches, as features for terms."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass

import torch
from scipy.optimize import linear_sum_assignment
from sklearn.cluster import KMeans
from threadpoolctl import threadpool_limits
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from divbench.cache import Cache
from divbench.constants import MeanStd
from divbench.embedders import Geometry
from divbench.embedders.embed import embed
from divbench.errors import InputError
from divbench.generate.recipe import Real
from divbench.generate.view import RealFeatures
from divbench.images import ImageSet
from divbench.seeds import seeded
from divbench.teacher import Teacher

_SAMPLE = 1000


@dataclass(frozen=True, eq=False)
class RealImages:
    """Real images by class, at the size that is distilled.

    Attributes:
        images: with labels over ``images.classes``.
        size: side in pixels; images of another size are resized by their shorter side and cut out of the middle.
    """

    images: ImageSet
    size: int

    def rows(self, label: int) -> Tensor:
        """[n] int64: where the images of one class are."""
        return (self.images.labels == label).nonzero()[:, 0]

    def read(self, rows: Tensor) -> Tensor:
        """[n, 3, S, S] uint8."""
        stored = self.images.images
        if isinstance(stored, Tensor) and tuple(stored.shape[2:]) == (self.size, self.size):
            return stored[rows]
        geometry = Geometry().at_size(self.size)
        return torch.stack([geometry.apply(self.images.read(int(row)).pixels) for row in rows])

    def draw(self, label: int, count: int, generator: torch.Generator) -> Tensor:
        """[count] int64: rows of random images of one class, all different where there are enough."""
        rows = self.rows(label)
        rounds = -(-count // len(rows))
        return torch.cat([rows[torch.randperm(len(rows), generator=generator)] for _ in range(rounds)])[:count]

    def check_enough(self, count: int, what: str) -> None:
        """Raise `InputError` where a class has fewer than ``count`` images."""
        for label, name in enumerate(self.images.classes):
            found = len(self.rows(label))
            if found < count:
                raise InputError(
                    f"{self.images.name}: class {name!r} has {found} images, but {what} needs {count}; give more real "
                    "images, a smaller --ipc, or leave the class out"
                )


def image_size(real: ImageSet, teacher: Teacher | None) -> int:
    """The side in pixels at which images are distilled: the teacher's, else that of the real images.

    Raises:
        InputError: real images are smaller than what the teacher was trained on; or the teacher does not say its size,
            and they are not square or of several sizes.
    """
    step = max(1, len(real) // 100)
    sizes = {tuple(real.read(row).pixels.shape[1:]) for row in range(0, len(real), step)}
    if teacher is not None and teacher.size is not None:
        smallest = min(min(size) for size in sizes)
        if smallest < teacher.size:
            raise InputError(
                f"teacher {teacher.name} was trained on images of {teacher.size} pixels, but {real.name} has some of "
                f"{smallest}; give a teacher that was trained on this data (divbench squeeze)"
            )
        return teacher.size
    height, width = min(sizes)
    if len(sizes) > 1 or height != width:
        raise InputError(
            f"{real.name}: images have several sizes or are not square, and nothing says which size to distil; give a "
            'teacher that says its input_size: in its file, or as {"input_size": 224} in a .json of its name beside it'
        )
    return height


def normalised(pixels: Tensor, mean_std: MeanStd, device: torch.device) -> Tensor:
    """uint8 [N, 3, S, S] -> float32 on the device, normalised."""
    mean, std = (torch.tensor(numbers, device=device).view(1, -1, 1, 1) for numbers in mean_std)
    return (pixels.to(device).float() / 255 - mean) / std


@dataclass(frozen=True, eq=False)
class FeatureBank:
    """Teacher features of all real images, on the CPU of every process: 2.4 GiB for ImageNet-1K. A batch takes its own.

    Attributes:
        features: [N, D] float32.
        rows: for each class, where its features are.
        digest: SHA-256 of the hashes and labels of the real images, in stored order.
    """

    features: Tensor
    rows: list[Tensor]
    digest: str

    def of(self, classes: tuple[int, ...], device: torch.device) -> RealFeatures:
        """Features of the classes of a batch, on the device."""
        parts = [self.features[self.rows[label]] for label in classes]
        counts = torch.tensor([float(len(part)) for part in parts])
        return RealFeatures(pad_sequence(parts, batch_first=True).to(device), counts.to(device))

    def central(self, rows: Tensor, count: int, seed: int) -> Tensor:
        """[count] int64: of the images at ``rows``, those nearest to their k-means centroids, no image twice."""
        features = self.features[rows].double()
        with threadpool_limits(1):  # sums in one order: the same images on any number of cores
            fitted = KMeans(count, n_init=1, random_state=seed % 2**32).fit(features.numpy())
        distances = torch.cdist(torch.from_numpy(fitted.cluster_centers_), features)
        return rows[torch.from_numpy(linear_sum_assignment(distances.numpy())[1])]


def feature_bank(
    real: RealImages,
    teacher: Teacher,
    settings: Real,
    *,
    device: torch.device,
    cache: Cache | None,
    progress: Callable[[int], None] | None,
) -> FeatureBank:
    """Embed all real images with the teacher in evaluation mode, or find them in the cache by content."""
    embedder = teacher.embedder().at_size(real.size)
    found = embed(real.images, embedder, device=str(device), cache=cache, progress=progress)
    classes = len(real.images.classes)
    if settings.reference == "class":
        rows = [(found.labels == label).nonzero()[:, 0] for label in range(classes)]
    else:
        rows = list(torch.arange(len(found)).tensor_split(classes))
    content = hashlib.sha256(found.hashes.numpy().tobytes() + found.labels.numpy().tobytes()).hexdigest()
    return FeatureBank(found.features, rows, content)


def accuracy(real: RealImages, teacher: Teacher, device: torch.device, seed: int) -> float:
    """Share of up to 1000 random real images that the teacher classifies rightly."""
    rows = torch.randperm(len(real.images), generator=seeded(seed, "accuracy"))[:_SAMPLE]
    network = teacher.network().to(device)
    right = 0
    with torch.inference_mode():
        for part in rows.split(100):
            logits = network(normalised(real.read(part), teacher.mean_std, device))
            right += int((logits.argmax(1).cpu() == real.images.labels[part]).sum())
    return right / len(rows)
