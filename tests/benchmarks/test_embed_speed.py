"""Embedding beside the bare forward pass, from a folder of PNG files.

Run with: pytest -m benchmark -s tests/benchmarks/test_embed_speed.py
"""

import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import nn

from divbench.cache import Cache
from divbench.constants import MEAN_STD
from divbench.embedders import Embedder, Geometry
from divbench.embedders.embed import embed
from divbench.images import ImageSet, read_images, write_images
from divbench.networks import resnet18

COUNT, ROUNDS = 1536, 2


def build() -> nn.Module:
    network = resnet18(10, small_stem=True)
    network.fc = nn.Identity()
    return network


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pixels = torch.randint(0, 256, (COUNT, 3, 32, 32), generator=torch.Generator().manual_seed(0)).to(torch.uint8)
    path = tmp_path_factory.mktemp("speed") / "set"
    write_images(ImageSet(pixels, torch.arange(COUNT) % 10, tuple(f"c{i}" for i in range(10)), "noise"), path)
    return path


def rate(work: Callable[[], object]) -> float:
    """Images per second."""
    start = time.perf_counter()
    work()
    return COUNT / (time.perf_counter() - start)


@pytest.mark.benchmark
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_a_folder_is_embedded_nearly_as_fast_as_the_network_runs(folder: Path, precision: str):
    embedder = Embedder("net", "none", "input of fc", MEAN_STD["cifar10"], Geometry(), build, precision=precision)
    network = embedder.load().to(memory_format=torch.channels_last)
    ready = torch.randn(COUNT, 3, 32, 32).contiguous(memory_format=torch.channels_last)

    def bare(batch: int) -> None:
        with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16, precision == "bfloat16"):
            for part in ready.split(batch):
                network(part)

    bare(128)
    rounds = [
        (
            rate(lambda: bare(32)),
            rate(lambda: bare(128)),
            rate(lambda: embed(read_images(folder), embedder, device="cpu")),
        )
        for _ in range(ROUNDS)
    ]
    small, large, whole = (max(column) for column in zip(*rounds, strict=True))
    print(f"\n{precision}: bare {small:.0f} (batches of 32), {large:.0f} (128), end to end {whole:.0f} images/s")
    assert whole >= 0.85 * max(small, large)


@pytest.mark.benchmark
def test_a_second_run_is_at_least_twenty_times_faster(folder: Path, tmp_path: Path):
    embedder = Embedder("net", "none", "input of fc", MEAN_STD["cifar10"], Geometry(), build)
    cold, warm = (rate(lambda: embed(read_images(folder), embedder, cache=Cache(tmp_path))) for _ in range(2))
    print(f"\ncold {cold:.0f}, warm {warm:.0f} images/s")
    assert warm > 20 * cold
