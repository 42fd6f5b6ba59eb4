"""Made again from what is recorded: what is compared, and over which classes."""

import pytest
import torch

from divbench.generate import relabel
from divbench.generate.generate import generate
from divbench.generate.job import Options
from divbench.generate.recipe import change, load_recipe
from divbench.generate.regenerate import generated_sets, regenerate
from tests.generate.teachers import real_set, write_teacher

OPTIONS = Options(device=torch.device("cpu"))
SMALL = ("iterations=1", "ipc=2", "batch.per_class=2", "labels={kind='static', teacher='eval'}")


@pytest.fixture(scope="module")
def teacher(tmp_path_factory):
    return write_teacher(tmp_path_factory.mktemp("teacher") / "teacher.safetensors")


@pytest.fixture(scope="module")
def before(teacher, tmp_path_factory):
    folder = tmp_path_factory.mktemp("before") / "out"
    recipe = change(load_recipe("digits/sre2l"), SMALL)
    generate(recipe, real_set(), folder, teacher=teacher, options=OPTIONS)
    return generated_sets(folder)[0]


def test_other_soft_labels_are_not_the_same_set(before, teacher, tmp_path, monkeypatch):
    label = relabel._label_static
    monkeypatch.setattr(relabel, "_label_static", lambda *given: -3 * label(*given))
    made = regenerate(before, real_set(), tmp_path / "again", teacher=teacher, options=OPTIONS)
    assert made.found == made.expected
    assert made.other_labels == ("labels.safetensors",)
    assert not made.same
    unseen = regenerate(before._replace(folder=None), real_set(), tmp_path / "more", teacher=teacher, options=OPTIONS)
    assert unseen.other_labels is None
    assert unseen.same, "a result holds no digest of soft labels"
