import dataclasses

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision import transforms
from torchvision.transforms import InterpolationMode

from divbench.embedders import EMBEDDERS, Embedder, Geometry, load_embedder
from divbench.errors import ProtocolError
from tests.embedders.small import random_images

SIZES = [(12, 12), (20, 31), (31, 20), (8, 9), (100, 40)]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("filter_", ["bilinear", "bicubic"])
@pytest.mark.parametrize("squash", [False, True])
def test_pixels_are_those_of_torchvision_on_pillow_images(size: tuple[int, int], filter_: str, squash: bool):
    image = torch.randint(0, 256, (3, *size), generator=torch.Generator().manual_seed(1)).to(torch.uint8)
    edges = (14, 14) if squash else 14
    reference = transforms.Compose([transforms.Resize(edges, InterpolationMode(filter_)), transforms.CenterCrop(12)])
    expected = np.asarray(reference(Image.fromarray(image.permute(1, 2, 0).contiguous().numpy())))
    got = Geometry(12, 14, filter_, squash).apply(image)
    assert got.dtype == torch.uint8
    assert got.is_contiguous()
    assert np.array_equal(got.permute(1, 2, 0).numpy(), expected)


def test_images_of_the_right_size_are_not_touched():
    image = random_images(1)[0]
    assert Geometry().apply(image) is image
    assert Geometry(12, 12).apply(image) is image
    assert not torch.equal(Geometry(12, 14).apply(image), image)


def test_another_size_keeps_the_share_of_the_image():
    assert Geometry(224, 256).at_size(112) == Geometry(112, 128)
    assert Geometry().at_size(32) == Geometry(32, 32)


def test_a_crop_larger_than_the_image_is_refused():
    with pytest.raises(ProtocolError, match="at most the resized edge 10"):
        Geometry(12, 10)


def test_the_id_holds_everything_that_changes_a_number(tiny: Embedder):
    changes = {
        "network": "other",
        "weights": "sha256:0",
        "layer": "other",
        "mean_std": ((0.5, 0.5, 0.5), (1.0, 1.0, 1.0)),
        "geometry": Geometry(8, 8),
        "precision": "bfloat16",
    }
    others = [dataclasses.replace(tiny, **{name: value}) for name, value in changes.items()]
    geometries = [Geometry(8, 9), Geometry(8, 8, "bicubic"), Geometry(8, 8, squash=True)]
    others += [dataclasses.replace(tiny, geometry=geometry) for geometry in geometries]
    assert len({tiny.id, *(other.id for other in others)}) == len(others) + 1
    fields = {field.name for field in dataclasses.fields(Embedder)}
    assert fields - set(changes) == {"build", "resizable"}


def test_at_size_is_in_the_id_and_the_record_is_unchanged(tiny: Embedder):
    assert tiny.size is None
    assert tiny.at_size(8).size == 8
    assert "size=8 " in tiny.at_size(8).id
    assert tiny.size is None
    assert tiny.prepare(random_images(1)[0]).shape == (3, 12, 12)
    assert tiny.at_size(8).prepare(random_images(1)[0]).shape == (3, 8, 8)
    assert tiny.at_size(1).prepare(random_images(1)[0]).shape == (3, 1, 1)


def test_sizes_that_make_no_sense_are_refused(tiny: Embedder):
    with pytest.raises(ProtocolError, match="at least 1 pixel"):
        tiny.at_size(0)
    fixed = dataclasses.replace(tiny, geometry=Geometry(8, 8), resizable=False)
    assert fixed.at_size(8) is fixed
    with pytest.raises(ProtocolError, match="tiny takes images of 8 pixels only, not 9"):
        fixed.at_size(9)


def test_loading_gives_a_frozen_network_in_evaluation_mode(tiny: Embedder):
    network = tiny.load()
    assert not network.training
    assert not any(parameter.requires_grad for parameter in network.parameters())


def test_names_and_settings_that_are_unknown_are_refused():
    assert list(EMBEDDERS) == ["clip", "pixels", "resnet18", "timm", "torchvision"]
    with pytest.raises(ProtocolError, match="did you mean 'pixels'"):
        load_embedder("pixel")
    with pytest.raises(ProtocolError, match="unknown precision 'float16'; known: float32, bfloat16"):
        load_embedder("pixels", precision="float16")
    with pytest.raises(ProtocolError, match="takes no model name, weights or normalisation"):
        load_embedder("pixels", mean_std="imagenet")


def test_every_family_describes_itself_in_one_line():
    assert all((make.__doc__ or "").partition("\n")[0].endswith(".") for _, make in EMBEDDERS.items())


def test_pixels_are_flattened_and_divided():
    embedder = load_embedder("pixels", input_size=6)
    assert embedder.id.startswith("v1; network=pixels; weights=none; layer=flattened; size=6 ")
    images = random_images(2)
    assert torch.equal(embedder.load()(images / 255), images.flatten(1) / 255)
