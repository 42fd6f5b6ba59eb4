"""Published sets against real CIFAR-10 with a trained teacher: the numbers are those of prdc and vendi-score.

Needs the shared real data (environment variable DIVBENCH_SHARED_DATA, or ../shared/data beside the repository) and is
marked slow; a thousand real images stand for the fifty thousand.
"""

import contextlib
import importlib.util
import io
import os
from pathlib import Path

import pytest
import torch
from prdc import compute_prdc
from vendi_score import vendi as reference

from divbench.controls import kmeans_rows
from divbench.embedders import load_embedder
from divbench.embedders.embed import embed
from divbench.images import ImageSet, match_classes, read_images
from divbench.metrics import METRICS
from divbench.metrics.balls import coverage
from divbench.protocol import load_protocol
from divbench.scoring import score

SHARED = Path(os.environ.get("DIVBENCH_SHARED_DATA", Path(__file__).parents[2] / "shared" / "data"))
pytestmark = [
    pytest.mark.data,
    pytest.mark.skipif(not SHARED.is_dir(), reason=f"the shared real data is not at {SHARED}"),
]
CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")


@pytest.fixture(scope="module")
def real():
    """The first hundred test images of each class, decoded from the shared file."""
    spec = importlib.util.spec_from_file_location("unpack", SHARED / "unpack.py")
    unpack = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(unpack)
    import numpy as np

    pixels = torch.from_numpy(unpack.decode((SHARED / "cifar10/test.medx").read_bytes())).permute(0, 3, 1, 2)
    labels = torch.from_numpy(np.load(SHARED / "cifar10/labels.npz")["test"]).long()
    rows = torch.cat([(labels == c).nonzero()[:100, 0] for c in range(10)])
    return ImageSet(pixels[rows].contiguous(), labels[rows], CLASSES, "cifar10 test")


@pytest.fixture(scope="module")
def embedder():
    return load_embedder("resnet18", weights=SHARED / "weights/cifar10-resnet18.safetensors", input_size=32)


@pytest.fixture(scope="module")
def embedded(real, embedder):
    sets = {
        "mtt": read_images(SHARED / "distilled/mtt/cifar10-ipc10", normalized="cifar10"),
        "kmeans": read_images(SHARED / "distilled/kmeans/CIFAR10_IPC10_images.pt", normalized="cifar10-dc"),
        "random": read_images(
            SHARED / "distilled/random/CIFAR10_IPC10_normalize_images.pt", normalized="cifar10-dc", per_class=10
        ),
    }
    fakes = {name: embed(match_classes(images, CLASSES).fake, embedder) for name, images in sets.items()}
    return embed(real, embedder), fakes


@pytest.mark.parametrize("name", ["mtt", "kmeans", "random"])
def test_agrees_with_prdc_and_vendi_score(embedded, name):
    real, fakes = embedded
    fake = fakes[name]
    result = score(fake, real, load_protocol("paper-resnet18"))
    parts = [(real.features[real.labels == c].double(), fake.features[fake.labels == c].double()) for c in range(10)]
    for scope, pairs in (("class", parts), ("dataset", [(real.features.double(), fake.features.double())])):
        theirs = {key: 0.0 for key in ("coverage", "density", "precision", "recall", "vendi")}
        for x, y in pairs:
            with contextlib.redirect_stdout(io.StringIO()):
                found = compute_prdc(x.numpy(), y.numpy(), 5)
            found["vendi"] = reference.score_X(y.numpy())
            for key in theirs:
                theirs[key] += found[key] / len(pairs)
        for key, value in theirs.items():
            assert result.score(key, scope).value == pytest.approx(value, rel=1e-9), (key, scope)


def test_synthetic_rows_copied_from_the_real_ones_are_exact_ties(embedded):
    """The k-th neighbour lies on the sphere, so outside; float64 matrix products may put it on either side."""
    real = embedded[0].features[:400].double()
    picked = real[::7]
    distances = (real[:, None] - real[None]).square().sum(2)
    radius = distances.kthvalue(6).values
    expected = ((real[:, None] - picked[None]).square().sum(2) < radius[:, None]).any(1).double().mean()
    assert coverage(real, picked) == expected


def test_centroids_cover_more_than_any_of_the_published_sets(embedded):
    """The control works: k-means centroids of the features beat all three by far."""
    real, fakes = embedded
    rows = real.features[real.labels == 3]
    best = max(coverage(rows, f.features[f.labels == 3]) for f in fakes.values())
    assert METRICS["coverage"](rows, kmeans_rows(rows, 10, 0)) > 1.5 * best
