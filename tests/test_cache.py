import multiprocessing
import os
import resource
from pathlib import Path

import pytest
import safetensors.torch
import torch
from torch import Tensor

from divbench.cache import Cache, CacheInfo, CacheWarning

VALUE = {"a": torch.arange(6.0).view(2, 3), "b": torch.tensor([1, 2])}


def never() -> dict[str, Tensor]:
    raise AssertionError("computed again")


def only_file(cache: Cache) -> Path:
    (path,) = cache.folder.iterdir()
    return path


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    return Cache(tmp_path / "new" / "cache")


def test_what_was_computed_is_remembered(cache: Cache):
    assert cache.remember("radii", "key", lambda: VALUE) is VALUE
    again = Cache(cache.folder).remember("radii", "key", never)
    assert again.keys() == VALUE.keys()
    assert all(torch.equal(again[name], VALUE[name]) and again[name].dtype == VALUE[name].dtype for name in VALUE)


@pytest.mark.parametrize(("kind", "key"), [("radii", "other"), ("index", "key")])
def test_another_key_or_kind_is_unknown(cache: Cache, kind: str, key: str):
    cache.store("radii", "key", VALUE)
    assert cache.load(kind, key) is None


def test_text_is_kept_beside_the_tensors(cache: Cache):
    cache.store("index", "key", {}, "täxt")
    found = cache.load("index", "key")
    assert found is not None
    assert found == ({}, "täxt")


def test_views_of_one_tensor_can_be_kept(cache: Cache):
    whole = torch.arange(10)
    cache.store("radii", "key", {"whole": whole, "part": whole[2:4], "turned": whole.view(2, 5).T})
    found = cache.load("radii", "key")
    assert found is not None
    assert found.tensors["part"].tolist() == [2, 3]
    assert torch.equal(found.tensors["turned"], whole.view(2, 5).T)


def corrupt(path: Path, how: str) -> None:
    content = bytearray(path.read_bytes())
    if how == "truncated":
        path.write_bytes(content[:-5])
    elif how == "empty":
        path.write_bytes(b"")
    elif how == "noise":
        path.write_bytes(os.urandom(len(content)))
    elif how == "one bit":
        content[-1] ^= 1
        path.write_bytes(content)
    elif how == "foreign":
        safetensors.torch.save_file(VALUE, path)
    elif how == "folder":
        path.unlink()
        path.mkdir()


@pytest.mark.parametrize("how", ["truncated", "empty", "noise", "one bit", "foreign"])
def test_a_damaged_or_foreign_file_is_ignored_and_rewritten(cache: Cache, how: str):
    cache.store("radii", "key", VALUE)
    corrupt(only_file(cache), how)
    assert cache.load("radii", "key") is None
    cache.remember("radii", "key", lambda: VALUE)
    assert cache.load("radii", "key") is not None


def test_a_file_of_another_key_under_this_name_is_ignored(cache: Cache):
    cache.store("radii", "key", VALUE)
    path = only_file(cache)
    cache.store("radii", "other", VALUE)
    (other,) = set(cache.folder.iterdir()) - {path}
    other.replace(path)
    assert cache.load("radii", "key") is None


def test_a_folder_that_cannot_be_written_loses_nothing(tmp_path: Path):
    (tmp_path / "file").write_text("in the way")
    with pytest.warns(CacheWarning, match="could not keep radii for the next run"):
        assert Cache(tmp_path / "file").remember("radii", "key", lambda: VALUE) is VALUE


def test_a_target_that_cannot_be_replaced_leaves_no_temporary_file(cache: Cache):
    cache.store("radii", "key", VALUE)
    corrupt(only_file(cache), "folder")
    with pytest.warns(CacheWarning):
        cache.store("radii", "key", VALUE)
    assert only_file(cache).is_dir()


def test_a_full_disk_loses_nothing(cache: Cache):
    big = {"a": torch.zeros(1_000_000)}
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, before[1]))
    try:
        with pytest.warns(CacheWarning, match="make room"):
            assert cache.remember("radii", "key", lambda: big) is big
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert list(cache.folder.iterdir()) == []


def test_an_interrupt_while_writing_leaves_nothing(cache: Cache, monkeypatch: pytest.MonkeyPatch):
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "replace", interrupted)
    with pytest.raises(KeyboardInterrupt):
        cache.store("radii", "key", VALUE)
    assert list(cache.folder.iterdir()) == []


def test_info_and_clear_know_their_own_files_only(cache: Cache):
    assert cache.info() == CacheInfo(cache.folder, 0, 0)
    assert cache.clear() == CacheInfo(cache.folder, 0, 0)
    cache.store("radii", "key", VALUE)
    size = only_file(cache).stat().st_size
    cache.store("index", "key", VALUE)
    left = cache.folder / f"{only_stem(cache)}.killed.part"
    left.write_bytes(b"half")
    mine = cache.folder / "my-thesis.safetensors"
    mine.write_text("precious")
    assert cache.info().files == 3
    assert cache.info().bytes > size + 4
    removed = cache.clear()
    assert removed.files == 3
    assert list(cache.folder.iterdir()) == [mine]
    assert cache.info() == CacheInfo(cache.folder, 0, 0)


def only_stem(cache: Cache) -> str:
    return next(iter(cache.folder.iterdir())).stem


def test_the_folder_comes_from_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("DIVBENCH_CACHE", str(tmp_path))
    assert Cache().folder == tmp_path
    monkeypatch.delenv("DIVBENCH_CACHE")
    assert "divbench" in Cache().folder.name


def hammer(folder: Path, seed: int) -> None:
    cache = Cache(folder)
    for turn in range(40):
        known = cache.load("radii", "key")
        if known is not None:
            assert known.tensors["a"].unique().numel() == 1
        cache.store("radii", "key", {"a": torch.full((5000,), float(seed * 1000 + turn))})


def test_several_processes_may_write_the_same_key(cache: Cache):
    context = multiprocessing.get_context("spawn")
    workers = [context.Process(target=hammer, args=(cache.folder, seed)) for seed in range(2)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
    assert [worker.exitcode for worker in workers] == [0, 0]
    assert cache.load("radii", "key") is not None
    only_file(cache)
