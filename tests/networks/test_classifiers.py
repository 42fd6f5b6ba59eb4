"""Classifiers by name: published sizes, small-image versions, the random state, sizes and names that are refused."""

import subprocess
import sys

import pytest
import torch
import torchvision
from torch import nn

from divbench.errors import WeightsError
from divbench.networks import (
    CLASSIFIERS,
    SMALL,
    ConvNet,
    build_classifier,
    build_weightless,
    check_size,
    exact_classifier,
    last_layer,
)

TORCHVISION = {
    "resnet18": "resnet18",
    "resnet50": "resnet50",
    "resnet101": "resnet101",
    "vgg16": "vgg16_bn",
    "mobilenetv2": "mobilenet_v2",
    "shufflenetv2": "shufflenet_v2_x1_0",
    "vit": "vit_b_16",
}
QUICK = ["resnet18", "convnet3", "mobilenetv2", "torchvision:squeezenet1_1", "timm:test_vit"]


def weightless(net: str, classes: int, size: int) -> nn.Module:
    return build_weightless(lambda: build_classifier(net, classes, size)).to("meta").eval()


def parameters(net: str, classes: int, size: int) -> int:
    return sum(parameter.numel() for parameter in weightless(net, classes, size).parameters())


def maps(net: str, size: int) -> int:
    """Side of what the last convolution gives."""
    network, sides = weightless(net, 10, size), []
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d):
            layer.register_forward_hook(lambda _, __, output: sides.append(output.shape[-2:]))
    network(torch.empty(1, 3, size, size, device="meta"))
    assert sides[-1][0] == sides[-1][1]
    return int(sides[-1][0])


def test_every_torchvision_counterpart_is_tested():
    assert set(CLASSIFIERS) == {*TORCHVISION, "resnet20", *(f"convnet{depth}" for depth in range(1, 7))}


@pytest.mark.parametrize("net", TORCHVISION)
def test_large_versions_have_as_many_parameters_as_torchvision_publishes(net: str):
    published = torchvision.models.get_model_weights(TORCHVISION[net]).DEFAULT.meta["num_params"]
    assert parameters(net, 1000, 224) == published


@pytest.mark.parametrize(
    ("net", "classes", "size", "count"),
    [
        ("resnet18", 10, 32, 11_173_962),  # the CIFAR versions of many repositories
        ("resnet50", 10, 32, 23_520_842),
        ("resnet101", 10, 32, 42_512_970),
        ("resnet20", 10, 32, 269_722),  # arXiv:1512.03385: 0.27 million
        ("vgg16", 10, 32, 14_728_266),
        ("convnet3", 10, 32, 320_010),  # DC, arXiv:2006.05929
        ("convnet4", 200, 64, 3584 + 3 * 147_584 + 4 * 256 + (2048 + 1) * 200),
        ("mobilenetv2", 10, 32, 3_504_872 - 990 * 1281),  # torchvision's, with 990 outputs less
        ("shufflenetv2", 10, 32, 2_278_604 - 990 * 1025),
        ("vit", 1000, 128 - 48, 5_717_416 - (197 - 65) * 192 - (16**2 - 10**2) * 3 * 192),  # DeiT-Ti, smaller patches
    ],
)
def test_small_versions_have_as_many_parameters_as_published(net: str, classes: int, size: int, count: int):
    assert parameters(net, classes, size) == count


@pytest.mark.parametrize("net", CLASSIFIERS)
def test_every_name_learns_from_a_batch_of_small_images(net: str):
    size = 64 if net == "convnet6" else 32
    network = build_classifier(net, 5, size).train()
    assert {parameter.dtype for parameter in network.parameters()} == {torch.float32}
    logits = network(torch.randn(2, 3, size, size))
    assert logits.shape == (2, 5)
    nn.functional.cross_entropy(logits, torch.tensor([0, 4])).backward()
    assert all(parameter.grad is not None for parameter in network.parameters())
    assert isinstance(network.get_submodule(last_layer(network, size)), nn.Linear)


@pytest.mark.parametrize(
    ("net", "size", "side"),
    [
        ("resnet18", 8, 1),
        ("resnet18", 32, 4),
        ("resnet50", 32, 4),
        ("resnet101", 64, 8),
        ("resnet20", 32, 8),
        ("mobilenetv2", 32, 4),
        ("shufflenetv2", 32, 4),
        ("vgg16", 32, 2),  # a fifth halving follows
        ("vgg16", 64, 4),
        ("convnet3", 32, 8),  # likewise, a third one
        ("resnet18", SMALL - 1, 12),
        ("resnet18", SMALL, 3),
        ("mobilenetv2", SMALL, 3),
        ("shufflenetv2", SMALL, 3),
        ("resnet50", 224, 7),
        ("vgg16", 224, 14),
    ],
)
def test_small_images_keep_their_resolution(net: str, size: int, side: int):
    assert maps(net, size) == side


@pytest.mark.parametrize("size", [8, 32, 64])
def test_the_small_vision_transformer_cuts_every_image_into_64_patches(size: int):
    assert weightless("vit", 10, size).encoder.pos_embedding.shape == (1, 65, 192)


@pytest.mark.parametrize("net", QUICK)
def test_weights_follow_from_the_random_state_which_stays(net: str):
    torch.manual_seed(1)
    before = torch.get_rng_state()
    first, again = (build_classifier(net, 3, 32).state_dict() for _ in range(2))
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(2)
    other = build_classifier(net, 3, 32).state_dict()
    assert all(torch.equal(first[key], again[key]) for key in first)
    assert any(not torch.equal(first[key], other[key]) for key in first)


def test_a_convnet_with_a_seed_does_not_look_at_the_random_state():
    weights = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        weights.append([ConvNet(2, 4, 1, 8, seed=which).classifier.weight for which in (0, None)])
    assert torch.equal(weights[0][0], weights[1][0])
    assert not torch.equal(weights[0][1], weights[1][1])


@pytest.mark.parametrize(
    "net",
    ["torchvision:vit_b_16", "torchvision:resnet34", "timm:vit_tiny_patch16_224", "timm:resnet18.a1_in1k"],
)
def test_networks_of_libraries_are_made_for_the_size_where_they_have_one(net: str):
    network = weightless(net, 7, 48)
    assert network(torch.empty(2, 3, 48, 48, device="meta")).shape == (2, 7)


@pytest.mark.parametrize(
    ("net", "size", "reason"),
    [
        ("vgg16", 8, r"Output size is too small"),
        ("convnet4", 8, "it halves them 4 times"),
        ("vit", 28, "the side must be a multiple of 8"),
        ("vit", 100, "the side must be a multiple of 16"),
        ("torchvision:alexnet", 8, "too small"),
        ("torchvision:vit_b_16", 50, "indivisible by patch size"),
        ("timm:test_vit", 8, "divisible by patch size"),
    ],
)
def test_sizes_that_a_network_cannot_take_are_refused(net: str, size: int, reason: str):
    with pytest.raises(WeightsError, match=rf"^{net} cannot take images of {size} pixels \(.*({reason}).*give another"):
        build_classifier(net, 10, size)


def test_a_network_of_ones_own_is_checked_and_left_as_it_was():
    network = nn.Sequential(nn.Conv2d(3, 2, 5), nn.Flatten(), nn.Linear(32, 2).eval())
    check_size(network, "mine", 8)
    with pytest.raises(WeightsError, match="^mine cannot take images of 9 pixels"):
        check_size(network, "mine", 9)
    assert [layer.training for layer in network] == [True, True, False]
    assert not any(layer._forward_hooks for layer in network)
    assert not next(network.parameters()).is_meta


def test_buffers_that_are_not_stored_and_shared_weights_do_not_matter():
    class Odd(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("scale", torch.ones(1), persistent=False)
            self.one, self.two = nn.Conv2d(3, 3, 1), nn.Conv2d(3, 3, 1)
            self.two.weight = self.one.weight

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            return self.two(self.one(images) * self.scale)

    assert last_layer(Odd(), 8) == "two"


@pytest.mark.parametrize(
    ("net", "message"),
    [
        ("resnet9", "unknown network 'resnet9'; did you mean 'resnet50'"),
        ("ResNet-18", "unknown network 'ResNet-18'; did you mean 'resnet18'"),
        ("resnet34", r"unknown network 'resnet34'; torchvision has one of that name: write torchvision:resnet34$"),
        ("mobilenet_v2", r"did you mean 'mobilenetv2'\? torchvision has one of that name: write torchvision:mobil"),
        ("convnext_atto", r"unknown network 'convnext_atto'; timm has one of that name: write timm:convnext_atto$"),
        ("zzz", r"unknown network 'zzz'; known: resnet18, .*, vit, torchvision:NAME, timm:NAME$"),
        ("torchvision:", "unknown network 'torchvision:'; known"),
        ("torchvision:resnet19", "torchvision has no plain classifier 'resnet19'; did you mean torchvision:resnet1"),
        ("torchvision:inception_v3", "torchvision has no plain classifier 'inception_v3'; see"),
        ("torchvision:fcn_resnet50", "torchvision has no plain classifier 'fcn_resnet50'"),
        ("timm:convnext_ato", "timm has no model 'convnext_ato'; did you mean timm:convnext_atto"),
        ("timm:hf-hub:someone/something", "timm has no model 'hf-hub:someone/something'"),
    ],
)
def test_unknown_names_are_answered_with_a_suggestion(net: str, message: str):
    with pytest.raises(WeightsError, match=message):
        build_classifier(net, 10, 32)


@pytest.mark.slow
def test_timm_is_not_imported_before_it_is_needed():
    code = "import sys, divbench.networks as n; n.build_classifier('convnet3', 2, 32); print('timm' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "False\n"


def test_the_last_layer_computes_in_float32_under_autocast():
    network = build_classifier("convnet1", 3, 8)
    names = list(network.state_dict())
    exact_classifier(network, last_layer(network, 8))
    assert list(network.state_dict()) == names
    images = torch.rand(4, 3, 8, 8)
    with torch.autocast("cpu", torch.bfloat16):
        logits = network(images)
        features = network.features(images).float()
    assert logits.dtype == torch.float32
    torch.testing.assert_close(logits, network.classifier(features))
    assert not logits.equal(logits.bfloat16().float())
