import os
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from divbench.errors import InputError
from divbench.images import BadImageError, read_images
from divbench.images.files import Files


def test_sre2l_is_in_numeric_order_even_where_widths_differ(tmp_path, png):
    for label in (0, 2, 10, 1000):
        for index in (0, 9, 10, 1000):
            png(tmp_path / f"new{label:03d}" / f"class{label:03d}_id{index:03d}.png")
    images = read_images(tmp_path)
    assert images.classes == ("new000", "new002", "new010", "new1000")
    assert images.labels.tolist() == [label for label in range(4) for _ in range(4)]
    ids = [os.path.basename(images.name_of(i)).split("_id")[1] for i in range(4)]
    assert ids == ["000.png", "009.png", "010.png", "1000.png"]
    assert images.recognised == "4 numbered class folders (new000, ...), files class*_id*, 16 images"
    assert images.labelled


def test_numbers_without_padding_and_rded(tmp_path, png):
    for label in (0, 2, 10):
        png(tmp_path / "plain" / str(label) / f"{label}-image00.png")
        png(tmp_path / "rded" / f"{label:05d}" / f"class{label:05d}_id00000.jpg")
    assert read_images(tmp_path / "plain").classes == ("0", "2", "10")
    rded = read_images(tmp_path / "rded")
    assert rded.classes == ("00000", "00002", "00010")
    assert rded.read(0).remarks == ("jpeg",)


def test_named_classes_are_in_order_of_name(tmp_path, png):
    for name in ("dog", "cat"):
        png(tmp_path / name / "000_x.png")
    images = read_images(tmp_path)
    assert images.classes == ("cat", "dog")
    assert "in order of name" in images.recognised


def test_snapshots_are_left_out_with_a_note(sre2l, png):
    png(sre2l / "new000" / "class000_id000_iter0100.png")
    images = read_images(sre2l)
    assert len(images) == 6
    assert "left out iteration snapshots (*_iter*): 1" in images.notes
    png(sre2l / "new003" / "class003_id000_iter0100.png")
    with pytest.raises(InputError, match="only iteration snapshots"):
        read_images(sre2l)


def test_stray_files_and_folders_are_ignored_with_a_note(sre2l, png):
    (sre2l / "sample_weights.txt").write_text("1")
    (sre2l / "barycenter.npy").write_bytes(b"")
    (sre2l / "new000" / "log.txt").write_text("1")
    (sre2l / "new000" / "old").mkdir()
    (sre2l / ".DS_Store").write_text("1")
    (sre2l / "new007").mkdir()
    png(sre2l / "preview.png")
    png(sre2l / "grids" / "a.png")
    images = read_images(sre2l)
    assert len(images) == 6
    assert images.classes == ("new000", "new001", "new002")
    assert images.notes == (
        "ignored files beside the class folders: barycenter.npy, preview.png, sample_weights.txt",
        "ignored folders that are no classes or hold no images: grids, new007",
        "ignored files in class folders that are no images: 1",
        "ignored folders inside class folders: 1",
    )


def test_numbered_and_named_folders_together_are_an_error(tmp_path, png):
    for name in ("0", "1", "grids"):
        png(tmp_path / name / "a.png")
    with pytest.raises(InputError, match=r"numbered and others not \(grids\)"):
        read_images(tmp_path)


def test_two_folders_of_one_class_are_an_error(tmp_path, png):
    for name in ("1", "01"):
        png(tmp_path / name / "a.png")
    with pytest.raises(InputError, match="both class 1"):
        read_images(tmp_path)


def test_a_file_of_another_class_is_an_error(sre2l, png):
    png(sre2l / "new000" / "class001_id009.png")
    with pytest.raises(InputError, match="named as class 1 but lies in the folder of class 0"):
        read_images(sre2l)


def test_images_beside_one_folder_are_ambiguous(tmp_path, png):
    png(tmp_path / "a.png")
    png(tmp_path / "thumbs" / "a.png")
    with pytest.raises(InputError, match="both images and one folder"):
        read_images(tmp_path)


def test_flat_folder_is_unlabelled(tmp_path, png):
    for index in (10, 9):
        png(tmp_path / f"{index}.png", index)
    (tmp_path / "notes.txt").write_text("1")
    images = read_images(tmp_path)
    assert not images.labelled
    assert images.recognised == "flat folder of 2 images without labels"
    assert [os.path.basename(images.name_of(i)) for i in range(2)] == ["9.png", "10.png"]
    assert "ignored beside the images: notes.txt" in images.notes


def test_wrapping_folders_are_entered(tmp_path, png):
    for name in ("wandb/exp/new000", "wandb/exp/new001"):
        png(tmp_path / "ufc" / name / "class.png")
    png(tmp_path / "flat" / "images" / "a.png")
    ufc = read_images(tmp_path / "ufc")
    assert ufc.classes == ("new000", "new001")
    assert "entered wandb/exp" in ufc.notes
    assert not read_images(tmp_path / "flat").labelled
    png(tmp_path / "ufc" / "wandb" / "other" / "new000" / "a.png")
    with pytest.raises(InputError, match=r"2 folders with images \(exp, other\)"):
        read_images(tmp_path / "ufc")


def test_splits_have_to_be_chosen(tmp_path, png):
    for split in ("train", "val"):
        for name in ("cat", "dog"):
            png(tmp_path / split / name / f"{split}.png")
    with pytest.raises(
        InputError, match=r"holds several splits; choose split \(--split, .*\) = train or val, or give that folder"
    ):
        read_images(tmp_path)
    with pytest.raises(InputError, match=r"'test' was asked for; choose split \(--split, .*\) = train or val"):
        read_images(tmp_path, split="test")
    assert "val.png" in read_images(tmp_path, split="val").name_of(0)
    assert len(read_images(tmp_path / "val", split="val")) == 2
    with pytest.raises(InputError, match="leave split out"):
        read_images(tmp_path / "val", split="train")


def test_flat_splits_are_not_taken_for_classes(tmp_path, png):
    for split in ("train", "test"):
        png(tmp_path / split / "a.png")
    with pytest.raises(InputError, match="choose split"):
        read_images(tmp_path)
    assert not read_images(tmp_path, split="train").labelled


def test_tiny_imagenet(tmp_path, png):
    wnids = ("n01443537", "n01629819")
    rows = []
    for number, wnid in enumerate(reversed(wnids)):
        png(tmp_path / "train" / wnid / "images" / f"{wnid}_0.JPEG", format="JPEG")
        png(tmp_path / "val" / "images" / f"val_{number}.JPEG", format="JPEG")
        rows.append(f"val_{number}.JPEG\t{wnid}\t0\t0\t1\t1")
    (tmp_path / "val" / "val_annotations.txt").write_text("\n".join(rows))
    (tmp_path / "words.txt").write_text("")
    train, val = read_images(tmp_path, split="train"), read_images(tmp_path, split="val")
    assert train.classes == val.classes == wnids
    assert val.labels.tolist() == [0, 1]
    assert val.name_of(0).endswith("val_1.JPEG")
    png(tmp_path / "val" / "images" / "val_9.JPEG", format="JPEG")
    with pytest.raises(InputError, match=r"without annotation: val_9\.JPEG"):
        read_images(tmp_path, split="val")


def test_nothing_and_unknown_list_what_is_accepted(tmp_path):
    (tmp_path / "x.weird").write_text("1")
    for source in (tmp_path, tmp_path / "x.weird", tmp_path / "missing"):
        with pytest.raises(InputError, match=r"(?s)Accepted:.*class-folders.*dc-repeats.*webdataset"):
            read_images(source)


def test_two_formats_in_one_folder_are_an_error(sre2l):
    torch.save(torch.zeros(1, 3, 2, 2), sre2l / "images_best.pt")
    with pytest.raises(InputError, match=r"more than one way .class-folders: .*; mtt-folder: "):
        read_images(sre2l)


def test_folders_are_lazy_and_bad_files_are_named(sre2l):
    (sre2l / "new001" / "class001_id001.png").write_bytes(b"")
    images = read_images(sre2l)
    assert images.read(0).pixels.shape == (3, 8, 8)
    with pytest.raises(BadImageError, match=r"class001_id001\.png: is empty"):
        images.read(3)


def test_mixed_sizes_cannot_be_one_tensor(sre2l, png):
    png(sre2l / "new000" / "class000_id002.png", size=(9, 8))
    with pytest.raises(InputError, match="2 sizes"):
        read_images(sre2l).pixels()


@pytest.mark.parametrize("field", ["st_size", "st_mtime_ns", "st_ctime_ns", "st_ino"])
def test_fingerprint_looks_at_each_of(sre2l, monkeypatch, field):
    path = sre2l / "new000" / "class000_id000.png"
    state = {name: 10 for name in ("st_size", "st_mtime_ns", "st_ctime_ns", "st_ino")}
    monkeypatch.setattr("divbench.images.files.os.stat", lambda _: SimpleNamespace(**state))
    before = Files((path,)).fingerprint()
    assert before is not None
    state[field] = 11
    assert Files((path,)).fingerprint() != before


def test_fingerprint_follows_size_time_and_names(sre2l, monkeypatch):
    paths = sorted(sre2l.rglob("*.png"))
    source = Files(tuple(paths))
    assert source.fingerprint() is None  # written just now: a change in the same tick would be missed
    later = time.time_ns() + 10**10
    monkeypatch.setattr("divbench.images.files.time.time_ns", lambda: later)
    first = source.fingerprint()
    assert first == Files(tuple(paths)).fingerprint()
    assert first != Files(tuple(paths[1:])).fingerprint()
    os.utime(paths[0], ns=(1, 1))
    second = source.fingerprint()
    assert first != second
    paths[0].write_bytes(paths[0].read_bytes()[:-1])
    os.utime(paths[0], ns=(1, 1))
    assert source.fingerprint() != second
    paths[0].unlink()
    assert source.fingerprint() is None


def test_names_that_are_no_text_are_refused_or_shown_safely(tmp_path, png):
    wrong = os.fsdecode(b"caf\xe9")
    png(tmp_path / "set" / "dog" / "a.png")
    png(tmp_path / "set" / "dog" / f"{wrong}.png")
    (tmp_path / "set" / wrong).mkdir()
    images = read_images(tmp_path / "set")
    assert Path(images.name_of(1)).name == r"caf\udce9.png"
    assert images.notes == (r"ignored folders that are no classes or hold no images: caf\udce9",)
    png(tmp_path / "set" / wrong / "a.png")
    for place in (tmp_path / "set", tmp_path / "set" / wrong):
        with pytest.raises(InputError, match=r"the name 'caf\\udce9' is not UTF-8; rename") as error:
            read_images(place)
        assert str(error.value).isprintable()
