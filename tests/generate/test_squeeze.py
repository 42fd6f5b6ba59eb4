"""Squeezing: presets with sources, the same bytes for the same seed, going on after an interruption, refusals."""

import errno
import math
import os
import pickle
from importlib import resources
from pathlib import Path

import msgspec
import pytest
import torch
from PIL import Image
from torch.multiprocessing.spawn import spawn
from torchvision.transforms.functional import resized_crop

from divbench import load_embedder, parallel
from divbench.errors import InputError, OutputError, RecipeError, WeightsError
from divbench.generate import squeeze as squeezing
from divbench.generate.squeeze import hold_out, squeeze
from divbench.images import ImageSet, read_images
from divbench.progress import no_progress
from divbench.settings import json_types, leaves
from divbench.teacher import load_teacher
from divbench.train import loop as training
from divbench.train import stock as feeding
from divbench.train.feed import Feed, cut, steps_of
from divbench.train.files import header_of
from divbench.train.loop import learning_rate
from divbench.train.recipe import Augmentation, change_training, load_training, recipe_names
from divbench.train.stock import take_in
from tests.test_parallel import free_port
from tests.train.students import stopping

CPU = torch.device("cpu")
STILL = Augmentation(padding=0, crop=1.0, flip=False)
SMALL = "torchvision:shufflenet_v2_x0_5"


def real(count=16, size=8, classes=("ant", "bee", "cow")):
    """Noise around a colour of its own for each class."""
    g = torch.Generator().manual_seed(0)
    labels = torch.arange(len(classes)).repeat(count)
    base = torch.randint(40, 200, (len(classes), 3, 1, 1), generator=g)
    noise = torch.randint(-30, 31, (len(labels), 3, size, size), generator=g)
    return ImageSet((base[labels] + noise).to(torch.uint8), labels, classes, "patches")


def recipe(**values):
    small = {"net": SMALL, "epochs": 3, "batch": 12, "lr": 0.02, "warmup_epochs": 0, "holdout": 0.25}
    augment = msgspec.to_builtins(Augmentation(padding=1, crop=1.0, flip=True))
    return change_training(load_training("teachers", "digits"), **{"augment": augment, **small, **values})


def run(path, *, images=None, threads=1, **values):
    options = {key: values.pop(key) for key in ("test", "seed", "progress", "report") if key in values}
    return squeeze(images or real(), recipe(**values), path, threads=threads, **options)


@pytest.fixture(scope="module", autouse=True)
def one_version():
    """The checkout may change between two runs."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(squeezing, "code_version", lambda: ("0" * 40, False))
        yield


@pytest.fixture
def often(monkeypatch):
    """State is kept at every second step."""
    monkeypatch.setattr(training, "KEEP_SECONDS", 0)
    monkeypatch.setattr(training, "_EVERY", 2)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A teacher of ten steps and how it was made."""
    path = tmp_path_factory.mktemp("made") / "teacher.safetensors"
    return run(path)


def test_every_number_of_every_preset_has_a_source():
    assert recipe_names("teachers") == ["cifar10", "cifar100", "digits", "imagenet", "imagenette", "tiny-imagenet"]
    for kind in ("teachers", "students"):
        for name in recipe_names(kind):
            file = resources.files("divbench") / "train" / "recipes" / kind / f"{name}.toml"
            plain = msgspec.toml.decode(file.read_bytes())
            assert plain["dataset"] == name or kind == "students"
            keys = {key for key in leaves(plain) if not key.startswith(("sources.", "dataset", "description"))}
            for key in keys:
                assert key in plain["sources"] or key.partition(".")[0] in plain["sources"], f"{name}: {key}"
            for key in plain["sources"]:
                assert key in keys or any(known.startswith(f"{key}.") for known in keys), f"{name}: {key}"


def test_published_teachers_see_every_image_in_every_epoch_as_with_the_released_loaders():
    assert all(load_training("teachers", name).leftover == (name != "digits") for name in recipe_names("teachers"))
    cifar10 = load_training("teachers", "cifar10")
    assert steps_of(50_000, cifar10.batch, 1, cifar10.leftover) == 391


def test_recipes_come_by_name_or_from_a_file(tmp_path):
    own = tmp_path / "own.toml"
    shipped = resources.files("divbench") / "train" / "recipes" / "teachers" / "digits.toml"
    own.write_bytes(shipped.read_bytes())
    assert load_training("teachers", str(own)) == load_training("teachers", "digits")
    with pytest.raises(RecipeError, match="did you mean 'cifar10'"):
        load_training("teachers", "cifar-10")
    with pytest.raises(RecipeError, match=r"say whose numbers to use \(--like\): cifar10"):
        load_training("teachers", "flowers")
    with pytest.raises(RecipeError, match="cannot be read"):
        load_training("teachers", str(tmp_path / "none.toml"))
    own.write_text(own.read_text() + '\n[more]\nlr = "high"\n')
    with pytest.raises(RecipeError, match="own.toml: .*more"):
        load_training("teachers", str(own))


def test_changes_are_noted_in_the_sources():
    changed = change_training(load_training("teachers", "cifar10"), epochs=3, lr=None)
    assert (changed.epochs, changed.lr) == (3, 0.1)
    assert changed.sources["epochs"] == "changed by the user"
    assert changed.sources["lr"] == load_training("teachers", "cifar10").sources["lr"]


@pytest.mark.parametrize(
    ("values", "complaint"),
    [
        ({"epochs": 0}, "epochs is 0; it must be at least 1"),
        ({"batch": 1}, "batch is 1"),
        ({"lr": 0.0}, "lr is 0"),
        ({"momentum": 1.0}, "momentum is 1"),
        ({"momentum": 0.0, "nesterov": True}, "nesterov is True; it must be false"),
        ({"holdout": 1.0}, "holdout is 1"),
        ({"size": -1}, "size is -1"),
        ({"size": 9}, "resize is 8; it must be at least size"),
        ({"size": 0}, "resize is 8"),
        ({"warmup_epochs": 3}, "warmup_epochs is 3; it must be from 0 to below epochs"),
        ({"mean_std": "cifar11"}, "mean_std: unknown normalisation 'cifar11'.* or 'computed'"),
        ({"augment": {"padding": 1, "crop": 0.5, "flip": True}}, "both padding and crop"),
        ({"augment": {"padding": 0, "crop": 0.0, "flip": True}}, "augment.crop is 0"),
        ({"schedule": "linear"}, "schedule"),
        ({"epochs": "many"}, "epochs"),
    ],
)
def test_recipes_that_make_no_sense_are_refused(values, complaint):
    with pytest.raises(RecipeError, match=complaint):
        recipe(**values)


def test_learning_rates():
    cosine = recipe(lr=1.0, epochs=10, warmup_epochs=2, schedule="cosine")
    assert [learning_rate(cosine, epoch, 0.9) for epoch in (0, 1, 2, 6)] == pytest.approx([0.01, 0.505, 1, 0.5])
    cycle = recipe(lr=1.0, epochs=10, warmup_epochs=2, schedule="one-cycle")
    assert [learning_rate(cycle, *at) for at in ((0, 0.5), (2, 0), (5, 0.5))] == pytest.approx(
        [0.2575, 1, 0.5 * (1 + math.cos(math.pi * 3.5 / 8))]
    )
    assert 0 < learning_rate(cycle, 9, 0.99) < 1e-3
    thirds = recipe(lr=1.0, epochs=90, schedule="thirds")
    assert [learning_rate(thirds, epoch, 0) for epoch in (0, 29, 30, 59, 60, 89)] == pytest.approx(
        [1, 1, 0.1, 0.1, 0.01, 0.01]
    )
    assert learning_rate(recipe(lr=0.3, epochs=5, schedule="constant"), 4, 0.5) == 0.3


def test_a_share_of_each_class_is_held_out_always_the_same():
    images = real()
    train, held = hold_out(images, 0.25)
    assert held.labels.bincount().tolist() == [4, 4, 4]
    assert train.labels.bincount().tolist() == [12, 12, 12]
    both = torch.cat([train.pixels(), held.pixels()]).flatten(1)
    assert len(both.unique(dim=0)) == len(images)
    assert hold_out(images, 0.25)[1].pixels().equal(held.pixels())
    assert hold_out(images, 0.001)[1].labels.bincount().tolist() == [1, 1, 1]
    with pytest.raises(InputError, match="one image per class"):
        hold_out(real(1), 0.5)


def test_the_teacher_says_what_recovery_has_to_know(made):
    teacher = load_teacher(made.path)
    train, held = hold_out(real(), 0.25)
    assert (teacher.net, teacher.classes, teacher.size) == (SMALL, ("ant", "bee", "cow"), 8)
    assert teacher.sha256 == made.sha256
    exact = train.pixels().double() / 255
    mean, std = exact.mean((0, 2, 3)), exact.std((0, 2, 3), correction=0)
    said = torch.tensor(teacher.mean_std, dtype=torch.float64)
    torch.testing.assert_close(said, torch.stack([mean, std]), atol=1e-6, rtol=0)
    teacher.check_fits(real())
    images = (held.pixels() / 255 - mean.view(3, 1, 1)) / std.view(3, 1, 1)
    with torch.no_grad():
        right = (teacher.network()(images.float()).argmax(1) == held.labels).float().mean()
    assert float(right) == pytest.approx(made.accuracy)
    said = header_of(made.path)
    assert said["accuracy"] == made.accuracy == made.curve[-1].test_accuracy
    assert said["tested_on"] == "12 images of patches that were held out (25% of each class)"
    assert said["recipe"] == json_types(recipe())
    assert [one["epoch"] for one in said["curve"]] == [1, 2, 3]
    assert said["data"].startswith("sha256:")
    assert said["versions"]["torch"] == torch.__version__
    assert (said["seed"], said["processes"], said["threads"], said["device"]) == (0, 1, 1, "cpu")


def test_the_curve_is_reported_and_returned(tmp_path):
    seen = []
    done = run(tmp_path / "t.safetensors", report=seen.append)
    assert tuple(seen) == done.curve
    assert [one.epoch for one in seen] == [1, 2, 3]
    assert all(one.seconds > 0 and 0 <= one.train_accuracy <= 1 and one.loss > 0 for one in seen)
    assert done.found == "nothing"


@pytest.mark.slow
def test_it_learns(tmp_path):
    done = run(tmp_path / "t.safetensors", epochs=25, holdout=0.25, augment=msgspec.to_builtins(STILL))
    assert done.accuracy == 1
    assert done.curve[-1].loss < done.curve[0].loss / 5


def test_the_same_seed_gives_the_same_bytes(made, tmp_path):
    before, state = torch.get_num_threads(), torch.random.get_rng_state()
    again = run(tmp_path / "again.safetensors")
    assert again.path.read_bytes() == made.path.read_bytes()
    assert again.sha256 == made.sha256
    assert torch.get_num_threads() == before
    assert torch.random.get_rng_state().equal(state)
    torch.manual_seed(5)
    torch.set_num_threads(before + 1)
    try:
        assert run(tmp_path / "threads.safetensors").sha256 == made.sha256
    finally:
        torch.set_num_threads(before)
    assert run(tmp_path / "other.safetensors", seed=1).sha256 != made.sha256


def test_threads_do_not_share_a_core(tmp_path, monkeypatch):
    monkeypatch.setattr(squeezing, "cores", lambda: 1)
    assert header_of(run(tmp_path / "one.safetensors", threads=None).path)["threads"] == 1
    monkeypatch.setattr(squeezing, "cores", lambda: 64)
    assert header_of(run(tmp_path / "many.safetensors", threads=None).path)["threads"] == 2


@pytest.mark.parametrize("after", [12, 24, 36, 60, 96])
def test_interrupted_it_goes_on_and_ends_with_the_same_bytes(often, made, tmp_path, after):
    path = tmp_path / "t.safetensors"
    unfinished = tmp_path / "t.safetensors.unfinished"
    with stopping(after, "squeeze") as progress, pytest.raises(KeyboardInterrupt):
        run(path, progress=progress)
    assert not path.exists()
    assert unfinished.exists() == (after > 12)
    done = run(path)
    assert done.found == ("unfinished" if after > 12 else "nothing")
    assert path.read_bytes() == made.path.read_bytes()
    assert [msgspec.structs.replace(one, seconds=None) for one in done.curve] == [
        msgspec.structs.replace(one, seconds=None) for one in made.curve
    ]
    assert os.listdir(tmp_path) == ["t.safetensors"]


def test_an_error_in_the_report_loses_no_epoch(often, made, tmp_path):
    path = tmp_path / "t.safetensors"

    def fail(record):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(path, report=fail)
    seen = []
    run(path, report=seen.append)
    assert [one.epoch for one in seen] == [2, 3]
    assert path.read_bytes() == made.path.read_bytes()


def test_state_is_kept_now_and_then_only(tmp_path):
    with stopping(60, "squeeze") as progress, pytest.raises(KeyboardInterrupt):
        run(tmp_path / "t.safetensors", progress=progress)
    assert os.listdir(tmp_path) == []


def test_a_finished_run_is_found(made):
    def fail(title, total):
        raise AssertionError(title)

    again = run(made.path, progress=fail)
    assert (again.found, again.sha256, again.accuracy) == ("finished", made.sha256, made.accuracy)
    assert again.curve == tuple(msgspec.structs.replace(one, seconds=None) for one in made.curve)


def test_other_files_are_not_touched(often, made, tmp_path):
    before = made.path.read_bytes()
    with pytest.raises(OutputError, match=r"made otherwise \(recipe.epochs 3, not 4\); give another -o"):
        run(made.path, epochs=4)
    with pytest.raises(OutputError, match=r"made otherwise \(seed 0, not 1\)"):
        run(made.path, seed=1)
    with pytest.raises(OutputError, match=r"made otherwise \(other data, other test\)"):
        run(made.path, images=real(20))
    assert made.path.read_bytes() == before
    path = tmp_path / "t.safetensors"
    with stopping(24, "squeeze") as progress, pytest.raises(KeyboardInterrupt):
        run(path, progress=progress)
    with pytest.raises(OutputError, match=r"unfinished work of another run \(recipe.lr 0.02, not 0.03\)"):
        run(path, lr=0.03)
    path.write_bytes(b"something else")
    with pytest.raises(OutputError, match="is no file that divbench wrote"):
        run(path)
    with pytest.raises(OutputError, match="ends in .safetensors"):
        run(tmp_path / "t.pt")
    with pytest.raises(OutputError, match="there is no folder"):
        run(tmp_path / "none" / "t.safetensors")


def test_a_loss_that_is_not_finite_stops_the_run(often, tmp_path):
    with pytest.raises(RecipeError, match=r"epoch 1: the loss is NaN or infinite; give a lower lr \(it is 1e\+30\)$"):
        run(tmp_path / "t.safetensors", lr=1e30)
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("what", ["state", "teacher"])
def test_a_full_disk_leaves_nothing_half_written(monkeypatch, tmp_path, what):
    monkeypatch.setattr(training, "KEEP_SECONDS", 0 if what == "state" else 60)

    def full(handle):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OutputError, match="No space left on device"):
        run(tmp_path / "t.safetensors")
    assert os.listdir(tmp_path) == []


def test_images_that_cannot_be_used_are_refused(tmp_path):
    path = tmp_path / "t.safetensors"
    images = real()
    with pytest.raises(InputError, match="has no images of bee; give"):
        run(path, images=images.select((images.labels != 1).nonzero()[:, 0]))
    with pytest.raises(InputError, match="here is only one"):
        run(path, images=real(classes=("ant",)))
    with pytest.raises(InputError, match="here is only one"):
        run(path, images=ImageSet(images.images, torch.zeros(48, dtype=torch.int64), ("all",), "flat", labelled=False))
    with pytest.raises(RecipeError, match="batch is 64, but patches has 36 training images"):
        run(path, batch=64)
    with pytest.raises(InputError, match="the same value everywhere"):
        run(path, images=ImageSet(images.images * 0, images.labels, images.classes, "black"))
    with pytest.raises(InputError, match="8x6, not square"):
        run(path, images=ImageSet(images.images[..., :6, :], images.labels, images.classes, "flat"), size=0, resize=0)


@pytest.mark.parametrize(
    "values", [{"labels.kind": "online", "loss.kind": "kl"}, {"mean_std": "teacher"}, {"least_steps": 9}]
)
def test_what_is_for_students_is_refused(tmp_path, values):
    with pytest.raises(RecipeError, match="which is for students; a teacher needs"):
        run(tmp_path / "t.safetensors", **values)


def test_networks_that_cannot_be_teachers_are_refused(tmp_path):
    path = tmp_path / "t.safetensors"
    with pytest.raises(WeightsError, match="unknown network 'resnet9'"):
        run(path, net="resnet9")
    with pytest.raises(WeightsError, match="does not end in a linear layer"):
        run(path, net="torchvision:squeezenet1_1", size=64, resize=64)
    with pytest.raises(WeightsError, match="torchvision:alexnet cannot take images of 8 pixels"):
        run(path, net="torchvision:alexnet")


def folder(root, sizes):
    """Class folders of images of these heights and widths, in turn."""
    images = real(8, 40)
    for index, (pixels, label) in enumerate(zip(images.pixels(), images.labels, strict=True)):
        height, width = sizes[index % len(sizes)]
        place = root / images.classes[label]
        place.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels[:, :height, :width].permute(1, 2, 0).numpy()).save(place / f"{index:03}.png")
    return read_images(root)


def test_mixed_sizes_need_a_size(tmp_path):
    images = folder(tmp_path / "set", [(12, 12), (12, 20)])
    path = tmp_path / "t.safetensors"
    with pytest.raises(InputError, match="several sizes, such as 12x12 and 20x12; give a size in the recipe"):
        run(path, images=images, size=0, resize=0, batch=6)
    done = run(path, images=images, batch=6, epochs=1)
    assert load_teacher(done.path).size == 8


def test_a_test_set_and_the_images_own_size(tmp_path):
    other = real(5)
    test = ImageSet(other.images, 2 - other.labels, ("cow", "bee", "ant"), "tests")
    done = run(tmp_path / "t.safetensors", test=test, epochs=1, size=0, resize=0)
    assert done.tested_on == "15 images of tests"
    assert load_teacher(done.path).size == 8
    with pytest.raises(InputError, match="test images have 9 pixels and not 8"):
        run(tmp_path / "u.safetensors", test=real(5, 9), size=0, resize=0)
    done = run(tmp_path / "v.safetensors", holdout=0.0, epochs=1)
    assert (done.accuracy, done.tested_on, done.curve[0].test_accuracy) == (None, "nothing", None)
    assert "accuracy" not in header_of(done.path)


def test_the_embedder_takes_a_resnet18_teacher(tmp_path):
    done = run(tmp_path / "t.safetensors", net="resnet18", epochs=1)
    embedder = load_embedder("resnet18", weights=done.path)
    assert (embedder.network, embedder.size) == ("resnet18 small-stem", 8)
    assert embedder.mean_std == load_teacher(done.path).mean_std
    assert embedder.load()(torch.zeros(2, 3, 8, 8)).shape == (2, 512)


@pytest.mark.slow
def test_bfloat16_follows_the_weights(tmp_path):
    """Casts of weights that outlive a step would stop the learning: the loss would stay where it is."""
    still = msgspec.to_builtins(STILL)
    exact = run(tmp_path / "a.safetensors", epochs=8, augment=still)
    rounded = run(tmp_path / "b.safetensors", epochs=8, augment=still, precision="bfloat16")
    assert rounded.sha256 != exact.sha256
    assert rounded.curve[-1].loss < 0.3 * rounded.curve[0].loss
    assert load_teacher(rounded.path).state["fc.weight"].dtype == torch.float32


def test_sets_that_are_read_when_asked_for_give_the_same_weights(monkeypatch, tmp_path):
    images = folder(tmp_path / "set", [(12, 12)])
    held = run(tmp_path / "held.safetensors", images=images, batch=6)
    monkeypatch.setattr(feeding, "MEMORY", 0)
    read = run(tmp_path / "read.safetensors", images=images, batch=6, mean_std="none")
    held = run(tmp_path / "same.safetensors", images=images, batch=6, mean_std="none")
    assert header_of(read.path)["data"].startswith("files:")
    one, two = load_teacher(held.path).state, load_teacher(read.path).state
    assert all(one[key].equal(two[key]) for key in one)


def test_unreadable_images_are_named(tmp_path):
    images = folder(tmp_path / "set", [(12, 12)])
    (tmp_path / "set" / "bee" / "001.png").write_bytes(b"")
    with pytest.raises(InputError, match="001.png: is empty"):
        run(tmp_path / "t.safetensors", images=images, batch=6)


def test_crops_are_held_or_read_from_the_originals(monkeypatch, tmp_path):
    same, mixed = folder(tmp_path / "same", [(8, 8)]), folder(tmp_path / "mixed", [(8, 8), (30, 20)])
    assert take_in(same, 8, 8, CPU, no_progress, crop=0.5).pixels is not None
    assert take_in(mixed, 8, 8, CPU, no_progress).pixels is not None
    stock = take_in(mixed, 8, 8, CPU, no_progress, crop=0.5)
    assert stock.crops
    batches = list(Feed(stock, Augmentation(padding=0, crop=0.5, flip=True), 6, 0).epoch(0))
    again = list(Feed(stock, Augmentation(padding=0, crop=0.5, flip=True), 6, 0).epoch(0, start=2))
    assert len(batches) == 4
    assert all(shown.images.shape == (6, 3, 8, 8) for shown in batches)
    assert all(a.images.equal(b.images) and a.labels.equal(b.labels) for a, b in zip(batches[2:], again, strict=True))


@pytest.mark.parametrize("augment", [STILL, Augmentation(padding=2, crop=1, flip=True), Augmentation(0, 0.2, True)])
def test_processes_take_slices_of_the_same_batches(augment):
    stock = take_in(real(), 8, 8, CPU, no_progress, crop=augment.crop)
    whole = list(Feed(stock, augment, 10, 3).epoch(1))
    parts = [list(Feed(stock, augment, 10, 3, rank, 3).epoch(1)) for rank in range(3)]
    assert len(whole) == 4
    for step, shown in enumerate(whole):
        for what in ("images", "labels", "rows", "partners", "partner_labels"):
            assert torch.cat([getattr(part[step], what) for part in parts]).equal(getattr(shown, what)), what
    other = list(Feed(stock, augment, 10, 3).epoch(2))
    assert not other[0].images.equal(whole[0].images)


def test_every_image_comes_once_in_an_epoch():
    images = real()
    stock = take_in(images, 8, 8, CPU, no_progress)
    seen = torch.cat([shown.images for shown in Feed(stock, STILL, 16, 0).epoch(0)])
    assert seen.flatten(1).unique(dim=0).equal(images.pixels().flatten(1).float().unique(dim=0))


def test_padding_shifts_whole_pixels_and_fills_with_black():
    pixels = real(1, 6).pixels()[:1]
    images = ImageSet(pixels.repeat(512, 1, 1, 1), torch.zeros(512, dtype=torch.int64), ("a",), "same")
    stock = take_in(images, 6, 6, CPU, no_progress)
    found = next(Feed(stock, Augmentation(padding=1, crop=1, flip=True), 512, 0).epoch(0)).images
    padded = torch.nn.functional.pad(pixels, (1, 1, 1, 1)).float()
    shifted = [padded[..., y : y + 6, x : x + 6] for y in range(3) for x in range(3)]
    expected = torch.cat([*shifted, *(one.flip(3) for one in shifted)])
    assert found.flatten(1).unique(dim=0).equal(expected.flatten(1).unique(dim=0))


def test_cut_is_a_resized_crop():
    pixels = real(2, 16).pixels()
    boxes = torch.tensor([[0, 0, 16, 16], [3, 5, 7, 4], [15, 15, 1, 1], [2, 0, 14, 16], [0, 9, 5, 7], [8, 8, 8, 8]])
    flips = torch.tensor([False, True, False, True, False, False])
    found = cut(pixels, boxes.float(), flips)
    for image, box, flip, one in zip(pixels, boxes.tolist(), flips, found, strict=True):
        expected = resized_crop(image.float(), *box, [16, 16], antialias=False)
        torch.testing.assert_close(one, expected.flip(2) if flip else expected, atol=1e-3, rtol=0)


def test_boxes_lie_inside_and_keep_their_share():
    g = torch.Generator().manual_seed(0)
    shares = []
    for draws in torch.rand(300, 22, generator=g).tolist():
        top, left, height, width = feeding._box(300, 400, 0.08, draws)
        assert 0 <= top <= 300 - height
        assert 0 <= left <= 400 - width
        assert 0.7 < width / height < 1.4
        shares.append(height * width / 120000)
    assert 0.07 < min(shares) < 0.12
    assert max(shares) > 0.85
    assert feeding._box(10, 1000, 1.0, [0.5] * 22) == (0, 493, 10, 13), "nothing fits: the middle"


def process(rank, world, port, place):
    os.environ |= {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": str(world)}
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    training.KEEP_SECONDS, training._EVERY = 0, 2
    networks, build = [], squeezing.build_classifier

    def remember(*args, **kwargs):
        networks.append(build(*args, **kwargs))
        return networks[-1]

    squeezing.build_classifier, squeezing.code_version = remember, lambda: ("0" * 40, False)
    done = run(place / "t.safetensors")
    weights = torch.cat([value.detach().flatten() for value in networks[-1].parameters()])
    with stopping(60, "squeeze") as progress, pytest.raises(KeyboardInterrupt):
        run(place / "u.safetensors", progress=progress)
    parallel.agree(True)
    again = run(place / "u.safetensors")
    try:
        run(place / "t.safetensors", seed=1)
        refusal = ""
    except OutputError as error:
        refusal = str(error)
    plain = [msgspec.to_builtins(msgspec.structs.replace(one, seconds=None)) for one in done.curve]
    result = (done.sha256, again.sha256, again.found, plain, refusal, weights.numpy().tobytes())
    (place / f"{rank}.result").write_bytes(pickle.dumps(result))


@pytest.mark.slow
def test_two_processes_train_one_teacher(made, tmp_path):
    spawn(process, (2, free_port(), tmp_path), nprocs=2)
    first, second = (pickle.loads((tmp_path / f"{rank}.result").read_bytes()) for rank in range(2))  # noqa: S301
    assert first == second
    sha256, again, found, curve, refusal, weights = first
    assert sha256 == again
    assert found == "unfinished"
    assert "made otherwise (seed 0, not 1)" in refusal
    assert {path.name for path in tmp_path.iterdir()} == {"t.safetensors", "u.safetensors", "0.result", "1.result"}
    teacher = load_teacher(tmp_path / "t.safetensors")
    written = {name: teacher.state[name] for name, _ in teacher.network().named_parameters()}
    assert torch.cat([value.flatten() for value in written.values()]).numpy().tobytes() == weights
    assert curve[0]["loss"] == pytest.approx(made.curve[0].loss, rel=0.5), (
        "other BatchNorm statistics, the same batches"
    )
    assert header_of(Path(tmp_path / "t.safetensors"))["processes"] == 2


@pytest.mark.slow
def test_digits_teacher_is_good(tmp_path):
    done = squeeze(read_images("digits"), load_training("teachers", "digits"), tmp_path / "t.safetensors")
    assert done.accuracy > 0.97
