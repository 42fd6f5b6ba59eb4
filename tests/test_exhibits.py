"""What a page shows of images: sets find their results by content, and nothing is shown that was not measured."""

import io

import msgspec
import numpy as np
import pytest
import torch
from PIL import Image

from divbench.errors import InputError, ResultError
from divbench.evaluate import Embedding, evaluate
from divbench.exhibits import MapOptions, find_sets, gallery, see
from divbench.images import ImageSet, read_images, take_per_class
from divbench.protocol import load_protocol

PIXELS = Embedding("pixels")
FEW = MapOptions(perplexity=5, real_points=60)


@pytest.fixture(scope="module")
def digits():
    return read_images("digits")


def subset(digits, start, per_class=6, name="x"):
    rows = [(digits.labels == c).nonzero()[start : start + per_class, 0] for c in range(10)]
    chosen = digits.select(torch.cat(rows))
    return ImageSet(chosen.images, chosen.labels, chosen.classes, name)


@pytest.fixture(scope="module")
def sets(digits):
    return [subset(digits, 0, name="x"), subset(digits, 20, name="x+y")]


@pytest.fixture(scope="module")
def results(digits, sets):
    rules = load_protocol("quick")
    return [evaluate([one], digits, rules, PIXELS) for one in sets]


def test_sets_find_their_results_in_any_order_and_by_content_alone(results, sets):
    renamed = [ImageSet(one.images, one.labels, one.classes, "whatever") for one in sets]
    found = find_sets(results, renamed[::-1])
    assert list(found) == ["x", "x+y"]
    assert torch.equal(found["x"].images.images, sets[0].images)
    assert found["x+y"].images.name == "x+y"


def test_the_first_images_are_found_where_a_result_is_of_these_alone(digits, sets):
    result = evaluate(sets[:1], digits, load_protocol("quick"), PIXELS, ipc=4)
    found = find_sets([result], sets[:1])
    assert torch.equal(found["x"].images.images, take_per_class(sets[0], 4).images)


def test_classes_in_another_order_are_mapped(results, sets):
    order = tuple(reversed(sets[0].classes))
    turned = ImageSet(sets[0].images, 9 - sets[0].labels, order, "turned")
    found = find_sets(results, [turned])
    assert torch.equal(found["x"].images.labels, sets[0].labels)


def test_images_of_no_result_are_refused(results, digits, sets):
    with pytest.raises(InputError, match=r"other: these images \(digest .{8}\) belong to none of the results \(x .{8}"):
        find_sets(results, [sets[0], subset(digits, 40, name="other")])


def test_the_embedder_and_the_real_images_must_be_those_of_the_results(results, sets, digits):
    found = find_sets(results, sets)
    with pytest.raises(ResultError, match="the results were made with the embedder .* and this is"):
        see(results, found, digits, Embedding("pixels", input_size=4))
    with pytest.raises(ResultError, match=r"digits: these real images .* are not those of the results .*--split"):
        see(results, found, read_images("digits", split="test"), PIXELS)
    bare = [msgspec.structs.replace(r, protocol=None, protocol_digest=None, embedder=None, real=None) for r in results]
    with pytest.raises(ResultError, match="hold accuracies alone"):
        see(bare, found, digits, PIXELS)


def test_a_real_subset_is_drawn_again(digits, sets):
    rules = msgspec.structs.replace(load_protocol("quick"), real_per_class=30)
    result = evaluate(sets[:1], digits, rules, PIXELS)
    seen = see([result], find_sets([result], sets[:1]), digits, PIXELS)
    assert seen.real.source == result.real.digest
    assert len(seen.real_images) == len(seen.real) == 300
    assert torch.equal(seen.real_images.labels, seen.real.labels)


def test_a_gallery_has_figures_and_the_pictures_of_each_class(results, sets, digits):
    found = find_sets(results, sets)
    shown = gallery(results, found, see(results, found, digits, PIXELS), options=FEW)
    assert [one.key for one in shown.figures] == ["tsne", "spectrum"]
    assert [one.name for one in shown.classes] == list(digits.classes)
    groups = dict(shown.classes[3].groups)
    assert list(groups) == ["real", "x", "x+y"]
    assert [strip.title.split(",")[0] for strip in groups["x"]] == [
        "synthetic", "nearest real", "best covered real", "least covered real",
    ]  # fmt: skip
    strip = groups["x"][0]
    pixels = np.asarray(Image.open(io.BytesIO(strip.data)))
    assert strip.count == 6
    first = sets[0].images[(sets[0].labels == 3).nonzero()[0, 0]].permute(1, 2, 0).numpy()
    assert np.array_equal(pixels[:8, :8], first)  # digit for digit: distilled images are shown as they are
    assert all(one.alt for _, strips in shown.classes[0].groups for one in strips)


def test_images_alone_show_no_maps(results, sets):
    shown = gallery(results, find_sets(results, sets[:1]))
    assert shown.figures == []
    assert [heading for heading, _ in shown.classes[0].groups] == ["x"]
    assert any("No images were given of x+y" in note for note in shown.notes)


def test_a_perplexity_too_large(results, sets, digits):
    found = find_sets(results, sets)
    with pytest.raises(InputError, match="perplexity 500 is too large"):
        gallery(results, found, see(results, found, digits, PIXELS), options=MapOptions(perplexity=500))


def test_large_images_of_many_classes_stay_light():
    pixels = torch.randint(0, 256, (60, 3, 128, 128), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    big = ImageSet(pixels, torch.arange(30).repeat_interleave(2), tuple(f"c{i}" for i in range(30)), "big")
    result = evaluate(
        [big],
        big,
        msgspec.structs.replace(load_protocol("quick"), metrics={"vendi": {}}),
        Embedding("pixels", input_size=8),
    )
    shown = gallery([result], find_sets([result], [big]), focus=[29, 3, *range(4, 22)])
    assert [one.name for one in shown.classes][:2] == ["c29", "c3"]
    assert len(shown.classes) == 20
    strips = [strip for one in shown.classes for _, group in one.groups for strip in group]
    assert {strip.side for strip in strips} == {64}
    assert sum(len(strip.data) for strip in strips) < 1_300_000
    assert any("fitted into 64 x 64 pixels" in note for note in shown.notes)
