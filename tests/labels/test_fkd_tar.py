"""Public FKD files, written here as the public programs write them."""

import json

import numpy as np
import pytest
import torch
from torch.utils.data import BatchSampler, RandomSampler
from torchvision.transforms import InterpolationMode, RandomResizedCrop
from torchvision.transforms.functional import hflip, pil_to_tensor, resized_crop, to_pil_image

from divbench.errors import InputError
from divbench.labels.fkd_tar import read_fkd, sampler_order
from divbench.labels.replay import augment

COUNT, BATCH, CLASSES, SIZE = 10, 4, 3, 32
KINDS = ("sre2l", "gvbsm", "edc", "wmdd")


def public_order(count=COUNT, epochs=2, batch=BATCH):
    """For each epoch the images of each batch, by torch's own samplers as public code uses them."""
    sampler = RandomSampler(range(count), generator=torch.Generator().manual_seed(42))
    return [list(BatchSampler(sampler, batch, drop_last=False)) for _ in range(epochs)]


def flat(batches):
    return [image for ids in batches for image in ids]


def entries(ids, kind="sre2l", mix="cutmix", numbers="numpy", seed=0):
    """What public code saves of one batch."""
    g = torch.Generator().manual_seed(seed)
    rng = np.random.default_rng(seed)
    count = len(ids)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        boxes = [RandomResizedCrop.get_params(torch.empty(3, SIZE, SIZE), [0.08, 1], [3 / 4, 4 / 3]) for _ in ids]
    crops = torch.stack([torch.FloatTensor([i / SIZE, j / SIZE, h / SIZE, w / SIZE]) for i, j, h, w in boxes])
    box = [np.clip(x, 0, SIZE) for x in rng.integers(0, SIZE // 2, 2)]
    box += [np.clip(x, 0, SIZE) for x in rng.integers(SIZE // 2, SIZE, 2)]
    share = rng.beta(1, 1)
    if numbers == "numpy":
        share = np.float64(share)
    elif numbers == "tensor":
        share, box = torch.tensor(share), [torch.tensor(int(x)) for x in box]
    else:
        share, box = float(share), [int(x) for x in box]
    found = [crops, torch.rand(count, generator=g) < 0.5, torch.randperm(count, generator=g), share, box]
    if mix == "mixup":
        found[4] = None
    if mix == "none":
        found[2:] = [None, None, None]
    found.append(torch.randn(count, CLASSES, generator=g).half())
    more = {
        "sre2l": [],
        "gvbsm": [torch.tensor(ids)],
        "edc": [torch.tensor(ids), torch.zeros(count, 2, 2, dtype=torch.int32)],
        "wmdd": [torch.tensor(ids, dtype=torch.float64) / 10],
    }
    return found + more[kind]


def write(folder, kind="sre2l", epochs=2, count=COUNT, order=None, **options):
    order = order or public_order(count, epochs)
    for e, batches in enumerate(order):
        (folder / f"epoch_{e}").mkdir(parents=True)
        for b, ids in enumerate(batches):
            torch.save(entries(ids, kind, seed=100 * e + b, **options), folder / f"epoch_{e}" / f"batch_{b}.tar")
    return order


def change(folder, place, value, epoch=0, batch=0):
    path = folder / f"epoch_{epoch}" / f"batch_{batch}.tar"
    saved = torch.load(path, weights_only=False)
    saved[place] = value
    torch.save(saved, path)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("mix", ["cutmix", "mixup", "none"])
@pytest.mark.parametrize("numbers", ["numpy", "tensor", "python"])
def test_every_public_form_is_read(tmp_path, kind, mix, numbers):
    order = write(tmp_path, kind, mix=mix, numbers=numbers)
    found = read_fkd(tmp_path, COUNT)
    assert (found.samples, found.classes, found.epochs, found.batch) == (COUNT, CLASSES, 2, BATCH)
    for e in range(2):
        soft = found.epoch(e)
        assert (soft.mix, soft.batch, soft.batches) == (mix, BATCH, 3)
        for b, ids in enumerate(order[e]):
            saved, part = entries(ids, kind, mix, numbers, 100 * e + b), soft.part(b)
            assert part.ids.tolist() == ids
            assert torch.equal(part.crops, saved[0])
            assert torch.equal(part.flips, saved[1])
            assert torch.equal(part.logits, saved[5])
            partners = torch.arange(len(ids)) if mix == "none" else saved[2]
            assert part.partners.tolist() == [ids[row] for row in partners]
            assert part.share.item() == pytest.approx(1 if mix == "none" else float(saved[3]))
            assert part.boxes[0].tolist() == ([int(x) for x in saved[4]] if mix == "cutmix" else [0] * 4)
            if kind == "wmdd":
                torch.testing.assert_close(part.weights, torch.tensor(ids) / 10)
            else:
                assert part.weights is None


def test_a_replay_is_what_the_public_program_showed(tmp_path):
    """Their pixels are rounded to 8 bits on the way; ours are not."""
    order = write(tmp_path)
    images = torch.randint(0, 256, (COUNT, 3, 5, 5), generator=torch.Generator().manual_seed(0)).float()
    images = torch.nn.functional.interpolate(images, (SIZE, SIZE), mode="bilinear").round().to(torch.uint8)
    for b, ids in enumerate(order[1]):
        crops, flips, partners, _, (x1, y1, x2, y2), _ = entries(ids, seed=100 + b)
        seen = []
        for row, image in enumerate(ids):
            box = [x.item() * SIZE for x in crops[row]]
            picture = resized_crop(to_pil_image(images[image]), *box, [SIZE, SIZE], InterpolationMode.BILINEAR)
            seen.append(pil_to_tensor(hflip(picture) if flips[row] else picture))
        batch = torch.stack(seen)
        batch[:, :, x1:x2, y1:y2] = batch[partners, :, x1:x2, y1:y2]
        found = augment(images[ids], read_fkd(tmp_path, COUNT).epoch(1).part(b))
        assert (found - batch.float()).abs().max() < 1.51


@pytest.mark.parametrize("count", [1, 8, 10, 33])
def test_the_order_is_that_of_torchs_sampler(count):
    expected = [flat(batches) for batches in public_order(count, 5)]
    assert [order.tolist() for order in sampler_order(count, 5)] == expected
    assert [order.tolist() for order in sampler_order(count, 2)] == expected[:2]


def test_an_assumed_order_is_said(tmp_path):
    write(tmp_path)
    assert "RandomSampler, seed 42" in read_fkd(tmp_path, COUNT).notes[0]


@pytest.mark.parametrize("kind", ["gvbsm", "edc"])
def test_files_that_name_their_images_need_no_order(tmp_path, kind):
    order = [[[9, 8, 7, 6], [5, 4, 3, 2], [1, 0]]]
    write(tmp_path, kind, order=order)
    found = read_fkd(tmp_path, COUNT, order=sampler_order(COUNT, 1))
    assert found.epoch(0).ids.tolist() == list(range(9, -1, -1))
    assert found.notes == ()


def test_lplds_order_is_read(tmp_path):
    """With pruning, batches that are not full are left out, and the last epoch ends early."""
    order = [[[9, 8, 7, 6], [5, 4, 3, 2]], [[0, 1, 2, 3]]]
    write(tmp_path, order=order)
    (tmp_path / "sampler_indices_epoch.json").write_text(json.dumps({e: flat(ids) for e, ids in enumerate(order)}))
    found = read_fkd(tmp_path, COUNT)
    assert found.notes == ()
    assert found.epoch(0).ids.tolist() == [9, 8, 7, 6, 5, 4, 3, 2]
    assert found.epoch(1).ids.tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize("text", ["{", "[]", '{"0": [0]}', '{"0": 3, "1": 4}', '{"0": ["a"], "1": ["b"]}'])
def test_a_damaged_order_is_refused(tmp_path, text):
    write(tmp_path)
    (tmp_path / "sampler_indices_epoch.json").write_text(text)
    with pytest.raises(InputError, match="sampler_indices_epoch.json: expected"):
        read_fkd(tmp_path, COUNT)


def test_a_given_order_is_taken(tmp_path):
    write(tmp_path)
    order = [torch.arange(COUNT), torch.arange(COUNT).flip(0)]
    found = read_fkd(tmp_path, COUNT, order=order)
    assert torch.equal(found.epoch(1).ids, order[1])
    with pytest.raises(InputError, match="2 epochs, but the order is given for 1"):
        read_fkd(tmp_path, COUNT, order=order[:1])


def test_stray_files_are_ignored_and_named(tmp_path):
    write(tmp_path)
    (tmp_path / ".DS_Store").touch()
    (tmp_path / "epoch_1" / "batch_0.tar.part").touch()
    found = read_fkd(tmp_path, COUNT)
    assert found.epochs == 2
    assert "ignored beside the labels: .DS_Store, epoch_1/batch_0.tar.part" in found.notes
    assert len(found.epoch(1)) == COUNT


def test_shuffled_patches_are_said(tmp_path):
    write(tmp_path, "edc")
    change(tmp_path, 7, torch.tensor([[[0, 1], [1, 0]]] * 4))
    assert "shuffled patches" in read_fkd(tmp_path, COUNT).notes[0]


class Malicious:
    def __reduce__(self):
        return (print, ("this must never be printed",))


@pytest.mark.parametrize("place", [1, 3, 4])
def test_code_in_a_file_is_refused_and_not_run(tmp_path, capsys, place):
    write(tmp_path)
    saved = entries([0, 1, 2, 3])
    saved[place] = Malicious()
    torch.save(saved, tmp_path / "epoch_0" / "batch_0.tar")
    with pytest.raises(InputError, match="batch_0.tar: asks for .*print.*could execute code"):
        read_fkd(tmp_path, COUNT)
    torch.save(saved, tmp_path / "epoch_0" / "batch_1.tar")
    torch.save(entries([0, 1, 2, 3]), tmp_path / "epoch_0" / "batch_0.tar")
    with pytest.raises(InputError, match="batch_1.tar: asks for .*could execute code"):
        read_fkd(tmp_path, COUNT).epoch(0)
    assert "never" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("missing", "message"),
    [
        ("epoch_0", "epoch_0 is missing"),
        ("epoch_1/batch_0.tar", "batch_0.tar is missing"),
        ("epoch_1/batch_1.tar", "batch_1.tar is missing"),
        ("epoch_1/batch_2.tar", "epoch_1: has 2 batches of 4, but 10 images make 3"),
    ],
)
def test_missing_parts_are_named(tmp_path, missing, message):
    write(tmp_path, epochs=3)
    path = tmp_path / missing
    for file in path.iterdir() if path.is_dir() else [path]:
        file.unlink()
    if path.is_dir():
        path.rmdir()
    with pytest.raises(InputError, match=message):
        read_fkd(tmp_path, COUNT)


def test_labels_of_another_number_of_images_are_refused(tmp_path):
    write(tmp_path)
    with pytest.raises(InputError, match="has 3 batches of 4, but 20 images make 5"):
        read_fkd(tmp_path, 20)
    with pytest.raises(InputError, match="labels for 10 images, but its order names 11"):
        read_fkd(tmp_path, 11).epoch(0)
    write(tmp_path / "named", "gvbsm")
    with pytest.raises(InputError, match="different ones out of 9"):
        read_fkd(tmp_path / "named", 9).epoch(0)


def test_a_folder_without_labels_is_refused(tmp_path):
    with pytest.raises(InputError, match="epoch_0 is missing"):
        read_fkd(tmp_path, COUNT)
    with pytest.raises(InputError, match="cannot be read"):
        read_fkd(tmp_path / "nowhere", COUNT)


@pytest.mark.parametrize(
    ("place", "value", "message"),
    [
        (0, torch.zeros(4, 3), r"crops must be a tensor of float numbers \[4, 4\], got torch.float32 \[4, 3\]"),
        (0, None, "crops must be"),
        (1, torch.zeros(4, 7), "cut-outs instead of flips"),
        (1, torch.zeros(4), "flips must be a tensor of bool"),
        (2, torch.tensor([0, 1, 2, 4]), "mix_index leaves the batch"),
        (2, torch.zeros(4), "mix_index must be"),
        (3, "half", "mix_lam must be 1 number, got"),
        (3, float("nan"), "mix_lam must be 1 number, got"),
        (3, torch.zeros(4), "mix_lam must be 1 number, got"),
        (4, [1, 2, 3], r"mix_bbox must be 4 numbers, got \[1, 2, 3\]"),
        (4, 7, "mix_bbox must be 4 numbers, got 7"),
        (5, torch.zeros(3, 3), "logits must be"),
        (5, torch.zeros(4, 0), "logits must be"),
        (5, torch.zeros(4, 3, dtype=torch.int64), "logits must be"),
        (6, torch.zeros(4, dtype=torch.bool), "index must be"),
        (6, [0, 1, 2, 3], "index must be"),
    ],
)
def test_entries_of_other_kinds_are_named(tmp_path, place, value, message):
    write(tmp_path, "gvbsm")
    change(tmp_path, place, value)
    with pytest.raises(InputError, match=f"batch_0.tar: .*{message}"):
        read_fkd(tmp_path, COUNT)


@pytest.mark.parametrize("saved", [torch.zeros(4), {"crops": 1}, [torch.zeros(4)] * 5, [torch.zeros(4)] * 9])
def test_other_objects_are_named(tmp_path, saved):
    write(tmp_path)
    torch.save(saved, tmp_path / "epoch_0" / "batch_0.tar")
    with pytest.raises(InputError, match="holds .*expected a list of 6, 7 or 8"):
        read_fkd(tmp_path, COUNT)


def test_batches_that_do_not_belong_together_are_refused(tmp_path):
    write(tmp_path)
    torch.save(entries([0, 1, 2]), tmp_path / "epoch_0" / "batch_1.tar")
    torch.save(entries([0, 1, 2, 3], mix="mixup"), tmp_path / "epoch_1" / "batch_1.tar")
    found = read_fkd(tmp_path, COUNT)
    for epoch in range(2):
        with pytest.raises(InputError, match="batches differ"):
            found.epoch(epoch)
    with pytest.raises(InputError, match="epochs 0 to 1, not of 2"):
        found.epoch(2)


def test_logits_of_full_precision_keep_it(tmp_path):
    write(tmp_path, epochs=1)
    logits = torch.randn(4, CLASSES)
    for b in range(3):
        change(tmp_path, 5, logits[: 4 if b < 2 else 2], batch=b)
    assert torch.equal(read_fkd(tmp_path, COUNT).epoch(0).part(0).logits, logits)
