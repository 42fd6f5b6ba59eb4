"""The loop: steps against torch.optim, decay of matrices alone, interruptions, what is tested and when."""

import copy
from types import SimpleNamespace

import msgspec
import pytest
import torch
from torch import nn

from divbench.augment.siamese import siamese_augmentation
from divbench.errors import RecipeError
from divbench.images import ImageSet
from divbench.progress import no_progress
from divbench.seeds import seed_of
from divbench.train import loop
from divbench.train.feed import Feed
from divbench.train.files import Unfinished
from divbench.train.loop import Job, Training, right_per_class
from divbench.train.objective import Objective
from divbench.train.recipe import change_training, load_training, what_counts
from divbench.train.stock import take_in

CPU = torch.device("cpu")
MEAN_STD = ((0.5, 0.4, 0.6), (0.25, 0.2, 0.3))
DSA = "color_crop_cutout_flip_scale_rotate"


def noise(count, seed=0):
    pixels = torch.randint(0, 256, (count, 3, 8, 8), generator=torch.Generator().manual_seed(seed)).to(torch.uint8)
    return ImageSet(pixels, torch.arange(count) % 3, ("ant", "bee", "cow"), "noise")


def recipe(**values):
    base = {"epochs": 4, "batch": 8, "lr": 0.05, "warmup_epochs": 0, "precision": "float32", "label_smoothing": 0.0}
    base |= {"schedule": "constant", "nesterov": False, "augment.padding": 0, "weight_decay": 0.5, "test_every": 1}
    return change_training(load_training("students", "quick"), **{**base, **values})


def adamw(**values):
    return recipe(optimizer="adamw", momentum=0.0, betas=[0.8, 0.95], **values)


def network(dropout=0.0):
    with torch.random.fork_rng():
        torch.manual_seed(5)
        body = nn.Sequential(nn.Conv2d(3, 4, 3, bias=False), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten())
        body.extend([nn.Dropout(dropout), nn.Linear(144, 3)])
    nn.init.normal_(body[1].bias, generator=torch.Generator().manual_seed(1))
    return body


def job(said, count=21, test=None, seed=0, dropout=0.0):
    stock = take_in(noise(count), 8, 8, CPU, no_progress)
    tests = None if test is None else take_in(test, 8, 8, CPU, no_progress)
    batches = Feed(stock, said.augment, said.batch, seed, leftover=said.leftover)
    identity = {"recipe": what_counts(said), "seed": seed}
    return Job(said, seed, CPU, network(dropout), batches, Objective(said), tests, MEAN_STD, identity)


def train(work, path=None, stop=None, report=None):
    """The training after all its steps, or None where it was stopped once ``stop`` images had gone by."""
    unfinished, done = Unfinished(path), 0

    def advance(count, text="", /):
        nonlocal done
        done += count
        if stop is not None and done >= stop:
            raise KeyboardInterrupt

    training = Training(work, unfinished, unfinished.look(work.identity))
    with torch.random.fork_rng():
        try:
            training.run(advance, report or (lambda record: None))
        except KeyboardInterrupt:
            return None
    return training


def by_torch(said, groups_of, kind, work):
    """The weights after the same batches, by torch.optim on a network of its own."""
    twin = copy.deepcopy(work.network)
    optimizer = kind(groups_of(twin))
    mean, std = (torch.tensor(numbers).view(1, 3, 1, 1) for numbers in MEAN_STD)
    twin.train()
    for epoch in range(said.epochs):
        for shown in work.batches.epoch(epoch):
            loss = nn.functional.cross_entropy(twin((shown.images / 255 - mean) / std), shown.labels)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return twin.state_dict()


def check_close(found, expected, **tolerance):
    for name, value in expected.items():
        torch.testing.assert_close(found[name], value, **(tolerance or {"rtol": 1e-3, "atol": 1e-5}), msg=name)


def decayed_apart(twin):
    """Weights of the convolution and the last layer; biases and normalisation, without decay."""
    rest = [twin[1].weight, twin[1].bias, twin[5].bias]
    return [{"params": [twin[0].weight, twin[5].weight]}, {"params": rest, "weight_decay": 0.0}]


@pytest.mark.parametrize("decayed", ["all", "matrices"])
@pytest.mark.parametrize("optimizer", ["sgd", "nesterov", "plain", "adamw", "adam"])
def test_steps_are_those_of_torch(optimizer, decayed):
    momentum = 0.0 if optimizer in ("plain", "adam", "adamw") else 0.9
    kind = optimizer if optimizer.startswith("adam") else "sgd"
    said = recipe(
        optimizer=kind, decayed=decayed, momentum=momentum, nesterov=optimizer == "nesterov", betas=[0.8, 0.95]
    )
    work = job(said)

    def made(groups):
        options = {"lr": 0.05, "weight_decay": 0.5, "foreach": False}
        if kind == "sgd":
            return torch.optim.SGD(groups, momentum=momentum, nesterov=optimizer == "nesterov", **options)
        return {"adamw": torch.optim.AdamW, "adam": torch.optim.Adam}[kind](groups, betas=(0.8, 0.95), **options)

    def groups_of(twin):
        return decayed_apart(twin) if decayed == "matrices" else twin.parameters()

    expected = by_torch(said, groups_of, made, work)
    check_close(train(work).network.state_dict(), expected, rtol=2e-2, atol=2e-3)


@pytest.mark.parametrize("decayed", ["all", "matrices"])
def test_one_step_of_adamw_written_out(decayed):
    """A step of the size of the rate against the sign of the gradient, after a shrinking by rate times decay."""
    said = adamw(decayed=decayed, epochs=1, batch=16)
    work = job(said, 16)
    before, (gradients, after) = copy.deepcopy(work.network), one_step(work)
    for name, parameter in before.named_parameters():
        shrinks = decayed == "all" or name in ("0.weight", "5.weight")
        expected = parameter * (1 - 0.05 * 0.5 * shrinks) - 0.05 * gradients[name].sign()
        sure = gradients[name].abs() > 1e-5
        torch.testing.assert_close(after[name][sure], expected[sure].detach(), rtol=1e-3, atol=1e-4)
        assert bool(sure.any())


@pytest.mark.parametrize("decayed", ["all", "matrices"])
def test_one_step_of_sgd_written_out(decayed):
    """The decay is a gradient; with Nesterov's momentum the first step is 1 + momentum times as long."""
    said = recipe(decayed=decayed, epochs=1, batch=16, momentum=0.9, nesterov=True)
    work = job(said, 16)
    before, (gradients, after) = copy.deepcopy(work.network), one_step(work)
    for name, parameter in before.named_parameters():
        decay = 0.5 * (decayed == "all" or name in ("0.weight", "5.weight"))
        expected = parameter - 0.05 * 1.9 * (gradients[name] + decay * parameter)
        torch.testing.assert_close(after[name], expected.detach(), rtol=1e-4, atol=1e-6)


def one_step(work):
    """The gradients of the only step, and the parameters after it."""
    (shown,), twin = work.batches.epoch(0), copy.deepcopy(work.network).train()
    mean, std = (torch.tensor(numbers).view(1, 3, 1, 1) for numbers in MEAN_STD)
    nn.functional.cross_entropy(twin((shown.images / 255 - mean) / std), shown.labels).backward()
    gradients = {name: parameter.grad for name, parameter in twin.named_parameters()}
    return gradients, {name: value.detach() for name, value in train(work).network.named_parameters()}


def test_rates_change_with_the_schedule():
    for schedule, last in (("halves", 0.1), ("constant", 1.0), ("thirds", 0.01)):
        training = train(job(recipe(schedule=schedule)))
        assert [group["lr"] for group in training.optimizer.param_groups] == pytest.approx([0.05 * last])


@pytest.fixture
def often(monkeypatch):
    """State is kept at every second step and after every epoch."""
    monkeypatch.setattr(loop, "KEEP_SECONDS", 0)
    monkeypatch.setattr(loop, "_EVERY", 2)


OTHERS = {
    "adamw": adamw(decayed="matrices", schedule="cosine"),
    "adam": recipe(optimizer="adam", momentum=0.0),
    "sgd": recipe(nesterov=True, momentum=0.9, schedule="one-cycle"),
    "plain": recipe(momentum=0.0),
    "siamese": adamw(**{"augment.siamese": DSA, "augment.mix": "cutmix", "augment.padding": 1}),
}


@pytest.mark.parametrize("name", OTHERS)
def test_interrupted_it_goes_on_and_ends_with_the_same_weights(often, tmp_path, name):
    said = change_training(OTHERS[name], batch=4, test_every=3)
    work = lambda: job(said, 26, noise(9, 1), dropout=0.3)  # noqa: E731
    whole = train(work())
    ends = []
    for stop in (1, 3, 7, 11, 28):
        path = tmp_path / f"{stop}.safetensors"
        assert train(work(), path, stop * 4) is None
        found = Unfinished(path).look(work().identity)
        ends.append(None if found is None else (found.epoch, found.step))
        again = train(work(), path)
        assert all(value.equal(again.network.state_dict()[key]) for key, value in whole.network.state_dict().items())
        assert [without_seconds(one) for one in again.curve] == [without_seconds(one) for one in whole.curve]
        assert again.right.equal(whole.right)
    assert ends == [None, (0, 2), (0, 6), (1, 4), (3, 6)], "seven steps an epoch, and state inside of epochs"


def test_between_epochs_state_is_kept_too(often, tmp_path):
    path, said = tmp_path / "t.safetensors", adamw()

    def fail(record):
        raise KeyboardInterrupt

    assert train(job(said), path, report=fail) is None
    found = Unfinished(path).look(job(said).identity)
    assert (found.epoch, found.step) == (1, 0)
    whole, again = train(job(said)), train(job(said), path)
    assert all(value.equal(again.network.state_dict()[key]) for key, value in whole.network.state_dict().items())


def without_seconds(record):
    return msgspec.structs.replace(record, seconds=None)


@pytest.mark.parametrize(("every", "epochs"), [(1, [1, 2, 3, 4, 5]), (2, [2, 4, 5]), (5, [5]), (1000, [5])])
def test_the_curve_has_the_tested_epochs_and_the_last(every, epochs):
    seen = []
    training = train(job(recipe(epochs=5, test_every=every), test=noise(9, 1)), report=seen.append)
    assert [record.epoch for record in training.curve] == epochs
    assert all(record.test_accuracy is not None for record in training.curve)
    assert [record.epoch for record in seen] == [1, 2, 3, 4, 5]
    assert [record.epoch for record in seen if record.test_accuracy is not None] == epochs
    assert training.right.tolist() == whole_accuracy(training)
    assert training.curve[-1].test_accuracy == int(training.right.sum()) / 9


def whole_accuracy(training):
    test = noise(9, 1)
    mean, std = (torch.tensor(numbers).view(1, 3, 1, 1) for numbers in MEAN_STD)
    with torch.no_grad():
        said = copy.deepcopy(training.network).eval()((test.images / 255 - mean) / std).argmax(1)
    return [int(((said == test.labels) & (test.labels == label)).sum()) for label in range(3)]


def test_testing_changes_no_weight():
    weights = [
        train(job(recipe(test_every=every), test=test)).network.state_dict()
        for every, test in ((1, noise(9, 1)), (3, noise(9, 1)), (1, None))
    ]
    for other in weights[1:]:
        assert all(value.equal(other[key]) for key, value in weights[0].items())


def test_without_a_test_set_the_curve_has_every_epoch():
    training = train(job(recipe(test_every=3)))
    assert [record.epoch for record in training.curve] == [1, 2, 3, 4]
    assert all(record.test_accuracy is None for record in training.curve)
    assert training.right is None


def test_the_loss_is_the_mean_over_the_steps_of_an_epoch():
    said = recipe(epochs=1, lr=1e-12, momentum=0.0, weight_decay=0.0)
    work = job(said, 20)
    twin = copy.deepcopy(work.network).train()
    mean, std = (torch.tensor(numbers).view(1, 3, 1, 1) for numbers in MEAN_STD)
    losses, right = [], []
    for shown in work.batches.epoch(0):
        logits = twin((shown.images / 255 - mean) / std)
        losses.append(nn.functional.cross_entropy(logits, shown.labels).item())
        right.append(float((logits.argmax(1) == shown.labels).float().mean()))
    record = train(work).curve[0]
    assert record.loss == pytest.approx(sum(losses) / 3, rel=1e-5)
    assert record.train_accuracy == pytest.approx(sum(right) / 3)


@pytest.mark.parametrize("at_once", [256, 4])
def test_right_per_class(monkeypatch, at_once):
    monkeypatch.setattr(loop, "_TEST_BATCH", at_once)
    images = noise(14)
    said = torch.tensor([0, 1, 2, 0, 0, 0, 1, 1, 2, 0, 1, 1, 2, 2])
    places = {one.numpy().tobytes(): row for row, one in enumerate(images.images)}
    sizes = []

    def logits(pixels):
        sizes.append(len(pixels))
        return nn.functional.one_hot(said[[places[one.numpy().tobytes()] for one in pixels]], 3).float()

    found = right_per_class(logits, take_in(images, 8, 8, CPU, no_progress))
    assert images.labels.tolist() == [0, 1, 2] * 4 + [0, 1]
    assert found.tolist() == [3, 3, 2]
    assert sizes == ([14] if at_once == 256 else [4, 4, 4, 2])


def test_classes_without_test_images_have_nothing_right():
    images = noise(9).select(torch.tensor([0, 3, 6, 2]))
    found = right_per_class(lambda pixels: torch.tensor([[1.0, 0, 0]]).repeat(len(pixels), 1), take_in(
        images, 8, 8, CPU, no_progress
    ))  # fmt: skip
    assert found.tolist() == [3, 0, 0]


def test_siamese_augmentation_is_drawn_by_the_place_in_the_batch():
    """The network sees normalised images after one operation of the step, each with its own strength."""
    said = recipe(**{"augment.siamese": "color_crop"}, epochs=1)
    work, seen = job(said), []
    work.network.register_forward_pre_hook(lambda module, given: seen.append(given[0].detach().clone()))
    train(work)
    seen = [images for images in seen if not images.is_meta]  # the layers were traced
    mean, std = (torch.tensor(numbers).view(1, 3, 1, 1) for numbers in MEAN_STD)
    augment = siamese_augmentation("color_crop", 8)
    for step, shown in enumerate(work.batches.epoch(0)):
        plain = (shown.images / 255 - mean) / std
        expected = augment(plain, seed_of(0, "siamese", 0, step), (len(plain), torch.arange(len(plain))))
        torch.testing.assert_close(seen[step], expected)
        assert not torch.allclose(seen[step], plain)


def test_a_loss_that_is_not_finite_ends_the_run(often, tmp_path):
    path = tmp_path / "t.safetensors"
    path.write_bytes(b"")
    work = job(recipe(lr=1e30))
    training = Training(work, SimpleNamespace(load=dict, keep=lambda *_: None, forget=path.unlink), None)
    with (
        torch.random.fork_rng(),
        pytest.raises(RecipeError, match=r"NaN or infinite; give a lower lr \(it is 1e\+30\)$"),
    ):
        training.run(lambda *_: None, lambda record: None)
    assert not path.exists()
