"""The demo from end to end, with too few steps to be worth anything."""

from pathlib import Path

import msgspec
import pytest

from divbench.demo import PAGE, RECIPES, demo
from divbench.errors import OutputError
from divbench.generate.recipe import change, load_recipe
from divbench.images import read_images
from divbench.report.config import EmbedderSource, SetSource, load_config
from divbench.results import load_result
from divbench.train.recipe import change_training, load_training


@pytest.fixture
def hurried(monkeypatch):
    training = {
        "teachers": change_training(load_training("teachers", "digits"), epochs=1, warmup_epochs=0, batch=256),
        "students": change_training(load_training("students", "quick"), least_steps=2, epochs=2),
    }
    monkeypatch.setattr("divbench.demo.load_training", lambda kind, name: training[kind])
    monkeypatch.setattr("divbench.generate.job._BETTER_THAN_CHANCE", -1.0)
    monkeypatch.setattr(
        "divbench.demo.load_recipe", lambda name, dataset: change(load_recipe(name, dataset), ("iterations=2",))
    )


@pytest.mark.slow
def test_it_goes_the_whole_way_and_finds_it_again(hurried, few_digits, tmp_path, monkeypatch):
    said = []
    made = demo(tmp_path / "demo", say=said.append)
    assert [line.partition("] ")[2].split()[0] for line in said] == [
        "train", "train", "sre2l:", "sre2l+dire:", "score", "train", "put",
    ]  # fmt: skip
    assert all("s left]" in line for line in said)
    assert [result.name for result in made.results] == list(RECIPES)
    for name, result in zip(RECIPES, made.results, strict=True):
        assert len(read_images(tmp_path / "demo" / name)) == 100
        assert load_result(tmp_path / "demo" / f"{name}.json") == result
        assert "resnet18 small-stem" in result.embedder
        assert len(result.score("accuracy/convnet3").values) == 3
    assert len(made.results[0].score("accuracy/convnet3").reference["random"]) == 3
    plain, dire = (msgspec.structs.replace(load_recipe(name, "digits"), name="", description="") for name in RECIPES)
    assert plain.terms != dire.terms
    monkeypatch.setattr("divbench.train.train.Training", None)  # no student is trained again
    page = (tmp_path / "demo" / "report.html").read_bytes()
    assert b"sre2l+dire" in page
    assert b"Where the images lie" in page
    monkeypatch.setattr("divbench.demo.present", lambda *arguments, **options: page.decode())
    again = demo(tmp_path / "demo")
    assert [r.scores for r in again.results] == [r.scores for r in made.results]
    assert (tmp_path / "demo" / "images.png").is_file()


def test_the_report_file_says_what_the_demo_does():
    told = load_config(Path(__file__).parents[1] / "reports" / "demo.toml")
    inside = "../divbench-demo/"
    assert told == msgspec.structs.replace(
        PAGE,
        note=told.note,
        results=tuple(inside + one for one in PAGE.results),
        sets=tuple(SetSource(inside + one.path) for one in PAGE.sets),
        embedder=EmbedderSource(weights=inside + PAGE.embedder.weights),
    )
    assert told.note.split() == PAGE.note.split()


def test_a_place_that_is_taken_is_refused(hurried, tmp_path):
    (tmp_path / "demo").write_text("mine")
    with pytest.raises(OutputError, match="demo: cannot be made"):
        demo(tmp_path / "demo")
