"""Recipes: what is changed, refused and shipped; learning rates; what a small set makes of a recipe."""

import math

import msgspec
import pytest

from divbench.errors import RecipeError
from divbench.train.loop import learning_rate
from divbench.train.recipe import change_training, is_changed, load_training, recipe_names, what_counts
from divbench.train.teaching import fit

DSA = "color_crop_cutout_flip_scale_rotate"
ADAMW = ("adamw", 0.001, 0.01, 0.0)
SGD_TINY = ("sgd", 0.2, 0.0001, 0.9)
SGD_DC = ("sgd", 0.01, 0.0005, 0.9)
PUBLISHED = {  # ../shared/reference/methods.md, sections 22.6, 2.5, 4.3, 5.2, 6.3, 8, 9, 10, 13 and 14
    # name: epochs, batch, (optimizer, lr, weight decay, momentum), schedule, warm-up epochs
    "dc": (300, 256, SGD_DC, "halves", 0),
    "delt": (300, 50, ADAMW, "half-cosine", 0),
    "dsa": (1000, 256, SGD_DC, "halves", 0),
    "dwa-tiny": (200, 64, SGD_TINY, "cosine", 5),
    "gvbsm-cifar": (1000, 100, ("adamw", 0.001, 0.0, 0.0), "cosine", 0),
    "infer": (400, 64, ADAMW, "cosine", 0),
    "infer-d": (80, 64, ADAMW, "cosine", 0),
    "mtt": (1000, 256, SGD_DC, "halves", 0),
    "rded": (300, 50, ADAMW, "half-cosine", 0),
    "sre2l-cifar": (400, 128, ADAMW, "cosine", 0),
    "sre2l-in1k": (300, 1024, ADAMW, "cosine", 0),
    "sre2l-tiny": (100, 256, SGD_TINY, "cosine", 5),
    "wmdd": (300, 100, ADAMW, "cosine", 0),
}
TAUGHT = {
    # name: labels, teacher's BatchNorm, loss, temperature, times its square, weight of hard labels
    "dc": ("hard", "eval", "cross_entropy", 1, False, 0),
    "delt": ("online", "eval", "kl", 20, False, 0),
    "dsa": ("hard", "eval", "cross_entropy", 1, False, 0),
    "dwa-tiny": ("online", "eval", "kl", 20, True, 0),
    "gvbsm-cifar": ("online", "eval", "mse", 1, False, 0.15),
    "infer": ("static", "eval", "kl", 30, False, 0),
    "infer-d": ("online", "eval", "kl", 30, False, 0),
    "mtt": ("hard", "eval", "cross_entropy", 1, False, 0),
    "rded": ("online", "eval", "kl", 20, False, 0),
    "sre2l-cifar": ("online", "train", "kl", 30, False, 0),
    "sre2l-in1k": ("fkd", "eval", "kl", 20, False, 0),
    "sre2l-tiny": ("online", "eval", "kl", 20, True, 0),
    "wmdd": ("fkd", "eval", "kl", 20, False, 0),
}
AUGMENTED = {
    # name: padding, least crop, flip, patches, RandAugment, siamese, mix, alpha
    "dc": (0, 1, False, 1, (0, 0), "none", "none", 1),
    "delt": (0, 0.25, True, 1, (2, 18), "none", "cutmix", 1),
    "dsa": (0, 1, False, 1, (0, 0), DSA, "none", 1),
    "dwa-tiny": (0, 0.08, True, 1, (0, 0), "none", "cutmix", 1),
    "gvbsm-cifar": (0, 0.08, True, 1, (0, 0), "none", "cutmix", 1),
    "infer": (4, 1, True, 1, (0, 0), "none", "mixup", 0.8),
    "infer-d": (4, 1, True, 1, (0, 0), "none", "mixup", 0.8),
    "mtt": (0, 1, False, 1, (0, 0), DSA, "none", 1),
    "rded": (0, 1, True, 1, (0, 0), "none", "cutmix", 1),
    "sre2l-cifar": (4, 1, True, 1, (0, 0), "none", "mixup", 0.8),
    "sre2l-in1k": (0, 0.08, True, 1, (0, 0), "none", "cutmix", 1),
    "sre2l-tiny": (0, 0.08, True, 1, (0, 0), "none", "none", 1),
    "wmdd": (0, 0.08, True, 1, (0, 0), "none", "cutmix", 1),
}


def student(name="sre2l-tiny", **values):
    return change_training(load_training("students", name), **values)


def small(**values):
    """Of batches of eight that nobody asked for."""
    base = {"epochs": 10, "lr": 1.0, "warmup_epochs": 0, "leftover": True, "schedule": "constant", "least_steps": 0}
    return msgspec.structs.replace(student("quick", **{**base, **values}), batch=8)


@pytest.mark.parametrize("name", PUBLISHED)
def test_the_numbers_are_the_published_ones(name):
    recipe = load_training("students", name)
    optimizer = (recipe.optimizer, recipe.lr, recipe.weight_decay, recipe.momentum)
    assert (recipe.epochs, recipe.batch, optimizer, recipe.schedule, recipe.warmup_epochs) == PUBLISHED[name]
    labels, loss = recipe.labels, recipe.loss
    assert (labels.kind, labels.teacher, loss.kind, loss.temperature, loss.squared, loss.hard) == TAUGHT[name]
    assert msgspec.structs.astuple(recipe.augment) == AUGMENTED[name]
    assert (recipe.betas, recipe.nesterov, recipe.label_smoothing) == ((0.9, 0.999), False, 0)
    assert recipe.leftover
    assert recipe.least_steps == 0
    assert recipe.epochs % recipe.test_every == 0


def test_every_shipped_recipe_is_known_here():
    assert recipe_names("students") == sorted([*PUBLISHED, "quick"])
    assert load_training("students", "sre2l-in1k").decayed == "matrices"
    sizes = {name: (load_training("students", name).size, load_training("students", name).resize) for name in PUBLISHED}
    said = {"sre2l-in1k": (224, 256), "wmdd": (224, 256), "sre2l-tiny": (64, 64), "dwa-tiny": (64, 64)}
    assert sizes == {name: said.get(name, (0, 0)) for name in PUBLISHED}


def test_names_are_guessed():
    with pytest.raises(RecipeError, match="no training recipe 'sre2l-cifra'; did you mean 'sre2l-cifar'"):
        load_training("students", "sre2l-cifra")
    with pytest.raises(RecipeError, match=r"say whose numbers to use \(--recipe\): dc, delt"):
        load_training("students", "???")


def test_parts_are_changed_by_dotted_names():
    before = load_training("students", "sre2l-tiny")
    found = change_training(before, **{"augment.mix": "mixup", "augment.alpha": 2, "loss.temperature": 4.5, "lr": 1})
    assert (found.augment.mix, found.augment.alpha, found.loss.temperature, found.lr) == ("mixup", 2, 4.5, 1)
    assert (found.augment.crop, found.loss.squared, found.batch) == (0.08, True, 256)
    changed = ["augment.mix", "augment.alpha", "loss.temperature", "lr"]
    assert all(is_changed(found, key) for key in changed)
    assert not any(is_changed(found, key) for key in ("augment", "augment.crop", "loss", "batch"))
    assert found.sources["augment"] == before.sources["augment"]
    assert before == load_training("students", "sre2l-tiny")


def test_what_is_not_given_is_not_changed():
    before = load_training("students", "dc")
    found = change_training(before, epochs=None, **{"augment.mix": None})
    assert found == before
    assert not is_changed(found, "epochs")
    assert change_training(before, epochs=300) != before, "the sources say that it was asked for"
    assert what_counts(change_training(before, epochs=300)) == what_counts(before)


@pytest.mark.parametrize(
    ("key", "complaint"),
    [
        ("epoch", "has no 'epoch' to change; did you mean 'epochs'"),
        ("augment.mixx", "did you mean 'augment.mix'"),
        ("loss.temprature", "did you mean 'loss.temperature'"),
        ("label.kind", "did you mean 'labels.kind'"),
        ("lr.mix", "has no 'lr.mix' to change"),
        ("augment.mix.alpha", "has no 'augment.mix.alpha' to change"),
        ("sources", "has no 'sources' to change"),
        ("sources.lr", "has no 'sources.lr' to change"),
        ("dataset", "has no 'dataset' to change"),
        ("xyz", "it has augment, augment.alpha, augment.crop, .*loss.squared"),
    ],
)
def test_unknown_keys_are_refused(key, complaint):
    with pytest.raises(RecipeError, match=complaint):
        student(**{key: 1})


@pytest.mark.parametrize(
    ("values", "complaint"),
    [
        ({"epochs": "3"}, "Expected `int`, got `str` - at `.*epochs`"),
        ({"epochs": 2.5}, "Expected `int`"),
        ({"lr": "high"}, "Expected `float`, got `str`"),
        ({"leftover": 1}, "Expected `bool`"),
        ({"augment.flip": "no"}, "Expected `bool`, got `str` - at `.*augment.flip`"),
        ({"augment.mix": "mixcut"}, "Invalid enum value 'mixcut'"),
        ({"augment.randaugment": [2]}, "Expected `array` of length 2"),
        ({"labels.kind": "soft"}, "Invalid enum value 'soft'"),
        ({"optimizer": "lion"}, "Invalid enum value 'lion'"),
        ({"augment": 3}, "Expected `object`, got `int`"),
    ],
)
def test_values_of_the_wrong_kind_are_refused(values, complaint):
    with pytest.raises(RecipeError, match=complaint):
        student(**values)


@pytest.mark.parametrize(
    ("values", "complaint"),
    [
        ({"labels.kind": "hard"}, "labels are hard, but loss.kind is 'kl'"),
        ({"loss.kind": "cross_entropy"}, "labels are online, but loss.kind is 'cross_entropy'"),
        ({"optimizer": "adamw"}, "momentum is 0.9, but adamw has betas; set momentum = 0"),
        ({"optimizer": "adam"}, "momentum is 0.9, but adam has betas"),
        ({"momentum": 0.0, "nesterov": True}, "nesterov is True; it must be false without momentum"),
        ({"augment.padding": 2}, "both padding and crop; set padding = 0 or crop = 1"),
        ({"augment.siamese": "flip"}, "augment.siamese is 'flip', but labels are online: .*set augment.siamese = none"),
        ({"labels.kind": "fkd", "augment.siamese": "flip"}, "augment.siamese is 'flip', but labels are fkd"),
        ({"augment.crop": 0.0}, "augment.crop is 0.0"),
        ({"augment.crop": 1.2}, "augment.crop is 1.2"),
        ({"augment.padding": -1}, "augment.padding is -1"),
        ({"augment.patches": 0}, "augment.patches is 0"),
        ({"augment.alpha": 0.0}, "augment.alpha is 0.0; it must be above 0"),
        ({"augment.randaugment": [2, 31]}, "augment.randaugment is .*magnitude from 0 to 30"),
        ({"loss.temperature": 0.0}, "loss.temperature is 0.0; it must be above 0"),
        ({"loss.hard": -0.1}, "loss.hard is -0.1"),
        ({"betas": [0.9, 1.0]}, "betas is"),
        ({"test_every": 0}, "test_every is 0"),
        ({"least_steps": -1}, "least_steps is -1"),
        ({"label_smoothing": 1.0}, "label_smoothing is 1.0"),
        ({"weight_decay": -0.1}, "weight_decay is -0.1"),
        ({"warmup_epochs": 100}, "warmup_epochs is 100; it must be from 0 to below epochs"),
        ({"mean_std": "mine"}, "mean_std: .*or 'computed', or 'teacher'"),
    ],
)
def test_contradictions_are_refused(values, complaint):
    with pytest.raises(RecipeError, match=complaint):
        student(**values)


def test_fewer_epochs_have_less_to_warm_up():
    assert student(epochs=3).warmup_epochs == 2
    assert student(epochs=1).warmup_epochs == 0
    assert student(epochs=7).warmup_epochs == 5
    with pytest.raises(RecipeError, match="warmup_epochs is 5"):
        student(epochs=3, warmup_epochs=5)


def test_half_cosine_is_that_of_rded_and_delt():
    """0.5 (1 + cos(pi epoch / epochs / 2)), epoch by epoch: it ends at half the rate."""
    recipe = load_training("students", "rded")
    for epoch in range(300):
        expected = 0.001 * 0.5 * (1.0 + math.cos(math.pi * epoch / 300 / 2))
        assert learning_rate(recipe, epoch, 0.0) == pytest.approx(expected)
        assert learning_rate(recipe, epoch, 0.9) == pytest.approx(expected)
    assert learning_rate(recipe, 150, 0.0) == pytest.approx(0.000854, abs=1e-6)
    assert learning_rate(recipe, 299, 0.0) == pytest.approx(0.0005, rel=0.01)


@pytest.mark.parametrize("epochs", [300, 1000, 7])
def test_halves_falls_to_a_tenth_where_dataset_condensation_does(epochs):
    """Its loop trains one epoch more, at the full rate; as many at a tenth follow."""
    rate, released = 0.01, []
    for epoch in range(epochs + 1):
        released.append(rate)
        if epoch == epochs // 2 + 1:
            rate *= 0.1
    recipe = small(schedule="halves", lr=0.01, epochs=epochs)
    ours = [learning_rate(recipe, epoch, 0.5) for epoch in range(epochs)]
    assert ours == pytest.approx(released[1:])
    assert ours.index(min(ours)) == epochs // 2 + 1


def test_cosine_and_constant_rates():
    cosine = load_training("students", "sre2l-cifar")
    for epoch in (0, 1, 200, 399):
        assert learning_rate(cosine, epoch, 0.5) == pytest.approx(0.0005 * (1 + math.cos(math.pi * epoch / 400)))
    warm = load_training("students", "sre2l-tiny")
    rates = [learning_rate(warm, epoch, 0.0) for epoch in range(6)]
    assert rates == pytest.approx([0.2 * (0.01 + 0.99 * epoch / 5) for epoch in range(5)] + [0.2])
    assert learning_rate(small(), 9, 0.9) == 1


def test_a_batch_larger_than_the_set_is_the_set():
    recipe, notes = fit(load_training("students", "sre2l-cifar"), 100, 1)
    assert recipe.batch == 100
    assert notes == ("batch 128 -> 100, the whole set, as published loaders do",)
    for count in (128, 1000):
        assert fit(load_training("students", "sre2l-cifar"), count, 1) == (load_training("students", "sre2l-cifar"), ())


def test_a_batch_that_the_user_gave_must_fit():
    with pytest.raises(RecipeError, match="batch is 128, but the set has 100 images; give --set batch=100 or less"):
        fit(student("sre2l-cifar", batch=128), 100, 1)
    assert fit(student("sre2l-cifar", batch=100), 100, 1)[0].batch == 100


def test_every_process_needs_two_images():
    with pytest.raises(RecipeError, match="batch is 6, but each of the 4 processes needs at least 2"):
        fit(student(batch=6), 100, 4)
    with pytest.raises(RecipeError, match="batch is 7, but each of the 4 processes"):
        fit(student(), 7, 4)
    with pytest.raises(RecipeError, match="batch is 1, but"):
        fit(student(), 1, 1)


@pytest.mark.parametrize(
    ("count", "leftover", "world", "epochs"),
    [
        (16, True, 1, 50),
        (16, False, 1, 50),
        (20, True, 1, 34),
        (20, False, 1, 50),
        (17, True, 1, 50),
        (17, False, 1, 50),
        (19, True, 2, 50),
        (20, True, 2, 34),
        (5, True, 1, 100),
    ],
)
def test_small_sets_are_trained_on_for_longer(count, leftover, world, epochs):
    """Steps are those that batches make: what is left over is one where every process has two images of it."""
    recipe, notes = fit(small(least_steps=100, leftover=leftover), count, world)
    assert recipe.epochs == epochs
    assert notes[-1] == f"epochs 10 -> {epochs}, for 100 steps"


def test_large_sets_are_trained_on_as_asked():
    assert fit(small(least_steps=100), 80, 1)[0].epochs == 10
    assert fit(small(least_steps=101), 80, 1)[0].epochs == 11
    assert fit(small(least_steps=0), 16, 1) == (small(least_steps=0), ())


def test_epochs_that_the_user_gave_are_all_and_another_recipe():
    quick = load_training("students", "quick")
    asked = student("quick", epochs=quick.epochs)
    assert (quick.least_steps, asked.least_steps) == (300, 0)
    assert fit(quick, 100, 1)[0].epochs > fit(asked, 100, 1)[0].epochs == quick.epochs
    assert what_counts(asked) != what_counts(quick), "digests tell them apart"
    both = student("quick", epochs=quick.epochs, least_steps=300)
    assert what_counts(both) == what_counts(change_training(student("quick", least_steps=300), epochs=5))
    assert what_counts(both) == what_counts(quick)


def test_the_warm_up_grows_with_the_epochs():
    recipe, _ = fit(small(least_steps=100, warmup_epochs=2), 16, 1)
    assert (recipe.epochs, recipe.warmup_epochs) == (50, 10)
