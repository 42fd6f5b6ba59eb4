import gc
import gzip
import io
import os
import tarfile
import tempfile
import time
import zipfile
from pathlib import Path

import pytest
import torch

from divbench.cache import Cache
from divbench.embedders.embed import embed
from divbench.errors import InputError
from divbench.images import BadImageError, read_images


def packed(folder: Path, archive: Path) -> Path:
    if archive.suffix == ".zip":
        with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as file:
            for path in sorted(folder.rglob("*")):
                file.write(path, path.relative_to(folder.parent))
    else:
        mode = {".gz": "w:gz", ".xz": "w:xz", ".bz2": "w:bz2"}.get(archive.suffix, "w")
        with tarfile.open(archive, mode) as file:
            file.add(folder, folder.name)
    return archive


@pytest.fixture
def temporary(tmp_path, monkeypatch):
    place = tmp_path / "temporary"
    place.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(place))
    return place


@pytest.mark.parametrize("name", ["a.zip", "a.tar", "a.tar.gz", "a.tar.xz", "a.tar.bz2"])
def test_archives_read_as_the_folder_and_leave_nothing(sre2l, tmp_path, temporary, name):
    (sre2l / ".DS_Store").write_text("")
    archive = packed(sre2l, tmp_path / name)
    images = read_images(archive)
    assert torch.equal(images.pixels(), read_images(sre2l).pixels())
    assert images.name == "a"
    assert images.recognised == f"{name} with 3 numbered class folders (new000, ...), files class*_id*, 6 images"
    assert images.name_of(0) == f"{archive}:set/new000/class000_id000.png"
    assert len(list(temporary.iterdir())) == 1
    some = images.select(torch.tensor([0]))
    del images
    gc.collect()
    assert some.read(0).pixels.shape == (3, 8, 8)
    del some
    gc.collect()
    assert list(temporary.iterdir()) == []


def test_fingerprint_of_an_archive_is_of_what_was_unpacked(sre2l, tmp_path, monkeypatch):
    archive = packed(sre2l, tmp_path / "a.tar")
    fresh = read_images(archive)
    later = time.time_ns() + 10**10
    monkeypatch.setattr("divbench.images.files.time.time_ns", lambda: later)
    assert fresh.images.fingerprint() is None, "the archive may have changed in the tick in which it was written"
    first = read_images(archive)
    before = first.images.fingerprint()
    assert before is not None
    assert before == read_images(archive).images.fingerprint()
    os.utime(archive, ns=(1, 1))
    assert first.images.fingerprint() == before
    assert read_images(archive).images.fingerprint() not in (before, None)


@pytest.mark.parametrize(("prefix", "second"), [("", "a.bmp"), ("wds:", "b.bmp")])
def test_an_archive_written_again_is_not_taken_for_the_one_that_was_read(tmp_path, png, monkeypatch, prefix, second):
    monkeypatch.setattr("divbench.images.files._SETTLED_NS", -(10**12))  # else fresh files have no fingerprint
    cache, archive = Cache(tmp_path / "cache"), tmp_path / "a.tar"
    source = f"{prefix}{archive}"
    png(tmp_path / "set" / "cat" / "a.bmp", 1)
    held = read_images(packed(tmp_path / "set", archive) and source)
    png(tmp_path / "set" / "cat" / second, 2)
    packed(tmp_path / "set", archive)
    embed(held, "pixels", cache=cache)
    again = embed(read_images(source), "pixels", cache=cache)
    assert again.source == embed(read_images(tmp_path / "set"), "pixels").source


def test_a_bad_image_in_an_archive_is_named_by_archive_and_member(sre2l, tmp_path):
    (sre2l / "new000" / "class000_id000.png").write_bytes(b"")
    images = read_images(packed(sre2l, tmp_path / "a.zip"))
    with pytest.raises(BadImageError, match=r"a\.zip:set/new000/class000_id000\.png: is empty"):
        images.read(0)


def test_tensors_in_an_archive_do_not_keep_the_temporary_folder(tmp_path, temporary):
    (tmp_path / "set").mkdir()
    torch.save(torch.zeros(2, 3, 4, 4), tmp_path / "set" / "images_best.pt")
    torch.save(torch.arange(2), tmp_path / "set" / "labels_best.pt")
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as file:
        for name in ("images_best.pt", "labels_best.pt"):
            file.write(tmp_path / "set" / name, name)
    assert len(read_images(tmp_path / "a.zip")) == 2
    assert list(temporary.iterdir()) == []


def tar_with(archive: Path, name: str, kind: bytes = tarfile.REGTYPE, link: str = "") -> Path:
    with tarfile.open(archive, "w") as file:
        member = tarfile.TarInfo(name)
        member.type, member.linkname, member.size = kind, link, 1 if kind == tarfile.REGTYPE else 0
        file.addfile(member, io.BytesIO(b"x"))
    return archive


@pytest.mark.parametrize("name", ["../out.png", "/out.png", "a/../../out.png", "..\\out.png", "C:\\out.png"])
@pytest.mark.parametrize("form", ["tar", "zip"])
def test_members_that_climb_out_are_refused(tmp_path, temporary, name, form):
    if form == "tar":
        archive = tar_with(tmp_path / "a.tar", name)
    else:
        archive = tmp_path / "a.zip"
        with zipfile.ZipFile(archive, "w") as file:
            file.writestr(zipfile.ZipInfo(name), b"x")
    with pytest.raises(InputError, match="outside its folder"):
        read_images(archive)
    assert not list(tmp_path.rglob("out.png"))
    assert list(temporary.iterdir()) == []


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE])
def test_links_and_devices_are_refused(tmp_path, temporary, kind):
    with pytest.raises(InputError, match="link or a device"):
        read_images(tar_with(tmp_path / "a.tar", "a/b.png", kind, "/etc/passwd"))
    assert list(temporary.iterdir()) == []


def test_links_in_zips_are_refused(tmp_path):
    member = zipfile.ZipInfo("a/b.png")
    member.external_attr = 0o120777 << 16
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as file:
        file.writestr(member, "/etc/passwd")
    with pytest.raises(InputError, match="link or a device"):
        read_images(tmp_path / "a.zip")


@pytest.mark.parametrize("name", ["a.zip", "a.tar.gz"])
def test_bombs_are_stopped(tmp_path, temporary, monkeypatch, name):
    monkeypatch.setattr("divbench.images.unpack.ALWAYS_ALLOWED", 2**16)
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "zeros.ppm").write_bytes(bytes(2**22))
    with pytest.raises(InputError, match="unpacks to more than"):
        read_images(packed(tmp_path / "set", tmp_path / name))
    assert list(temporary.iterdir()) == []


def test_a_header_that_would_fill_the_memory_is_refused(tmp_path):
    record = b"3145728 comment=".ljust(3 * 2**20 - 1, b"a") + b"\n"
    header = tarfile.TarInfo("./PaxHeaders/x")
    header.type, header.size = tarfile.XHDTYPE, len(record)
    with gzip.open(tmp_path / "a.tar.gz", "wb") as file:
        file.write(header.tobuf(tarfile.USTAR_FORMAT) + record)
    with pytest.raises(InputError, match="holds a header of 3145728 bytes"):
        read_images(tmp_path / "a.tar.gz")


@pytest.mark.parametrize("hidden", [False, True])
def test_headers_count_as_bytes_and_as_members(sre2l, tmp_path, monkeypatch, hidden):
    for number in range(200):
        (sre2l / ("." * hidden + str(number))).mkdir()
    archive = packed(sre2l, tmp_path / "a.tar.gz")
    monkeypatch.setattr("divbench.images.unpack.ALWAYS_ALLOWED", 2**16)
    monkeypatch.setattr("divbench.images.unpack.MAX_RATIO", 1)
    with pytest.raises(InputError, match="unpacks to more than 65536 bytes"):
        read_images(archive)
    monkeypatch.setattr("divbench.images.unpack.ALWAYS_ALLOWED", 2**20)
    monkeypatch.setattr("divbench.images.unpack.MAX_MEMBERS", 200)
    with pytest.raises(InputError, match="more than 200 files and folders"):
        read_images(archive)


def test_the_same_member_twice_is_an_error(tmp_path):
    with tarfile.open(tmp_path / "a.tar", "w") as file:
        for _ in range(2):
            member = tarfile.TarInfo("a/b.png")
            member.size = 1
            file.addfile(member, io.BytesIO(b"x"))
    with pytest.raises(InputError, match="twice"):
        read_images(tmp_path / "a.tar")


@pytest.mark.parametrize("name", ["a.zip", "a.tar.gz", "a.tar.xz", "a.tar"])
def test_damaged_archives_are_errors(sre2l, tmp_path, temporary, name):
    archive = packed(sre2l, tmp_path / name)
    whole = archive.read_bytes()
    for data in (b"", b"hello", whole[: len(whole) // 2]):
        archive.write_bytes(data)
        with pytest.raises(InputError, match=name):
            read_images(archive)
        assert list(temporary.iterdir()) == []


def test_an_archive_without_images_and_one_of_shards(tmp_path):
    archive = tar_with(tmp_path / "a.tar", "readme.txt")
    with pytest.raises(InputError, match=r"a\.tar: a folder with no images"):
        read_images(archive)
    with pytest.raises(InputError, match=r"give it as wds:"):
        read_images(tar_with(tmp_path / "b.tar", "000.cls"))


def test_splits_in_archives(tmp_path, png):
    for split in ("train", "val"):
        png(tmp_path / "set" / split / "cat" / "a.png")
    archive = packed(tmp_path / "set", tmp_path / "a.tar")
    assert "train/cat" in read_images(archive, split="train").name_of(0)
    with pytest.raises(InputError, match=r"a\.tar/set: holds several splits"):
        read_images(archive)
