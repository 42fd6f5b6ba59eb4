"""A real teacher on real images: its accuracy shows that loading, normalisation and precision are right."""

import os
from pathlib import Path

import pytest
import torch

from divbench.embedders import load_embedder
from divbench.embedders.embed import Embeddings, embed
from divbench.errors import WeightsError
from divbench.images import ImageSet, read_images
from divbench.networks import read_state_dict
from divbench.teacher import load_teacher

SHARED = Path(os.environ.get("DIVBENCH_SHARED_DATA") or Path(__file__).parents[3] / "shared" / "data")
TEACHER = SHARED / "weights" / "cifar10-resnet18.safetensors"
pytestmark = [
    pytest.mark.data,
    pytest.mark.skipif(not TEACHER.is_file(), reason=f"no teacher at {TEACHER}; see DIVBENCH_SHARED_DATA"),
]


@pytest.fixture(scope="module")
def images() -> ImageSet:
    """Ten real training images of each class."""
    path = SHARED / "distilled" / "random" / "CIFAR10_IPC10_normalize_images.pt"
    return read_images(path, per_class=10, normalized="cifar10-dc")


@pytest.fixture(scope="module")
def exact(images: ImageSet) -> Embeddings:
    return embed(images, load_embedder("resnet18", weights=TEACHER))


def accuracy(embeddings: Embeddings) -> float:
    state = read_state_dict(TEACHER).state
    logits = embeddings.features @ state["fc.weight"].float().T + state["fc.bias"].float()
    return (logits.argmax(1) == embeddings.labels).float().mean().item()


def test_the_teacher_knows_its_training_images(exact: Embeddings):
    assert exact.features.shape == (100, 512)
    assert accuracy(exact) >= 0.9


def test_bfloat16_costs_less_than_two_percent_of_a_feature_vector(images: ImageSet, exact: Embeddings):
    rounded = embed(images, load_embedder("resnet18", weights=TEACHER, precision="bfloat16"))
    error = (rounded.features - exact.features).norm(dim=1) / exact.features.norm(dim=1)
    assert 0 < error.max() < 0.02
    assert abs(accuracy(rounded) - accuracy(exact)) <= 0.02


def test_a_resnet20_is_not_taken_for_a_resnet18():
    with pytest.raises(WeightsError, match=r"looks like a ResNet-20 with 3\+3\+3 blocks .* 16 channels, 3x3"):
        load_embedder("resnet18", weights=SHARED / "weights" / "resnet20-12fca82f.th", mean_std="imagenet")


def test_a_resnet20_made_by_others_is_a_teacher(images: ImageSet):
    teacher = load_teacher(SHARED / "weights" / "resnet20-12fca82f.th", net="resnet20", mean_std="imagenet")
    pixels = images.images.float() / 255
    mean, std = (torch.tensor(numbers).view(1, 3, 1, 1) for numbers in teacher.mean_std)
    with torch.no_grad():
        logits = teacher.network()((pixels - mean) / std)
    assert (logits.argmax(1) == images.labels).float().mean() >= 0.9


def test_every_batch_size_gives_the_same_bits(images: ImageSet, exact: Embeddings):
    embedder = load_embedder("resnet18", weights=TEACHER)
    part = images.select(torch.arange(10))
    assert torch.equal(embed(part, embedder, batch_size=7).features, exact.features[:10])
