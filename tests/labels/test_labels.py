from dataclasses import replace

import msgspec
import pytest
import safetensors.torch
import torch

from divbench.errors import InputError, OutputError
from divbench.labels.store import (
    Header,
    SoftLabels,
    agreement,
    check_labels,
    digest_of,
    is_labelled,
    read_labels,
    write_epoch,
    write_static,
)

STATIC = Header("divbench-labels-1", "static", "t" * 64, "eval", "i" * 64, 0, samples=5, classes=3, size=8)
FKD = msgspec.structs.replace(STATIC, kind="fkd", epochs=3, batch=2, crop=0.08, mix="cutmix", alpha=1.0)


def epoch_labels(seed=0):
    """Five images in batches of two, two and one."""
    g = torch.Generator().manual_seed(seed)
    ids = torch.tensor([3, 0, 4, 1, 2])
    return SoftLabels(
        ids=ids,
        crops=torch.rand(5, 4, generator=g) / 2 + 0.01,
        flips=torch.rand(5, generator=g) < 0.5,
        partners=torch.tensor([0, 3, 4, 4, 2]),
        share=torch.rand(3, generator=g),
        boxes=torch.tensor([[0, 0, 4, 4], [2, 3, 2, 8], [0, 0, 8, 8]], dtype=torch.int32),
        logits=torch.randn(5, 3, generator=g).half(),
        batch=2,
        mix="cutmix",
    )


def write_all(folder):
    for e in range(3):
        write_epoch(folder, msgspec.structs.replace(FKD, epoch=e), epoch_labels(e))


def names():
    return ("ids", "crops", "flips", "partners", "share", "boxes", "logits")


def test_epochs_come_back_as_they_were_written(tmp_path):
    write_all(tmp_path)
    store = read_labels(tmp_path)
    assert (store.kind, store.samples, store.classes, store.epochs, store.batch) == ("fkd", 5, 3, 3, 2)
    for e in range(3):
        found, expected = store.epoch(e), epoch_labels(e)
        for name in names():
            assert torch.equal(getattr(found, name), getattr(expected, name)), name
            assert getattr(found, name).dtype == getattr(expected, name).dtype
        assert (found.batch, found.mix, found.weights) == (2, "cutmix", None)


def test_static_labels_come_back_as_they_were_written(tmp_path):
    logits = torch.randn(5, 3)
    write_static(tmp_path, STATIC, logits)
    store = read_labels(tmp_path)
    assert (store.kind, store.epochs, store.batch) == ("static", 0, 0)
    assert torch.equal(store.static(), logits)


def test_a_file_says_what_it_belongs_to_and_depends_on_nothing_else(tmp_path):
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        write_all(tmp_path / folder)
    files = [tmp_path / folder / "labels" / "epoch_0002.safetensors" for folder in ("a", "b")]
    assert files[0].read_bytes() == files[1].read_bytes()
    with safetensors.safe_open(files[0], "pt") as file:
        said = file.metadata()
    assert said["format"] == "divbench-labels-1"
    assert {said["kind"], said["mix"], said["epoch"], said["crop"]} == {"fkd", "cutmix", "2", "0.08"}


def test_an_epoch_is_read_from_its_file_alone(tmp_path):
    write_all(tmp_path)
    (tmp_path / "labels" / "epoch_0001.safetensors").write_bytes(b"nonsense")
    store = read_labels(tmp_path)
    assert len(store.epoch(2)) == 5
    with pytest.raises(InputError, match="epoch_0001.*not a readable safetensors"):
        store.epoch(1)


def test_what_is_not_there_is_named(tmp_path):
    with pytest.raises(InputError, match="no soft labels.*labels.kind static or fkd"):
        read_labels(tmp_path)
    write_all(tmp_path)
    store = read_labels(tmp_path)
    with pytest.raises(InputError, match="epochs 0 to 2, not of 3"):
        store.epoch(3)
    with pytest.raises(InputError, match="kind 'fkd'.*read an epoch"):
        store.static()
    (tmp_path / "labels" / "epoch_0001.safetensors").unlink()
    with pytest.raises(InputError, match="of 3 epochs these are missing: 1;"):
        read_labels(tmp_path)
    write_static(tmp_path, STATIC, torch.zeros(5, 3))
    with pytest.raises(InputError, match="both"):
        read_labels(tmp_path)


def test_static_labels_have_no_epochs(tmp_path):
    write_static(tmp_path, STATIC, torch.zeros(5, 3))
    with pytest.raises(InputError, match="same in every epoch"):
        read_labels(tmp_path).epoch(0)


@pytest.mark.parametrize("logits", [torch.zeros(4, 3), torch.full((5, 3), float("nan"))])
def test_damaged_static_labels_are_refused(tmp_path, logits):
    write_static(tmp_path, STATIC, logits)
    with pytest.raises(InputError, match=r"must be \[5, 3\], and finite"):
        read_labels(tmp_path).static()


@pytest.mark.parametrize(
    ("metadata", "message"),
    [
        (None, "not hold labels that this divbench wrote"),
        ({"format": "divbench-labels-2"}, "divbench-labels-2"),
        ({"samples": "many"}, "samples"),
        ({"extra": "1"}, "extra"),
        ({"samples": "0"}, "does not describe"),
        ({"kind": "fkd"}, "does not describe"),
    ],
)
def test_other_safetensors_files_are_refused(tmp_path, metadata, message):
    said = None if metadata is None else {k: str(v) for k, v in msgspec.to_builtins(STATIC).items()} | metadata
    safetensors.torch.save_file({"logits": torch.zeros(5, 3)}, tmp_path / "labels.safetensors", said)
    with pytest.raises(InputError, match=message):
        read_labels(tmp_path)


def test_an_epoch_of_other_labels_is_refused(tmp_path):
    write_all(tmp_path)
    store = read_labels(tmp_path)
    write_epoch(tmp_path, msgspec.structs.replace(FKD, epoch=1, seed=1), epoch_labels())
    with pytest.raises(InputError, match="other labels than its neighbours"):
        store.epoch(1)
    (tmp_path / "labels" / "epoch_0000.safetensors").replace(tmp_path / "labels" / "epoch_0002.safetensors")
    with pytest.raises(InputError, match="other labels than its neighbours"):
        store.epoch(2)


def test_other_tensors_are_refused(tmp_path):
    write_all(tmp_path)
    store = read_labels(tmp_path)
    write_epoch(tmp_path, msgspec.structs.replace(FKD, epoch=1), replace(epoch_labels(), logits=torch.zeros(5, 3)))
    with pytest.raises(InputError, match="expected"):
        store.epoch(1)


def test_an_epoch_needs_every_image_and_every_class(tmp_path):
    write_all(tmp_path)
    store = read_labels(tmp_path)
    whole = epoch_labels()
    for soft in (replace(whole, logits=whole.logits[:, :2]), whole.part(0)):
        write_epoch(tmp_path, msgspec.structs.replace(FKD, epoch=1), soft)
        with pytest.raises(InputError, match=r"expected \[5, 3\]"):
            store.epoch(1)


def test_whole_files_count_as_done_and_others_stop(tmp_path):
    header = msgspec.structs.replace(FKD, epoch=0)
    assert not is_labelled(tmp_path, header)
    write_epoch(tmp_path, header, epoch_labels())
    assert is_labelled(tmp_path, header)
    with pytest.raises(OutputError, match=r"labels of another run \(other: teacher, seed\); remove .*/labels,"):
        is_labelled(tmp_path, msgspec.structs.replace(header, teacher="u" * 64, seed=1))
    path = tmp_path / "labels" / "epoch_0000.safetensors"
    path.write_bytes(path.read_bytes()[:-1])
    assert not is_labelled(tmp_path, header)


def test_labels_are_tied_to_their_images(tmp_path):
    images = torch.randint(0, 256, (5, 3, 8, 8), dtype=torch.uint8)
    write_static(tmp_path, msgspec.structs.replace(STATIC, images=digest_of(images)), torch.zeros(5, 3))
    store = read_labels(tmp_path)
    store.check_fits(images)
    store.check_fits(images.to(memory_format=torch.channels_last))
    with pytest.raises(InputError, match="5 images, but there are 4"):
        store.check_fits(images[:4])
    with pytest.raises(InputError, match="images are others"):
        store.check_fits(images.flip(0))


def test_batches_are_slices():
    soft = replace(epoch_labels(), weights=torch.arange(5.0))
    assert (len(soft), soft.batches) == (5, 3)
    last = soft.part(2)
    assert (last.ids.tolist(), last.weights.tolist(), last.batches) == ([2], [4.0], 1)
    assert torch.equal(last.boxes, soft.boxes[2:])
    assert torch.cat([soft.part(b).ids for b in range(3)]).equal(soft.ids)


def test_what_belongs_to_a_batch_stays_with_the_host():
    moved = replace(epoch_labels(), weights=torch.arange(5.0)).to(torch.device("meta"))
    assert {name for name in (*names(), "weights") if not getattr(moved, name).is_meta} == {"share", "boxes"}


def changed(**values):
    soft = epoch_labels()
    for name, value in values.items():
        tensor = getattr(soft, name).clone()
        tensor[0] = value
        soft = replace(soft, **{name: tensor})
    return soft


@pytest.mark.parametrize(
    ("soft", "message"),
    [
        (replace(epoch_labels(), flips=torch.zeros(4, dtype=torch.bool)), "flips are"),
        (replace(epoch_labels(), share=torch.zeros(2)), "share are"),
        (replace(epoch_labels(), weights=torch.zeros(2)), "weights are"),
        (replace(epoch_labels(), logits=torch.zeros(5, 3, dtype=torch.int64)), "logits are"),
        (changed(ids=0), "different ones out of 5"),
        (changed(ids=5), "different ones out of 5"),
        (changed(ids=-1), "different ones out of 5"),
        (changed(partners=4), "partner is in another batch"),
        (changed(partners=9), "partner is in another batch"),
        (changed(partners=-1), "partner is in another batch"),
        (changed(crops=torch.tensor([0.5, 0.0, 0.6, 0.5])), "crop reaches out"),
        (changed(crops=torch.tensor([0.0, -0.1, 0.6, 0.5])), "crop reaches out"),
        (changed(crops=torch.tensor([0.0, 0.0, 0.0, 0.5])), "crop reaches out"),
        (changed(crops=float("nan")), "crop reaches out"),
        (changed(share=1.5), "share is not"),
        (changed(share=float("nan")), "share is not"),
        (changed(boxes=torch.tensor([4, 0, 3, 4], dtype=torch.int32)), "ends before it begins"),
        (changed(logits=float("inf")), "NaN or infinite"),
        (replace(epoch_labels(), weights=torch.full((5,), float("nan"))), "weight is NaN"),
    ],
)
def test_labels_that_make_no_sense_are_refused(soft, message):
    check_labels(epoch_labels(), 5, "here")
    with pytest.raises(InputError, match=f"here: .*{message}"):
        check_labels(soft, 5, "here")


def test_agreement_tells_a_wrong_order():
    labels = torch.arange(50).repeat_interleave(4)
    ids = torch.randperm(200, generator=torch.Generator().manual_seed(0))
    soft = SoftLabels(
        ids=ids,
        crops=torch.tensor([[0.0, 0, 1, 1]]).expand(200, 4),
        flips=torch.zeros(200, dtype=torch.bool),
        partners=ids,
        share=torch.ones(2),
        boxes=torch.zeros(2, 4, dtype=torch.int32),
        logits=torch.eye(50)[labels[ids]].half(),
        batch=100,
        mix="none",
    )
    assert agreement(soft, labels) == 1
    assert agreement(replace(soft, ids=ids.flip(0), partners=ids.flip(0)), labels) < 0.1
