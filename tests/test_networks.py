import argparse
import pickle
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch
import torchvision
from torch import nn

from divbench.errors import WeightsError
from divbench.networks import build_weightless, cut_classifier, describe, load_state, read_state_dict, resnet18

STATE = {"conv1.weight": torch.arange(6.0).view(2, 3), "fc.bias": torch.ones(2)}


def test_the_small_stem_keeps_the_resolution_and_the_random_state():
    before = torch.get_rng_state()
    network = resnet18(7, small_stem=True).eval()
    assert torch.equal(torch.get_rng_state(), before)
    sizes: list[tuple[int, ...]] = []
    network.layer1.register_forward_hook(lambda _, inputs, __: sizes.append(tuple(inputs[0].shape)))
    assert network(torch.zeros(1, 3, 16, 16)).shape == (1, 7)
    assert sizes == [(1, 64, 16, 16)]
    assert resnet18(7).conv1.kernel_size == (7, 7)


@pytest.mark.parametrize(("name", "layer"), [("resnet18", "fc"), ("mobilenet_v3_small", "classifier.3")])
def test_the_classifier_is_cut_where_its_input_is(name: str, layer: str):
    network = torchvision.models.get_model(name).eval()
    images, seen = torch.randn(2, 3, 64, 64), []
    network.get_submodule(layer).register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    network(images)
    assert cut_classifier(network, 64) == layer
    assert torch.equal(network(images), seen[0])


def test_a_convolutional_classifier_is_cut_before_the_pooling():
    network = torchvision.models.squeezenet1_1().eval()
    images = torch.randn(2, 3, 64, 64)
    expected = network.features(images).mean((2, 3))
    assert cut_classifier(network, 64) == "classifier.1"
    torch.testing.assert_close(network(images), expected)


def test_cutting_leaves_no_trace_in_the_rest():
    network = torchvision.models.resnet18().train()
    before = {key: value.clone() for key, value in network.state_dict().items() if not key.startswith("fc.")}
    cut_classifier(network, 32)
    assert network.training
    assert all(torch.equal(value, before[key]) for key, value in network.state_dict().items())
    assert not any(layer._forward_hooks for layer in network.modules())


def test_networks_are_built_without_weights_where_they_can_be():
    assert build_weightless(lambda: nn.Linear(2, 2)).weight.is_meta
    assert build_weightless(lambda: nn.Linear(int(torch.tensor(2).item()), 2)).weight.shape == (2, 2)


def test_a_network_without_layers_has_no_classifier():
    with pytest.raises(WeightsError, match="no classifier"):
        cut_classifier(nn.Flatten(), 8)


@pytest.mark.slow
@pytest.mark.parametrize("name", torchvision.models.list_models(module=torchvision.models))
def test_every_torchvision_network_gives_its_penultimate_features(name: str):
    presets = torchvision.models.get_model_weights(name)
    size = presets.__members__.get("IMAGENET1K_V1", presets.DEFAULT).transforms().crop_size[0]
    options: dict[str, Any] = {"init_weights": False} if name in ("googlenet", "inception_v3") else {}
    if name.startswith("vit_"):
        options["image_size"] = size
    network = build_weightless(lambda: torchvision.models.get_model(name, weights=None, **options).eval())
    layers = dict(network.named_modules())
    cut = layers[cut_classifier(network, size)]
    features = network.to("meta")(torch.empty(2, 3, size, size, device="meta"))
    assert cut.weight.shape[0] == 1000
    assert features.shape == (2, cut.weight.shape[1])


@pytest.mark.parametrize("prefix", ["", "module.", "model.", "_orig_mod.", "_orig_mod.module.", "model._orig_mod."])
@pytest.mark.parametrize("wrapper", [None, "state_dict", "model", "net"])
def test_prefixes_and_wrappers_are_taken_off(tmp_path: Path, prefix: str, wrapper: str | None):
    state = OrderedDict((prefix + key, value) for key, value in STATE.items())
    torch.save({wrapper: state, "epoch": 3} if wrapper else state, tmp_path / "a.pt")
    found = read_state_dict(tmp_path / "a.pt")
    assert found.state.keys() == STATE.keys()
    assert all(torch.equal(found.state[key], STATE[key]) for key in STATE)
    assert found.metadata == ({"epoch": 3} if wrapper else {})


def test_a_prefix_that_only_some_names_have_stays(tmp_path: Path):
    torch.save({"model.a": torch.ones(1), "b": torch.ones(1)}, tmp_path / "a.pt")
    assert set(read_state_dict(tmp_path / "a.pt").state) == {"model.a", "b"}


def test_safetensors_metadata_is_read(tmp_path: Path):
    safetensors.torch.save_file(
        {f"module.{key}": value for key, value in STATE.items()}, tmp_path / "a.safetensors", {"std": "1"}
    )
    found = read_state_dict(tmp_path / "a.safetensors")
    assert set(found.state) == set(STATE)
    assert found.metadata == {"std": "1"}


def test_what_training_scripts_leave_beside_the_weights_is_read(tmp_path: Path):
    extra = {"best_acc": np.float64(0.5), "args": argparse.Namespace(lr=1), "mean": torch.tensor([0.5, 0.5, 0.5])}
    torch.save({"net": STATE, **extra}, tmp_path / "a.pth")
    found = read_state_dict(tmp_path / "a.pth")
    assert found.metadata["best_acc"] == 0.5
    assert found.metadata["mean"].tolist() == [0.5, 0.5, 0.5]
    assert set(found.state) == set(STATE)


class Attack:
    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.target,)


@pytest.mark.parametrize("plain", [True, False])
def test_a_pickle_that_would_execute_code_is_refused(tmp_path: Path, plain: bool):
    target, file = tmp_path / "executed", tmp_path / "weights.pth"
    content = {"state_dict": STATE, "attack": Attack(target)}
    if plain:
        file.write_bytes(pickle.dumps(content))
    else:
        torch.save(content, file)
    with pytest.raises(WeightsError, match=r"could execute code, so it was refused; save the state dict alone"):
        read_state_dict(file)
    assert not target.exists()
    if not plain:
        torch.load(file, weights_only=False)
        assert target.exists(), "the attack must work where it is not refused"


def test_a_whole_pickled_network_is_refused_by_name(tmp_path: Path):
    torch.save(nn.Linear(1, 1), tmp_path / "a.pt")
    with pytest.raises(WeightsError, match=r"asks for torch\.nn\.modules\.linear\.Linear"):
        read_state_dict(tmp_path / "a.pt")


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.pt", None, "no such file"),
        ("a.txt", b"x", r"expected network weights .* got '.txt'"),
        ("a.pt", b"", "not a readable file of torch.save"),
        ("a.pt", b"PK\x03\x04 no archive", "not a readable file of torch.save"),
        ("a.safetensors", b"", "not a readable safetensors file"),
        ("a.safetensors", b"\xff" * 64, "not a readable safetensors file"),
    ],
)
def test_files_that_are_no_weights(tmp_path: Path, name: str, content: bytes | None, message: str):
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(WeightsError, match=message):
        read_state_dict(tmp_path / name)


@pytest.mark.parametrize("content", [{}, {"epoch": 1}, [torch.ones(1)], {"state_dict": {}}])
def test_checkpoints_without_tensors_by_name(tmp_path: Path, content: object):
    torch.save(content, tmp_path / "a.pt")
    with pytest.raises(WeightsError, match="holds no state dict; expected tensors by name"):
        read_state_dict(tmp_path / "a.pt")


def test_half_precision_is_loaded_as_float32_and_counters_may_be_missing():
    network = nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4))
    state = {k: v.half() for k, v in network.state_dict().items() if not k.endswith("num_batches_tracked")}
    state["0.weight"] = torch.full((4, 3, 1, 1), 0.5, dtype=torch.float16)
    load_state(network, state, "file")
    assert network[0].weight.dtype == torch.float32
    assert network[0].weight.eq(0.5).all()


@pytest.mark.parametrize("device", ["cpu", "meta"])
def test_weights_that_do_not_fit_are_described(device: str):
    state = {"0.weight": torch.ones(2, 2), "2.weight": torch.ones(1)}
    with pytest.raises(WeightsError) as caught:
        load_state(nn.Sequential(nn.Linear(2, 3)).to(device), state, "w.pt, as a test")
    assert str(caught.value) == (
        "w.pt, as a test: the weights do not fit; missing: 0.bias; unexpected: 2.weight; of another shape: "
        "0.weight (file [2, 2], network [3, 2]). The file looks like a network whose tensors begin with "
        "0.weight, 2.weight (5 numbers in 2 tensors)"
    )


def test_the_layer_that_was_cut_off_is_ignored_alone():
    network = nn.ModuleDict({"fc1": nn.Linear(1, 1)})
    state = {"fc1.weight": torch.ones(1, 1), "fc1.bias": torch.ones(1), "fc.weight": torch.ones(9, 9)}
    load_state(network, state, "file", without="fc")
    with pytest.raises(WeightsError, match="unexpected: fc.weight"):
        load_state(network, state, "file")


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("resnet34", "a ResNet-34 with 3+4+6+3 blocks and a first convolution of 64 channels, 7x7"),
        ("resnet50", "ResNet-50"),
        ("vit_b_32", "a transformer"),
    ],
)
def test_networks_are_recognised_from_their_weights(name: str, text: str):
    with torch.device("meta"):
        state = torchvision.models.get_model(name).state_dict()
    assert text in describe(state)
