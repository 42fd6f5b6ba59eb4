"""torchvision, timm and open_clip: our preprocessing and features beside their own."""

import json
import urllib.error
from pathlib import Path
from typing import Any

import huggingface_hub
import numpy as np
import open_clip
import pytest
import safetensors.torch
import timm
import torch
import torchvision
from PIL import Image
from torch import Tensor, nn
from torchvision.models import ResNet18_Weights

from divbench.embedders import Embedder, _weights, load_embedder
from divbench.embedders import torchvision as family
from divbench.embedders._weights import WeightsFile, from_hugging_face
from divbench.embedders.embed import embed
from divbench.errors import ProtocolError, WeightsError
from tests.embedders.small import image_set, random_images


def save(network: nn.Module, folder: Path) -> Path:
    safetensors.torch.save_file(network.state_dict(), folder / "weights.safetensors")
    return folder / "weights.safetensors"


def pillow(pixels: Tensor) -> Image.Image:
    return Image.fromarray(pixels.permute(1, 2, 0).contiguous().numpy())


def assert_same_input(embedder: Embedder, transform: Any) -> None:
    """The embedder prepares and normalises a picture as the library's own transform does."""
    picture = torch.randint(0, 256, (3, 301, 217), generator=torch.Generator().manual_seed(0)).to(torch.uint8)
    mean, std = (torch.tensor(numbers).view(3, 1, 1) for numbers in embedder.mean_std)
    ours = (embedder.prepare(picture) / 255 - mean) / std
    torch.testing.assert_close(ours, transform(pillow(picture)), rtol=0, atol=1e-5)


@pytest.mark.parametrize("name", ["mobilenet_v3_small", "squeezenet1_1", "resnet18"])
def test_torchvision_features_are_the_input_of_the_classifier(tmp_path: Path, name: str):
    network = torchvision.models.get_model(name, num_classes=5).eval()
    embedder = load_embedder(f"torchvision:{name}", weights=save(network, tmp_path), mean_std="imagenet")
    assert_same_input(embedder, ResNet18_Weights.IMAGENET1K_V1.transforms())
    images = torch.randn(2, 3, 64, 64)
    head = dict(network.named_modules())[embedder.layer.removeprefix("input of ")]
    seen: list[Tensor] = []
    head.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    network(images)
    expected = seen[0].relu().mean((2, 3)) if seen[0].ndim == 4 else seen[0]
    torch.testing.assert_close(embedder.load()(images), expected)


def test_published_torchvision_weights_are_recognised_by_their_digest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    state = torchvision.models.resnet50().state_dict()
    published = WeightsFile(tmp_path / "renamed.pth", "11ad3fa6" + "0" * 56, state, {})
    monkeypatch.setattr(family, "read_weights", lambda _: published)
    embedder = load_embedder("torchvision:resnet50", weights=published.path)
    assert embedder.mean_std == ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
    assert embedder.geometry.resize == 232, "the preset of this very file, IMAGENET1K_V2"
    with pytest.raises(WeightsError, match="was trained with mean and std"):
        load_embedder("torchvision:resnet50", weights=published.path, mean_std="cifar10")


def test_published_weights_are_downloaded_to_a_file_and_read_from_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    asked: list[str] = []

    def fetch(url: str, target: str, hash_prefix: str | None, progress: bool) -> None:
        asked.append(f"{url} {hash_prefix} {progress}")
        torch.save(torchvision.models.resnet18().state_dict(), target)

    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    monkeypatch.setattr(torch.hub, "download_url_to_file", fetch)
    for _ in range(2):
        assert load_embedder("resnet18", mean_std="imagenet").network == "torchvision resnet18"
    assert asked == [f"{ResNet18_Weights.IMAGENET1K_V1.url} f37072fd False"]


def test_vision_transformers_take_one_size(tmp_path: Path):
    with torch.device("meta"):
        network = torchvision.models.vit_b_32()
    small = {name: torch.zeros(1).expand(value.shape) for name, value in network.state_dict().items()}
    torch.save(small, tmp_path / "vit.pt")
    embedder = load_embedder("torchvision:vit_b_32", weights=tmp_path / "vit.pt", mean_std="imagenet")
    assert (embedder.size, embedder.layer) == (224, "input of heads.head")
    with pytest.raises(ProtocolError, match="takes images of 224 pixels only, not 96"):
        embedder.at_size(96)


def test_old_densenet_names_are_understood(tmp_path: Path):
    state = torchvision.models.densenet121().state_dict()
    old = {key.replace("norm1.", "norm.1.").replace("conv2.", "conv.2."): value for key, value in state.items()}
    assert old.keys() != state.keys()
    torch.save(old, tmp_path / "old.pth")
    load_embedder("torchvision:densenet121", weights=tmp_path / "old.pth", mean_std="imagenet")


@pytest.mark.parametrize("name", ["test_resnet", "test_vit"])
@pytest.mark.parametrize("classes", [0, 7])
def test_timm_features_and_pixels_are_timms_own(tmp_path: Path, name: str, classes: int):
    network = timm.create_model(name, num_classes=classes).eval()
    embedder = load_embedder(f"timm:{name}", weights=save(network, tmp_path), mean_std="half")
    settings = timm.data.resolve_data_config(pretrained_cfg=network.pretrained_cfg)
    assert embedder.mean_std == (settings["mean"], settings["std"])
    assert_same_input(embedder, timm.data.create_transform(**settings))
    images = torch.randn(2, *settings["input_size"])
    network.reset_classifier(0)
    torch.testing.assert_close(embedder.load()(images), network(images))


def test_weights_that_timm_converts_are_converted(tmp_path: Path):
    network = timm.create_model("test_vit", num_classes=0).eval()
    state = network.state_dict()
    state["patch_embed.proj.weight"] = state["patch_embed.proj.weight"].flatten(1)  # a linear layer, as some write it
    safetensors.torch.save_file(state, tmp_path / "other.safetensors")
    images = torch.randn(2, 3, 160, 160)
    embedder = load_embedder("timm:test_vit", weights=tmp_path / "other.safetensors", mean_std="half")
    torch.testing.assert_close(embedder.load()(images), network(images))


def test_timm_weights_must_fit_and_say_their_normalisation(tmp_path: Path, teacher: Path):
    with pytest.raises(WeightsError, match=r"as timm's test_vit: the weights do not fit; missing: .* ResNet-18"):
        load_embedder("timm:test_vit", weights=teacher)
    with pytest.raises(WeightsError, match="give --mean-std"):
        load_embedder("timm:test_vit", weights=save(timm.create_model("test_vit"), tmp_path))


@pytest.fixture
def clip_model(tmp_path: Path) -> str:
    """A vision transformer of open_clip small enough to build."""
    settings = {
        "embed_dim": 24,
        "vision_cfg": {"image_size": 32, "layers": 2, "width": 64, "patch_size": 16},
        "text_cfg": {"context_length": 8, "vocab_size": 50, "width": 64, "heads": 1, "layers": 1},
    }
    (tmp_path / "divbench-test-vit.json").write_text(json.dumps(settings))
    open_clip.add_model_config(tmp_path / "divbench-test-vit.json")
    return "divbench-test-vit"


@pytest.mark.parametrize("wrapped", [False, True])
def test_clip_features_and_pixels_are_open_clips_own(tmp_path: Path, clip_model: str, wrapped: bool):
    network = open_clip.CLIP(**open_clip.get_model_config(clip_model)).eval()
    if wrapped:
        path = tmp_path / "epoch_1.pt"
        torch.save({"state_dict": {f"module.{k}": v for k, v in network.state_dict().items()}, "epoch": 1}, path)
    else:
        path = save(network, tmp_path)
    embedder = load_embedder(f"clip:{clip_model}", weights=path)
    transform = open_clip.transform.image_transform_v2(open_clip.transform.PreprocessCfg(size=32), is_train=False)
    assert_same_input(embedder, transform)
    images = random_images(3, 40)
    with torch.no_grad():
        expected = network.encode_image(torch.stack([transform(pillow(image)) for image in images]))
    torch.testing.assert_close(embed(image_set(images), embedder).features, expected, rtol=1e-4, atol=1e-5)
    with pytest.raises(ProtocolError, match="32 pixels only"):
        embedder.at_size(64)


def test_clip_weights_of_another_model_are_refused(clip_model: str, teacher: Path):
    with pytest.raises(WeightsError, match=r"image tower of open_clip's divbench-test-vit: .*looks like a ResNet-18"):
        load_embedder(f"clip:{clip_model}", weights=teacher)


def test_clip_takes_quickgelu_and_normalisation_from_the_published_weights(monkeypatch: pytest.MonkeyPatch):
    from divbench.embedders import clip

    settings, public = clip._settings("ViT-B-32", "openai", local=False)
    assert settings["quick_gelu"]
    assert public["hf_hub"]
    assert not clip._settings("ViT-B-32", "laion2b_s34b_b79k", local=False)[0]["quick_gelu"]
    mean_std, interpolation, squash = clip._preprocessing("ViT-B-32", public)
    assert np.allclose(mean_std[0], (0.4815, 0.4578, 0.4082), atol=1e-4)
    assert (interpolation, squash) == ("bicubic", False)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("torchvision:resnet81", "did you mean 'resnet18'"),
        ("torchvision", "no classification network ''"),
        ("timm:no_such", "timm has no model 'no_such'"),
        ("clip:ViT-B-33", "did you mean 'ViT-B-3"),
        ("clip:ViT-B-32", "name its weights as clip:ViT-B-32/PRETRAINED; known: openai"),
        ("clip:ViT-B-32/nowhere", "known: openai"),
    ],
)
def test_unknown_models_are_refused(name: str, message: str):
    with pytest.raises(ProtocolError, match=message):
        load_embedder(name)


@pytest.mark.parametrize("name", ["resnet18", "torchvision:resnet50", "timm:test_vit", "clip"])
def test_a_failed_download_says_how_to_give_the_weights(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def offline(*_: object, **__: object) -> str:
        raise urllib.error.URLError("no route to host")

    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    monkeypatch.setattr(torch.hub, "download_url_to_file", offline)
    monkeypatch.setattr(huggingface_hub, "hf_hub_download", offline)
    with pytest.raises(WeightsError, match=r"not be downloaded \(.*no route to host.*give the file with --weights"):
        load_embedder(name)


def test_the_hub_is_asked_for_each_name_only_while_there_is_a_connection(monkeypatch: pytest.MonkeyPatch):
    from huggingface_hub.errors import LocalEntryNotFoundError

    asked: list[tuple[str, bool]] = []

    def hub(name: str, file: str, revision: str | None = None, local_files_only: bool = False) -> str:
        asked.append((file, local_files_only))
        raise LocalEntryNotFoundError("offline")

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", hub)
    with pytest.raises(LocalEntryNotFoundError):
        from_hugging_face("owner/name@v1", "a.safetensors", "a.bin")
    assert asked == [("a.safetensors", True), ("a.bin", True), ("a.safetensors", False)]
    with pytest.raises(WeightsError):
        _weights.downloaded("x", lambda: from_hugging_face("owner/name", "a.bin"))
