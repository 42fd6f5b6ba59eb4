import pickle
from pathlib import Path

import pytest
import torch
from sklearn.datasets import load_digits

from divbench.errors import InputError
from divbench.images import DATASETS, READERS, read_images


def test_digits_are_always_there():
    images, test = read_images("digits"), read_images("digits", split="test")
    assert images.classes == test.classes == tuple("0123456789")
    assert images.recognised == "data set digits, split train, 1442 images"
    bunch = load_digits()
    seen, expected = [0] * 10, {"train": [], "test": []}
    for row, label in enumerate(bunch.target):
        seen[label] += 1
        expected["train" if seen[label] % 5 else "test"].append(row)
    for some, rows in ((images, expected["train"]), (test, expected["test"])):
        assert some.pixels().shape == (len(rows), 3, 8, 8)
        assert some.labels.tolist() == bunch.target[rows].tolist()
        grey = bunch.images[rows[5]]
        assert some.pixels()[5, 1].tolist() == [[round(v * 255 / 16) for v in row] for row in grey]
        assert (some.pixels()[:, 0] == some.pixels()[:, 2]).all()
    assert test.labels.bincount().min() >= 34


def test_an_unknown_split_is_an_error():
    with pytest.raises(InputError, match=r"no split 'all'; choose split \(--split\) = train or test"):
        read_images("digits", split="all")


def test_a_path_of_the_same_name_wins_with_a_note(tmp_path, monkeypatch, sre2l):
    monkeypatch.chdir(tmp_path)
    sre2l.rename("digits")
    images = read_images("digits")
    assert len(images) == 6
    assert "'digits' is also the name of a data set; the folder of that name was read" in images.notes


@pytest.mark.parametrize("name", [name for name in DATASETS if name != "digits"])
def test_what_is_absent_says_where_it_was_looked_for_and_what_to_do(tmp_path, monkeypatch, name):
    monkeypatch.setenv("DIVBENCH_DATA", str(tmp_path / "here"))
    with pytest.raises(InputError, match=rf"(?s)^{name}: not .*here.*(download|image-net)"):
        read_images(name)
    with pytest.raises(InputError, match="there"):
        read_images(name, data_dir=tmp_path / "there")
    assert not (tmp_path / "here").exists()


@pytest.mark.parametrize(
    ("name", "place"),
    [("imagenette", "imagenette2"), ("imagenet", "imagenet"), ("tiny-imagenet", "tiny-imagenet-200")],
)
def test_class_folders_in_the_data_folder(tmp_path, png, name, place):
    for split in ("train", "val"):
        for wnid in ("n01440764", "n01443537"):
            png(tmp_path / place / split / wnid / "a.JPEG", format="JPEG")
    images = read_images(name, data_dir=tmp_path)
    assert images.classes == ("n01440764", "n01443537")
    assert images.recognised == f"data set {name}, split train, 2 images"
    assert images.name == name
    assert "/val/" in Path(read_images(name, data_dir=tmp_path, split="val").name_of(0)).as_posix()


def test_cifar_through_torchvision(tmp_path, monkeypatch):
    from torchvision.datasets import CIFAR10

    folder = tmp_path / CIFAR10.base_folder
    folder.mkdir()
    raw = torch.arange(2 * 3072).remainder(256).to(torch.uint8).view(2, 3072)
    for name, _ in CIFAR10.train_list + CIFAR10.test_list:
        (folder / name).write_bytes(pickle.dumps({"data": raw.numpy(), "labels": [3, 1]}))
    names = ["airplane", "automobile", "bird", "cat"]
    (folder / "batches.meta").write_bytes(pickle.dumps({"label_names": names}))
    monkeypatch.setattr("torchvision.datasets.cifar.check_integrity", lambda *_: True)
    train, test = read_images("cifar10", data_dir=tmp_path), read_images("cifar10", data_dir=tmp_path, split="test")
    assert len(train) == 10
    assert test.labels.tolist() == [3, 1]
    assert test.classes == tuple(names)
    assert torch.equal(test.pixels(), raw.view(2, 3, 32, 32))


def test_tables_for_the_lists_are_complete():
    for name, known in DATASETS.items():
        assert name == known.name
        assert known.splits
        assert known.classes >= 10
    for _, reader in READERS.items():
        assert reader.summary
        assert "\n" not in reader.summary
        assert reader.takes <= {"normalized", "as_is", "repeat", "per_class", "split"}
