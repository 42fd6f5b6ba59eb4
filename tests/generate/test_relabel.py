import copy
import dataclasses
import math
from pathlib import Path

import msgspec
import numpy as np
import pytest
import safetensors.torch
import torch
from torch import nn
from torchvision.transforms.functional import hflip, resized_crop

from divbench.errors import InputError, OutputError, RecipeError
from divbench.generate import relabel as module
from divbench.generate.real import normalised
from divbench.generate.recipe import Fkd, Static
from divbench.generate.relabel import draw_epoch, label_parts, relabel
from divbench.labels.replay import augment, cutmix_boxes
from divbench.labels.store import SoftLabels, read_labels
from divbench.seeds import seeded
from divbench.teacher import Teacher
from tests.generate.teachers import real_set, write_teacher

CPU = torch.device("cpu")
FKD = Fkd(epochs=3, batch=8, crop=0.3, mix="cutmix", alpha=1.0, teacher="eval")


def fkd(**changes):
    return msgspec.structs.replace(FKD, **changes)


class SmallTeacher(Teacher):
    """One convolution with BatchNorm instead of a ResNet, so that tests take no time."""

    def network(self):
        network = nn.Sequential(
            nn.Conv2d(3, 16, 3, padding=1),
            nn.BatchNorm2d(16),
            nn.ReLU(),
            nn.Flatten(),
            nn.Dropout(),
            nn.Linear(1024, 3),
        )
        network.load_state_dict(self.state)
        return network.eval().requires_grad_(False)


@pytest.fixture(scope="module")
def teacher():
    g = torch.Generator().manual_seed(0)
    state = {
        "0.weight": torch.randn(16, 3, 3, 3, generator=g) / 5,
        "0.bias": torch.zeros(16),
        "1.weight": torch.ones(16),
        "1.bias": torch.zeros(16),
        "1.running_mean": torch.randn(16, generator=g) / 5,
        "1.running_var": torch.rand(16, generator=g) + 0.5,
        "1.num_batches_tracked": torch.tensor(7),
        "5.weight": torch.randn(3, 1024, generator=g) / 10,
        "5.bias": torch.zeros(3),
    }
    mean_std = ((0.5, 0.4, 0.3), (0.25, 0.2, 0.3))
    return SmallTeacher("small", "small", state, None, 3, "5", mean_std, 8, "a" * 64, Path("small"))


@pytest.fixture(scope="module")
def images():
    return real_set(each=7, seed=3).pixels()


def run(images, labels, teacher, folder, seed=0, device=CPU, **options):
    relabel(images, labels, teacher, folder, seed=seed, device=device, **options)
    return read_labels(folder)


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def batch_statistics(network):
    network = copy.deepcopy(network)
    for layer in network.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.train()
    return network


@pytest.mark.parametrize("mix", ["cutmix", "mixup", "none"])
@pytest.mark.parametrize("mode", ["eval", "train"])
def test_the_student_sees_what_the_teacher_labelled(images, teacher, tmp_path, mix, mode):
    store = run(images, fkd(mix=mix, teacher=mode), teacher, tmp_path)
    network = teacher.network() if mode == "eval" else batch_statistics(teacher.network())
    store.check_fits(images)
    for epoch in range(3):
        soft = store.epoch(epoch)
        for part in map(soft.part, range(soft.batches)):
            seen = augment(images[part.ids], part)
            with torch.no_grad():
                logits = network(normalised(seen, teacher.mean_std, CPU))
            torch.testing.assert_close(logits, part.logits.float(), rtol=1e-3, atol=1e-3)
            other = network(normalised(seen.flip(0), teacher.mean_std, CPU))
            assert not torch.allclose(other, part.logits.float(), rtol=1e-3, atol=1e-3) or len(part) == 1


def test_labels_of_a_trained_teacher_agree_with_the_classes(tmp_path):
    real = real_set(each=5, seed=3)
    trained = write_teacher(tmp_path / "teacher.safetensors", real)
    relabel(real.pixels(), fkd(crop=1.0, mix="none"), trained, tmp_path, seed=0, device=CPU, parts=[2])
    relabel(real.pixels(), Static(teacher="eval"), trained, tmp_path / "static", seed=0, device=CPU)
    network = trained.network()
    with torch.no_grad():
        expected = network(normalised(real.pixels(), trained.mean_std, CPU))
    found = read_labels(tmp_path / "static").static()
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-3)
    assert (found.argmax(1) == real.labels).float().mean() > 0.9
    labels = safetensors.torch.load_file(tmp_path / "labels" / "epoch_0002.safetensors")
    assert (labels["logits"].argmax(1) == real.labels[labels["ids"]]).float().mean() > 0.6  # mirrored half the time


def test_the_teacher_is_left_as_it_was(images, teacher, tmp_path):
    before = {name: value.clone() for name, value in teacher.state.items()}
    run(images, fkd(epochs=1, teacher="train"), teacher, tmp_path)
    assert all(torch.equal(teacher.state[name], value) for name, value in before.items())


def test_batch_statistics_depend_on_no_earlier_batch(images, teacher, tmp_path):
    """Epoch 2 alone is epoch 2 after two others; everything but BatchNorm is as in evaluation."""
    run(images, fkd(teacher="train"), teacher, tmp_path / "all")
    relabel(images, fkd(teacher="train"), teacher, tmp_path / "one", seed=0, device=CPU, parts=[2])
    assert contents(tmp_path / "one")["epoch_0002.safetensors"] == contents(tmp_path / "all")["epoch_0002.safetensors"]


def test_dropout_is_never_on(images, teacher):
    labeller = module.Labeller(teacher, "train", CPU)
    assert torch.equal(labeller(images), labeller(images))


def test_static_labels_are_the_logits_of_the_images(images, teacher, tmp_path):
    found = run(images, Static(teacher="eval"), teacher, tmp_path).static()
    with torch.no_grad():
        expected = teacher.network()(normalised(images, teacher.mean_std, CPU))
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)


def test_static_labels_by_batch_statistics_use_random_batches(images, teacher, tmp_path, monkeypatch):
    monkeypatch.setattr("divbench.teacher.LABELLED_AT_ONCE", 10)
    found = run(images, Static(teacher="train"), teacher, tmp_path).static()
    order = torch.randperm(21, generator=seeded(0, "labels"))
    network = batch_statistics(teacher.network())
    with torch.no_grad():
        for rows in order.tensor_split(3):
            expected = network(normalised(images[rows], teacher.mean_std, CPU))
            torch.testing.assert_close(found[rows], expected, rtol=1e-4, atol=1e-4)


def test_looking_at_few_images_at_once_changes_nothing(images, teacher, tmp_path, monkeypatch):
    whole = run(images, FKD, teacher, tmp_path / "whole").epoch(0)
    monkeypatch.setattr("divbench.teacher.LABELLED_AT_ONCE", 3)
    parts = run(images, FKD, teacher, tmp_path / "parts").epoch(0)
    torch.testing.assert_close(parts.logits, whole.logits, rtol=1e-2, atol=1e-2)


def test_interrupted_and_shared_is_the_same_bytes(images, teacher, tmp_path):
    run(images, FKD, teacher, tmp_path / "whole")
    whole = contents(tmp_path / "whole")
    assert sorted(whole) == [f"epoch_{e:04d}.safetensors" for e in range(3)]

    class Stop(BaseException):
        pass

    def stop(done, text=""):
        raise Stop

    with pytest.raises(Stop):
        run(images, FKD, teacher, tmp_path / "stopped", report=stop)
    assert list(contents(tmp_path / "stopped")) == ["epoch_0000.safetensors"]
    cut = tmp_path / "stopped" / "labels" / "epoch_0001.safetensors"
    cut.write_bytes(whole[cut.name][:-1])
    run(images, FKD, teacher, tmp_path / "stopped")
    assert contents(tmp_path / "stopped") == whole
    for rank in (1, 0):
        relabel(images, FKD, teacher, tmp_path / "shared", seed=0, device=CPU, parts=range(3)[rank::2])
    assert contents(tmp_path / "shared") == whole


def test_what_is_there_is_not_made_again(images, teacher, tmp_path, monkeypatch):
    said = []
    run(images, FKD, teacher, tmp_path, report=lambda done, text="": said.append((done, text)))
    run(images, Static(teacher="eval"), teacher, tmp_path / "static")

    def never(*_):
        raise AssertionError

    monkeypatch.setattr(module.Labeller, "__call__", never)
    run(images, FKD, teacher, tmp_path, report=lambda done, text="": said.append((done, text)))
    run(images, Static(teacher="eval"), teacher, tmp_path / "static")
    assert said == [(1, f"{how} epoch {e}") for how in ("labelled", "found") for e in range(3)]


@pytest.mark.parametrize(
    "change", [{"seed": 1}, {"images": 1}, {"labels": fkd(crop=0.4)}, {"labels": fkd(teacher="train")}]
)
def test_labels_of_another_run_are_not_mixed_in(images, teacher, tmp_path, change):
    run(images, FKD, teacher, tmp_path)
    given = {"images": images, "labels": FKD, "seed": 0} | change
    if change == {"images": 1}:
        given["images"] = images.flip(0)
    with pytest.raises(OutputError, match="labels of another run"):
        relabel(given["images"], given["labels"], teacher, tmp_path, seed=given["seed"], device=CPU)


def test_every_epoch_and_every_seed_has_draws_of_its_own():
    draws = [draw_epoch(FKD, 20, 8, seed, epoch) for seed, epoch in ((0, 0), (0, 1), (1, 0))]
    for name in ("ids", "crops", "flips", "partners", "share", "boxes"):
        one, two, three = (getattr(drawn, name) for drawn in draws)
        assert not torch.equal(one, two), name
        assert not torch.equal(one, three), name
        assert torch.equal(one, getattr(draw_epoch(FKD, 20, 8, 0, 0), name))


def test_draws_are_what_they_should_be():
    drawn = draw_epoch(fkd(batch=64, crop=0.08), 1000, 224, 0, 0)
    assert drawn.ids.sort().values.equal(torch.arange(1000))
    assert drawn.partners.sort().values.equal(torch.arange(1000))
    for part in map(drawn.part, range(drawn.batches)):
        assert set(part.partners.tolist()) == set(part.ids.tolist())
    assert 430 < drawn.flips.sum() < 570
    top, left, height, width = (drawn.crops * 224).unbind(1)
    assert torch.equal((drawn.crops * 224).round(), drawn.crops.mul(224).add(1e-3).floor())
    areas, ratios = height * width / 224**2, width / height
    assert 0.078 < areas.min() < 0.1
    assert areas.mean() == pytest.approx(0.52, abs=0.04)
    assert 0.73 < ratios.min() < ratios.max() < 1.36
    assert (top + height).max() < 224.01
    assert (left + width).max() < 224.01
    plain = draw_epoch(fkd(mix="none", crop=1.0), 10, 8, 0, 0)
    assert torch.equal(plain.crops, torch.tensor([[0.0, 0, 1, 1]]).expand(10, 4))
    assert torch.equal(plain.partners, plain.ids)
    assert (plain.share == 1).all()
    assert (plain.boxes == 0).all()


def test_the_share_follows_the_beta_law():
    share = draw_epoch(fkd(batch=1, alpha=0.8, mix="mixup"), 4000, 8, 0, 0).share
    assert share.mean().item() == pytest.approx(0.5, abs=0.02)
    assert share.var().item() == pytest.approx(1 / (4 * (2 * 0.8 + 1)), rel=0.05)


def test_boxes_are_those_of_the_cutmix_paper():
    share = torch.rand(500, generator=torch.Generator().manual_seed(1))
    boxes = cutmix_boxes(share, 33, torch.Generator().manual_seed(0))
    centres = torch.randint(33, (500, 2), generator=torch.Generator().manual_seed(0)).tolist()
    for lam, (x, y), box in zip(share.double().tolist(), centres, boxes.tolist(), strict=True):
        cut = int(33 * math.sqrt(1 - lam))
        corners = (x - cut // 2, y - cut // 2, x + cut // 2, y + cut // 2)
        assert box == np.clip(corners, 0, 33).tolist()
    areas = (boxes[:, 2:] - boxes[:, :2]).double().prod(1) / 33**2
    assert (areas <= 1 - share + 1e-6).all()
    assert boxes.dtype == torch.int32


def one_batch(count=4, mix="none", **values):
    plain = {
        "ids": torch.arange(count) + 10,
        "crops": torch.tensor([[0.0, 0, 1, 1]]).repeat(count, 1),
        "flips": torch.zeros(count, dtype=torch.bool),
        "partners": torch.arange(count) + 10,
        "share": torch.ones(1),
        "boxes": torch.zeros(1, 4, dtype=torch.int32),
        "logits": torch.zeros(count, 2).half(),
    }
    return SoftLabels(**(plain | values), batch=count, mix=mix)


def pictures(count=4, height=32, width=32):
    return torch.randint(
        0, 256, (count, 3, height, width), generator=torch.Generator().manual_seed(0), dtype=torch.uint8
    )


@pytest.mark.parametrize("size", [(8, 8), (32, 32), (224, 224), (20, 31)])
def test_a_whole_image_stays_as_it_is(size):
    batch = pictures(4, *size)
    assert torch.equal(augment(batch, one_batch()), batch.float())


def test_floats_are_augmented_like_bytes():
    batch = pictures()
    labels = draw_epoch(fkd(batch=4), 4, 32, 0, 0)
    torch.testing.assert_close(augment(batch.float() / 255, labels) * 255, augment(batch, labels), rtol=0, atol=1e-3)


@pytest.mark.parametrize("size", [(32, 32), (24, 40)])
def test_a_crop_is_torchvisions(size):
    batch = pictures(8, *size)
    g = torch.Generator().manual_seed(2)
    height = torch.randint(1, size[0] + 1, (8,), generator=g)
    width = torch.randint(1, size[1] + 1, (8,), generator=g)
    top = (torch.rand(8, generator=g) * (size[0] + 1 - height)).floor().long()
    left = (torch.rand(8, generator=g) * (size[1] + 1 - width)).floor().long()
    flips = torch.arange(8) % 2 == 0
    boxes = torch.stack([top, left, height, width], 1)
    scale = torch.tensor([size[0], size[1], size[0], size[1]])
    found = augment(batch, one_batch(8, crops=boxes / scale, flips=flips))
    for row, (box, flip) in enumerate(zip(boxes.tolist(), flips.tolist(), strict=True)):
        expected = resized_crop(batch[row].float(), *box, list(size), antialias=False)
        torch.testing.assert_close(found[row], hflip(expected) if flip else expected, rtol=0, atol=2e-2)


def test_a_flip_is_exact():
    batch = pictures()
    flips = torch.tensor([True, False, True, False])
    found = augment(batch, one_batch(flips=flips))
    assert torch.equal(found, torch.where(flips[:, None, None, None], batch.flip(3), batch).float())


def test_cutmix_pastes_the_box_of_the_partner_rows_first():
    batch = pictures()
    partners, box = torch.tensor([13, 10, 12, 11]), torch.tensor([[2, 5, 20, 9]], dtype=torch.int32)
    found = augment(batch, one_batch(mix="cutmix", partners=partners, boxes=box))
    expected = batch.clone()
    expected[:, :, 2:20, 5:9] = batch[[3, 0, 2, 1], :, 2:20, 5:9]
    assert torch.equal(found, expected.float())


def test_mixup_is_a_weighted_mean():
    batch = pictures()
    found = augment(batch, one_batch(mix="mixup", partners=torch.tensor([13, 10, 12, 11]), share=torch.tensor([0.25])))
    torch.testing.assert_close(found, 0.25 * batch.float() + 0.75 * batch[[3, 0, 2, 1]].float())


def test_the_partner_is_augmented_too():
    batch = pictures()
    flips = torch.tensor([True, False, False, False])
    box = torch.tensor([[0, 0, 32, 32]], dtype=torch.int32)
    found = augment(batch, one_batch(mix="cutmix", flips=flips, partners=torch.tensor([10, 10, 10, 10]), boxes=box))
    assert all(torch.equal(image, batch[0].flip(2).float()) for image in found)


def test_augment_leaves_its_input_alone_and_ignores_autocast():
    batch = pictures().float()
    before, labels = batch.clone(), draw_epoch(fkd(batch=4), 4, 32, 0, 0)
    expected = augment(batch, labels)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(augment(batch, labels), expected)
    assert torch.equal(batch, before)


def test_augment_takes_one_batch():
    with pytest.raises(ValueError, match="4 images and 8 labels in 2 batches"):
        augment(pictures(4), draw_epoch(fkd(batch=4), 8, 32, 0, 0))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"epochs": 0}, r"labels.epochs is 0; it must be positive"),
        ({"batch": 0}, "labels.batch"),
        ({"crop": 0.0}, "labels.crop is 0.0; it must be a share"),
        ({"crop": 1.5}, "labels.crop"),
        ({"alpha": 0.0}, "labels.alpha is 0.0; it must be positive"),
        ({"batch": 20, "teacher": "train"}, "holds one alone"),
        ({"batch": 1, "teacher": "train"}, "holds one alone"),
    ],
)
def test_settings_that_make_no_sense_are_refused(images, teacher, tmp_path, changes, message):
    with pytest.raises(RecipeError, match=message):
        run(images, fkd(**changes), teacher, tmp_path)
    assert not list(tmp_path.iterdir())


def test_images_the_teacher_does_not_know_are_refused(images, teacher, tmp_path):
    with pytest.raises(InputError, match="trained on images of 8 pixels, but those to label have 16"):
        run(pictures(4, 16, 16), FKD, teacher, tmp_path)
    for wrong in (images.float(), images[:, :1], images[..., :4]):
        with pytest.raises(InputError, match=r"uint8 \[N, 3, S, S\]"):
            run(wrong, FKD, teacher, tmp_path)


def test_a_teacher_that_gives_no_numbers_is_refused(images, teacher, tmp_path):
    broken = dataclasses.replace(teacher, state=teacher.state | {"5.bias": torch.full((3,), 1e6)})
    with pytest.raises(InputError, match="teacher small gives logits that are NaN or too large"):
        run(images, FKD, broken, tmp_path)
    assert not list(tmp_path.iterdir())


def test_parts_are_epochs_or_one():
    assert (label_parts(FKD), label_parts(Static(teacher="eval"))) == (3, 1)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_gpu_gives_the_same_labels_without_waiting(images, teacher, tmp_path):
    there = run(images, FKD, teacher, tmp_path / "gpu", device=torch.device("cuda")).epoch(0)
    here = run(images, FKD, teacher, tmp_path / "cpu").epoch(0)
    torch.testing.assert_close(there.logits, here.logits, rtol=1e-2, atol=1e-2)
    part = there.to(torch.device("cuda")).part(0)
    batch = images.cuda()[part.ids]
    torch.cuda.set_sync_debug_mode("error")
    try:
        augment(batch, part)
    finally:
        torch.cuda.set_sync_debug_mode("default")
