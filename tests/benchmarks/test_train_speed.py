"""How fast a student is trained, beside the way of public scripts: DataLoader, two workers, PIL, float32.

    pytest -m benchmark -s tests/benchmarks/test_train_speed.py

Needs the shared real data, as `tests.test_real_data`: fifty CIFAR-10 training images of each class to train on, and two
hundred test images of each. Both ways take the same epochs, batches, augmentation, optimiser and seeds' number.
"""

import importlib.util
import time
from contextlib import contextmanager

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms

from divbench.images import ImageSet
from divbench.networks import build_classifier
from divbench.train.recipe import change_training, load_training
from divbench.train.train import Plan, train
from tests.test_real_data import CLASSES, SHARED

pytestmark = [
    pytest.mark.benchmark,
    pytest.mark.skipif(not SHARED.is_dir(), reason=f"the shared real data is not at {SHARED}"),
]
EPOCHS, BATCH, SEEDS, LR = 12, 50, 3, 0.05
MEAN, STD = (0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)
FLOOR = 2.0


@pytest.fixture(scope="module")
def cifar():
    spec = importlib.util.spec_from_file_location("unpack", SHARED / "unpack.py")
    unpack = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(unpack)
    labels = np.load(SHARED / "cifar10/labels.npz")

    def part(name, each):
        pixels = torch.from_numpy(unpack.decode((SHARED / f"cifar10/{name}.medx").read_bytes())).permute(0, 3, 1, 2)
        classes = torch.from_numpy(labels[name]).long()
        rows = torch.cat([(classes == c).nonzero()[:each, 0] for c in range(10)])
        return ImageSet(pixels[rows].contiguous(), classes[rows], CLASSES, f"cifar10 {name}")

    return part("train", 50), part("test", 200)


class Files(Dataset):
    """A set as public scripts hold it: one PIL image at a time, augmented by torchvision."""

    def __init__(self, images, augmented):
        self.pictures = [transforms.functional.to_pil_image(pixels) for pixels in images.pixels()]
        self.labels = images.labels.tolist()
        random = [transforms.RandomCrop(32, padding=4), transforms.RandomHorizontalFlip()] if augmented else []
        self.transform = transforms.Compose([*random, transforms.ToTensor(), transforms.Normalize(MEAN, STD)])

    def __len__(self):
        return len(self.labels)

    def __getitem__(self, row):
        return self.transform(self.pictures[row]), self.labels[row]


def public_way(images, test, seed):
    """Seconds of training and accuracy."""
    torch.manual_seed(seed)
    network = build_classifier("resnet18", 10, 32)
    optimizer = torch.optim.SGD(network.parameters(), LR, 0.9, weight_decay=5e-4)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, EPOCHS)
    loader = DataLoader(Files(images, True), BATCH, shuffle=True, num_workers=2)
    began = time.perf_counter()
    for _ in range(EPOCHS):
        network.train()
        for pixels, labels in loader:
            optimizer.zero_grad()
            torch.nn.functional.cross_entropy(network(pixels), labels).backward()
            optimizer.step()
        schedule.step()
    seconds = time.perf_counter() - began
    network.eval()
    with torch.no_grad():
        right = sum(int((network(x).argmax(1) == y).sum()) for x, y in DataLoader(Files(test, False), 256))
    return seconds, right / len(test)


def our_way(images, test, seed):
    """The same, without the time of the test."""
    recipe = change_training(
        load_training("teachers", "cifar10"), epochs=EPOCHS, batch=BATCH, lr=LR, test_every=EPOCHS, leftover=True
    )
    spent = []

    def timed(title, total):
        @contextmanager
        def watch():
            began = time.perf_counter()
            yield lambda done, text="": spent.append(time.perf_counter() - began)

        return watch()

    plan = Plan("speed", recipe, ("resnet18",), 1, seed, torch.device("cpu"))
    (run,) = train([(images, None)], test, plan, progress=timed).runs["resnet18"]
    return spent[-1], run.accuracy


def test_a_student_is_trained_faster_and_as_well(cifar):
    images, test = cifar
    theirs, ours = ([way(images, test, seed) for seed in range(SEEDS)] for way in (public_way, our_way))
    shown = EPOCHS * len(images)
    speeds = [[shown / seconds for seconds, _ in way] for way in (theirs, ours)]
    rights = [[right for _, right in way] for way in (theirs, ours)]
    ratio = sum(speeds[1]) / sum(speeds[0])
    print(
        f"\nimages/s: public {[round(s) for s in speeds[0]]}, ours {[round(s) for s in speeds[1]]}, ratio {ratio:.2f}"
    )
    print(f"accuracy: public {rights[0]}, ours {rights[1]}")
    assert ratio > FLOOR
    noise = (np.var(rights[0], ddof=1) / SEEDS + np.var(rights[1], ddof=1) / SEEDS) ** 0.5
    assert abs(np.mean(rights[1]) - np.mean(rights[0])) < 4 * max(noise, 0.005)
