"""Batches: mixing recomputed from the same batches unmixed, what is left over, slices of processes, labels replayed."""

from dataclasses import replace

import msgspec
import pytest
import torch
from torchvision.transforms.functional import to_pil_image

from divbench.errors import InputError
from divbench.generate.recipe import Fkd
from divbench.generate.relabel import relabel
from divbench.images import ImageSet, read_images
from divbench.labels.store import read_labels
from divbench.progress import no_progress
from divbench.teacher import Labeller
from divbench.train.feed import Feed, Replay, shuffle_patches
from divbench.train.recipe import Augmentation
from divbench.train.stock import take_in
from tests.generate.teachers import real_set, write_teacher

CPU = torch.device("cpu")
PLAIN = Augmentation(padding=0, crop=1.0, flip=False)
PADDED = Augmentation(padding=2, crop=1.0, flip=True)
CROPPED = Augmentation(padding=0, crop=0.3, flip=True)
FKD = Fkd(epochs=2, batch=12, crop=0.3, mix="cutmix", alpha=1.0, teacher="eval")
EVERYTHING = ("images", "rows", "labels", "partners", "partner_labels", "logits")


def changed(augment, **values):
    return msgspec.structs.replace(augment, **values)


def noise(count=27, size=8, alike=False):
    """Images that are all different, of three classes in turn."""
    pixels = torch.randint(0, 256, (count, 3, size, size), generator=torch.Generator().manual_seed(0)).to(torch.uint8)
    labels = torch.arange(count) % 3
    return ImageSet(pixels[:1].repeat(count, 1, 1, 1) if alike else pixels, labels, ("ant", "bee", "cow"), "noise")


def stock(images=None, crop=1.0, size=8):
    return take_in(images or noise(), size, size, CPU, no_progress, crop=crop)


def originals():
    """Images that are larger than the network takes in, so that crops are read from them."""
    found = stock(noise(27, 12), crop=0.3)
    assert found.crops
    return found


def feed(augment, held=None, batch=10, seed=3, rank=0, world=1, leftover=True):
    return Feed(held or stock(crop=augment.crop), augment, batch, seed, rank, world, leftover)


def check_equal(found, expected):
    assert (found.share, found.size) == (expected.share, expected.size)
    assert found.mine.equal(expected.mine)
    for what in EVERYTHING:
        one, other = getattr(found, what), getattr(expected, what)
        assert (one is None and other is None) or one.equal(other), what


def check_slices(of_rank, worlds):
    """Slices of several processes, put together, are the batches of one."""
    whole = list(of_rank(0, 1))
    assert len(whole) > 2
    for world in worlds:
        parts = [list(of_rank(rank, world)) for rank in range(world)]
        assert {len(part) for part in parts} == {len(whole)}
        for step, shown in enumerate(whole):
            slices = [part[step] for part in parts]
            assert {(one.share, one.size) for one in slices} == {(shown.share, shown.size)}
            assert torch.cat([one.mine for one in slices]).equal(torch.arange(shown.size))
            for what in EVERYTHING:
                if getattr(shown, what) is not None:
                    found = torch.cat([getattr(one, what) for one in slices])
                    exact = what not in ("images", "logits")
                    torch.testing.assert_close(found, getattr(shown, what), rtol=0, atol=0 if exact else 1e-3)


@pytest.mark.parametrize("augment", [PLAIN, changed(PADDED, padding=0), CROPPED])  # black would look like black
@pytest.mark.parametrize("mix", ["mixup", "cutmix"])
def test_mixed_images_are_made_of_the_unmixed_ones(augment, mix):
    mixed, plain = feed(changed(augment, mix=mix)), feed(augment)
    labels = mixed.stock.images.labels
    shares = []
    for epoch in range(4):
        for shown, apart in zip(mixed.epoch(epoch), plain.epoch(epoch), strict=True):
            assert (apart.share, shown.size) == (1, len(shown.rows))
            assert apart.partners.equal(apart.rows)
            assert shown.rows.equal(apart.rows)
            assert sorted(shown.partners.tolist()) == sorted(shown.rows.tolist()), "a permutation of the batch"
            assert shown.labels.equal(labels[shown.rows])
            assert shown.partner_labels.equal(labels[shown.partners])
            assert not shown.partners.equal(shown.rows)
            place = {row: index for index, row in enumerate(apart.rows.tolist())}
            others = apart.images[[place[row] for row in shown.partners.tolist()]]
            shares.append(shown.share)
            if mix == "mixup":
                expected = shown.share * apart.images + (1 - shown.share) * others
                torch.testing.assert_close(shown.images, expected, rtol=0, atol=1e-3)
                continue
            inside = (shown.images != apart.images).any(0).any(0)  # where any image of the batch was replaced
            assert inside.equal(inside.any(1)[:, None] & inside.any(0)), "a box, the same for all images"
            assert int(inside.sum()) == round((1 - shown.share) * 64), "its area is what the labels count"
            assert shown.images.equal(torch.where(inside, others, apart.images))
    assert len(set(shares)) > 6, "every batch has a share of its own"


@pytest.mark.parametrize(("alpha", "variance"), [(1.0, 1 / 12), (0.2, 1 / 5.6)])
def test_the_share_follows_the_beta_law(alpha, variance):
    batches = feed(changed(PLAIN, mix="mixup", alpha=alpha), stock(noise(16)), batch=2)
    share = torch.tensor([shown.share for epoch in range(90) for shown in batches.epoch(epoch)])
    assert len(share) == 720
    assert share.mean().item() == pytest.approx(0.5, abs=0.05)
    assert share.var().item() == pytest.approx(variance, rel=0.15)
    assert ((share >= 0) & (share <= 1)).all()


def test_a_cutmix_share_is_that_of_what_is_left_of_the_box_at_the_border():
    batches = feed(changed(PLAIN, mix="cutmix"), stock(noise(16)), batch=2)
    share = torch.tensor([shown.share for epoch in range(60) for shown in batches.epoch(epoch)])
    assert (share * 64).sub((share * 64).round()).abs().max() < 1e-4, "whole pixels"
    assert 0.6 < share.mean() < 0.85, "boxes are clipped, so less than half is replaced"


@pytest.mark.parametrize(
    ("count", "world", "sizes"),
    [
        (27, 1, [10, 10, 7]),
        (22, 1, [10, 10, 2]),
        (21, 1, [10, 10]),
        (20, 1, [10, 10]),
        (7, 1, [7]),
        (27, 3, [10, 10, 7]),
        (25, 3, [10, 10]),
    ],
)
def test_what_is_left_over_makes_a_smaller_batch(count, world, sizes):
    held = stock(noise(count))
    for leftover in (True, False):
        batches = feed(PLAIN, held, world=world, leftover=leftover)
        expected = sizes if leftover else [size for size in sizes if size == 10]
        shown = list(batches.epoch(0))
        assert batches.steps == len(shown) == len(expected)
        assert [one.size for one in shown] == expected


@pytest.mark.parametrize("mix", ["none", "mixup", "cutmix"])
def test_every_image_comes_once_in_an_epoch_in_an_order_of_its_own(mix):
    batches = feed(changed(PLAIN, mix=mix))
    orders = [torch.cat([shown.rows for shown in batches.epoch(epoch)]) for epoch in range(3)]
    assert all(order.sort().values.equal(torch.arange(27)) for order in orders)
    assert len({tuple(order.tolist()) for order in orders}) == 3
    for shown in batches.epoch(1):
        if mix == "none":
            assert shown.images.equal(batches.stock.images.images[shown.rows].float())
    other = torch.cat([shown.rows for shown in feed(PLAIN, seed=4).epoch(0)])
    assert not other.equal(orders[0])


@pytest.mark.parametrize("mix", ["none", "mixup", "cutmix"])
@pytest.mark.parametrize(
    "augment", [PADDED, CROPPED, changed(PADDED, patches=2), changed(PLAIN, randaugment=(2, 18)), "originals"]
)
def test_processes_take_slices_of_the_same_batches(augment, mix):
    held = originals() if augment == "originals" else stock(crop=augment.crop)
    augment = changed(CROPPED if augment == "originals" else augment, mix=mix)
    check_slices(lambda rank, world: feed(augment, held, rank=rank, world=world).epoch(1), (2, 3))


@pytest.mark.parametrize("mix", ["none", "mixup", "cutmix"])
@pytest.mark.parametrize("augment", [changed(PADDED, patches=2, randaugment=(1, 9)), CROPPED, "originals"])
def test_started_in_the_middle_batches_are_the_same(augment, mix):
    held = originals() if augment == "originals" else stock(crop=augment.crop)
    augment = changed(CROPPED if augment == "originals" else augment, mix=mix)
    for rank, world in ((0, 1), (1, 2)):
        whole = list(feed(augment, held, rank=rank, world=world).epoch(2))
        again = list(feed(augment, held, rank=rank, world=world).epoch(2, start=1))
        assert len(whole) == 3
        for found, expected in zip(again, whole[1:], strict=True):
            check_equal(found, expected)
        assert list(feed(augment, held, rank=rank, world=world).epoch(2, start=3)) == []


@pytest.mark.parametrize("augment", [PADDED, CROPPED, changed(PLAIN, patches=4), changed(PLAIN, randaugment=(1, 18))])
def test_every_image_is_augmented_on_its_own_and_otherwise_every_time(augment):
    held = stock(noise(20, alike=True), crop=augment.crop)
    first, second = feed(augment, held, leftover=False).epoch(0)
    later = next(feed(augment, held).epoch(1))
    other = next(feed(augment, held, seed=4).epoch(0))
    assert len(first.images.flatten(1).unique(dim=0)) > 4
    for one in (second, later, other):
        assert not one.images.equal(first.images)


@pytest.mark.parametrize("augment", [PADDED, CROPPED])
def test_randaugment_comes_before_the_crop_as_in_the_released_code(augment, monkeypatch):
    """So the black around a padded image stays black, and crops are of images that RandAugment has rounded."""
    monkeypatch.setattr("divbench.train.feed.rand_augment", lambda pixels, operations, magnitude, seeds: 255 - pixels)
    held = stock(crop=augment.first_crop)
    inverted = stock(replace(noise(), images=255 - noise().images), crop=augment.first_crop)
    found = feed(changed(augment, randaugment=(1, 9), mix="mixup"), held).epoch(0)
    for shown, expected in zip(found, feed(changed(augment, mix="mixup"), inverted).epoch(0), strict=True):
        check_equal(shown, expected)


def test_what_comes_before_the_crop_keeps_crops_from_being_made_of_originals():
    assert CROPPED.first_crop == 0.3
    assert changed(CROPPED, patches=2).first_crop == changed(CROPPED, randaugment=(2, 18)).first_crop == 1


def test_a_slice_says_where_it_lies_in_the_batch():
    found = [next(feed(PLAIN, rank=rank, world=3).epoch(0)) for rank in range(3)]
    assert [one.mine.tolist() for one in found] == [[0, 1, 2], [3, 4, 5], [6, 7, 8, 9]]
    assert [one.size for one in found] == [10, 10, 10]


def test_crops_of_originals_are_not_cut_again():
    held = originals()
    with_flips = torch.cat([one.images for one in feed(CROPPED, held).epoch(0)])
    without = torch.cat([one.images for one in feed(changed(CROPPED, flip=False), held).epoch(0)])
    same = (with_flips == without).flatten(1).all(1)
    mirrored = (with_flips == without.flip(3)).flatten(1).all(1)
    assert (same ^ mirrored).all()
    assert 4 < int(mirrored.sum()) < 23
    assert without.equal(without.round()), "as they were read"


def patches_of(image, grid):
    side = image.shape[-1] // grid
    return [image[:, y * side : (y + 1) * side, x * side : (x + 1) * side] for y in range(grid) for x in range(grid)]


@pytest.mark.parametrize("grid", [1, 2, 4])
def test_patches_change_places(grid):
    pixels = noise(5).images
    as_they_are = torch.arange(grid).repeat(5, 1)
    assert shuffle_patches(pixels, as_they_are, as_they_are).equal(pixels)
    rows, columns = torch.rand(2, 5, grid, generator=torch.Generator().manual_seed(1)).argsort(2)
    for image, found, down, across in zip(
        pixels, shuffle_patches(pixels, rows, columns), rows.tolist(), columns.tolist(), strict=True
    ):
        before, after = patches_of(image, grid), patches_of(found, grid)
        sources = [y * grid + x for y in down for x in across]
        assert all(one.equal(before[source]) for one, source in zip(after, sources, strict=True))


def test_patches_of_a_batch_change_places_by_whole_rows_and_columns_as_in_the_released_code():
    batches = feed(changed(PLAIN, patches=2))
    orders = set()
    for shown in batches.epoch(0):
        for row, image in zip(shown.rows, shown.images, strict=True):
            before = patches_of(batches.stock.images.images[row].float(), 2)
            after = patches_of(image, 2)
            orders.add(tuple(next(i for i, one in enumerate(before) if one.equal(part)) for part in after))
    assert orders == {(0, 1, 2, 3), (1, 0, 3, 2), (2, 3, 0, 1), (3, 2, 1, 0)}


def test_images_that_do_not_fall_into_patches_are_refused():
    with pytest.raises(InputError, match="images of 8 pixels do not fall into 3 x 3 patches; set augment.patches = 1"):
        next(feed(changed(PLAIN, patches=3)).epoch(0))


@pytest.fixture(scope="module")
def real():
    return real_set(each=10, seed=3)


@pytest.fixture(scope="module")
def teacher(tmp_path_factory, real):
    return write_teacher(tmp_path_factory.mktemp("teacher") / "teacher.safetensors", real)


@pytest.fixture(scope="module")
def labelled(tmp_path_factory, real, teacher):
    """By how images are mixed: the labels."""
    stores = {}
    for mix in ("cutmix", "mixup", "none"):
        folder = tmp_path_factory.mktemp(mix)
        relabel(real.pixels(), msgspec.structs.replace(FKD, mix=mix), teacher, folder, seed=5, device=CPU)
        stores[mix] = read_labels(folder)
    return stores


@pytest.mark.parametrize("mix", ["cutmix", "mixup", "none"])
def test_a_student_sees_what_the_teacher_labelled(real, teacher, labelled, mix):
    labeller, replay = Labeller(teacher, "eval", CPU), Replay(stock(real), labelled[mix], 30)
    assert replay.steps == 3
    for epoch in range(2):
        soft, shares = labelled[mix].epoch(epoch), []
        shown = list(replay.epoch(epoch))
        assert torch.cat([one.rows for one in shown]).equal(soft.ids)
        assert torch.cat([one.partners for one in shown]).equal(soft.partners)
        assert torch.cat([one.logits for one in shown]).equal(soft.logits.float())
        assert [one.size for one in shown] == [12, 12, 6]
        for one in shown:
            with torch.no_grad():
                said = labeller(one.images)
            torch.testing.assert_close(said, one.logits, rtol=2e-3, atol=1e-2)
            assert not torch.allclose(said.flip(0), one.logits, rtol=2e-3, atol=1e-2)
            assert one.labels.equal(real.labels[one.rows])
            assert one.partner_labels.equal(real.labels[one.partners])
            assert one.logits.dtype == torch.float32
            assert one.weights is None
            shares.append(one.share)
        if mix == "none":
            assert shares == [1, 1, 1]
        elif mix == "mixup":
            assert shares == pytest.approx(soft.share.tolist())
        else:
            x1, y1, x2, y2 = soft.boxes.unbind(1)
            assert shares == pytest.approx((1 - (x2 - x1) * (y2 - y1) / 64).tolist())
    first, second = (next(replay.epoch(epoch)) for epoch in range(2))
    assert not first.images.equal(second.images)


@pytest.mark.parametrize("mix", ["cutmix", "mixup", "none"])
def test_processes_replay_slices_of_the_same_batches(real, labelled, mix):
    held = stock(real)
    check_slices(lambda rank, world: Replay(held, labelled[mix], 30, rank, world).epoch(1), (2, 3))


def test_a_replay_goes_on_in_the_middle(real, labelled):
    replay = Replay(stock(real), labelled["cutmix"], 30)
    whole, again = list(replay.epoch(1)), list(replay.epoch(1, start=1))
    for found, expected in zip(again, whole[1:], strict=True):
        check_equal(found, expected)


def test_stored_weights_come_with_their_images(real, labelled):
    class Weighted:
        samples, epochs, batch = 30, 2, 12

        def epoch(self, number):
            soft = labelled["cutmix"].epoch(number)
            return soft.__class__(**{**vars(soft), "weights": soft.ids.double() + 0.5})

    for rank in range(2):
        for shown in Replay(stock(real), Weighted(), 30, rank, 2).epoch(0):
            assert shown.weights.equal(shown.rows.float() + 0.5)


def test_images_of_the_size_stay_as_they_are_but_tests_are_enlarged(tmp_path):
    """A recipe that resizes to 10 and cuts out 8, as 256 and 224 on ImageNet: distilled images are no photographs."""
    distilled = real_set(4)
    folder = tmp_path / "set"
    for row, label in enumerate(distilled.labels.tolist()):
        (folder / distilled.classes[label]).mkdir(parents=True, exist_ok=True)
        to_pil_image(distilled.images[row]).save(folder / distilled.classes[label] / f"{row:02}.png")
    read = read_images(folder)
    for some in (distilled, read):
        for crop in (1.0, 0.3):
            assert take_in(some, 8, 10, CPU, no_progress, crop=crop, ready=True).pixels.equal(some.pixels())
    held = ImageSet(read.pixels(), read.labels, read.classes, "held")
    tests = [take_in(some, 8, 10, CPU, no_progress).pixels for some in (held, read)]
    assert tests[0].equal(tests[1])
    assert not tests[0].equal(read.pixels())


def test_labels_of_fewer_images_are_replayed(real, labelled):
    class Pruned:
        batch, epochs = 12, 1

        def epoch(self, number):
            return replace(labelled["none"].epoch(0).part(0), batch=12)

    (shown,) = Replay(stock(real), Pruned(), 12).epoch(0)
    assert len(shown.images) == 12
    with pytest.raises(InputError, match="epoch 0 has labels of 12 images, others of 30"):
        next(Replay(stock(real), Pruned(), 30).epoch(0))
