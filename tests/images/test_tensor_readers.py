import pickle
import zipfile

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from divbench.errors import InputError
from divbench.images import read_images, read_repeats

PIXELS = torch.arange(6 * 3 * 4 * 5).remainder(251).to(torch.uint8).view(6, 3, 4, 5)
LABELS = torch.tensor([0, 0, 1, 1, 2, 2])


def mtt(folder, suffix="5000", images=PIXELS, labels=LABELS):
    folder.mkdir(parents=True, exist_ok=True)
    torch.save(images / 255, folder / f"images_{suffix}.pt")
    if labels is not None:
        torch.save(labels, folder / f"labels_{suffix}.pt")
    return folder


def dc(path, repeats=2):
    pairs = [[(PIXELS + repeat) / 255, LABELS] for repeat in range(repeats)]
    torch.save({"data": pairs, "accs_all_exps": {"ConvNet": [np.float64(0.5), np.float32(0.25)]}}, path)
    return path


def test_bare_tensor_with_labels_beside(tmp_path):
    images = read_images(mtt(tmp_path) / "images_5000.pt")
    assert torch.equal(images.pixels(), PIXELS)
    assert torch.equal(images.labels, LABELS)
    assert images.classes == ("0", "1", "2")
    assert images.recognised == (
        "image tensor images_5000.pt, labels from labels_5000.pt; un-normalised, values in [0, 1]"
    )


@pytest.mark.parametrize("labels", ["CIFAR10_IPC10_labels.pt", "CIFAR10_IPC10_images_labels.pt"])
def test_the_other_names_of_label_files(tmp_path, labels):
    torch.save(PIXELS, tmp_path / "CIFAR10_IPC10_images.pt")
    torch.save(LABELS.float(), tmp_path / labels)
    images = read_images(tmp_path / "CIFAR10_IPC10_images.pt")
    assert torch.equal(images.labels, LABELS)
    assert labels in images.recognised


def test_two_label_files_are_an_error(tmp_path):
    torch.save(PIXELS, tmp_path / "images.pt")
    torch.save(LABELS, tmp_path / "labels.pt")
    torch.save(LABELS, tmp_path / "soft_labels.pt")
    with pytest.raises(InputError, match=r"labels\.pt, soft_labels\.pt"):
        read_images(tmp_path / "images.pt")


def test_labels_inside_pt_and_safetensors(tmp_path):
    torch.save({"images": PIXELS, "labels": LABELS}, tmp_path / "a.pt")
    save_file({"images": PIXELS, "labels": LABELS}, tmp_path / "b.safetensors")
    for name in ("a.pt", "b.safetensors"):
        images = read_images(tmp_path / name)
        assert torch.equal(images.labels, LABELS)
        assert "labels in the same file" in images.recognised
        assert torch.equal(images.pixels(), PIXELS)


def test_without_labels_the_user_has_to_say_how_they_lie(tmp_path):
    torch.save(PIXELS, tmp_path / "some_images.pt")
    with pytest.raises(InputError, match=r"6 images have no labels.*some_labels\.pt beside.*per_class"):
        read_images(tmp_path / "some_images.pt")
    images = read_images(tmp_path / "some_images.pt", per_class=2)
    assert torch.equal(images.labels, LABELS)
    assert "2 of each of 3 classes in order" in images.recognised
    with pytest.raises(InputError, match="cannot be 4 of each"):
        read_images(tmp_path / "some_images.pt", per_class=4)
    with pytest.raises(InputError, match="at least 1"):
        read_images(tmp_path / "some_images.pt", per_class=0)


def test_folder_of_mtt(tmp_path):
    images = read_images(mtt(tmp_path / "run"))
    assert images.name == "run"
    mtt(tmp_path / "run", "best")
    with pytest.raises(InputError, match=r"several image tensors \(images_5000\.pt, images_best\.pt\)"):
        read_images(tmp_path / "run")


def test_numbered_parts_are_joined(tmp_path):
    mtt(tmp_path, "best_0")
    mtt(tmp_path, "best_1", 255 - PIXELS, LABELS + 3)
    images = read_images(tmp_path)
    assert torch.equal(images.pixels(), torch.cat([PIXELS, 255 - PIXELS]))
    assert images.labels.tolist() == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5]
    assert images.classes == tuple("012345")


def test_whitened_points_to_its_twin(tmp_path):
    noise = torch.randn(6, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    torch.save(noise, tmp_path / "images_5.pt")
    torch.save(LABELS, tmp_path / "labels_5.pt")
    torch.save(PIXELS / 255, tmp_path / "images_zca_5.pt")
    for source in (tmp_path, tmp_path / "images_5.pt"):
        with pytest.raises(InputError, match=r"twin stands beside it: .*images_zca_5\.pt"):
            read_images(source, normalized="cifar10-dc")
    assert torch.equal(read_images(tmp_path / "images_zca_5.pt").labels, LABELS)
    images = read_images(tmp_path, normalized="cifar10-dc", as_is=True)
    assert "not read: images_zca_5.pt" in images.notes


def test_repeats(tmp_path):
    path = dc(tmp_path / "res_DM_CIFAR10_ConvNet_2ipc.pt")
    with pytest.raises(InputError, match=r"holds 2 repeats.* 0 \.\. 1"):
        read_images(path)
    both = read_repeats(path)
    assert [one.name for one in both] == ["res_DM_CIFAR10_ConvNet_2ipc#0", "res_DM_CIFAR10_ConvNet_2ipc#1"]
    assert {one.select(LABELS).entry for one in both} == {"res_DM_CIFAR10_ConvNet_2ipc"}
    assert torch.equal(both[1].pixels(), PIXELS + 1)
    assert torch.equal(read_images(path, repeat=1).pixels(), PIXELS + 1)
    assert len(read_repeats(path, repeat=0)) == 1
    for wrong in (2, -1):
        with pytest.raises(InputError, match=rf"repeat {wrong}"):
            read_images(path, repeat=wrong)
    only = read_images(dc(tmp_path / "run#0.pt", repeats=1))
    assert (only.name, only.entry) == ("run#0", "run#0")


def test_repeat_of_a_file_without_repeats_is_an_error(tmp_path):
    with pytest.raises(InputError, match="repeat 1"):
        read_images(mtt(tmp_path), repeat=1)


class Harmful:
    def __reduce__(self):
        return (open, ("harm", "w"))


def test_pickled_code_is_never_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    torch.save({"images": PIXELS, "labels": Harmful()}, tmp_path / "a.pt")
    (tmp_path / "res_b.pt").write_bytes(pickle.dumps(Harmful()))
    np.savez(tmp_path / "c.npz", images=np.array([Harmful()], object), labels=LABELS)
    np.save(tmp_path / "images.npy", np.array([Harmful()], object))
    for name in ("a.pt", "res_b.pt", "c.npz", "images.npy"):
        with pytest.raises(InputError, match=name):
            read_images(tmp_path / name, per_class=1)
    assert not (tmp_path / "harm").exists()


def test_damaged_files_are_errors(tmp_path):
    whole = (mtt(tmp_path) / "images_5000.pt").read_bytes()
    np.savez(tmp_path / "a.npz", images=PIXELS, labels=LABELS)
    save_file({"images": PIXELS, "labels": LABELS}, tmp_path / "a.safetensors")
    for name, data in [
        ("empty.pt", b""),
        ("half.pt", whole[: len(whole) // 2]),
        ("text.pt", b"hello"),
        ("a.npz", (tmp_path / "a.npz").read_bytes()[:100]),
        ("a.npy", b"hello"),
        ("empty.npy", b""),
        ("a.safetensors", (tmp_path / "a.safetensors").read_bytes()[:50]),
    ]:
        (tmp_path / name).write_bytes(data)
        with pytest.raises(InputError, match=name):
            read_images(tmp_path / name)


def test_other_content_is_an_error_that_names_it(tmp_path):
    torch.save({"conv1.weight": PIXELS, "bn1.bias": LABELS}, tmp_path / "net.pt")
    with pytest.raises(InputError, match=r"expected an image tensor.*conv1\.weight"):
        read_images(tmp_path / "net.pt")
    torch.save({"data": []}, tmp_path / "res_x.pt")
    with pytest.raises(InputError, match="one per repeat"):
        read_images(tmp_path / "res_x.pt")
    torch.save({"data": [[PIXELS]]}, tmp_path / "res_y.pt")
    with pytest.raises(InputError, match="repeat 0: expected"):
        read_images(tmp_path / "res_y.pt")


@pytest.mark.parametrize(
    ("images", "labels", "message"),
    [
        (PIXELS, LABELS[:5], r"labels must be \[6\]"),
        (PIXELS, LABELS - 1, "negative"),
        (PIXELS, LABELS + 0.5, "whole numbers"),
        (PIXELS, LABELS * float("nan"), "NaN"),
        (PIXELS, torch.ones(6, 3), "no single largest"),
        (PIXELS[:, :2], LABELS, r"images must be \[N, 3, H, W\]"),
        (PIXELS[0], LABELS, "leading 1"),
        (PIXELS[:, :, :, :3], LABELS, "first or last"),
        (PIXELS.to(torch.int64) * 2, LABELS, r"0 \.\. 255"),
        (PIXELS.bool(), LABELS, "uint8 or floats"),
        (PIXELS.to(torch.complex64), LABELS, "uint8 or floats"),
        (PIXELS[:0], LABELS[:0], r"images must be"),
        (PIXELS.to_sparse(), LABELS, "images must be a dense tensor with values, got torch.sparse_coo"),
        (PIXELS.to("meta"), LABELS, "images must be a dense tensor with values, got .* on meta"),
        (PIXELS, LABELS.to_sparse(), "labels must be numbers in a dense tensor, got torch.sparse_coo"),
        (PIXELS, LABELS.to("meta"), "labels must be numbers in a dense tensor, got .* on meta"),
    ],
)
def test_senseless_shapes_and_values(tmp_path, images, labels, message):
    torch.save({"images": images, "labels": labels}, tmp_path / "a.pt")
    with pytest.raises(InputError, match=message):
        read_images(tmp_path / "a.pt")


def test_a_column_of_labels(tmp_path):
    torch.save({"images": PIXELS, "labels": LABELS[:, None]}, tmp_path / "a.pt")
    assert torch.equal(read_images(tmp_path / "a.pt").labels, LABELS)


def test_grey_and_channels_last(tmp_path):
    torch.save({"images": PIXELS[:, 0], "labels": LABELS}, tmp_path / "grey.pt")
    grey = read_images(tmp_path / "grey.pt")
    assert torch.equal(grey.pixels(), PIXELS[:, :1].expand(-1, 3, -1, -1))
    assert "grey" in grey.notes[0]
    torch.save({"images": PIXELS.permute(0, 2, 3, 1), "labels": LABELS}, tmp_path / "last.pt")
    last = read_images(tmp_path / "last.pt")
    assert torch.equal(last.pixels(), PIXELS)
    assert last.notes == ("channels last",)


def test_kip(tmp_path):
    scores = torch.randn(6, 4, generator=torch.Generator().manual_seed(0))
    np.save(tmp_path / "images.npy", PIXELS.permute(0, 2, 3, 1).numpy() / np.float32(255))
    with pytest.raises(InputError, match=r"no labels\.npy beside"):
        read_images(tmp_path)
    np.save(tmp_path / "labels.npy", scores.numpy())
    for source in (tmp_path, tmp_path / "images.npy"):
        images = read_images(source)
        assert torch.equal(images.pixels(), PIXELS)
        assert torch.equal(images.labels, scores.argmax(1))
        assert images.classes == tuple("0123")
        assert any("soft labels" in note for note in images.notes)


def test_npz_with_images_and_labels(tmp_path):
    one_hot = torch.nn.functional.one_hot(LABELS, 3).float()
    np.savez(tmp_path / "a.npz", images=PIXELS.permute(0, 2, 3, 1), labels=one_hot, classes=["cat", "dog", "emu"])
    images = read_images(tmp_path / "a.npz")
    assert images.classes == ("cat", "dog", "emu")
    assert torch.equal(images.labels, LABELS)
    assert torch.equal(images.pixels(), PIXELS)
    assert "one-hot labels" in images.notes


def test_npz_with_splits(tmp_path):
    np.savez(tmp_path / "a.npz", train=PIXELS, train_labels=LABELS, test=PIXELS[:2], test_labels=LABELS[:2])
    with pytest.raises(InputError, match=r"choose split \(--split\) = train or test"):
        read_images(tmp_path / "a.npz")
    with pytest.raises(InputError, match=r"'val' was asked for.* train or test"):
        read_images(tmp_path / "a.npz", split="val")
    assert len(read_images(tmp_path / "a.npz", split="test")) == 2
    np.savez(tmp_path / "b.npz", x=PIXELS)
    with pytest.raises(InputError, match="got x"):
        read_images(tmp_path / "b.npz")
    np.savez(tmp_path / "c.npz", images=PIXELS, labels=LABELS, classes=["cat"])
    with pytest.raises(InputError, match="1 class names"):
        read_images(tmp_path / "c.npz")


def rows_of(folder, tensors):
    folder.mkdir()
    for index, tensor in enumerate(tensors):
        torch.save(tensor, folder / f"tensor_{index}.pt")
    return folder


def test_tensor_folder_by_class_and_by_row(tmp_path):
    values = torch.arange(30).to(torch.uint8).view(30, 1, 1, 1).expand(-1, 3, 4, 5).contiguous()
    by_class = rows_of(tmp_path / "a", values.split(3))  # ten files of three images
    images = read_images(by_class)
    assert "one file per class: 10 is a usual number" in images.recognised
    assert images.labels.tolist() == [label for label in range(10) for _ in range(3)]
    assert images.pixels()[:, 0, 0, 0].tolist() == list(range(30))
    by_row = rows_of(tmp_path / "b", values.split(10))  # three files of ten classes
    images = read_images(by_row)
    assert "row = class" in images.recognised
    assert images.labels.tolist() == [label for label in range(10) for _ in range(3)]
    assert images.pixels()[:4, 0, 0, 0].tolist() == [0, 10, 20, 1]


def test_tensor_folder_of_unequal_files_is_by_class(tmp_path):
    images = read_images(rows_of(tmp_path / "a", [PIXELS[:1], PIXELS[1:4], PIXELS[4:]]))
    assert images.labels.tolist() == [0, 1, 1, 1, 2, 2]


def test_ambiguous_tensor_folder_is_an_error_until_stated(tmp_path):
    folder = rows_of(tmp_path / "a", PIXELS.split(3))
    with pytest.raises(InputError, match="2 files of 3 images each could be"):
        read_images(folder)
    assert read_images(folder, per_class=3).labels.tolist() == [0, 0, 0, 1, 1, 1]
    assert read_images(folder, per_class=2).labels.tolist() == [0, 0, 1, 1, 2, 2]
    with pytest.raises(InputError, match="does not tell"):
        read_images(folder, per_class=5)


def test_gaps_and_odd_files_in_a_tensor_folder_are_errors(tmp_path):
    folder = rows_of(tmp_path / "a", PIXELS.split(2))
    torch.save(PIXELS[:2, :, :2], folder / "tensor_3.pt")
    with pytest.raises(InputError, match=r"tensor_3\.pt"):
        read_images(folder)
    (folder / "tensor_3.pt").unlink()
    (folder / "tensor_1.pt").unlink()
    with pytest.raises(InputError, match=r"tensor_1\.pt is missing"):
        read_images(folder)


def test_options_without_a_meaning_are_noted(tmp_path):
    np.savez(tmp_path / "a.npz", images=PIXELS, labels=LABELS)
    images = read_images(tmp_path / "a.npz", normalized="cifar10", per_class=2, name="mine")
    assert "per_class means nothing to npz and was not used" in images.notes
    assert any("normalized = cifar10 was not used" in note for note in images.notes)
    assert images.name == "mine"
    with pytest.raises(InputError, match="has no splits"):
        read_images(mtt(tmp_path / "m"), split="train")


def test_one_wild_label_does_not_name_classes_without_end(tmp_path):
    torch.save({"images": PIXELS, "labels": LABELS + 1_000_000}, tmp_path / "a.pt")
    with pytest.raises(InputError, match=r"a\.pt: labels reach 1000002, .* more than 1000000 classes without names"):
        read_images(tmp_path / "a.pt")


def npy(header: bytes) -> bytes:
    return b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header


@pytest.mark.parametrize(
    "header",
    [
        b"{'a'\n",
        b"{'descr': '|u1', 'fortran_order': False, 'shape': (1," + b"(" * 5000 + b")}\n",
        b"{'descr': '|u1', 'fortran_order': False, 'shape': (100000000000, 32, 32, 3), }\n",
    ],
    ids=["cut", "nested", "huge"],
)
def test_headers_of_npy_files_that_are_wrong(tmp_path, header):
    (tmp_path / "a.npy").write_bytes(npy(header))
    with pytest.raises(InputError, match=r"a\.npy: cannot be read as an array"):
        read_images(tmp_path / "a.npy", per_class=1)


@pytest.mark.parametrize("method", [zipfile.ZIP_DEFLATED, zipfile.ZIP_LZMA])
def test_damaged_npz_files(tmp_path, method):
    path = tmp_path / "a.npz"
    with zipfile.ZipFile(path, "w", method) as file:
        file.writestr("images.npy", bytes(range(256)) * 8)
        file.writestr("labels.npy", b"")
    whole = path.read_bytes()
    start = whole.index(b"images.npy") + len("images.npy")
    wrong = {"data": (start, b"\xff" * 16), "kind": (whole.index(b"PK\1\2") + 10, b"c")}
    for place, data in wrong.values():
        path.write_bytes(whole[:place] + data + whole[place + len(data) :])
        with pytest.raises(InputError, match=r"a\.npz: cannot be read as \.npz"):
            read_images(path)


def test_shapes_without_images_or_without_scores(tmp_path):
    np.save(tmp_path / "a.npy", np.array(3))
    torch.save(torch.tensor(3.0), tmp_path / "a.pt")
    for name in ("a.npy", "a.pt"):
        with pytest.raises(InputError, match=r"expected images \[N, \.\.\.\], got a single number"):
            read_images(tmp_path / name, per_class=1)
    torch.save({"images": PIXELS, "labels": torch.zeros(6, 0)}, tmp_path / "b.pt")
    with pytest.raises(InputError, match=r"must be \[6\] or \[6, classes\], got \[6, 0\]"):
        read_images(tmp_path / "b.pt")
