"""From a recipe to a folder: what is written, what is refused, and that nothing changes a byte."""

import errno
import json
import os
import pickle
import shutil
import socket
from contextlib import contextmanager
from dataclasses import replace

import msgspec
import pytest
import safetensors.torch
import torch
from PIL import Image
from torch.multiprocessing.spawn import spawn

from divbench import parallel
from divbench.embedders.embed import embed
from divbench.errors import DivbenchError, InputError, OutputError, RecipeError, RecoveryError
from divbench.generate.generate import generate
from divbench.generate.job import Options
from divbench.generate.real import FeatureBank
from divbench.generate.recipe import change, load_recipe
from divbench.images import read_images, write_images
from divbench.images.manifest import load_manifest
from divbench.labels.store import read_labels
from divbench.teacher import load_teacher
from tests.generate.teachers import CLASSES, real_set, write_teacher

CPU = torch.device("cpu")
SMALL = ("iterations=6", "ipc=4", "batch.classes=2", "batch.per_class=2", "labels={kind='hard'}")


def small(name="digits/sre2l+dire", *changes):
    return change(load_recipe(name), (*SMALL, *changes))


@pytest.fixture(scope="module")
def teacher(tmp_path_factory):
    return write_teacher(tmp_path_factory.mktemp("teacher") / "teacher.safetensors")


def options(**given):
    return Options(**{"device": CPU, **given})


def run(folder, recipe=None, real=None, teacher=None, progress=None, **given):
    extra = {} if progress is None else {"progress": progress}
    return generate(recipe or small(), real or real_set(), folder, teacher=teacher, options=options(**given), **extra)


def files(folder):
    """Every file but set.json, whose seconds and date differ, with its bytes."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != "set.json"
    }


@pytest.fixture(scope="module")
def whole(teacher, tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole") / "out"
    run(folder, teacher=teacher, keep_float=True)
    return folder


def test_what_is_written_can_be_read_and_made_again(whole, teacher):
    images = read_images(whole)
    assert images.classes == CLASSES
    assert images.labels.tolist() == [0] * 4 + [1] * 4 + [2] * 4
    assert images.pixels().shape == (12, 3, 8, 8)
    origin = load_manifest(whole / "set.json").origin
    made = msgspec.convert(origin.recipe, type(small()))
    assert made.optimizer == small().optimizer
    assert made.terms["bn_matching"] == {"begin": 0.0, **small().terms["bn_matching"]}, "defaults are written out"
    assert (origin.seed, origin.ipc, origin.teacher_sha256) == (0, 4, teacher.sha256)
    assert origin.teacher_accuracy > 0.9
    assert origin.bytes["images"] == sum(len(data) for name, data in files(whole).items() if name.endswith("png"))
    assert set(origin.losses) == {w for w, s in small().terms.items() if s["weight"]}
    assert images.origin == origin
    assert origin.peak_memory > 2**20
    assert [path.name for path in whole.parent.iterdir()] == ["out"]


def test_the_loss_is_smaller_at_the_end(whole):
    losses = load_manifest(whole / "set.json").origin.losses
    assert sum(last for _, last in losses.values()) < sum(first for first, _ in losses.values())


def test_the_kept_images_are_those_before_rounding(whole):
    kept = safetensors.torch.load_file(whole / "master.safetensors")
    pixels = ((kept["images"] * 0.25 + 0.5).clamp(0, 1) * 255).round().to(torch.uint8)
    assert torch.equal(pixels, read_images(whole).pixels())
    assert kept["images"].abs().max() <= 2 + 1e-6


@pytest.mark.slow
def test_the_same_seed_gives_the_same_bytes_and_another_others(whole, teacher, tmp_path):
    run(tmp_path / "again", teacher=teacher, keep_float=True)
    assert files(tmp_path / "again") == files(whole)
    run(tmp_path / "other", teacher=teacher, keep_float=True, seed=1)
    assert files(tmp_path / "other") != files(whole)


class Stop(BaseException):
    pass


@pytest.mark.slow
@pytest.mark.parametrize("after", [0, 1, 3])
def test_interrupted_and_resumed_is_uninterrupted(whole, teacher, tmp_path, after):
    done = []

    @contextmanager
    def progress(title, total):
        def advance(steps, text=""):
            if title.startswith("recover"):
                done.append((steps, text))
                if len(done) > after:
                    raise Stop

        yield advance

    with pytest.raises(Stop):
        run(tmp_path / "out", teacher=teacher, keep_float=True, progress=progress)
    assert not (tmp_path / "out").exists()
    assert len(list((tmp_path / "out.unfinished").glob("batch-*"))) == after
    said = []

    @contextmanager
    def listen(title, total):
        yield lambda steps, text="": said.append((title, total, steps, text))

    run(tmp_path / "out", teacher=teacher, keep_float=True, progress=listen)
    assert files(tmp_path / "out") == files(whole)
    assert not (tmp_path / "out.unfinished").exists()
    steps = [s for s in said if s[0].startswith("recover")]
    assert sum(s[2] for s in steps) == steps[0][1] == 4 * 6
    if after:
        assert steps[0][2:] == (after * 6, "found finished batches")
    assert "batch 4/4 bn_matching" in steps[-1][3]


def test_a_folder_beside_a_finished_set_is_not_ours_to_remove(whole, teacher, tmp_path):
    shutil.copytree(whole, tmp_path / "out")
    (tmp_path / "out.unfinished").mkdir()
    (tmp_path / "out.unfinished" / "thesis.txt").write_text("years of work")
    run(tmp_path / "out", teacher=teacher, keep_float=True)
    assert (tmp_path / "out.unfinished" / "thesis.txt").exists()


def test_what_a_run_left_beside_its_set_is_removed(teacher, tmp_path, monkeypatch):
    monkeypatch.setattr("divbench.generate.work.Work.discard", lambda *_: None)
    run(tmp_path / "out", teacher=teacher)
    assert (tmp_path / "out.unfinished").exists()
    monkeypatch.undo()
    run(tmp_path / "out", teacher=teacher)
    assert not (tmp_path / "out.unfinished").exists()


def test_other_labels_take_the_place_of_those_that_were_begun(teacher, tmp_path, monkeypatch):
    def stop(*_, **__):
        raise Stop

    monkeypatch.setattr("divbench.generate.generate._finish", stop)
    with pytest.raises(Stop):
        run(tmp_path / "out", small("digits/sre2l", "labels={kind='static', teacher='eval'}"), teacher=teacher)
    monkeypatch.undo()
    assert (tmp_path / "out.unfinished" / "set" / "labels.safetensors").exists()
    fkd = "labels={kind='fkd', epochs=1, batch=4, crop=0.5, mix='none', alpha=1.0, teacher='eval'}"
    run(tmp_path / "out", small("digits/sre2l", fkd), teacher=teacher)
    assert read_labels(tmp_path / "out").kind == "fkd"


def test_a_finished_set_is_left_alone(whole, teacher):
    before = {path: path.stat().st_mtime_ns for path in whole.rglob("*")}
    assert run(whole, teacher=teacher, keep_float=True).seed == 0
    assert {path: path.stat().st_mtime_ns for path in whole.rglob("*")} == before


@pytest.mark.parametrize("harm", ["remove", "replace"])
def test_a_damaged_set_is_not_taken_for_finished(whole, teacher, tmp_path, harm):
    shutil.copytree(whole, tmp_path / "out")
    image = tmp_path / "out" / "images" / "bee" / "00001.png"
    image.unlink() if harm == "remove" else image.write_bytes(b"junk")
    with pytest.raises(OutputError, match="was changed since it was generated"):
        run(tmp_path / "out", teacher=teacher, keep_float=True)


def test_another_recipe_seed_or_teacher_does_not_touch_it(whole, teacher, tmp_path):
    before = files(whole)
    with pytest.raises(OutputError, match=r"holds another set: generated by .*other: optimizer\.lr\)"):
        run(whole, small("digits/sre2l+dire", "optimizer.lr=0.2"), teacher=teacher, keep_float=True)
    with pytest.raises(OutputError, match=r"other: seed"):
        run(whole, teacher=teacher, keep_float=True, seed=3)
    with pytest.raises(OutputError, match=r"real_digest"):
        run(whole, real=real_set(seed=5), teacher=teacher, keep_float=True)
    assert files(whole) == before
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("years of work")
    with pytest.raises(OutputError, match="holds no set that divbench generated"):
        run(tmp_path / "mine", teacher=teacher)
    (tmp_path / "new.unfinished").mkdir()
    (tmp_path / "new.unfinished" / "thesis.txt").write_text("years of work")
    with pytest.raises(OutputError, match="is no unfinished work of divbench"):
        run(tmp_path / "new", teacher=teacher)


def test_unfinished_work_of_another_run_is_refused(teacher, tmp_path):
    @contextmanager
    def stop(title, total):
        def advance(steps, text=""):
            if title.startswith("recover"):
                raise Stop

        yield advance

    with pytest.raises(Stop):
        run(tmp_path / "out", teacher=teacher, progress=stop)
    with pytest.raises(OutputError, match=r"unfinished work of another run \(other: seed\)"):
        run(tmp_path / "out", teacher=teacher, seed=1)


def process(rank, world, port, folder, teacher):
    os.environ |= {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": str(world)}
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    torch.set_num_threads(1)
    made = []

    @contextmanager
    def listen(title, total):
        yield lambda steps, text="": made.append(steps if title.startswith("recover") else 0)

    run(folder / "out", teacher=load_teacher(teacher), keep_float=True, progress=listen)
    shares = parallel.gather_json(sum(made))
    try:
        run(folder / "bad", real=real_set(size=4), teacher=load_teacher(teacher))
        said = ""
    except DivbenchError as error:
        said = str(error)
    (folder / f"{rank}.result").write_bytes(pickle.dumps((shares, said)))


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.mark.slow
def test_two_processes_write_what_one_writes(whole, teacher, tmp_path):
    spawn(process, (2, free_port(), tmp_path, teacher.path), nprocs=2)
    assert files(tmp_path / "out") == files(whole)
    results = [pickle.loads((tmp_path / f"{rank}.result").read_bytes()) for rank in range(2)]  # noqa: S301
    assert results[0] == results[1]
    assert results[0][0] == [12, 12], "each does half of the steps"
    assert "trained on images of 8 pixels" in results[0][1]


def test_layout_and_format_of_other_peoples_tools(teacher, tmp_path):
    run(tmp_path / "out", small("digits/sre2l", "format=jpeg75"), teacher=teacher, layout="sre2l")
    names = sorted(str(p.relative_to(tmp_path / "out" / "images")) for p in (tmp_path / "out").rglob("*.jpg"))
    assert names[:2] == ["new000/class000_id000.jpg", "new000/class000_id001.jpg"]
    with Image.open(tmp_path / "out" / "images" / names[0]) as image:
        assert image.format == "JPEG"
        assert image.quantization[0][0] == 8, "the first coefficient of quality 75"
    images = read_images(tmp_path / "out")
    assert len(images) == 12
    assert images.labels.tolist() == [0] * 4 + [1] * 4 + [2] * 4


def test_real_images_are_where_it_can_start(teacher, tmp_path):
    still = ("iterations=0", "start=real")
    assert run(tmp_path / "out", small("digits/sre2l", *still), teacher=teacher).losses == {}
    real = real_set()
    for pixels, label in zip(read_images(tmp_path / "out").pixels(), [0] * 4 + [1] * 4 + [2] * 4, strict=True):
        own = real.pixels()[real.labels == label]
        assert any(torch.equal(pixels, one) for one in own)
    assert len({bytes(p.numpy()) for p in read_images(tmp_path / "out").pixels()}) == 12, "all different"
    with pytest.raises(InputError, match=r"class 'ant' has 2 images, but start = 'real' needs 4"):
        run(tmp_path / "few", small("digits/sre2l", *still), real=real_set(each=2), teacher=teacher)


def test_real_images_near_centroids_are_where_it_can_start(teacher, tmp_path):
    real, still = real_set(), small("digits/sre2l", "iterations=0", "start=kmeans")
    run(tmp_path / "out", still, teacher=teacher, seed=1)
    chosen = read_images(tmp_path / "out")
    bank = FeatureBank(embed(real, teacher.embedder().at_size(8)).features, [], "")
    for label in range(3):
        expected = real.pixels()[bank.central((real.labels == label).nonzero()[:, 0], 4, 1)]
        assert torch.equal(chosen.pixels()[chosen.labels == label], expected)
    with pytest.raises(InputError, match=r"class 'ant' has 2 images, but start = 'kmeans' needs 4"):
        run(tmp_path / "few", small("digits/sre2l", "start=kmeans"), real=real_set(each=2), teacher=teacher)
    with pytest.raises(InputError, match=r"start = 'kmeans' needs a teacher; give --teacher FILE"):
        run(tmp_path / "none", small("digits/dm", "start=kmeans"))


def test_the_images_nearest_to_centroids():
    """Two tight groups of four, far apart: the nearest to the mean of each, whatever the seed; and no image twice."""
    features = torch.tensor([[0.0], [50.0], [0.3], [50.5], [1.0], [51.0], [0.5], [50.6]])
    bank = FeatureBank(torch.cat([torch.full((3, 1), 7.0), features]), [], "")
    for seed in (*range(4), 2**32, 2**70):
        assert sorted(bank.central(torch.arange(3, 11), 2, seed).tolist()) == [3 + 3, 3 + 6], "means .45 and 50.525"
    close = FeatureBank(torch.tensor([[0.0], [0.1], [9.0], [5.0]]), [], "")
    assert sorted(close.central(torch.tensor([0, 1, 2]), 3, 0).tolist()) == [0, 1, 2]


def test_stored_images_are_where_it_can_start(teacher, tmp_path):
    stored = real_set(each=5, seed=4)
    write_images(stored, tmp_path / "stored")
    still = small("digits/sre2l", "iterations=0", "start=stored")
    start = read_images(tmp_path / "stored")
    run(tmp_path / "out", still, teacher=teacher, start=start)
    expected = torch.cat([stored.pixels()[stored.labels == c][:4] for c in range(3)])
    assert torch.equal(read_images(tmp_path / "out").pixels(), expected)
    with pytest.raises(RecipeError, match="needs a set to start from"):
        run(tmp_path / "none", still, teacher=teacher)
    with pytest.raises(RecipeError, match="add --set start=stored"):
        run(tmp_path / "unasked", small(), teacher=teacher, start=start)


@pytest.mark.parametrize("name", ["cda", "cda+dire", "dm", "dm+dire", "sre2l+dire-released"])
def test_every_method_runs_on_one_loop(name, teacher, tmp_path):
    changes = ("method.width=8", "method.real_batch=8", "augment.roll=[0, 1]")
    recipe = small(f"digits/{name}", *(changes if name.startswith("dm") else ()))
    made = run(tmp_path / "out", recipe, teacher=None if name == "dm" else teacher)
    assert all(torch.isfinite(torch.tensor(pair)).all() for pair in made.losses.values())
    assert len(read_images(tmp_path / "out")) == 12
    assert (made.teacher_sha256 is None) == (name == "dm")


def test_dm_brings_class_means_together(tmp_path):
    recipe = small("digits/dm", "method.width=16", "method.real_batch=12", "iterations=60", "start=noise")
    made = run(tmp_path / "out", recipe)
    first, last = made.losses["mean_matching"]
    assert last < 0.5 * first


@pytest.mark.parametrize("kind", ["static", "fkd"])
def test_soft_labels_are_of_the_images_on_disk(kind, teacher, tmp_path):
    wanted = {
        "static": "labels={kind='static', teacher='eval'}",
        "fkd": "labels={kind='fkd', epochs=3, batch=5, crop=0.5, mix='cutmix', alpha=1.0, teacher='eval'}",
    }[kind]
    made = run(tmp_path / "out", small("digits/sre2l", wanted), teacher=teacher)
    pixels = read_images(tmp_path / "out").pixels()
    store = read_labels(tmp_path / "out")
    store.check_fits(pixels)
    assert (store.kind, store.samples, store.classes) == (kind, 12, 3)
    assert made.bytes["labels"] > 0
    if kind == "static":
        logits = teacher.network()((pixels.float() / 255 - 0.5) / 0.25)
        torch.testing.assert_close(store.static(), logits, rtol=1e-3, atol=1e-3)
    else:
        assert store.epochs == 3
        assert sorted(store.epoch(2).ids.tolist()) == list(range(12))
    assert len(read_images(tmp_path / "out")) == 12, "labels beside images do not disturb a reader"


def test_a_recipe_without_dire_needs_no_real_features(teacher, tmp_path, monkeypatch):
    monkeypatch.setattr("divbench.generate.job.feature_bank", lambda *_, **__: pytest.fail("not needed"))
    run(tmp_path / "out", small("digits/sre2l"), teacher=teacher)


def test_a_teacher_that_does_not_fit_is_refused(teacher, tmp_path):
    def refused(pattern, **given):
        with pytest.raises(InputError, match=pattern):
            run(tmp_path / "out", **{"teacher": teacher, **given})

    refused("needs a teacher; give --teacher", teacher=None)
    refused("knows 3 classes, but insects has 4", real=real_set(classes=(*CLASSES, "dog")))
    refused("orders or names its classes otherwise.*'ant' for 'cow'", real=real_set(classes=("cow", "bee", "ant")))
    refused("was trained on images of 8 pixels, but insects has some of 4", real=real_set(size=4))
    shuffled = real_set()
    refused("little better than chance", real=replace(shuffled, labels=(shuffled.labels + 1) % 3))
    silent = write_teacher(tmp_path / "silent.safetensors", classes=None)
    refused("little better than chance", teacher=silent, real=replace(shuffled, labels=(shuffled.labels + 1) % 3))
    assert list(tmp_path.iterdir()) == [tmp_path / "silent.safetensors"]


def test_larger_images_are_made_as_large_as_the_teachers(teacher, tmp_path):
    large = real_set()
    pixels = large.pixels().repeat_interleave(2, 2).repeat_interleave(2, 3)
    run(tmp_path / "out", small("digits/sre2l", "start=real"), real=replace(large, images=pixels), teacher=teacher)
    assert read_images(tmp_path / "out").pixels().shape[2:] == (8, 8)


def test_a_teacher_of_two_classes_need_not_be_perfect(tmp_path):
    two = real_set(classes=("ant", "bee"), each=50)
    teacher = write_teacher(tmp_path / "two.safetensors", two)
    wrong = two.labels.clone()
    wrong[:10] = 1
    made = run(tmp_path / "out", small("digits/sre2l"), real=replace(two, labels=wrong), teacher=teacher)
    assert 0.8 < made.teacher_accuracy < 1


@pytest.mark.slow
def test_a_stated_normalisation_reaches_the_real_features(tmp_path):
    write_teacher(tmp_path / "bare.safetensors", mean=0.5, std=0.5)
    state = safetensors.torch.load_file(tmp_path / "bare.safetensors")
    torch.save(state, tmp_path / "bare.pth")
    bare = load_teacher(tmp_path / "bare.pth", mean_std="half")
    run(tmp_path / "out", small(), teacher=bare)


def test_other_labels_keep_the_recovered_images(teacher, tmp_path, monkeypatch):
    def stop(*_, **__):
        raise Stop

    fkd = "labels={kind='fkd', epochs=1, batch=%d, crop=0.5, mix='none', alpha=1.0, teacher='train'}"
    with pytest.raises(RecipeError, match="a batch of the 12 images holds one alone"):
        run(tmp_path / "out", small("digits/sre2l", fkd % 11), teacher=teacher)
    assert not (tmp_path / "out.unfinished").exists(), "it is said before anything is done"
    monkeypatch.setattr("divbench.generate.generate.relabel", stop)
    with pytest.raises(Stop):
        run(tmp_path / "out", small("digits/sre2l", fkd % 6), teacher=teacher)
    monkeypatch.undo()
    monkeypatch.setattr("divbench.generate.generate.recover", stop)
    run(tmp_path / "out", small("digits/sre2l", fkd % 4), teacher=teacher)
    assert read_labels(tmp_path / "out").batch == 4


def test_terms_that_a_method_cannot_serve_are_refused(teacher, tmp_path):
    for term, lacking in (("cross_entropy", "logits"), ("bn_matching", "norms")):
        recipe = small("digits/dm", f"terms.{term}={{weight=1.0}}")
        with pytest.raises(RecipeError, match=f"term '{term}' needs {lacking}, which the networks of method 'dm'"):
            run(tmp_path / "out", recipe, teacher=teacher)
    with pytest.raises(RecipeError, match="size is 0; it must be at least 1"):
        run(tmp_path / "out", small("digits/sre2l", "terms.coreset_distribution_matching={weight=1, size=0}"))


def test_layout_and_kept_images_are_part_of_what_was_asked_for(whole, teacher):
    with pytest.raises(OutputError, match="other: layout"):
        run(whole, teacher=teacher, keep_float=True, layout="sre2l")
    with pytest.raises(OutputError, match="other: keep_float"):
        run(whole, teacher=teacher)


def test_the_order_of_real_images_counts_where_it_matters(teacher, tmp_path):
    recipe = small("digits/sre2l+dire-released")
    run(tmp_path / "out", recipe, teacher=teacher)
    real = real_set()
    with pytest.raises(OutputError, match="real_digest"):
        run(tmp_path / "out", recipe, real=real.select(torch.arange(len(real)).flip(0)), teacher=teacher)


def test_a_place_without_a_folder_is_refused_by_its_own_name(teacher, tmp_path):
    with pytest.raises(OutputError, match=r"deep/out: there is no folder .*deep; make it first"):
        run(tmp_path / "deep" / "out", teacher=teacher)


def test_diversity_with_one_image_of_a_class_is_refused(teacher, tmp_path):
    with pytest.raises(RecipeError, match="nothing to compare"):
        run(tmp_path / "out", small("digits/sre2l+dire", "ipc=1"), teacher=teacher)
    run(tmp_path / "out", small("digits/sre2l", "ipc=1"), teacher=teacher)


def test_a_loss_that_is_no_number_names_batch_step_and_term(teacher, tmp_path, monkeypatch):
    recipe = small("digits/sre2l", "terms.bn_matching.weight=1e39", "terms.cross_entropy.weight=0")
    with pytest.raises(RecoveryError, match=r"batch 0, step 0: bn_matching is NaN or infinite.*last-good") as caught:
        run(tmp_path / "out", recipe, teacher=teacher)
    assert caught.value.terms == ("bn_matching",)
    kept = safetensors.torch.load_file(tmp_path / "out.unfinished" / "batch-00000.last-good.safetensors")
    assert kept["images"].shape == (4, 3, 8, 8)
    assert not (tmp_path / "out").exists()


def test_a_full_disk_leaves_nothing_half_written(teacher, tmp_path, monkeypatch):
    def full(*_, **__):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Image.Image, "save", full)
    with pytest.raises(OutputError, match="No space left on device"):
        run(tmp_path / "out", teacher=teacher)
    assert not (tmp_path / "out").exists()
    assert not list((tmp_path / "out.unfinished").glob("*.partial"))
    monkeypatch.undo()
    run(tmp_path / "out", teacher=teacher)
    assert json.loads((tmp_path / "out" / "set.json").read_text())["origin"]["seed"] == 0
