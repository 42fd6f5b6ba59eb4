"""Published distilled sets, made by others; absent from the repository."""

import os
from pathlib import Path

import numpy as np
import pytest
import torch

from divbench.errors import InputError
from divbench.images import read_images, read_repeats
from divbench.images.normalization import WHITENED_BELOW, lag1
from divbench.images.storage import load_npy, load_torch

SHARED = Path(os.environ.get("DIVBENCH_SHARED_DATA") or Path(__file__).parents[3] / "shared" / "data")
DISTILLED = SHARED / "distilled"
pytestmark = [
    pytest.mark.data,
    pytest.mark.skipif(not DISTILLED.is_dir(), reason=f"no published sets in {DISTILLED}; see DIVBENCH_SHARED_DATA"),
]
RANDOM = DISTILLED / "random" / "CIFAR10_IPC10_normalize_images.pt"


@pytest.mark.parametrize(
    ("name", "repeats", "count", "options"),
    [
        ("random/CIFAR10_IPC10_normalize_images.pt", 1, 100, {"per_class": 10}),
        ("kmeans", 1, 100, {}),
        ("kmeans/CIFAR10_IPC10_images.pt", 1, 100, {}),
        ("mtt/cifar10-ipc10", 1, 100, {}),
        ("mtt/cifar10-ipc10-zca", 1, 100, {}),  # called whitened, and is not
        ("mtt/cifar10-ipc1-zca/images_zca_5000.pt", 1, 10, {"per_class": 1}),
        ("mtt/cifar10-ipc1-zca", 1, 10, {"per_class": 1, "as_is": True}),
        ("dc/res_DC_CIFAR10_ConvNet_1ipc.pt", 5, 10, {}),
        ("dc/res_DC_CIFAR100_ConvNet_1ipc.pt", 1, 100, {}),
        ("dsa/res_DSA_CIFAR10_ConvNet_1ipc.pt", 5, 10, {}),
        ("dm/res_DM_CIFAR10_ConvNet_1ipc.pt", 1, 10, {"as_is": True}),
        ("dm/res_DM_CIFAR100_ConvNet_1ipc.pt", 1, 100, {"as_is": True}),
        ("kip", 1, 100, {"as_is": True}),
    ],
)
def test_every_published_tensor_is_read(name, repeats, count, options):
    sets = read_repeats(DISTILLED / name, normalized="cifar10-dc", **options)
    assert len(sets) == repeats
    classes = 100 if "CIFAR100" in name else 10
    for images in sets:
        assert images.pixels().shape == (count, 3, 32, 32)
        # KIP learned its labels: the largest score is not always that of the class the image was made for.
        counts = [7, 10, 10, 9, 10, 12, 10, 9, 11, 12] if name == "kip" else [count // classes] * classes
        assert images.labels.bincount().tolist() == counts
        assert images.classes == tuple(str(index) for index in range(classes))
        assert "cifar10-dc undone" in images.recognised


def test_d4m_from_its_archive():
    images = read_images(DISTILLED / "d4m-tiny-imagenet-ipc10.tar.xz")
    assert len(images) == 2000
    assert images.classes == tuple(str(index) for index in range(200))
    assert images.labels.bincount().tolist() == [10] * 200
    assert "200 numbered class folders" in images.recognised
    assert images.pixels().shape == (2000, 3, 64, 64)
    assert images.read(0).remarks == ()


@pytest.mark.parametrize("name", ["mtt/cifar10-ipc1-zca", "kip"])
def test_whitened_sets_are_refused(name):
    with pytest.raises(InputError, match="ZCA-whitened"):
        read_images(DISTILLED / name, normalized="cifar10-dc", per_class=1 if name != "kip" else None)


@pytest.mark.parametrize("name", ["dm/res_DM_CIFAR10_ConvNet_1ipc.pt", "dm/res_DM_CIFAR100_ConvNet_1ipc.pt"])
def test_values_far_from_pixels_are_refused(name):
    with pytest.raises(InputError, match="outside the pixel range"):
        read_images(DISTILLED / name, normalized="cifar10-dc")


def test_the_threshold_stands_in_a_wide_gap():
    def tensors(name):
        path = DISTILLED / name
        if path.suffix == ".npy":
            return [torch.from_numpy(load_npy(path)).permute(0, 3, 1, 2)]
        content = load_torch(path)
        return [pair[0].detach() for pair in content["data"]] if isinstance(content, dict) else [content]

    whitened = ["mtt/cifar10-ipc1-zca/images_5000.pt", "kip/images.npy"]
    paths = sorted(path.relative_to(DISTILLED).as_posix() for path in DISTILLED.rglob("*.pt"))
    plain = [name for name in paths if "labels" not in name and name not in whitened]
    assert max(lag1(one) for name in whitened for one in tensors(name)) < WHITENED_BELOW - 0.1
    assert min(lag1(one) for name in plain for one in tensors(name)) > WHITENED_BELOW + 0.1


def test_the_normalisation_is_asked_for_and_the_wrong_one_found_out():
    with pytest.raises(InputError, match="cifar10-dc gives whole pixel values"):
        read_images(RANDOM, per_class=10)
    with pytest.raises(InputError, match="'cifar10' does not give whole pixel values"):
        read_images(RANDOM, per_class=10, normalized="cifar10")
    with pytest.raises(InputError, match="per_class"):
        read_images(RANDOM, normalized="cifar10-dc")


@pytest.fixture(scope="module")
def cifar10():
    found = Path(os.environ.get("DIVBENCH_CIFAR10_NPZ") or Path(__file__).parents[2] / ".data" / "cifar10.npz")
    if not found.is_file():
        pytest.skip(f"no {found} with train and train_labels; see DIVBENCH_CIFAR10_NPZ")
    return read_images(found, split="train")


@pytest.mark.parametrize("name", ["random/CIFAR10_IPC10_normalize_images.pt", "kmeans/CIFAR10_IPC10_images.pt"])
def test_real_subsets_are_exact_training_pixels_of_their_class(cifar10, name):
    images = read_images(DISTILLED / name, normalized="cifar10-dc", per_class=10 if "random" in name else None)
    where = {pixels.tobytes(): row for row, pixels in enumerate(cifar10.pixels().numpy())}
    rows = [where[np.ascontiguousarray(pixels).tobytes()] for pixels in images.pixels().numpy()]
    assert cifar10.labels[rows].tolist() == images.labels.tolist()
