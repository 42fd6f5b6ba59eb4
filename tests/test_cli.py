"""The command line as a user meets it: output, files, messages and exit status."""

import json
import os
import shutil
import subprocess
import sys

import msgspec
import numpy as np
import pytest
import torch
from click.testing import CliRunner
from PIL import Image

from divbench.cli import FORMATS as CLI_FORMATS
from divbench.cli import main
from divbench.images import read_images, write_images
from divbench.images.manifest import load_manifest
from divbench.report.render import FORMATS
from divbench.results import load_result, save_result
from divbench.teacher import load_teacher
from tests.generate.teachers import CLASSES, real_set, write_teacher
from tests.records import PROTOCOL, make_result, twinned
from tests.report.students import make_accuracy, trained_result


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("DIVBENCH_CACHE", str(tmp_path / "cache"))


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """A real set of three classes with forty images each, and two synthetic ones with six."""
    root = tmp_path_factory.mktemp("sets")
    g = np.random.default_rng(0)
    base = g.integers(40, 200, (3, 6, 6, 3))
    for name, count in (("real", 40), ("one", 6), ("two", 6)):
        for c, folder in enumerate(("ant", "bee", "cow")):
            (root / name / folder).mkdir(parents=True)
            for i in range(count):
                pixels = np.clip(base[c] + g.normal(0, 25, base[c].shape), 0, 255).astype(np.uint8)
                Image.fromarray(pixels).save(root / name / folder / f"{i:03}.png")
    return root


def run(*arguments):
    return CliRunner().invoke(main, [str(a) for a in arguments])


def test_score_writes_a_result_and_prints_a_table(folders, tmp_path):
    out = tmp_path / "r.json"
    done = run("score", folders / "one", "--real", folders / "real", "-p", "quick", "-o", out)
    assert done.exit_code == 0, done.stderr
    assert "coverage ↑" in done.stdout
    assert "one: 18 images, 3 classes x 6, against 120 of real" in done.stdout
    assert "class folders" in done.stderr
    result = load_result(out)
    assert result.name == "one"
    assert result.protocol.name == "quick"
    assert result.sets[0].per_class == (6, 6, 6)
    assert len(result.scores) == 18


def test_a_name_of_the_users_with_a_number_sign_is_kept_whole(folders, tmp_path):
    shutil.copytree(folders / "one", tmp_path / "run#1")
    done = run("score", tmp_path / "run#1", "--real", folders / "real", "-p", "quick", "-o", tmp_path / "r.json")
    assert done.exit_code == 0, done.stderr
    assert load_result(tmp_path / "r.json").name == "run#1"


def test_several_sets_are_seeds_and_ipc_takes_the_first(folders, tmp_path):
    out = tmp_path / "r.json"
    done = run(
        "score", folders / "one", folders / "two", "--real", folders / "real", "-p", "quick", "--ipc", 5,
        "--name", "both", "-o", out,
    )  # fmt: skip
    assert done.exit_code == 0, done.stderr
    result = load_result(out)
    assert (result.name, len(result.sets), result.ipc) == ("both", 2, (5, 5))
    assert result.score("coverage").interval.about == "the method"


def test_a_second_run_reads_no_image_and_says_the_same(folders, tmp_path, monkeypatch):
    for path in folders.rglob("*.png"):
        os.utime(path, (1e9, 1e9))
    real_now = __import__("time").time_ns
    monkeypatch.setattr("time.time_ns", lambda: real_now() + 10**10)
    monkeypatch.setattr("time.time", lambda: real_now() / 1e9 + 10)
    arguments = ("score", folders / "one", "--real", folders / "real", "-p", "quick", "--format", "json")
    first = run(*arguments)
    assert first.exit_code == 0, first.stderr

    def never(*_):
        raise AssertionError("an image was read")

    monkeypatch.setattr("divbench.embedders._reading.read_chunk", never)
    again = run(*arguments, "--input-size", 6)
    assert again.exit_code == 0, again.stderr
    assert again.stdout == first.stdout


def test_compare_and_differences(folders, tmp_path):
    for name in ("one", "two"):
        assert (
            run(
                "score", folders / name, "--real", folders / "real", "-p", "quick", "-o", tmp_path / f"{name}.json"
            ).exit_code
            == 0
        )
    done = run("compare", tmp_path / "one.json", tmp_path / "two.json")
    assert done.exit_code == 0, done.stderr
    assert [line.split()[0] for line in done.stdout.splitlines()[5:8]][:2] == ["one", "two"]
    assert "(collapse to mean)" in done.stdout
    done = run("compare", "--differences", tmp_path / "one.json", tmp_path / "two.json", "--format", "json")
    assert set(json.loads(done.stdout)["rows"][0]) >= {"minus one", "Δ coverage", "Δ coverage_p"}
    done = run("compare", tmp_path / "one.json", "-o", tmp_path / "t.md")
    assert done.exit_code == 0
    assert done.stdout == ""
    assert (tmp_path / "t.md").read_text().count("|") > 20


def test_compare_refuses_to_mix(tmp_path):
    other = msgspec.structs.replace(PROTOCOL, metrics={"coverage": {"k": 9}})
    save_result(make_result("a"), tmp_path / "a.json")
    save_result(make_result("b", protocol=other), tmp_path / "b.json")
    done = run("compare", tmp_path / "a.json", tmp_path / "b.json")
    assert done.exit_code == 2
    assert "different protocols" in done.stderr
    assert run("compare", "--mixed", tmp_path / "a.json", tmp_path / "b.json").exit_code == 0


@pytest.fixture
def pair(tmp_path):
    """Files of SRe2L and SRe2L+DiRe with ten images per class, and of another entry with fifty."""
    entries = (("sre2l", "SRe2L", 10), ("dire", "SRe2L+DiRe", 10), ("mtt", "MTT", 50))
    for file, name, ipc in entries:
        save_result(twinned(trained_result(name, make_accuracy(), ipc=ipc)), tmp_path / file)
    return [tmp_path / file for file, _, _ in entries]


def test_compare_chooses_metrics_and_pairs(pair):
    done = run("compare", *pair, "--metrics", "vendi, accuracy", "--pairs", "--format", "csv")
    assert done.exit_code == 0, done.stderr
    head, *rows = done.stdout.splitlines()
    assert head.startswith("entry,IPC,sets,vendi,vendi_low,vendi_high,vendi_p,accuracy/convnet3 %,")
    assert [row.split(",")[0] for row in rows[:4]] == ["SRe2L", "SRe2L+DiRe", "Δ SRe2L+DiRe − SRe2L", "MTT"]
    done = run("compare", *pair[:2], "--metrics", "vendi", "--differences")
    assert "Δ vendi ↑" in done.stdout
    assert "Δ coverage" not in done.stdout


def test_compare_by_images_per_class_and_by_network(pair, tmp_path):
    done = run("compare", *pair, "--by", "ipc", "--metrics", "vendi", "--pairs", "--format", "json")
    assert done.exit_code == 0, done.stderr
    (table,) = json.loads(done.stdout)
    assert [row["entry"] for row in table["rows"]][:4] == ["SRe2L", "SRe2L+DiRe", "Δ SRe2L+DiRe − SRe2L", "MTT"]
    assert {"IPC 10", "IPC 10_p", "IPC 50"} <= set(table["rows"][0])
    done = run("compare", *pair, "--by", "network", "--scope", "dataset", "-o", tmp_path / "t.tex")
    assert done.exit_code == 0, done.stderr
    written = (tmp_path / "t.tex").read_text()
    assert r"convnet3 & \textbf{55.0 $\pm$5.0} & \textbf{55.0 $\pm$5.0} \\" in written
    assert "accuracy % ↑, IPC 50, dataset scope" in written


def test_compare_shows_sets_one_by_one(pair):
    done = run("compare", *pair[:2], "--sets", "--metrics", "vendi", "--format", "csv")
    assert done.exit_code == 0, done.stderr
    head, *rows = done.stdout.splitlines()
    assert head == "entry,set,IPC,digest,vendi"
    assert [row.split(",")[0] for row in rows] == ["SRe2L", "SRe2L+DiRe"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["--metrics", "vendi,vendy"],
            "no result holds 'vendy' at class scope; choose from coverage, vendi, accuracy/",
        ),
        (["--by", "ipc", "--mixed"], "--by lays out comparable results: leave out --mixed"),
        (["--by", "ipc", "--differences"], "leave out --mixed, --pairs, --by and --scope"),
        (["--pairs", "--differences"], "leave out --mixed, --pairs, --by and --scope"),
        (["--pairs", "--mixed"], "--pairs pairs the classes of comparable results: leave out --mixed"),
        (["--pairs", "--scope", "dataset"], "--pairs pairs the classes of comparable results: leave out"),
        (["--sets", "--cost"], "--sets is a table of its own: leave out all options but --metrics and --scope"),
        (["--by", "class"], "'class' is not one of 'ipc', 'network'"),
        (["--by", "network", "--metrics", "vendi"], "choose among accuracies, not 'vendi'"),
    ],
)
def test_compare_says_what_does_not_go_together(pair, arguments, message):
    done = run("compare", *pair, *arguments)
    assert done.exit_code == 2
    assert message in done.stderr
    assert done.stdout == ""


@pytest.mark.parametrize("what", ["metrics", "embedders", "protocols", "readers", "datasets", "students", "networks"])
def test_lists(what):
    done = run("list", what)
    assert done.exit_code == 0, done.stderr
    expected = {
        "metrics": "coverage", "embedders": "resnet18", "protocols": "paper-clip",
        "readers": "npz", "datasets": "digits", "students": "sre2l-cifar", "networks": "mobilenetv2",
    }  # fmt: skip
    assert expected[what] in done.stdout


def test_cache_commands(folders, tmp_path):
    run("score", folders / "one", "--real", folders / "real", "-p", "quick")
    held = run("cache", "info").stdout
    assert str(tmp_path / "cache") in held
    assert " 0 files" not in held
    assert "removed" in run("cache", "clear").stdout
    assert ": 0 files, 0.0 MiB" in run("cache", "info").stdout


@pytest.fixture(scope="module")
def insects(tmp_path_factory):
    """A folder of real images, and a teacher for it."""
    root = tmp_path_factory.mktemp("insects")
    write_images(real_set(), root / "real")
    write_teacher(root / "teacher.safetensors")
    return root


GENERATE = ("--set", "iterations=3", "--set", "labels={kind='static', teacher='eval'}", "--ipc", "2", "--device", "cpu")


def test_generate_writes_a_set_that_score_reads(insects, tmp_path):
    out = tmp_path / "out"
    asked = ("generate", "digits/sre2l+dire", "--real", insects / "real", "--teacher", insects / "teacher.safetensors")
    done = run(*asked, *GENERATE, "-o", out)
    assert done.exit_code == 0, done.stderr
    assert "generated by digits/sre2l+dire" in done.stdout
    assert "teacher: right on" in done.stdout
    assert "losses: bn_matching" in done.stdout
    assert "divbench set" in done.stderr
    again = run(*asked, *GENERATE, "-o", out)
    assert again.exit_code == 0, again.stderr
    assert "is complete already; nothing was done" in again.stderr
    assert "iterations=3" in again.stdout
    scored = run("score", out, "--real", insects / "real", "-p", "quick", "-o", tmp_path / "r.json")
    assert scored.exit_code == 0, scored.stderr
    result = load_result(tmp_path / "r.json")
    assert result.sets[0].per_class == (2, 2, 2)
    assert result.sets[0].origin == load_manifest(out / "set.json").origin
    assert "generated by digits/sre2l+dire" in scored.stdout


@pytest.mark.slow
def test_regenerate_makes_the_set_of_a_result_again(insects, tmp_path):
    out, result, teacher = tmp_path / "out", tmp_path / "r.json", insects / "teacher.safetensors"
    from_real = ("--real", insects / "real")
    changed = ("--set", "terms.cosine_diversity.weight=0.5", "--seed", "3", "--float")
    assert (
        run("generate", "digits/sre2l", *from_real, "--teacher", teacher, *GENERATE, *changed, "-o", out).exit_code == 0
    )
    assert run("score", out, *from_real, "-p", "quick", "--ipc", "1", "-o", result).exit_code == 0
    for number, record in enumerate((result, out, out / "set.json")):
        again = tmp_path / f"again{number}"
        made = run("regenerate", record, *from_real, "--teacher", teacher, "-o", again)
        assert made.exit_code == 0, made.stderr
        compared = record != result
        assert f"the same images and {'labels' if compared else 'classes'}, digest " in made.stdout
        assert ("holds no digest of soft labels" in made.stdout) == (not compared)
        assert "terms.cosine_diversity.weight=0.5" in made.stderr
        assert read_images(again).pixels().equal(read_images(out).pixels())
        assert (again / "master.safetensors").exists()
    write_teacher(tmp_path / "other.safetensors", remark="another file")
    other = run("regenerate", result, *from_real, "--teacher", tmp_path / "other.safetensors", "-o", tmp_path / "no")
    assert other.exit_code == 2
    assert "another teacher (" in other.stderr


def test_regenerate_takes_no_set_that_is_there_for_a_new_one(insects, tmp_path, monkeypatch):
    """A complete set is no evidence; what an interrupted call left is gone on with."""
    out, again = tmp_path / "out", tmp_path / "again"
    from_real = ("--real", insects / "real", "--teacher", insects / "teacher.safetensors")
    assert run("generate", "digits/sre2l", *from_real, *GENERATE, "-o", out).exit_code == 0
    nothing = run("regenerate", out, "--real", tmp_path / "nowhere", "-o", out)
    assert nothing.exit_code == 2
    assert f"{out}: exists already, and a set is verified only by making it now" in nothing.stderr
    with monkeypatch.context() as broken:
        broken.setattr("divbench.generate.generate._label", lambda *_: (_ for _ in ()).throw(OSError("disk")))
        assert run("regenerate", out, *from_real, "-o", again).exit_code == 2
    assert (tmp_path / "again.unfinished").exists()
    monkeypatch.setattr("divbench.generate.generate._recover_batch", None)  # nothing is recovered twice
    made = run("regenerate", out, *from_real, "-o", again)
    assert made.exit_code == 0, made.stderr
    assert f"{again}: the same images and labels, digest " in made.stdout


def test_regenerate_says_what_differs(insects, tmp_path):
    out, from_real = tmp_path / "out", ("--real", insects / "real", "--teacher", insects / "teacher.safetensors")
    assert run("generate", "digits/sre2l", *from_real, *GENERATE, "-o", out).exit_code == 0
    image = next((out / "images").rglob("*.png"))
    Image.fromarray(255 - np.asarray(Image.open(image))).save(image)
    made = run("regenerate", out, *from_real, "-o", tmp_path / "again")
    assert made.exit_code == 1
    assert "other images or classes: digest " in made.stdout
    Image.fromarray(255 - np.asarray(Image.open(image))).save(image)
    labels = out / "labels.safetensors"
    labels.write_bytes(labels.read_bytes()[:-1] + b"!")
    made = run("regenerate", out, *from_real, "-o", tmp_path / "more")
    assert made.exit_code == 1
    assert "other soft labels: labels.safetensors. They were made by " in made.stdout


def test_regenerate_starts_from_tensors_as_generate_did(insects, tmp_path):
    """Normalised in a way that nothing but the option tells."""
    start, out, again = tmp_path / "start", tmp_path / "out", tmp_path / "again"
    start.mkdir()
    pixels = (torch.arange(0, 192, 3).view(8, 8) + 10 * torch.arange(6).view(6, 1, 1, 1)).expand(6, 3, 8, 8)
    torch.save((pixels / 255 - 0.4) / 0.3, start / "images_best.pt")
    torch.save(torch.arange(3).repeat_interleave(2), start / "labels_best.pt")
    started = ("--start", start, "--normalized", ",".join(["0.4"] * 3 + ["0.3"] * 3), "--real", insects / "real")
    still = ("--set", "iterations=0", "--set", "start=stored", "--set", "labels={kind='hard'}", "--ipc", "2")
    taught = ("--teacher", insects / "teacher.safetensors")
    made = run("generate", "digits/sre2l", *started, *still, *taught, "--device", "cpu", "-o", out)
    assert made.exit_code == 0, made.stderr
    assert run("regenerate", out, *started, *taught, "-o", again).exit_code == 0
    assert read_images(again).pixels().equal(pixels.to(torch.uint8))


@pytest.mark.slow
def test_regenerate_asks_which_set(insects, tmp_path):
    from_real = ("--real", insects / "real", "--teacher", insects / "teacher.safetensors")
    sets = [tmp_path / "s0", tmp_path / "s1"]
    for seed, out in enumerate(sets):
        made = run("generate", "digits/sre2l", *from_real, *GENERATE, "--seed", str(seed), "-o", out)
        assert made.exit_code == 0, made.stderr
    result = tmp_path / "r.json"
    assert run("score", *sets, "--real", insects / "real", "-p", "quick", "--name", "two", "-o", result).exit_code == 0
    asked = run("regenerate", result, *from_real, "-o", tmp_path / "again")
    assert asked.exit_code == 2
    assert "holds several sets: sre2l (seed 0), sre2l (seed 1); say which with --seed" in asked.stderr
    made = run("regenerate", result, *from_real, "--seed", "1", "-o", tmp_path / "again")
    assert made.exit_code == 0, made.stderr
    assert read_images(tmp_path / "again").pixels().equal(read_images(sets[1]).pixels())
    nothing = run("regenerate", insects / "real", *from_real, "-o", tmp_path / "none")
    assert nothing.exit_code == 2
    assert "holds no set that says how it was generated" in nothing.stderr


def test_squeeze_writes_a_teacher_that_generate_takes(insects, tmp_path):
    teacher = tmp_path / "teacher.safetensors"
    few = ("--epochs", "2", "--set", "batch=10")
    trained = run("squeeze", insects / "real", "--like", "digits", *few, "-o", teacher, "--device", "cpu")
    assert trained.exit_code == 0, trained.stderr
    assert "resnet18, 2 epochs, right on" in trained.stdout
    assert trained.stderr.count("epoch") >= 2
    learned = load_teacher(teacher)
    assert learned.classes == CLASSES
    assert learned.size == 8
    learned.check_fits(real_set())


@pytest.mark.slow
@pytest.mark.parametrize("slow", [True, False])
def test_who_asks_for_bfloat16_is_told_where_it_is_slow(insects, tmp_path, monkeypatch, slow):
    monkeypatch.setattr("divbench.precision.bfloat16_is_slow", lambda device: slow)
    real, teacher, made = insects / "real", insects / "teacher.safetensors", tmp_path / "made"
    half = ("--set", "precision=bfloat16", "--device", "cpu")
    few = ("--set", "iterations=1", "--set", "labels={kind='hard'}", "--ipc", "2")
    generated = run("generate", "digits/sre2l", "--real", real, "--teacher", teacher, *few, *half, "-o", made)
    commands = [
        generated,
        run(
            "squeeze",
            real,
            "--like",
            "digits",
            "--epochs",
            "1",
            "--set",
            "batch=10",
            *half,
            "-o",
            tmp_path / "t.safetensors",
        ),
        run("train", made, "--test", real, "--net", "convnet1", "--epochs", "1", "--set", "least_steps=1", *half),
        run("score", made, "--real", real, "-p", "quick", "--precision", "bfloat16", "--device", "cpu"),
        run("regenerate", made, "--real", real, "--teacher", teacher, "-o", tmp_path / "again"),
    ]
    for done in commands:
        assert done.exit_code == 0, done.stderr
        assert ("caution: this CPU has no instructions for bfloat16" in done.stderr) == slow
    assert ("interrupt it and add --set precision=float32" in generated.stderr) == slow
    plain = run("score", made, "--real", real, "-p", "quick")
    assert "bfloat16" not in plain.stderr


@pytest.mark.parametrize("what", ["recipes", "terms", "methods"])
def test_what_generation_knows_is_listed(what):
    done = run("list", what)
    assert done.exit_code == 0
    assert {"recipes": "cifar10/sre2l+dire", "terms": "dpp_diversity", "methods": "cda"}[what] in done.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["generate", "sre2l", "--real", "mine", "-o", "x"], "say which numbers to use: cifar10/sre2l,"),
        (["generate", "cifar10/srel", "--real", "mine", "-o", "x"], "did you mean 'cifar10/sre2l'?"),
        (["generate", "sre2l", "--real", "digits", "--ipc", "0", "-o", "x"], "0 is not in the range x>=1"),
        (["generate", "sre2l", "--real", "digits", "-o", "x"], "needs a teacher; give --teacher FILE"),
        (["generate", "sre2l", "--real", "digits", "--set", "lr=1", "-o", "x"], "--set lr=1: the recipe has no 'lr'"),
        (["generate", "sre2l", "--real", "digits", "--set", "ipc=ten", "-o", "x"], "Expected `int`, got `str`"),
        (["generate", "sre2l", "--real", "digits", "--set", "dataset=x", "-o", "x"], "write a .toml of your own"),
        (["generate", "sre2l", "--real", "digits", "--ipc", "2", "--set", "ipc=3", "-o", "x"], "give one of them"),
        (
            ["generate", "sre2l", "--real", "digits", "--set", "terms.cross_entropy.weight=nan", "-o", "x"],
            "a finite number",
        ),
        (["squeeze", "digits", "--set", "batch"], "expected key=value"),
        (["squeeze", "mine"], "say whose numbers to use (--like)"),
        (["score"], "Missing argument 'SET...'"),
        (["score", "x"], "Missing option '--real'"),
        (["score", "x", "--real", "nowhere"], "nowhere: no such file, folder or data set"),
        (["score", "x", "--real", "CIFAR-10"], "no such file, folder or data set; did you mean 'cifar10'?"),
        (["score", "x", "--real", "digits", "-p", "papr"], "unknown protocol 'papr'; known: paper-clip"),
        (["score", "digits", "--real", "digits", "-p", "quick", "-e", "pixls"], "did you mean 'pixels'"),
        (["score", "digits", "--real", "digits", "-p", "quick", "--split", "dev"], "has no split 'dev'"),
        (["score", "digits", "--real", "digits", "-p", "quick", "--ipc", "500"], "500 were asked for"),
        (["score", "x", "--real", "digits", "--ipc", "many"], "'many' is not a valid integer"),
        (["compare", "none.json"], "none.json: cannot be read"),
        (["list", "metric"], "'metric' is not one of"),
        (["compar"], "No such command 'compar'"),
    ],
)
def test_wrong_usage_exits_2_and_says_what_to_do(arguments, message):
    done = run(*arguments)
    assert done.exit_code == 2
    assert message in done.stderr
    assert done.stdout == ""
    assert "Traceback" not in done.stderr


def test_an_unwritable_output_is_said_before_the_work(folders, tmp_path):
    done = run("score", folders / "one", "--real", folders / "real", "-p", "quick", "-o", tmp_path / "no" / "r.json")
    assert done.exit_code == 2
    assert "no/r.json" in done.stderr
    assert not (tmp_path / "cache").exists()


def test_unreadable_images_are_all_listed_or_skipped(folders, tmp_path):
    for c in ("ant", "bee", "cow"):
        (tmp_path / "bad" / c).mkdir(parents=True)
        for i in range(6):
            (tmp_path / "bad" / c / f"{i}.png").write_bytes((folders / "one" / c / f"{i:03}.png").read_bytes())
    (tmp_path / "bad" / "ant" / "0.png").write_bytes(b"")
    (tmp_path / "bad" / "cow" / "5.png").write_bytes(b"no image")
    done = run("score", tmp_path / "bad", "--real", folders / "real", "-p", "quick")
    assert done.exit_code == 2
    assert "2 of 18 images cannot be read" in done.stderr
    assert "ant/0.png" in done.stderr
    assert "cow/5.png" in done.stderr
    done = run("score", tmp_path / "bad", "--real", folders / "real", "-p", "quick", "--skip-bad")
    assert done.exit_code == 0, done.stderr
    assert "caution [skipped] bad: 2 unreadable files were left out" in done.stdout


def test_ratios_and_metrics_have_plain_names_in_csv_and_json(folders):
    arguments = ("score", folders / "one", "--real", folders / "real", "-p", "quick", "--format")
    row = json.loads(run(*arguments, "json").stdout)["rows"][0]
    assert row["metric"] == "coverage"
    assert row["value_over_iid"] == pytest.approx(row["value"] / row["i.i.d."])
    assert (
        run(*arguments, "csv")
        .stdout.splitlines()[0]
        .startswith("metric,scope,value,value_low,value_high,value_over_iid")
    )


def test_how_classes_were_matched_is_shown(folders):
    assert (
        "one: classes matched by name: ant = ant"
        in run("score", folders / "one", "--real", folders / "real", "-p", "quick").stdout
    )


def test_real_images_of_several_sizes_need_a_stated_size(folders, tmp_path):
    for c in ("ant", "bee", "cow"):
        (tmp_path / "mixed" / c).mkdir(parents=True)
        for i in range(8):
            Image.new("RGB", (6, 6) if i else (9, 6), (i * 20, 10, 10)).save(tmp_path / "mixed" / c / f"{i}.png")
    done = run("score", folders / "one", "--real", tmp_path / "mixed", "-p", "quick")
    assert done.exit_code == 2
    assert "images have several sizes (6x6, 9x6)" in done.stderr
    assert run("score", folders / "one", "--real", tmp_path / "mixed", "-p", "quick", "--input-size", 6).exit_code == 0


def test_a_table_suffix_for_the_result_is_refused(folders, tmp_path):
    done = run("score", folders / "one", "--real", folders / "real", "-p", "quick", "-o", tmp_path / "t.csv")
    assert done.exit_code == 2
    assert "as JSON and not .csv" in done.stderr


def test_labels_in_another_order_are_noticed(folders, tmp_path):
    images = {
        c: [np.asarray(Image.open(p)) for p in sorted((folders / "one" / c).iterdir())] for c in ("bee", "ant", "cow")
    }
    pixels = torch.from_numpy(np.stack([x for own in images.values() for x in own])).permute(0, 3, 1, 2)
    torch.save({"images": pixels, "labels": torch.arange(3).repeat_interleave(6)}, tmp_path / "swapped.pt")
    done = run("score", tmp_path / "swapped.pt", "--real", folders / "real", "-p", "quick")
    assert done.exit_code == 0, done.stderr
    assert "caution [label-order]" in done.stdout
    assert "ant -> bee" in done.stdout


def test_formats_are_the_tables():
    assert CLI_FORMATS == FORMATS


def test_every_option_says_its_default_or_is_a_flag():
    score = main.commands["score"]
    for option in (p for p in score.params if p.param_type_name == "option"):
        assert option.help
        stated = "default" in option.help or option.show_default or option.is_flag or option.required
        assert stated or option.name in ("mean_std", "normalized", "per_class", "classes", "output"), option.name


def test_python_m_divbench():
    done = subprocess.run([sys.executable, "-m", "divbench", "--version"], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("divbench, version")


def test_train_adds_accuracies_to_scores_and_compare_shows_both(folders, tmp_path):
    few = (
        "--test",
        folders / "real",
        "--net",
        "convnet1",
        "--set",
        "least_steps=2",
        "--epochs",
        "2",
        "--device",
        "cpu",
    )
    for name in ("one", "two"):
        out = tmp_path / f"{name}.json"
        assert run("score", folders / name, "--real", folders / "real", "-p", "quick", "-o", out).exit_code == 0
        done = run("train", folders / name, *few, "--runs", "2", "-o", out)
        assert done.exit_code == 0, done.stderr
        assert "accuracy % ↑" in done.stdout
        assert f"[2/2] convnet1 on {name}, seed 1: " in done.stderr
        assert not (tmp_path / f"{name}.json.unfinished").exists()
    shown = run("compare", tmp_path / "one.json", tmp_path / "two.json").stdout
    assert "coverage ↑" in shown
    assert "accuracy" in shown
    assert "students convnet1" in shown
    scored = run("score", folders / "one", "--real", folders / "real", "-p", "quick", "-o", tmp_path / "one.json")
    assert scored.exit_code == 0, "scored again, the accuracies stay"
    assert len(load_result(tmp_path / "one.json").accuracy("convnet1").runs) == 2
    again = run("train", folders / "one", *few, "--runs", "3", "-o", tmp_path / "one.json")
    assert "[3/3] convnet1 on one, seed 2: " in again.stderr
    assert "[2/3]" not in again.stderr, "what is there is not trained again"
    other = run("train", folders / "two", *few, "-o", tmp_path / "one.json")
    assert other.exit_code == 2
    assert "is the result of other images (one) than two; give another -o" in other.stderr
    grown = run("train", folders / "one", folders / "two", *few, "-o", tmp_path / "one.json")
    assert "its diversity was that of 1 of these 2 sets and is left out; measure that of all with" in grown.stderr
    assert load_result(tmp_path / "one.json").protocol is None
    yardstick = run("train", folders / "one", *few, "--yardsticks", "--real", folders / "two", "--format", "csv")
    assert "random real %" in yardstick.stdout


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--recipe", "quik"], "there is no training recipe 'quik'; did you mean 'quick'?"),
        (["--set", "lr=fast"], "Expected `float`, got `str`"),
        (["--set", "augment.mxi=none"], "did you mean 'augment.mix'?"),
        (["--set", "batch=500"], "batch is 500, but the set has 18 images"),
        (["--net", "resnet19"], "did you mean 'resnet18'"),
        (["--recipe", "sre2l-cifar"], "needs a teacher: give --teacher FILE"),
        (["--recipe", "sre2l-in1k"], "has no soft labels"),
        (["--mean-std", "imagenet"], "for students: --set mean_std="),
        (["--teacher", "t.safetensors"], "the recipe has hard labels and asks none; leave it out"),
        (["--yardsticks", "--real", "digits"], "digits: its 10 classes"),
        (["-o", "r.csv"], "-o keeps the result, as JSON"),
        (["--real", "digits"], "--real is for the yardstick: add --yardsticks"),
        (["--runs", "0"], "0 is not in the range x>=1"),
        (["--ipc", "7"], "7 were asked for"),
        (["--teacher", "none.safetensors", "--recipe", "sre2l-cifar"], "none.safetensors: no such file"),
        (["-o", "nowhere/r.json"], "there is no folder nowhere"),
    ],
)
def test_train_says_what_is_wrong(folders, tmp_path, monkeypatch, arguments, complaint):
    monkeypatch.chdir(tmp_path)
    done = run("train", folders / "one", "--test", folders / "real", "--net", "convnet1", "--epochs", "1", *arguments)
    assert done.exit_code == 2
    assert complaint in done.stderr
    assert os.listdir(tmp_path) == []
