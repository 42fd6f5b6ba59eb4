"""Networks small enough for quick tests."""

from pathlib import Path

import pytest
import safetensors.torch
import torch
from torch import nn

from divbench.constants import MEAN_STD
from divbench.embedders import Embedder, Geometry
from divbench.networks import resnet18
from tests.embedders.small import tiny_network


@pytest.fixture
def tiny() -> Embedder:
    return Embedder("tiny", "none", "last", MEAN_STD["cifar10"], Geometry(), tiny_network)


@pytest.fixture(scope="session")
def small_stem() -> nn.Module:
    """A small-image ResNet-18 whose BatchNorm statistics are not the trivial ones."""
    with torch.random.fork_rng():
        torch.manual_seed(1)
        network = resnet18(10, small_stem=True)
        network.train()
        with torch.no_grad():
            network(torch.randn(16, 3, 16, 16))
    return network.eval()


@pytest.fixture(scope="session")
def teacher(small_stem: nn.Module, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Its weights with their normalisation in the header."""
    path = tmp_path_factory.mktemp("weights") / "teacher.safetensors"
    metadata = {"mean": "0.4914,0.4822,0.4465", "std": "0.2470,0.2435,0.2616"}
    safetensors.torch.save_file(small_stem.state_dict(), path, metadata=metadata)
    return path
