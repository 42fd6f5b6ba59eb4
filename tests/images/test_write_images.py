import errno
import tempfile
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from divbench.errors import InputError
from divbench.images import ImageSet, read_images, write_images
from divbench.images.writer import safe_names


def a_set(classes=("cat", "dog"), labels=(1, 0, 1)):
    pixels = torch.randint(0, 256, (len(labels), 3, 4, 5), generator=torch.Generator().manual_seed(0)).to(torch.uint8)
    return ImageSet(pixels, torch.tensor(labels), classes, "mine")


def test_what_is_written_is_read_back(tmp_path):
    write_images(a_set(), tmp_path / "deep" / "out")
    images = read_images(tmp_path / "deep" / "out")
    assert images.classes == ("cat", "dog")
    assert images.labels.tolist() == [0, 1, 1]
    assert torch.equal(images.pixels(), a_set().pixels()[[1, 0, 2]])
    assert images.recognised == "divbench set 'mine', 2 classes, 3 images"
    assert (tmp_path / "deep" / "out" / "images" / "dog" / "00001.png").is_file()
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["out"]


def test_an_unlabelled_set_stays_so_and_empty_classes_stay(tmp_path):
    pixels = torch.zeros(2, 3, 2, 2, dtype=torch.uint8)
    write_images(
        ImageSet(pixels, torch.zeros(2, dtype=torch.int64), ("all",), "flat", labelled=False), tmp_path / "flat"
    )
    assert not read_images(tmp_path / "flat").labelled
    write_images(a_set(("a", "b", "c"), (0, 2)), tmp_path / "gap")
    assert read_images(tmp_path / "gap").classes == ("a", "b", "c")


@settings(max_examples=30, deadline=None)
@given(st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=20), min_size=1, max_size=5, unique=True))
def test_any_class_name_survives(names):
    with tempfile.TemporaryDirectory() as folder:
        write_images(a_set(tuple(names), tuple(range(len(names)))), Path(folder) / "out")
        images = read_images(Path(folder) / "out")
    assert images.classes == tuple(names)
    assert images.labels.tolist() == list(range(len(names)))


def test_folder_names_are_safe_and_distinct_without_case():
    names = ("..", "", "a/b", "con", "Cat", "cat", "cat", "x" * 300, ".hidden", "goldfish, Carassius auratus", "犬")
    safe = safe_names(names)
    assert len({one.casefold() for one in safe}) == len(names)
    for one in safe:
        assert one not in ("", ".", "..")
        assert one.isascii()
        assert not set(one) & set('/\\:*?"<>|')
        assert not one.startswith(".")
        assert not one.endswith((".", " "))
        assert len(one) < 130
        assert one.casefold().split(".")[0] not in ("con", "nul")


def test_an_existing_place_is_left_alone(tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine.txt").write_text("x")
    with pytest.raises(InputError, match="exists already"):
        write_images(a_set(), tmp_path / "out")
    assert (tmp_path / "out" / "mine.txt").read_text() == "x"


@pytest.mark.parametrize(
    ("problem", "seen"),
    [(OSError(errno.ENOSPC, "No space left on device"), InputError), (KeyboardInterrupt(), KeyboardInterrupt)],
)
def test_a_full_disk_or_an_interrupt_leaves_nothing(tmp_path, monkeypatch, problem, seen):
    save, count = Image.Image.save, []

    def failing(self, *args, **kwargs):
        count.append(1)
        if len(count) == 2:
            raise problem
        save(self, *args, **kwargs)

    monkeypatch.setattr(Image.Image, "save", failing)
    with pytest.raises(seen) as caught:
        write_images(a_set(), tmp_path / "out")
    assert seen is KeyboardInterrupt or "No space left on device" in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_a_place_that_cannot_be_written_is_an_error(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot be written"):
        write_images(a_set(), tmp_path / "file" / "out")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "is not a set"),
        ('{"schema": 9, "name": "x", "classes": []}', "schema 9"),
        ('{"schema": 1, "name": "x", "classes": [], "more": 1}', "more"),
        ('{"schema": 1, "name": "x", "classes": [{"name": "a", "folder": "../a"}]}', "plain name"),
        ('{"schema": 1, "name": "x", "classes": [{"name": "a", "folder": "zebra"}]}', "images/zebra is missing"),
        ('{"schema": 1, "name": "x", "classes": [{"name": "a", "folder": "cat"}]}', "images/dog is not named"),
        (
            '{"schema": 1, "name": "x", "classes": [{"name": "a", "folder": "b"}, {"name": "c", "folder": "b"}]}',
            "two classes",
        ),
    ],
)
def test_a_damaged_manifest_is_an_error(tmp_path, text, message):
    write_images(a_set(), tmp_path / "out")
    (tmp_path / "out" / "set.json").write_text(text)
    with pytest.raises(InputError, match=message):
        read_images(tmp_path / "out")


def test_other_layouts_and_formats_are_read_back_with_their_class_names(tmp_path):
    write_images(a_set(), tmp_path / "out", format="jpeg75", layout="sre2l")
    assert (tmp_path / "out" / "images" / "new001" / "class001_id001.jpg").is_file()
    images = read_images(tmp_path / "out")
    assert images.classes == ("cat", "dog")
    assert images.labels.tolist() == [0, 1, 1]
    assert images.read(0).remarks == ("jpeg",)
