import io
import sys
import tarfile
import time
import types

import numpy as np
import pytest
import torch
from PIL import Image

from divbench.errors import InputError, MissingExtraError
from divbench.images import BadImageError, read_images


def encoded(value: int) -> bytes:
    out = io.BytesIO()
    Image.fromarray(np.full((4, 4, 3), value, np.uint8)).save(out, "PNG")
    return out.getvalue()


def shard(path, members):
    with tarfile.open(path, "w") as file:
        for name, data in members:
            member = tarfile.TarInfo(name)
            member.size = len(data)
            file.addfile(member, io.BytesIO(data))
    return path


def test_shards_are_read_in_place(tmp_path, monkeypatch):
    for number in range(8, 11):
        members = [(f"a/{number}.png", encoded(number)), (f"a/{number}.cls", b"%d\n" % (number - 8))]
        shard(tmp_path / f"x-{number:03d}.tar", [*members, (f"a/{number}.json", b"{}")])
    images = read_images(f"wds:{tmp_path}/x-{{008..010}}.tar")
    assert images.pixels()[:, 0, 0, 0].tolist() == [8, 9, 10]
    assert images.labels.tolist() == [0, 1, 2]
    assert images.recognised == "3 webdataset shards, 3 images"
    assert images.name_of(2).endswith("x-010.tar:a/10.png")
    assert torch.equal(read_images(f"wds:{tmp_path}/x-*.tar").pixels(), images.pixels())
    assert images.images.fingerprint() is None
    later = time.time_ns() + 10**10
    monkeypatch.setattr("divbench.images.files.time.time_ns", lambda: later)
    assert images.images.fingerprint() is None
    assert read_images(f"wds:{tmp_path}/x-*.tar").images.fingerprint() is not None


def test_shards_without_labels_and_with_some(tmp_path):
    path = shard(tmp_path / "a.tar", [("0.png", encoded(0)), ("1.png", encoded(1))])
    assert not read_images(f"wds:{path}").labelled
    path = shard(tmp_path / "b.tar", [("0.png", encoded(0)), ("0.cls", b"0"), ("1.png", encoded(1))])
    with pytest.raises(InputError, match=r"b\.tar:1\.png: has no \.cls"):
        read_images(f"wds:{path}")


def test_bad_shards_are_errors(tmp_path):
    (tmp_path / "text.tar").write_text("hello")
    cls = shard(tmp_path / "cls.tar", [("0.png", encoded(0)), ("0.cls", b"cat")])
    wild = shard(tmp_path / "wild.tar", [("0.png", encoded(0)), ("0.cls", b"1000000")])
    far = shard(tmp_path / "far.tar", [("0.png", encoded(0)), ("0.cls", b"9" * 20)])
    two = shard(tmp_path / "two.tar", [("0.png", encoded(0)), ("0.jpg", encoded(0))])
    none = shard(tmp_path / "none.tar", [("0.txt", b"")])
    for source, message in [
        (f"wds:{tmp_path}/text.tar", "uncompressed tar"),
        (f"wds:{cls}", "class number, got b'cat'"),
        (f"wds:{wild}", "labels reach 1000000, .* classes without names"),
        (f"wds:{far}", "labels reach 9{20}, .* classes without names"),
        (f"wds:{two}", "two images"),
        (f"wds:{none}", "no images"),
        (f"wds:{tmp_path}/gone-{{0..1}}.tar", r"no such shards: .*gone-0\.tar"),
        (f"wds:{tmp_path}/gone-*.tar", "none match"),
        ("wds:https://example.org/a.tar", "download them first"),
    ]:
        with pytest.raises(InputError, match=message):
            read_images(source)


def test_a_bad_image_in_a_shard_is_named(tmp_path):
    images = read_images(f"wds:{shard(tmp_path / 'a.tar', [('0.png', b'hello')])}")
    with pytest.raises(BadImageError, match=r"a\.tar:0\.png: is not an image"):
        images.read(0)


def test_hub_without_the_library_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(MissingExtraError, match=r"divbench\[huggingface\]"):
        read_images("hf:cifar10")


@pytest.mark.parametrize("download", [False, True])
def test_hub_asks_the_network_only_where_download_is_said(monkeypatch, download):
    library = types.SimpleNamespace(HF_HUB_OFFLINE=False, HF_DATASETS_OFFLINE=False)
    constants = types.SimpleNamespace(HF_HUB_OFFLINE=False)
    asked = []

    def switches():
        return [library.HF_HUB_OFFLINE, library.HF_DATASETS_OFFLINE, constants.HF_HUB_OFFLINE]

    def load(name, configuration):
        asked.append(switches())
        raise FileNotFoundError("nowhere")

    monkeypatch.setitem(sys.modules, "datasets", types.SimpleNamespace(config=library, load_dataset=load))
    monkeypatch.setitem(sys.modules, "huggingface_hub", types.SimpleNamespace(constants=constants))
    with pytest.raises(InputError, match="nowhere"):
        read_images("hf:gone", download=download)
    assert asked == [[not download] * 3]
    assert switches() == [False] * 3


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::ResourceWarning")
def test_hub_reads_encoded_images_and_class_names(tmp_path, monkeypatch):
    datasets = pytest.importorskip("datasets")
    features = datasets.Features({"img": datasets.Image(), "label": datasets.ClassLabel(names=["cat", "dog"])})
    rows = {"img": [{"bytes": encoded(v), "path": None} for v in (7, 8)], "label": [1, 0]}
    made = datasets.Dataset.from_dict(rows, features=features)
    asked = []

    def load(name, configuration):
        asked.append((name, configuration, datasets.config.HF_HUB_OFFLINE))
        if name == "gone":
            raise FileNotFoundError("nowhere")
        return {"train": made, "test": made.select([0])}

    monkeypatch.setattr(datasets, "load_dataset", load)
    images = read_images("hf:someone/pets:small", split="train")
    assert images.pixels()[:, 0, 0, 0].tolist() == [7, 8]
    assert images.labels.tolist() == [1, 0]
    assert images.classes == ("cat", "dog")
    assert images.images.fingerprint() != read_images("hf:someone/pets:small", split="test").images.fingerprint()
    with pytest.raises(InputError, match=r"choose split \(--split\) = train or test"):
        read_images("hf:someone/pets")
    with pytest.raises(InputError, match="nowhere.*say download"):
        read_images("hf:gone")
    with pytest.raises(InputError, match="check the name"):
        read_images("hf:gone", download=True)
    assert asked == [
        ("someone/pets", "small", True),
        ("someone/pets", "small", True),
        ("someone/pets", None, True),
        ("gone", None, True),
        ("gone", None, False),
    ]
