import dataclasses
import threading
import time
import warnings
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from torch import Tensor, nn

from divbench.cache import Cache, CacheWarning
from divbench.constants import MEAN_STD
from divbench.embedders import Embedder, Geometry, choose_device, load_embedder
from divbench.embedders.embed import Embeddings, embed
from divbench.errors import InputError, ProtocolError
from divbench.images.imageset import ImageSet
from tests.embedders.small import Source, image_set, random_images, tiny_network


def refuse() -> nn.Module:
    raise AssertionError("the network was loaded")


def no_readers() -> bool:
    return not any(thread.name.startswith("divbench-reader") for thread in threading.enumerate())


def with_network(embedder: Embedder, network: nn.Module) -> Embedder:
    return dataclasses.replace(embedder, build=lambda: network)


def by_hand(images: Tensor) -> Tensor:
    mean, std = (torch.tensor(numbers).view(3, 1, 1) for numbers in MEAN_STD["cifar10"])
    with torch.no_grad():
        return tiny_network()((images / 255 - mean) / std)


def test_features_are_those_of_the_network_on_normalised_images(tiny: Embedder):
    images = random_images(7)
    calls: list[int] = []
    got = embed(image_set(images), tiny, batch_size=3, progress=calls.append)
    torch.testing.assert_close(got.features, by_hand(images))
    assert got.features.dtype == torch.float32
    assert not got.features.is_inference()
    assert sum(calls) == len(got) == 7


def test_everything_that_the_set_said_is_kept(tiny: Embedder):
    labels = torch.tensor([1, 0, 1])
    images = ImageSet(Source(list(random_images(3))), labels, ("a", "b"), "mine", "class folders", ("2 ignored",), True)
    got = embed(images, tiny)
    assert (got.classes, got.name, got.recognised) == (("a", "b"), "mine", "class folders")
    assert (got.notes, got.labelled, got.remarks, got.skipped) == (("2 ignored",), True, {"jpeg": 1}, ())
    assert torch.equal(got.labels, labels)
    assert got.embedder == tiny.id


def test_equal_images_have_equal_hashes_and_the_source_sees_pixels_and_labels(tiny: Embedder):
    images = random_images(4)
    images[2] = images[0]
    got = embed(image_set(images), tiny)
    assert got.hashes.shape == (4, 16)
    assert torch.equal(got.hashes[0], got.hashes[2])
    assert len(got.hashes.unique(dim=0)) == 3
    assert embed(image_set(Source(list(images))), tiny).source == got.source
    assert embed(image_set(images, classes=4), tiny).source != got.source
    assert embed(image_set(images.flip(0)), tiny).source != got.source
    assert embed(image_set(images.view(4, 3, 6, 24)), tiny).source != got.source, "the shape is content too"


@pytest.mark.parametrize("network", ["tiny", "small stem"])
def test_features_are_the_same_bits_in_every_batch_and_neighbourhood(network: str, tiny: Embedder, teacher: Path):
    embedder = tiny if network == "tiny" else load_embedder("resnet18", weights=teacher)
    images = random_images(40, 8)
    expected = embed(image_set(images), embedder).features
    for batch_size in (1, 3, 32, 33):
        assert torch.equal(embed(image_set(images), embedder, batch_size=batch_size).features, expected)
    order = torch.randperm(40, generator=torch.Generator().manual_seed(0))
    assert torch.equal(embed(image_set(images[order]), embedder).features, expected[order])
    assert torch.equal(embed(image_set(images[7:8]), embedder).features, expected[7:8])


def test_bfloat16_is_close_and_has_its_own_id(tiny: Embedder):
    rounded = dataclasses.replace(tiny, precision="bfloat16")
    images = image_set(random_images(5))
    exact, got = embed(images, tiny), embed(images, rounded)
    assert got.embedder != exact.embedder
    assert got.features.dtype == torch.float32
    assert not torch.equal(got.features, exact.features)
    torch.testing.assert_close(got.features, exact.features, rtol=0.05, atol=0.02)


def test_a_precision_that_the_program_has_set_is_neither_used_nor_lost(tiny: Embedder):
    torch.manual_seed(0)
    embedder = with_network(tiny, nn.Sequential(nn.Flatten(), nn.Linear(3 * 12 * 12, 64)).requires_grad_(False))
    images = image_set(random_images(32))
    expected = embed(images, embedder).features
    torch.set_float32_matmul_precision("medium")
    try:
        assert torch.equal(embed(images, embedder).features, expected)
        assert torch.get_float32_matmul_precision() == "medium"
    finally:
        torch.set_float32_matmul_precision("highest")


def test_images_of_several_sizes_need_an_input_size(tiny: Embedder):
    mixed = [*random_images(3, 12), *random_images(2, 10)]
    with pytest.raises(InputError, match=r"2 sizes, width x height: 12x12 \(3\), 10x10 \(2\); .*--input-size"):
        embed(image_set(Source(mixed)), tiny, batch_size=2)
    assert embed(image_set(Source(mixed)), tiny.at_size(8)).features.shape == (5, 64)


def test_unreadable_images_are_all_listed(tiny: Embedder):
    source = Source(list(random_images(9)), bad=(1, 8))
    with pytest.raises(InputError) as caught:
        embed(image_set(source), tiny, batch_size=2)
    assert str(caught.value) == (
        "set: 2 of 9 images cannot be read; mend or remove them, or leave them out with --skip-bad:\n"
        "  folder/1.png: truncated\n  folder/8.png: truncated"
    )
    assert source.reads == 9
    assert no_readers()


def test_unreadable_images_can_be_left_out(tiny: Embedder):
    images = random_images(9)
    got = embed(image_set(Source(list(images), bad=(1, 8)), classes=9), tiny, skip_bad=True, batch_size=4)
    kept = [0, 2, 3, 4, 5, 6, 7]
    assert got.skipped == ("folder/1.png: truncated", "folder/8.png: truncated")
    assert got.labels.tolist() == kept
    assert torch.equal(got.features, embed(image_set(images[kept]), tiny).features)
    assert len(got.hashes) == 7


def test_a_set_without_a_readable_image_is_an_error(tiny: Embedder):
    with pytest.raises(InputError, match="2 of 2 images cannot be read; none is left"):
        embed(image_set(Source(list(random_images(2)), bad=(0, 1))), tiny, skip_bad=True)


class Breaks(nn.Module):
    """NaN where the first pixel is white."""

    def forward(self, images: Tensor) -> Tensor:
        features = images.flatten(1)
        return torch.where(features[:, :1] > 2, torch.nan, features)


def test_features_that_are_not_finite_name_their_images(tiny: Embedder, tmp_path: Path):
    images = [torch.full((3, 4, 4), 255 if row in (2, 5) else 0, dtype=torch.uint8) for row in range(6)]
    embedder = with_network(tiny, Breaks())
    with pytest.raises(InputError, match=r"NaN or infinite for 2 of 5 images \(folder/2.png, folder/5.png\)"):
        embed(image_set(Source(images, bad=(1,))), embedder, skip_bad=True, cache=Cache(tmp_path))
    assert list(tmp_path.iterdir()) == []


def test_an_embedder_may_be_given_by_name():
    images = random_images(2)
    got = embed(image_set(images), "pixels")
    assert torch.equal(got.features, images.flatten(1) / 255)
    assert got.embedder == load_embedder("pixels").id


@pytest.mark.parametrize("device", ["gpu", "cuda:99"])
def test_a_device_that_is_not_there_is_refused(tiny: Embedder, device: str):
    with pytest.raises(ProtocolError, match=rf"device '{device}' cannot be used .*; leave it out, or give cpu"):
        embed(image_set(random_images(1)), tiny, device=device)


@pytest.mark.parametrize(("name", "own"), [("cuda", "cuda:1"), (None, "cuda:1"), ("cuda:0", "cuda:0"), ("cpu", "cpu")])
def test_cuda_is_the_gpu_of_this_process(monkeypatch: pytest.MonkeyPatch, name: str | None, own: str):
    """The fourth process of a machine with two GPUs has the second."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr("divbench.parallel.local_rank", lambda: 3)
    monkeypatch.setattr(torch, "empty", lambda count, device: SimpleNamespace(device=torch.device(device)))
    assert choose_device(name) == torch.device(own)


def test_a_batch_size_below_one_is_refused(tiny: Embedder):
    with pytest.raises(InputError, match="at least 1, got 0"):
        embed(image_set(random_images(1)), tiny, batch_size=0)


def test_reading_stays_a_few_batches_ahead(tiny: Embedder):
    source, batch, held = Source(list(random_images(200))), 10, []

    class Slow(nn.Module):
        def forward(self, images: Tensor) -> Tensor:
            time.sleep(0.01)
            held.append(source.reads)
            return images.flatten(1)

    embed(image_set(source), with_network(tiny, Slow()), batch_size=batch)
    ahead = [reads - (index + 1) * batch for index, reads in enumerate(held)]
    assert max(ahead) <= 3 * batch
    assert sorted(ahead)[len(ahead) // 2] > 0, "nothing was read while the network worked"


@pytest.mark.parametrize("where", ["network", "reader", "progress"])
def test_an_interrupt_or_error_stops_the_threads_and_keeps_nothing(tiny: Embedder, tmp_path: Path, where: str):
    class Interrupted(nn.Module):
        def forward(self, images: Tensor) -> Tensor:
            raise KeyboardInterrupt

    class Broken(Source):
        def read(self, index: int):
            if index == 50:
                raise MemoryError
            return super().read(index)

    def interrupt(_: int) -> None:
        raise KeyboardInterrupt

    source = (Broken if where == "reader" else Source)(list(random_images(500)))
    with pytest.raises((KeyboardInterrupt, MemoryError)):
        embed(
            image_set(source),
            with_network(tiny, Interrupted()) if where == "network" else tiny,
            batch_size=10,
            cache=Cache(tmp_path),
            progress=interrupt if where == "progress" else None,
        )
    assert no_readers()
    assert source.reads < 200
    assert list(tmp_path.iterdir()) == []


def assert_same(a: Embeddings, b: Embeddings) -> None:
    for field in dataclasses.fields(Embeddings):
        one, two = getattr(a, field.name), getattr(b, field.name)
        assert torch.equal(one, two) if isinstance(one, Tensor) else one == two, field.name


@pytest.mark.parametrize("bad", [(), (1, 4)])
def test_a_second_run_reads_no_image_and_loads_no_network(tiny: Embedder, tmp_path: Path, bad: tuple[int, ...]):
    images = list(random_images(6))
    first = embed(image_set(Source(images, bad)), tiny, skip_bad=True, cache=Cache(tmp_path))
    source = Source(images, bad=tuple(range(6)))
    blind = dataclasses.replace(tiny, build=refuse)
    again = embed(image_set(source), blind, skip_bad=True, cache=Cache(tmp_path))
    assert source.reads == 0
    assert_same(first, again)


def test_images_in_memory_are_known_by_their_pixels(tiny: Embedder, tmp_path: Path):
    images, cache = random_images(6), Cache(tmp_path)
    blind = dataclasses.replace(tiny, build=refuse)
    first = embed(image_set(images), tiny, cache=cache)
    assert_same(first, embed(image_set(images.clone()), blind, cache=cache))
    changed = images.clone()
    changed[3, 0, 0, 0] ^= 1
    with pytest.raises(AssertionError, match="loaded"):
        embed(image_set(changed), blind, cache=cache)


def test_labels_and_names_are_no_part_of_the_key(tiny: Embedder, tmp_path: Path):
    images, cache = random_images(6), Cache(tmp_path)
    embed(image_set(images), tiny, cache=cache)
    other = dataclasses.replace(image_set(images, classes=3), name="other")
    got = embed(other, dataclasses.replace(tiny, build=refuse), cache=cache)
    assert torch.equal(got.labels, other.labels)
    assert got.name == "other"


def test_the_same_content_from_another_place_is_found_after_reading_it_once(tiny: Embedder, tmp_path: Path):
    images, cache = random_images(6), Cache(tmp_path)
    embed(image_set(Source(list(images))), tiny, cache=cache)
    files = cache.info().files
    embed(image_set(images), dataclasses.replace(tiny, build=refuse), cache=cache)
    embed(image_set(Source(list(images), print_="moved")), tiny, cache=cache)
    assert cache.info().files == files + 1, "another index entry, the same features"


def test_a_changed_file_is_noticed(tiny: Embedder, tmp_path: Path):
    images, cache = list(random_images(6)), Cache(tmp_path)
    before = embed(image_set(Source(images)), tiny, cache=cache)
    images[2] = 255 - images[2]
    source = Source(images, print_="second")
    after = embed(image_set(source), tiny, cache=cache)
    assert source.reads == 6
    changed = (before.features != after.features).any(dim=1)
    assert changed.tolist() == [False, False, True, False, False, False]


def test_a_file_that_changes_while_it_is_read_is_read_again(tiny: Embedder, tmp_path: Path):
    cache = Cache(tmp_path)
    source = Source(list(random_images(6)))

    def overwrite(_: int) -> None:
        source.print = "second"

    embed(image_set(source), tiny, cache=cache, progress=overwrite)
    source.reads = 0
    embed(image_set(source), tiny, cache=cache)
    assert source.reads == 6


@pytest.mark.parametrize("change", [{"precision": "bfloat16"}, {"geometry": Geometry(8, 8)}, {"weights": "sha256:1"}])
def test_another_embedder_is_not_served_old_features(tiny: Embedder, tmp_path: Path, change: dict[str, object]):
    images, cache = image_set(random_images(3)), Cache(tmp_path)
    embed(images, tiny, cache=cache)
    with pytest.raises(AssertionError, match="loaded"):
        embed(images, dataclasses.replace(tiny, build=refuse, **change), cache=cache)


def test_another_kind_of_device_is_not_served_old_features(tiny: Embedder, tmp_path: Path):
    """Its rounding is another, which decides the bits of a generated set; ``meta`` has no values, so it is stopped."""
    images, cache = image_set(random_images(3)), Cache(tmp_path)
    embed(images, tiny, cache=cache, device="cpu")
    blind = dataclasses.replace(tiny, build=refuse)
    embed(images, blind, cache=cache, device="cpu")
    with pytest.raises(AssertionError, match="loaded"):
        embed(images, blind, cache=cache, device="meta")


def test_images_that_were_left_out_are_looked_at_again_when_they_must_not_be(tiny: Embedder, tmp_path: Path):
    images, cache = list(random_images(4)), Cache(tmp_path)
    embed(image_set(Source(images, bad=(2,))), tiny, cache=cache, skip_bad=True)
    with pytest.raises(InputError, match="1 of 4 images cannot be read"):
        embed(image_set(Source(images, bad=(2,))), tiny, cache=cache)
    assert len(embed(image_set(Source(images)), tiny, cache=cache)) == 4, "mended"


def test_a_source_that_cannot_say_whether_it_changed_is_read_every_time(tiny: Embedder, tmp_path: Path):
    source = Source(list(random_images(4)), print_=None)
    for _ in range(2):
        embed(image_set(source), tiny, cache=Cache(tmp_path))
    assert source.reads == 8


def test_a_cache_that_cannot_be_written_loses_nothing(tiny: Embedder, tmp_path: Path):
    (tmp_path / "file").touch()
    images = random_images(3)
    with pytest.warns(CacheWarning):
        got = embed(image_set(images), tiny, cache=Cache(tmp_path / "file"))
    torch.testing.assert_close(got.features, by_hand(images))


def test_a_damaged_cache_is_mended(tiny: Embedder, tmp_path: Path):
    source, cache = Source(list(random_images(3))), Cache(tmp_path)
    first = embed(image_set(source), tiny, cache=cache)
    for path in tmp_path.iterdir():
        path.write_bytes(path.read_bytes()[:100])
    with warnings.catch_warnings():
        assert_same(first, embed(image_set(source), tiny, cache=cache))
    assert_same(first, embed(image_set(source), dataclasses.replace(tiny, build=refuse), cache=cache))
