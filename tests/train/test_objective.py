"""Losses against torch.nn's and against sums written out."""

import pytest
import torch
from torch import nn

from divbench.train.feed import Shown
from divbench.train.objective import Objective
from divbench.train.recipe import change_training, load_training

CLASSES, COUNT = 5, 6


def recipe(kind="online", loss="kl", **values):
    base = {"labels.kind": kind, "loss.kind": loss, "precision": "float32"}
    return change_training(load_training("students", "sre2l-tiny"), **{**base, **values})


def hard(**values):
    return recipe("hard", "cross_entropy", **values)


def random(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed)) * 2


def shown(share=1.0, logits=None, weights=None, images=None):
    rows = torch.tensor([4, 2, 7, 1, 0, 3])
    partners = rows.roll(2) if share < 1 else rows
    labels = torch.arange(8) % CLASSES
    images = random(COUNT, 3, 4, 4, seed=7) if images is None else images
    return Shown(
        images, rows, labels[rows], partners, labels[partners], share, COUNT, torch.arange(COUNT), logits, weights
    )


def divergence(student, target):
    """[b]: sum over classes of p (log p - log q), for probabilities p and logits of q."""
    return (target * (target.log() - student.log_softmax(1))).sum(1)


@pytest.mark.parametrize("squared", [True, False])
@pytest.mark.parametrize("heat", [1.0, 4.0, 20.0])
def test_kl_is_torchs_of_a_batch(squared, heat):
    student, teacher = random(COUNT, CLASSES), random(COUNT, CLASSES, seed=1)
    said = recipe(**{"loss.temperature": heat, "loss.squared": squared})
    found = Objective(said, [lambda images: teacher])(student, shown())
    assert found.shape == (COUNT,)
    factor = heat**2 if squared else 1
    torchs = nn.KLDivLoss(reduction="batchmean")((student / heat).log_softmax(1), (teacher / heat).softmax(1))
    torch.testing.assert_close(found.mean(), factor * torchs, rtol=1e-4, atol=1e-6)
    written_out = factor * divergence(student / heat, (teacher / heat).softmax(1))
    torch.testing.assert_close(found, written_out, rtol=1e-3, atol=1e-5)


def test_kl_is_nothing_for_a_student_that_says_the_same():
    teacher = random(COUNT, CLASSES)
    found = Objective(recipe(), [lambda images: teacher])(teacher + 3, shown())
    torch.testing.assert_close(found, torch.zeros(COUNT), rtol=0, atol=1e-4)


@pytest.mark.parametrize("weight", [0.0, 0.15])
@pytest.mark.parametrize("share", [1.0, 0.3])
def test_mse_gt_is_the_squared_difference_and_the_images_own_class(weight, share):
    """Of mixed images, too: G-VBSM train_FKD.py, which gives cross_entropy the target as it is."""
    student, teacher, seen = random(COUNT, CLASSES), random(COUNT, CLASSES, seed=1), shown(share)
    found = Objective(recipe(loss="mse", **{"loss.hard": weight}), [lambda images: teacher])(student, seen)
    soft = nn.MSELoss()(student, teacher)
    torch.testing.assert_close(found.mean(), soft + weight * nn.CrossEntropyLoss()(student, seen.labels))
    assert found.shape == (COUNT,)


def test_hard_labels_can_be_added_to_kl():
    student, teacher = random(COUNT, CLASSES), random(COUNT, CLASSES, seed=1)
    plain, more = (
        Objective(recipe(**{"loss.hard": w}), [lambda images: teacher])(student, shown()) for w in (0.0, 2.0)
    )
    own = nn.CrossEntropyLoss(reduction="none")(student, shown().labels)
    torch.testing.assert_close(more - plain, 2 * own, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("share", [1.0, 0.7, 0.0])
def test_cross_entropy_is_shared_as_the_images_are(share, smoothing):
    student, seen = random(COUNT, CLASSES), shown(share)
    found = Objective(hard(label_smoothing=smoothing))(student, seen)
    one_hot = nn.functional.one_hot
    mixed = share * one_hot(seen.labels, CLASSES) + (1 - share) * one_hot(seen.partner_labels, CLASSES)
    target = (1 - smoothing) * mixed + smoothing / CLASSES
    torch.testing.assert_close(found, -(target * student.log_softmax(1)).sum(1))


@pytest.mark.parametrize("share", [1.0, 0.25])
def test_static_labels_mix_logits_before_the_temperature(share):
    """As INFER's val_static.py does."""
    static, student, seen = random(8, CLASSES, seed=2), random(COUNT, CLASSES), shown(share)
    heat = 3.0
    found = Objective(recipe("static", **{"loss.temperature": heat, "loss.squared": False}), (), static)(student, seen)
    logits = share * static[seen.rows] + (1 - share) * static[seen.partners]
    torch.testing.assert_close(found, divergence(student / heat, (logits / heat).softmax(1)), rtol=1e-4, atol=1e-5)
    if share < 1:
        own, other = ((static[rows] / heat).softmax(1) for rows in (seen.rows, seen.partners))
        assert not torch.allclose(found, divergence(student / heat, share * own + (1 - share) * other), atol=1e-3)


def test_static_labels_in_mse_mix_logits():
    static, student, seen = random(8, CLASSES, seed=2), random(COUNT, CLASSES), shown(0.25)
    found = Objective(recipe("static", "mse"), (), static)(student, seen)
    target = 0.25 * static[seen.rows] + 0.75 * static[seen.partners]
    torch.testing.assert_close(found, (student - target).square().mean(1))


@pytest.mark.parametrize("loss", ["kl", "mse"])
def test_logits_of_several_teachers_are_averaged(loss):
    student, one, two = (random(COUNT, CLASSES, seed=seed) for seed in range(3))
    several = Objective(recipe(loss=loss), [lambda images: one, lambda images: two])(student, shown())
    mean = Objective(recipe(loss=loss), [lambda images: (one + two) / 2])(student, shown())
    torch.testing.assert_close(several, mean)
    assert not torch.allclose(several, Objective(recipe(loss=loss), [lambda images: one])(student, shown()))


def test_teachers_look_at_what_the_student_sees():
    def teacher(images):
        seen.append(images)
        return random(COUNT, CLASSES)

    seen, what = [], shown(0.4)
    Objective(recipe(), [teacher])(random(COUNT, CLASSES), what)
    assert len(seen) == 1
    assert seen[0] is what.images


@pytest.mark.parametrize("loss", ["kl", "mse"])
def test_stored_labels_are_taken_as_they_are(loss):
    """Mixing is in them already."""
    student, stored = random(COUNT, CLASSES), random(COUNT, CLASSES, seed=1)
    found = Objective(recipe("fkd", loss))(student, shown(0.4, logits=stored))
    torch.testing.assert_close(found, Objective(recipe(loss=loss), [lambda images: stored])(student, shown()))


@pytest.mark.parametrize("loss", ["kl", "mse"])
def test_weights_multiply_what_is_soft(loss):
    student, stored = random(COUNT, CLASSES), random(COUNT, CLASSES, seed=1)
    weights = torch.tensor([0.0, 1, 2, 0.5, 3, 1])
    objective = Objective(recipe("fkd", loss))
    plain = objective(student, shown(logits=stored))
    torch.testing.assert_close(objective(student, shown(logits=stored, weights=weights)), weights * plain)
    with_hard = Objective(recipe("fkd", loss, **{"loss.hard": 0.5}))(student, shown(logits=stored, weights=weights))
    own = nn.CrossEntropyLoss(reduction="none")(student, shown().labels)
    torch.testing.assert_close(with_hard, weights * plain + 0.5 * own)


@pytest.mark.parametrize("loss", ["kl", "mse"])
def test_gradients_flow_into_the_student_alone(loss):
    teacher = nn.Sequential(nn.Flatten(), nn.Linear(48, CLASSES))
    images = random(COUNT, 3, 4, 4).requires_grad_()
    student = random(COUNT, CLASSES).requires_grad_()
    Objective(recipe(loss=loss, **{"loss.hard": 0.1}), [teacher])(student, shown(images=images)).sum().backward()
    assert student.grad.abs().sum() > 0
    assert images.grad is None
    assert all(parameter.grad is None for parameter in teacher.parameters())


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_teachers_compute_at_the_precision_of_the_recipe(precision):
    teacher, kinds = nn.Sequential(nn.Flatten(), nn.Linear(48, CLASSES)), []
    teacher.register_forward_hook(lambda module, given, said: kinds.append(said.dtype))
    found = Objective(recipe(precision=precision), [teacher])(random(COUNT, CLASSES), shown())
    assert kinds == [getattr(torch, precision)]
    assert found.dtype == torch.float32
