import os
import pickle
import socket
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torch.multiprocessing.spawn import spawn

from divbench import parallel
from divbench.cache import Cache
from divbench.constants import MEAN_STD
from divbench.embedders import Embedder, Geometry
from divbench.embedders.embed import embed
from divbench.errors import InputError
from divbench.images.imageset import BadImageError, ImageSet, Picture
from divbench.networks import resnet18


class Source:
    def __init__(self, count: int, bad: tuple[int, ...] = ()) -> None:
        self.count, self.bad, self.reads = count, bad, 0

    def __len__(self) -> int:
        return self.count

    def read(self, index: int) -> Picture:
        self.reads += 1
        if index in self.bad:
            raise BadImageError(f"{index}: truncated")
        generator = torch.Generator().manual_seed(index)
        return Picture(torch.randint(0, 256, (3, 8, 8), generator=generator).to(torch.uint8), ("jpeg",))

    def name_of(self, index: int) -> str:
        return str(index)

    def fingerprint(self) -> str | None:
        return f"{self.count} {self.bad}"


def network() -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        small = resnet18(small_stem=True)
        small.fc = nn.Identity()
    return small


EMBEDDER = Embedder("net", "none", "last", MEAN_STD["cifar10"], Geometry(), network)


def image_set(source: Source) -> ImageSet:
    return ImageSet(source, torch.arange(len(source)), tuple(map(str, range(len(source)))), "set")


def facts(folder: Path) -> dict[str, Any]:
    """What every process must know alike."""
    source = Source(11, bad=(3,))
    whole = embed(image_set(source), EMBEDDER, skip_bad=True, cache=Cache(folder))
    again = embed(image_set(source), EMBEDDER, skip_bad=True, cache=Cache(folder))
    one = embed(image_set(Source(1)), EMBEDDER)
    try:
        embed(image_set(Source(9, bad=(0, 8))), EMBEDDER)
        error = ""
    except InputError as caught:
        error = str(caught)
    return {
        "features": whole.features.numpy().tobytes(),
        "hashes": whole.hashes.numpy().tobytes(),
        "said": (whole.source, whole.skipped, whole.remarks, whole.labels.tolist()),
        "again": again.features.numpy().tobytes(),
        "one": one.features.numpy().tobytes(),
        "error": error,
    }


def process(rank: int, world: int, port: int, folder: Path) -> None:
    os.environ |= {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": str(world)}
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    torch.set_num_threads(1)
    assert (parallel.rank(), parallel.world(), parallel.local_rank()) == (rank, world, rank)
    source = Source(11)
    embed(image_set(source), EMBEDDER)
    shares = parallel.gather_json(source.reads)
    rows = parallel.gather_rows(torch.full((rank, 2), rank, dtype=torch.int64))
    result = facts(folder / "shared") | {
        "shares": shares,
        "rows": rows.tolist(),
        "shards": parallel.gather_json(list(parallel.shard(5))),
        "agree": [parallel.agree(rank >= 0), parallel.agree(rank > 0)],
        "alone": facts(folder / str(rank))["said"],
    }
    (folder / f"{rank}.result").write_bytes(pickle.dumps(result))


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.mark.slow
def test_two_processes_give_the_bytes_of_one(tmp_path: Path):
    spawn(process, (2, free_port(), tmp_path), nprocs=2)
    first, second = (pickle.loads((tmp_path / f"{rank}.result").read_bytes()) for rank in range(2))  # noqa: S301
    assert first == second
    expected = facts(tmp_path / "single")
    assert {key: first[key] for key in expected} == expected
    assert expected["again"] == expected["features"]
    assert "2 of 9 images cannot be read" in expected["error"]
    assert first["shares"] == [5, 6], "each process reads its own part only"
    assert first["rows"] == [[1, 1]]
    assert first["shards"] == [[0, 1], [2, 3, 4]]
    assert first["agree"] == [True, False]
    assert first["alone"] == expected["said"], "caches that are not shared"
    assert len(list((tmp_path / "0").iterdir())) == 2
    assert not (tmp_path / "1").exists(), "one process of a machine writes"


def test_one_process_needs_no_group():
    rows = torch.ones(2, 3)
    assert (parallel.rank(), parallel.world(), parallel.local_rank()) == (0, 1, 0)
    assert parallel.shard(5) == range(5)
    assert parallel.gather_rows(rows) is rows
    assert parallel.gather_json({"a": 1}) == [{"a": 1}]
    assert parallel.agree(True)
    assert not parallel.agree(False)
    assert not torch.distributed.is_initialized()


@pytest.mark.parametrize("count", [0, 1, 5, 8])
@pytest.mark.parametrize("world", [1, 3, 4])
def test_shards_are_consecutive_and_even(count: int, world: int, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(parallel, "world", lambda: world)
    shards = []
    for rank in range(world):
        monkeypatch.setattr(parallel, "rank", lambda rank=rank: rank)
        shards.append(parallel.shard(count))
    assert [row for shard in shards for row in shard] == list(range(count))
    assert max(map(len, shards)) - min(map(len, shards)) <= 1
