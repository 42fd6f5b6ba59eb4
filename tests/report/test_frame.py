"""The data frame holds every number, once, and says what it is."""

import pytest

import divbench
from tests.report.stories import CLASSES, entry


def test_every_number_stands_in_one_row():
    results = [entry("x", accuracy=(0.5, 0.6)), entry("y", vendi=3.0, ipc=50)]
    found = divbench.frame(results)
    mean = found[(found["entry"] == "x") & (found["class"].isna()) & (found["of"] == "set")]
    accuracies = mean[(mean["metric"] == "accuracy/convnet3") & (mean["scope"] == "dataset")]
    assert accuracies["value"].tolist() == [0.5, 0.6]
    assert accuracies["seed"].tolist() == [0, 1]
    vendi = found[(found["metric"] == "vendi") & (found["entry"] == "y") & found["class"].notna()]
    assert vendi["class"].tolist() == list(CLASSES)
    assert vendi["value"].tolist() == list(results[1].score("vendi").per_class[0])
    assert set(vendi["ipc"]) == {50}
    random = found[(found["metric"] == "coverage") & (found["of"] == "random")]
    assert random["value"].tolist() == [0.24, 0.26] * 2
    scores = [score for result in results for score in result.scores]
    parts = [part for s in scores for part in (s.values, *s.per_class, *s.reference.values())]
    numbers = sum(map(len, parts))
    assert len(found) == numbers
    assert not found.duplicated(["entry", "metric", "scope", "of", "seed", "class"]).any()


def test_one_result_is_enough_and_a_pivot_gives_the_means():
    table = divbench.frame(entry("x")).query("`class`.notna()").groupby("metric")["value"].mean()
    assert table["vendi"] == pytest.approx(2.0)
