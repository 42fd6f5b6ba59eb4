"""The torchmetrics classes give the functions' numbers, on one process and on two."""

import os

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp

from divbench.errors import InputError
from divbench.metrics.balls import coverage
from divbench.metrics.similarity import cosine
from divbench.metrics.vendi import vendi
from divbench.torchmetrics import CosineSimilarity, Coverage, VendiScore

CLASSES = 3


def scene():
    g = torch.Generator().manual_seed(0)
    labels, real_labels = torch.arange(CLASSES).repeat(8), torch.arange(CLASSES).repeat(40)
    fake = torch.randn(24, 6, generator=g) + labels[:, None]
    return torch.randn(120, 6, generator=g) + real_labels[:, None], real_labels, fake, labels


def by_class(function, real, real_labels, fake, labels):
    values = [function(real[real_labels == c], fake[labels == c]) for c in range(CLASSES)]
    return sum(values) / CLASSES


def metrics(real, real_labels):
    return {
        "coverage": (Coverage(real, real_labels, CLASSES), coverage),
        "vendi": (VendiScore(CLASSES), lambda _, fake: vendi(fake)),
        "cosine": (CosineSimilarity(CLASSES), lambda _, fake: cosine(fake)),
    }


@pytest.mark.parametrize("name", ["coverage", "vendi", "cosine"])
@pytest.mark.parametrize("batch", [1, 5, 24])
def test_class_scope(name, batch):
    real, real_labels, fake, labels = scene()
    metric, function = metrics(real, real_labels)[name]
    for rows, classes in zip(fake.split(batch), labels.split(batch), strict=True):
        metric.update(rows, classes)
    expected = by_class(function, real, real_labels, fake, labels)
    assert float(metric.compute()) == pytest.approx(expected, rel=1e-14)
    metric.reset()
    metric.update(fake[:12], labels[:12])
    expected = by_class(function, real, real_labels, fake[:12], labels[:12])
    assert float(metric.compute()) == pytest.approx(expected, rel=1e-14)


def test_dataset_scope_and_settings():
    real, _, fake, _ = scene()
    for metric, expected in (
        (Coverage(real, k=3), coverage(real, fake, 3)),
        (VendiScore(q=2.0), vendi(fake, 2.0)),
        (CosineSimilarity(), cosine(fake)),
    ):
        metric.update(fake)
        assert float(metric.compute()) == expected


def test_a_class_without_images():
    real, real_labels, fake, labels = scene()
    present = labels != 1
    for name, (metric, _) in metrics(real, real_labels).items():
        metric.update(fake[present], labels[present])
        assert bool(metric.compute().isnan()) == (name != "coverage")


def test_what_is_missing_is_said():
    real, _, fake, labels = scene()
    with pytest.raises(InputError, match="needs real_labels"):
        Coverage(real, num_classes=3)
    with pytest.raises(InputError, match="needs labels in update"):
        VendiScore(3).update(fake)
    with pytest.raises(InputError, match=r"got \(24, 6\), \(3,\)"):
        VendiScore(3).update(fake, labels[:3])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda labels: labels + 1, r"from 0 to 2, got 3 \(\d+ of \d+ are outside\)"),
        (lambda labels: labels - 1, "from 0 to 2, got -1"),
        (lambda labels: labels + 0.5, "expected whole numbers as .*, got torch.float32"),
        (lambda labels: labels > 0, "got torch.bool"),
    ],
)
def test_no_row_is_dropped_for_its_label(change, message):
    real, real_labels, fake, labels = scene()
    with pytest.raises(InputError, match=message):
        VendiScore(CLASSES).update(fake, change(labels))
    with pytest.raises(InputError, match=message):
        Coverage(real, change(real_labels), CLASSES)
    VendiScore().update(fake, change(labels))  # dataset scope does not look at them


def test_narrow_integers_are_labels():
    real, real_labels, fake, labels = scene()
    metric = Coverage(real, real_labels.to(torch.uint8), CLASSES)
    metric.update(fake, labels.to(torch.uint8))
    assert float(metric.compute()) == pytest.approx(by_class(coverage, real, real_labels, fake, labels), rel=1e-14)


def _process(rank, folder):
    os.environ["MASTER_ADDR"] = "127.0.0.1"
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=2)
    real, real_labels, fake, labels = scene()
    mine = slice(None, 9) if rank == 0 else slice(9, None)
    values = {}
    for name, (metric, _) in metrics(real, real_labels).items():
        metric.update(fake[mine], labels[mine])
        values[name] = float(metric.compute())
    torch.save(values, f"{folder}/{rank}.pt")
    dist.destroy_process_group()


@pytest.mark.slow
def test_two_processes_with_unequal_parts_agree_with_one(tmp_path):
    mp.spawn(_process, (str(tmp_path),), nprocs=2)
    real, real_labels, fake, labels = scene()
    for rank in range(2):
        found = torch.load(tmp_path / f"{rank}.pt", weights_only=True)
        for name, (_, function) in metrics(real, real_labels).items():
            assert found[name] == pytest.approx(by_class(function, real, real_labels, fake, labels), rel=1e-13)
