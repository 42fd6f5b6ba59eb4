"""Students: the same every time, found again, gone on with; what they cannot be trained on."""

import os
import pickle
from dataclasses import replace

import msgspec
import pytest
import torch
from torch.multiprocessing.spawn import spawn

from divbench import parallel
from divbench.errors import InputError, OutputError, RecipeError, WeightsError
from divbench.generate.recipe import Fkd, Static
from divbench.generate.relabel import relabel
from divbench.images import ImageSet
from divbench.progress import no_progress
from divbench.teacher import Labeller
from divbench.train import loop
from divbench.train.stock import take_in
from divbench.train.teaching import Teaching
from divbench.train.train import train
from tests.generate.teachers import write_teacher
from tests.test_parallel import free_port
from tests.train.students import CPU, images, plan, recipe, stopping

TEST = images(10, seed=9, name="tests")


def run(sets=None, test=TEST, what=None, **values):
    some = [(one, None) if isinstance(one, ImageSet) else one for one in (sets or [images()])]
    return train(some, test, what or plan(), **values)


@pytest.fixture(scope="module")
def teacher(tmp_path_factory):
    """A network that knows the patches."""
    path = tmp_path_factory.mktemp("teacher") / "teacher.safetensors"
    return write_teacher(path, real=images(40, seed=5))


def test_it_learns_and_says_what_it_came_to():
    seen = []
    made = run(what=plan(recipe(epochs=12), runs=2), report=lambda title, one: seen.append((title, one)))
    (first, second) = made.runs["convnet1"]
    assert first.accuracy == 1
    assert first.per_class == (1, 1, 1)
    assert [(one.set, one.seed) for one in (first, second)] == [(0, 0), (0, 1)]
    assert [one.epoch for one in first.curve] == list(range(1, 13))
    assert first.curve[-1].test_accuracy == first.accuracy
    assert first.best_on_test == max(one.test_accuracy for one in first.curve)
    assert first.curve[first.best_epoch - 1].test_accuracy == first.best_on_test
    assert all(one.test_accuracy < first.best_on_test for one in first.curve[: first.best_epoch - 1])
    assert first.curve != second.curve
    assert [title for title, _ in seen] == [
        "[1/2] convnet1 on patches, seed 0",
        "[2/2] convnet1 on patches, seed 1",
    ]
    assert made.labels == "hard"
    assert made.counts == (10, 10, 10)


def test_the_last_epoch_counts_and_not_the_best():
    """At such a rate accuracy falls again: the number is that of the end."""
    made = run(what=plan(recipe(epochs=8, lr=3.0, schedule="constant")))
    (one,) = made.runs["convnet1"]
    assert one.accuracy == one.curve[-1].test_accuracy
    assert one.best_on_test >= one.accuracy


def test_a_student_depends_on_its_seed_and_on_nothing_else():
    state, threads = torch.random.get_rng_state(), torch.get_num_threads()
    (alone,) = run(what=plan(seed=1)).runs["convnet1"]
    assert torch.random.get_rng_state().equal(state)
    assert torch.get_num_threads() == threads
    torch.manual_seed(7)
    together = run([images(), images(seed=3)], what=plan(runs=2, nets=("convnet2", "convnet1"))).runs["convnet1"]
    again = next(one for one in together if (one.set, one.seed) == (0, 1))
    assert msgspec.structs.replace(again, seconds=0) == msgspec.structs.replace(alone, seconds=0)
    assert len({one.curve for one in together}) == 4


def test_other_questions_have_other_digests_and_other_sets_the_same():
    def digest(sets=None, test=TEST, **values):
        return run(sets, test, plan(recipe(epochs=1, **values))).digests["convnet1"]

    first = digest()
    assert digest([images(4, seed=1)]) == first
    assert digest(test_every=1000) == first
    assert digest(lr=0.2) != first
    assert digest(least_steps=7) != first, "more epochs of a small set"
    assert run(None, TEST, replace(plan(recipe(epochs=1)), test_digest="other")).digests["convnet1"] != first


@pytest.mark.parametrize("after", [18, 36, 72])
def test_interrupted_it_goes_on_and_ends_alike(monkeypatch, tmp_path, after):
    monkeypatch.setattr(loop, "KEEP_SECONDS", 0)
    what = plan(recipe(optimizer="adamw", momentum=0.0, nesterov=False, lr=1e-3, epochs=4), runs=2)
    whole = run(what=what).runs["convnet1"]
    keeping = replace(what, kept=tmp_path / "r.json.unfinished")
    with stopping(after) as progress, pytest.raises(KeyboardInterrupt):
        run(what=keeping, progress=progress)
    trained = []
    again = run(what=keeping, report=lambda title, one: trained.append(title)).runs["convnet1"]
    for one, other in zip(whole, again, strict=True):
        assert msgspec.structs.replace(one, seconds=0) == msgspec.structs.replace(other, seconds=0)
    kept = sorted(os.listdir(keeping.kept))
    assert kept == ["convnet1_0_0.json", "convnet1_0_1.json"]
    monkeypatch.setattr("divbench.train.train.Training", None)
    found = run(what=keeping).runs["convnet1"]
    assert found == again
    with pytest.raises(OutputError, match="is a finished run of other work"):
        run([images(seed=4)], what=keeping)
    keeping.forget()
    assert os.listdir(tmp_path) == []


def test_known_runs_are_not_made_again(monkeypatch):
    first = run(what=plan(runs=2))
    asked = []

    def known(net, digest):
        asked.append((net, digest))
        return first.runs[net]

    more = run(what=plan(runs=3), known=known)
    assert asked == [("convnet1", first.digests["convnet1"])]
    assert more.runs["convnet1"][:2] == first.runs["convnet1"]
    assert len(more.runs["convnet1"]) == 3
    assert run(what=plan(runs=2), known=known).notes == first.notes != ()


def test_yardsticks(teacher):
    rules = recipe("sre2l-cifar")
    real = images(20, seed=2, name="real")
    made = run(what=plan(rules, runs=2), teachers=[teacher], real=real)
    assert [(one.set, one.seed) for one in made.runs["convnet1"]] == [(0, 0), (0, 1), (None, 0), (None, 1)]
    assert made.runs["convnet1"][2].curve != made.runs["convnet1"][3].curve
    (shares,) = made.teachers
    assert min(shares) > 0.9
    with pytest.raises(InputError, match="has 20 images of ant, and the yardstick needs 21"):
        run([images(21)], real=real)


def test_the_random_subset_is_as_large_as_the_set_and_another_for_each_seed(monkeypatch):
    seen = []
    build = loop.Training.__init__

    def remember(self, job, *args):
        seen.append(job.batches.stock)
        build(self, job, *args)

    monkeypatch.setattr(loop.Training, "__init__", remember)
    real = images(20, seed=2)
    run(what=plan(runs=2), real=real)
    ours = {row.numpy().tobytes() for row in real.images}
    subsets = [{row.numpy().tobytes() for row in stock.pixels} for stock in seen[2:]]
    assert all(len(some) == 18 and some <= ours for some in subsets)
    assert subsets[0] != subsets[1]
    assert all(stock.images.labels.bincount().tolist() == [6, 6, 6] for stock in seen)


@pytest.mark.slow
def test_soft_labels_teach_what_hard_ones_do_not(teacher):
    """Images whose classes are all wrong: with hard labels nothing can be learned from them, with a teacher it can."""
    wrong = images(8)
    wrong = replace(wrong, labels=wrong.labels.roll(8))
    hard = run([wrong], what=plan(recipe(epochs=12))).runs["convnet1"][0]
    changed = {"loss.temperature": 2.0, "labels.teacher": "eval", "augment.padding": 0}
    rules = recipe("sre2l-cifar", epochs=40, lr=0.01, **changed)
    taught = run([wrong], what=plan(rules), teachers=[teacher]).runs["convnet1"][0]
    assert hard.accuracy < 0.1
    assert taught.accuracy > 0.9


@pytest.mark.parametrize("kind", ["static", "online"])
def test_teachers_are_named_in_the_labels(teacher, kind):
    rules = recipe("sre2l-cifar", epochs=1, **{"labels.kind": kind, "labels.teacher": "eval"})
    made = run(what=plan(rules), teachers=[teacher, teacher])
    name = f"{teacher.name} sha256:{teacher.sha256[:16]}"
    assert made.labels == f"{kind}, {name}, {name}, BatchNorm eval"


@pytest.mark.parametrize("kind", ["static", "online"])
def test_sets_share_the_copy_of_a_teacher_that_gives_labels(teacher, monkeypatch, kind):
    modes = []

    class Counted(Labeller):
        def __init__(self, teacher, mode, device):
            modes.append(mode)
            super().__init__(teacher, mode, device)

    monkeypatch.setattr("divbench.train.teaching.Labeller", Counted)
    rules = recipe("sre2l-cifar", epochs=1, **{"labels.kind": kind, "labels.teacher": "train"})
    run([images(), images(seed=1)], what=plan(rules, runs=2), teachers=[teacher], real=images(20, seed=2))
    assert sorted(modes) == ["eval", "train"], "and one that is tested itself"


def test_no_image_is_labelled_alone(teacher):
    """By its own batch statistics; of 513 images, batches of 256 would leave one."""
    teaching = Teaching(recipe("sre2l-cifar", **{"labels.kind": "static", "labels.teacher": "train"}), [teacher], CPU)
    some = images(171)
    found = teaching.lesson(take_in(some, 0, 0, CPU, no_progress), 0, None).objective.static
    assert (found.argmax(1) == some.labels).float().mean() > 0.9
    one = images(1, classes=("ant",))
    with pytest.raises(RecipeError, match="batch is 1, but each of .* at least 2 images of it; give a larger batch or"):
        teaching.lesson(take_in(one, 0, 0, CPU, no_progress), 0, None)


@pytest.mark.parametrize("labels", [Static(teacher="eval"), Fkd(5, 9, 0.5, "cutmix", 1.0, "eval")])
def test_stored_labels(teacher, tmp_path, labels):
    some = images()
    relabel(some.pixels(), labels, teacher, tmp_path, seed=0, device=CPU)
    kind = "static" if isinstance(labels, Static) else "fkd"
    rules = recipe("sre2l-cifar", epochs=40, **{"labels.kind": kind})
    if kind == "fkd":
        with pytest.raises(RecipeError, match="epochs is 40, but .* has labels of 5; give fewer"):
            run([(some, tmp_path)], what=plan(rules))
        rules = msgspec.structs.replace(rules, sources={})
    made = run([(some, tmp_path)], what=plan(rules))
    assert made.labels.startswith(f"{kind}, teacher sha256:{teacher.sha256[:16]}, BatchNorm eval")
    assert len(made.runs["convnet1"][0].curve) == (40 if kind == "static" else 5)
    if kind == "fkd":
        assert made.notes[0] == "epochs 40 -> 5, batch 128 -> 9, as the labels are stored"
    else:
        assert made.runs["convnet1"][0].accuracy > 0.9
    assert run([(some, None)], what=plan(rules, labels=tmp_path)).digests == made.digests
    with pytest.raises(InputError, match="the images are others than those that were labelled"):
        run([(images(seed=1), tmp_path)], what=plan(rules))
    with pytest.raises(InputError, match="has labels for 18 images, but there are 12"):
        run([(images(4), tmp_path)], what=plan(rules))
    with pytest.raises(InputError, match=r"this is no folder that holds any; give --labels FOLDER"):
        run([some], what=plan(rules))
    with pytest.raises(InputError, match="has no soft labels"):
        run([(some, tmp_path / "none")], what=plan(rules))


def test_stored_labels_of_other_images_are_told_by_what_they_say(teacher, tmp_path, monkeypatch):
    """Where no digest says it, as in public files: labels that name other classes."""
    some = images()
    relabel(some.pixels(), Fkd(3, 9, 1.0, "none", 1.0, "eval"), teacher, tmp_path, seed=0, device=CPU)
    monkeypatch.setattr("divbench.labels.store.LabelStore.check_fits", lambda self, pixels: None)
    rolled = replace(some, labels=some.labels.roll(6))
    rules = msgspec.structs.replace(recipe("sre2l-in1k", size=8, resize=8), sources={})
    run([(some, tmp_path)], what=plan(rules))
    with pytest.raises(InputError, match=r"0\.0% of the soft labels name the class of their image.*other images"):
        run([(rolled, tmp_path)], what=plan(rules))


@pytest.mark.parametrize(
    ("sets", "rules", "given", "complaint"),
    [
        ([images(classes=("ant", "bee"))], {}, {}, "its classes are not those of tests; give class folders"),
        ([images().select(torch.arange(12))], {}, {}, "has no images of cow, which tests has"),
        ([images()], {"batch": 19}, {}, "batch is 19, but the set has 18 images; give --set batch=18 or less"),
        ([images(size=10)], {}, {}, "tests: test images have 8 pixels, those of patches 10; say what all"),
        ([images()], {"lr": 1e30}, {}, "the loss is NaN or infinite; give a lower lr"),
        ([images()], {"labels.kind": "online", "loss.kind": "kl"}, {}, "needs a teacher: give --teacher FILE"),
        ([images()], {"augment.patches": 3}, {}, "images of 8 pixels do not fall into 3 x 3 patches"),
        ([images()], {"augment.siamese": "color_turn"}, {}, "unknown turn"),
    ],
)  # fmt: skip
def test_what_cannot_be_trained_on_is_refused(sets, rules, given, complaint):
    with pytest.raises((InputError, RecipeError), match=complaint):
        run(sets, what=plan(recipe(**rules)), **given)


def test_networks_and_teachers_that_do_not_fit_are_refused(teacher):
    with pytest.raises(WeightsError, match="did you mean 'resnet18'"):
        run(what=plan(nets=("resnet8",)))
    with pytest.raises(WeightsError, match="convnet5 cannot take images of 8 pixels"):
        run(what=plan(nets=("convnet1", "convnet5")))
    tested = run(teachers=[teacher])
    assert tested.labels == "hard", "a teacher that is not asked is a ceiling"
    assert min(tested.teachers[0]) > 0.9
    rules = plan(recipe("sre2l-cifar"))
    with pytest.raises(InputError, match="was trained on images of 8 pixels, but students see 10"):
        run([images(size=10)], images(size=10), what=rules, teachers=[teacher])
    stranger = replace(TEST, labels=TEST.labels.roll(10))
    with pytest.raises(InputError, match="little better than chance"):
        run(test=stranger, what=rules, teachers=[teacher])
    two = replace(TEST, classes=("ant", "bee", "dog"))
    with pytest.raises(InputError, match="orders or names its classes otherwise"):
        run([replace(images(), classes=two.classes)], two, what=rules, teachers=[teacher])


def test_a_batch_larger_than_the_set_is_the_whole_set():
    made = run(what=plan(recipe(epochs=1)))
    assert made.notes == ("batch 128 -> 18, the whole set, as published loaders do",)
    steps = run(what=plan(recipe(epochs=1, least_steps=7))).runs["convnet1"][0]
    assert len(steps.curve) == 7


def process(rank, world, port, place):
    os.environ |= {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": str(world)}
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    loop.KEEP_SECONDS = 0
    what = plan(recipe(**{"augment.mix": "cutmix"}), runs=2)
    whole = run(what=what)
    keeping = replace(what, kept=place / "kept")
    with stopping(36) as progress, pytest.raises(KeyboardInterrupt):
        run(what=keeping, progress=progress)
    parallel.agree(True)
    again = run(what=keeping)
    curves = [[(one.loss, one.test_accuracy) for one in run.curve] for run in whole.runs["convnet1"]]
    resumed = [[(one.loss, one.test_accuracy) for one in run.curve] for run in again.runs["convnet1"]]
    (place / f"{rank}.result").write_bytes(pickle.dumps((curves, resumed)))


@pytest.mark.slow
def test_two_processes_train_as_one(tmp_path):
    """Instance normalisation knows no batch, so that two processes make the same steps but for rounding."""
    spawn(process, (2, free_port(), tmp_path), nprocs=2)
    (curves, resumed), second = (
        pickle.loads((tmp_path / f"{rank}.result").read_bytes())  # noqa: S301
        for rank in range(2)
    )
    assert (curves, resumed) == second
    assert curves == resumed
    alone = run(what=plan(recipe(**{"augment.mix": "cutmix"}), runs=2)).runs["convnet1"]
    for one, curve in zip(alone, curves, strict=True):
        assert [record.loss for record in one.curve] == pytest.approx([loss for loss, _ in curve], rel=1e-3)


def test_several_sets_are_checked_before_the_first_student(teacher, tmp_path):
    def never(title, one):
        raise AssertionError(title)

    with pytest.raises(InputError, match=r"small: images have 10 pixels, those of tests 8"):
        run([images(), images(size=10, name="small")], report=never)
    with pytest.raises(RecipeError, match="batch is 15, but the set has 12 images"):
        run([images(), images(4)], what=plan(recipe(batch=15)), report=never)
    with pytest.raises(InputError, match="are of one set, but 2 were given"):
        run([images(), images(4)], what=plan(labels=tmp_path), report=never)
    with pytest.raises(InputError, match="random real images: images have 10 pixels"):
        run(real=images(20, size=10), report=never)
    other = write_teacher(tmp_path / "other.safetensors", real=images(30, seed=6))
    sets = [(images(seed=seed), tmp_path / str(seed)) for seed in (0, 1)]
    for (one, folder), who in zip(sets, (teacher, other), strict=True):
        relabel(one.pixels(), Static(teacher="eval"), who, folder, seed=0, device=CPU)
    with pytest.raises(InputError, match=r"patches has other labels \(static, teacher sha256:.*train them one by one"):
        run(sets, what=plan(recipe("sre2l-cifar", **{"labels.kind": "static"})), report=never)


def test_labels_that_call_classes_otherwise_are_remarked_or_refused(tmp_path):
    names = ("ant", "bee", "cow", "dog", "elk", "fox")
    some, test = images(classes=names), images(4, seed=9, classes=names, name="tests")
    teacher = write_teacher(tmp_path / "six.safetensors", real=images(40, seed=5, classes=names))
    relabel(some.pixels(), Static(teacher="eval"), teacher, tmp_path, seed=0, device=CPU)
    rules = plan(recipe("sre2l-cifar", **{"labels.kind": "static"}))
    swapped = replace(some, labels=torch.tensor([0, 2, 1, 3, 4, 5])[some.labels])
    made = run([(swapped, tmp_path)], test, rules)
    assert any("name another class for most images of 2 classes (bee is called cow" in note for note in made.notes)
    with pytest.raises(InputError, match=r"0\.0% of the soft labels name the class of their image"):
        run([(replace(some, labels=some.labels.roll(6)), tmp_path)], test, rules)
    few = some.select((some.labels < 2).nonzero()[:, 0])
    relabel(few.pixels(), Static(teacher="eval"), teacher, tmp_path / "two", seed=0, device=CPU)
    two = replace(few, classes=names[:2])
    with pytest.raises(InputError, match="labels have 6 classes, but there are 2"):
        run([(two, tmp_path / "two")], replace(two, name="tests"), rules)


def test_unless_a_teacher_is_asked_the_normalisation_is_that_of_the_set(tmp_path, teacher):
    some = images()
    relabel(some.pixels(), Static(teacher="eval"), teacher, tmp_path, seed=0, device=CPU)
    made = run([(some, tmp_path)], what=plan(recipe("sre2l-cifar", **{"labels.kind": "static"})))
    said = "of the set itself, since no teacher is asked for labels"
    assert any(note.endswith(said) for note in made.notes)
    rules = recipe("sre2l-cifar", **{"labels.kind": "hard", "loss.kind": "cross_entropy"})
    alone, beside = (run(what=plan(rules), teachers=teachers) for teachers in ((), [teacher]))
    assert alone.runs["convnet1"][0].curve == beside.runs["convnet1"][0].curve, "a ceiling changes no student"
    assert alone.notes == beside.notes
    online = run(what=plan(recipe("sre2l-cifar")), teachers=[teacher])
    assert not any(said in note for note in online.notes)
