"""Made again from what is recorded: what is compared, and over which classes."""

from dataclasses import replace

import pytest
import torch

from divbench.errors import InputError
from divbench.generate import relabel
from divbench.generate.generate import generate
from divbench.generate.job import Options
from divbench.generate.recipe import change, load_recipe
from divbench.generate.regenerate import generated_sets, regenerate
from divbench.images import match_sets, read_images
from divbench.train.accuracy import record_of
from tests.generate.teachers import CLASSES, real_set, write_teacher

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


def scored(before, classes, how=None, common=False):
    """What a result says of the set where the real images have ``classes``."""
    labels = torch.arange(len(classes)).repeat_interleave(2)
    real = replace(real_set().select(torch.arange(len(labels))), labels=labels, classes=classes)
    (images,), real = match_sets([read_images(before.folder)], real, how, common)
    return before._replace(record=record_of(images), classes=real.classes, folder=None)


def test_a_result_over_common_classes_alone_is_compared_over_those(before, teacher, tmp_path):
    some = scored(before, ("cow", "ant"), common=True)
    assert (some.classes, some.record.count) == (("cow", "ant"), 4)
    assert regenerate(some, real_set(), tmp_path / "again", teacher=teacher, options=OPTIONS).same


def test_classes_that_do_not_match_are_refused_before_the_first_step(before, teacher, tmp_path, monkeypatch):
    names = scored(before, tuple(f"the {name}" for name in CLASSES), how="index")
    with monkeypatch.context() as no:
        no.setattr("divbench.generate.regenerate.generate", None)
        with pytest.raises(InputError, match=r"a wrong class order gives wrong numbers .*--classes"):
            regenerate(names, real_set(), tmp_path / "no", teacher=teacher, options=OPTIONS)
    assert regenerate(names, real_set(), tmp_path / "out", teacher=teacher, how="index", options=OPTIONS).same
