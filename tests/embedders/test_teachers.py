"""resnet18 with a user's weights: recognition, names, normalisation, and what is said when they do not fit."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
import torchvision
from torch import Tensor, nn

from divbench.embedders import load_embedder
from divbench.embedders.embed import embed
from divbench.errors import ProtocolError, WeightsError
from tests.embedders.small import image_set, random_images

CIFAR10 = ((0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616))


def features_by_hand(network: nn.Module, images: Tensor) -> Tensor:
    """Input of fc for normalised images, found without the code under test."""
    seen: list[Tensor] = []
    hook = network.fc.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    mean, std = (torch.tensor(numbers).view(3, 1, 1) for numbers in CIFAR10)
    with torch.no_grad():
        network((images / 255 - mean) / std)
    hook.remove()
    return seen[0]


@pytest.fixture
def save(tmp_path: Path) -> Any:
    def write(content: Any, name: str = "teacher.pt") -> Path:
        torch.save(content, tmp_path / name)
        return tmp_path / name

    return write


def test_a_small_stem_is_recognised_and_gives_the_penultimate_features(teacher: Path, small_stem: nn.Module):
    embedder = load_embedder("resnet18", weights=teacher)
    assert embedder.network == "resnet18 small-stem"
    assert embedder.size is None
    assert embedder.mean_std == CIFAR10
    assert re.fullmatch(r"sha256:[0-9a-f]{64}", embedder.weights)
    images = random_images(5, 16)
    got = embed(image_set(images), embedder)
    torch.testing.assert_close(got.features, features_by_hand(small_stem, images), rtol=1e-4, atol=1e-5)
    assert got.embedder == embedder.id


def test_each_load_has_its_own_weights(teacher: Path):
    embedder = load_embedder("resnet18", weights=teacher)
    first, second = embedder.load(), embedder.load()
    first.conv1.weight.zero_()
    assert second.conv1.weight.abs().sum() > 0


def test_a_large_stem_is_recognised(save: Any):
    path = save(torchvision.models.resnet18(num_classes=7).state_dict())
    embedder = load_embedder("resnet18", weights=path, mean_std="imagenet")
    assert (embedder.network, embedder.layer) == ("torchvision resnet18", "input of fc")
    assert (embedder.geometry.size, embedder.geometry.resize) == (224, 256)
    assert load_embedder("resnet18", weights=path, mean_std="imagenet", input_size=64).geometry.resize == 73
    assert embedder.load()(torch.zeros(1, 3, 64, 64)).shape == (1, 512)


def test_the_other_spelling_in_half_precision_behind_prefixes_gives_the_same_features(
    save: Any, small_stem: nn.Module, teacher: Path
):
    def other(key: str) -> str:
        return "module." + key.replace("downsample", "shortcut").replace("fc.", "linear.")

    half = {key: value.half() if value.is_floating_point() else value for key, value in small_stem.state_dict().items()}
    path = save({"net": {other(key): value for key, value in half.items()}, "acc": 90.0})
    images = image_set(random_images(3, 16))
    expected = embed(images, load_embedder("resnet18", weights=teacher))
    got = embed(images, load_embedder("resnet18", weights=path, mean_std="cifar10"))
    torch.testing.assert_close(got.features, expected.features, rtol=1e-2, atol=1e-2)
    assert got.features.dtype == torch.float32


@pytest.mark.parametrize("where", ["checkpoint", "beside", "header"])
def test_the_normalisation_travels(save: Any, small_stem: nn.Module, tmp_path: Path, where: str):
    mean, std = CIFAR10
    if where == "checkpoint":
        path = save({"state_dict": small_stem.state_dict(), "mean": torch.tensor(mean), "std": list(std)})
    elif where == "beside":
        path = save(small_stem.state_dict())
        path.with_suffix(".json").write_text(json.dumps({"mean": mean, "std": std, "input_size": [3, 32, 32]}))
    else:
        path = tmp_path / "a.safetensors"
        header = {"mean": json.dumps(mean), "std": ",".join(map(str, std))}
        safetensors.torch.save_file(small_stem.state_dict(), path, metadata=header)
    embedder = load_embedder("resnet18", weights=path)
    assert torch.tensor(embedder.mean_std).allclose(torch.tensor(CIFAR10))
    assert embedder.size == (32 if where == "beside" else None)


def test_a_normalisation_that_nobody_states_is_an_error(save: Any, small_stem: nn.Module):
    with pytest.raises(WeightsError, match=r"does not say how images are normalised, and neither does teacher\.json"):
        load_embedder("resnet18", weights=save(small_stem.state_dict()))


def test_a_stated_normalisation_may_differ_by_rounding_only(teacher: Path):
    assert load_embedder("resnet18", weights=teacher, mean_std="0.49139,0.48215,0.44653,0.247,0.2435,0.2616")
    with pytest.raises(WeightsError, match=r"was trained with .*0\.247,.*but --mean-std cifar10-dc says .*0\.2023"):
        load_embedder("resnet18", weights=teacher, mean_std="cifar10-dc")


@pytest.mark.parametrize(
    "said", [{"mean": [125.3, 123.0, 113.9], "std": [63.0, 62.1, 66.7]}, {"mean": "a", "std": [1]}, {"mean": [0.5] * 3}]
)
def test_a_travelling_normalisation_that_makes_no_sense_is_an_error(
    save: Any, small_stem: nn.Module, said: dict[str, Any]
):
    with pytest.raises(WeightsError, match="says mean"):
        load_embedder("resnet18", weights=save({"state_dict": small_stem.state_dict(), **said}))


def test_broken_json_beside_the_weights_is_an_error(save: Any, small_stem: nn.Module):
    path = save(small_stem.state_dict())
    path.with_suffix(".json").write_text("{")
    with pytest.raises(WeightsError, match=r"teacher\.json: not valid JSON"):
        load_embedder("resnet18", weights=path)


def test_another_network_is_refused_with_what_it_looks_like(save: Any):
    path = save(torchvision.models.resnet50(num_classes=10).state_dict())
    with pytest.raises(WeightsError) as caught:
        load_embedder("resnet18", weights=path, mean_std="imagenet")
    message = str(caught.value)
    assert "unexpected: layer1.2.conv1.weight" in message
    assert "layer1.0.conv1.weight (file [64, 64, 1, 1], network [64, 64, 3, 3])" in message
    assert "looks like a ResNet-50 with 3+4+6+3 blocks" in message


def test_the_name_takes_no_argument():
    with pytest.raises(ProtocolError, match="takes no model name, got 'cifar10'"):
        load_embedder("resnet18:cifar10")
