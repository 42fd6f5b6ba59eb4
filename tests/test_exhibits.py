"""What a page shows of images: sets find their results by content, and nothing is shown that was not measured."""

import io
from dataclasses import replace

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
    with Image.open(io.BytesIO(strips[0].data)) as picture:
        assert picture.height == 64
    assert sum(len(strip.data) for strip in strips) < 1_300_000
    assert any("fitted into 64 x 64 pixels" in note for note in shown.notes)


def test_equal_sets_of_two_results_and_several_sets_of_one(digits, sets):
    rules = load_protocol("quick")
    both = evaluate(sets, digits, rules, PIXELS, name="both")
    again = evaluate(sets[:1], digits, rules, PIXELS, name="again")
    found = find_sets([both, again], sets[::-1])
    assert {name: one.index for name, one in found.items()} == {"both": 0, "again": 0}
    second = find_sets([both], sets[1:])
    assert second["both"].index == 1
    assert any("both: set 2 of 2." in note for note in gallery([both], second).notes)


def test_a_class_that_is_just_large_enough(digits):
    rows = torch.cat([(digits.labels == c).nonzero()[: 6 if c == 0 else 9, 0] for c in range(10)])
    uneven = digits.select(rows)
    result = evaluate([uneven], digits, load_protocol("quick"), PIXELS, ipc=6, name="six")
    assert len(find_sets([result], [uneven])["six"].images) == 60


def test_common_classes_and_unreadable_images(digits, tmp_path):
    for c in range(10):
        folder = tmp_path / "set" / (f"digit {c}" if c < 8 else f"other {c}")
        folder.mkdir(parents=True)
        for i, row in enumerate((digits.labels == c).nonzero()[:6, 0].tolist()):
            Image.fromarray(digits.images[row].permute(1, 2, 0).numpy()).save(folder / f"{i}.png")
    (tmp_path / "set" / "digit 3" / "0.png").write_bytes(b"no image")
    rules, how = load_protocol("quick"), Embedding("pixels", skip_bad=True)
    images = read_images(tmp_path / "set")
    digits = replace(digits, classes=tuple(f"digit {c}" for c in range(10)))
    result = evaluate([images], digits, rules, how, common_classes=True, classes="name")
    assert len(result.classes) == 8
    found = find_sets([result], [images], "name")
    assert len(found["set"].images) == 47
    seen = see([result], found, digits, PIXELS)
    assert seen.real.source == result.real.digest


def test_an_unlabelled_set_has_maps_but_no_pictures_of_classes(digits):
    flat = ImageSet(digits.images[::20], torch.zeros_like(digits.labels[::20]), ("all",), "flat", labelled=False)
    result = evaluate([flat], digits, load_protocol("quick"), PIXELS)
    found = find_sets([result], [flat])
    shown = gallery([result], found, see([result], found, digits, PIXELS), options=FEW)
    assert shown.classes == []
    assert "the whole set" in shown.figures[1].figure.alt
    assert any("no pictures class by class" in note for note in shown.notes)


def test_sets_of_which_one_is_uneven_have_no_spectrum(digits, sets, results):
    rows = [(digits.labels == c).nonzero()[30 : 36 + (c == 1) - (c == 2), 0] for c in range(10)]
    uneven = digits.select(torch.cat(rows))
    held = [results[0], evaluate([uneven], digits, load_protocol("quick"), PIXELS, name="uneven")]
    found = find_sets(held, [sets[0], uneven])
    shown = gallery(held, found, see(held, found, digits, PIXELS), options=FEW)
    assert [one.key for one in shown.figures] == ["tsne"]
