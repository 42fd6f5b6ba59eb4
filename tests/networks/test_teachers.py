"""Teachers of every architecture: built as they were trained, from what their files say and their first layer shows."""

from pathlib import Path

import pytest
import torch
from torch import nn

from divbench.errors import ProtocolError, WeightsError
from divbench.networks import build_classifier, resnet18
from divbench.teacher import Teacher, load_teacher, save_teacher

HALF = {"mean": [0.5] * 3, "std": [0.25] * 3}


def saved(network: nn.Module, path: Path, **facts: object) -> Teacher:
    save_teacher(network, path, {**HALF, **facts})
    return load_teacher(path)


def lively(network: nn.Module) -> nn.Module:
    """Frozen, in evaluation mode, with a last layer that is not zero, as a transformer's is at first."""
    torch.manual_seed(0)
    for parameter in network.parameters():
        if parameter.ndim == 2 and not parameter.any():
            nn.init.normal_(parameter)
    return network.eval().requires_grad_(False)


@pytest.mark.parametrize(
    ("net", "size", "layer", "width"),
    [
        ("resnet50", 16, "fc", 2048),
        ("resnet20", 16, "linear", 64),
        ("convnet2", 16, "classifier", 2048),
        ("mobilenetv2", 16, "classifier.1", 1280),
        ("mobilenetv2", 96, "classifier.1", 1280),
        ("vit", 16, "heads.head", 192),
        ("timm:test_vit", 32, "head", 64),
        ("torchvision:shufflenet_v2_x0_5", 16, "fc", 1024),
    ],
)
def test_a_teacher_gives_the_logits_and_features_of_the_network_that_was_saved(
    tmp_path: Path, net: str, size: int, layer: str, width: int
):
    network = lively(build_classifier(net, 4, size))
    teacher = saved(network, tmp_path / "t.safetensors", net=net, input_size=size)
    assert (teacher.outputs, teacher.classifier, teacher.size) == (4, layer, size)
    images = torch.randn(2, 3, size, size)
    with torch.no_grad():
        expected = network(images)
        assert torch.equal(teacher.network()(images), expected)
        embedder = teacher.embedder().at_size(size)
        features = embedder.load()(images)
        assert features.shape == (2, width)
        torch.testing.assert_close(network.get_submodule(layer)(features), expected)
    assert (embedder.mean_std, embedder.size) == (teacher.mean_std, size)


@pytest.mark.parametrize(
    ("small", "said"), [(True, {}), (True, {"input_size": 224}), (False, {}), (False, {"input_size": 32})]
)
def test_the_first_convolution_decides_over_the_size(tmp_path: Path, small: bool, said: dict[str, int]):
    network = resnet18(3, small_stem=small).eval()
    teacher = saved(network, tmp_path / "t.safetensors", **said)
    images = torch.randn(1, 3, 32, 32)
    assert torch.equal(teacher.network()(images), network(images))


def test_a_network_for_one_size_is_not_used_at_another(tmp_path: Path):
    network = build_classifier("convnet2", 4, 16)
    teacher = saved(network, tmp_path / "t.safetensors", net="convnet2", input_size=16)
    with pytest.raises(ProtocolError, match="convnet2 classifier takes images of 16 pixels only, not 32"):
        teacher.embedder().at_size(32)
    with pytest.raises(WeightsError, match=r"classifier\.weight \(file \[4, 2048\], network \[4, 8192\]\)"):
        saved(network, tmp_path / "u.safetensors", net="convnet2", input_size=32)
