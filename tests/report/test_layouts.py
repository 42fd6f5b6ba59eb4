"""Tables as papers lay them out keep apart what does not compare, and say what every number comes from."""

import pytest
from msgspec.structs import replace

from divbench.errors import ResultError
from divbench.report.layouts import tables_by_ipc, tables_by_network
from divbench.report.render import Measured
from divbench.results import Interval
from tests.records import PROTOCOL, make_result, make_score, twinned, uneven
from tests.report.students import make_accuracy, trained_result


def vendi(name, value, ipc=10, **changes):
    interval = Interval(value - 0.1, value + 0.1, 0.95, "t over 3 classes", "these sets")
    per_class = ((value - 0.1, value, value + 0.1),)
    score = make_score("vendi", (value,), per_class, {"random": (2.2, 2.4)}, interval=interval)
    return make_result(name, scores=(score,), ipc=ipc, **changes)


def test_entries_by_images_per_class():
    (table,) = tables_by_ipc([vendi("a", 2.0, 50), vendi("b", 1.5), vendi("a", 1.0), vendi("c", 1.5)])
    assert table.title == "vendi ↑, class scope, against real"
    assert table.measure == "vendi ↑"
    assert table.columns == ["entry", "IPC 10", "IPC 50"]
    assert table.rows == [
        ["a", Measured(1.0, 0.9, 1.1), Measured(2.0, 1.9, 2.1)],
        ["b", Measured(1.5, 1.4, 1.6), None],
        ["c", Measured(1.5, 1.4, 1.6), None],
        ["(random real)", pytest.approx(2.3), pytest.approx(2.3)],
    ]
    assert table.bold == {(1, 1), (2, 1)}, "alone in its column is not best"
    assert table.rules == {3}
    assert "n = 1 set: every entry" in table.notes
    assert "(random real): mean of n = 2 seeds" in table.notes
    assert "± 95%, t over 3 classes: about these sets" in table.notes


def test_uneven_sets_stand_in_columns_of_their_own():
    results = [uneven(vendi("a", 1.0), (2, 2, 20)), uneven(vendi("b", 1.5), (2, 20, 20)), vendi("a", 2.0)]
    (table,) = tables_by_ipc(results)
    assert table.columns == ["entry", "IPC 2-20, 24 images", "IPC 2-20, 42 images", "IPC 10"]
    assert [row[1:] for row in table.rows[:2]] == [
        [Measured(1.0, 0.9, 1.1), None, Measured(2.0, 1.9, 2.1)],
        [None, Measured(1.5, 1.4, 1.6), None],
    ]


def test_random_students_that_differ_between_entries_are_named():
    results = [trained_result(name, make_accuracy(random=value)) for name, value in (("a", 0.9), ("b", 0.7))]
    (table,) = tables_by_ipc(results, metrics=["accuracy"])
    assert table.rows[2:] == [["(random real: a)", pytest.approx(90)], ["(random real: b)", pytest.approx(70)]]
    (table,) = tables_by_network(results)
    assert table.columns[-2:] == ["(random real: a)", "(random real: b)"]


def test_a_table_for_each_metric_in_their_order():
    results = [trained_result("a", make_accuracy()), make_result("b", ipc=50)]
    titles = [table.measure for table in tables_by_ipc(results, metrics=["vendi", "accuracy", "coverage"])]
    assert titles == ["vendi ↑", "accuracy/convnet3 % ↑", "coverage ↑"]
    accuracies = tables_by_ipc(results, metrics=["accuracy"])[0]
    assert accuracies.rows == [["a", pytest.approx((55.0, 50.0, 60.0, None)), None], ["b", None, None]]
    assert accuracies.title == "accuracy/convnet3 % ↑, class scope"
    assert not any("protocol" in note for note in accuracies.notes)
    with pytest.raises(ResultError, match="no result holds 'vendi' at dataset scope"):
        tables_by_ipc(results, "dataset", ["vendi"])
    assert tables_by_ipc(results, "dataset")[0].title == "accuracy/convnet3 % ↑, dataset scope"


def test_recipes_may_change_with_images_per_class_but_not_inside_a_column():
    ten = trained_result("a", make_accuracy(recipe="ten", digest="10"))
    fifty = trained_result("a", make_accuracy(recipe="fifty", digest="50"), ipc=50)
    (table,) = tables_by_ipc([fifty, ten], metrics=["accuracy"])
    said = [note for note in table.notes if "students" in note]
    assert [note[:37] for note in said] == [
        "IPC 10: students convnet3 10: recipe ",
        "IPC 50: students convnet3 50: recipe ",
    ]
    other = trained_result("b", make_accuracy(recipe="fifty", digest="50"))
    with pytest.raises(ResultError, match="a and b have different recipes, labels or test sets of convnet3"):
        tables_by_ipc([ten, other])
    alike = [trained_result("a", make_accuracy()), trained_result("a", make_accuracy(), ipc=50)]
    (note,) = [n for n in tables_by_ipc(alike, metrics=["accuracy"])[0].notes if "students" in n]
    assert note.startswith("students convnet3 ")


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        ({"protocol": replace(PROTOCOL, metrics={"vendi": {"q": 2.0}})}, "protocols"),
        ({"real_digest": "x"}, "real sets"),
    ],
)
def test_protocols_and_real_sets_agree_over_the_whole_table(changes, what):
    with pytest.raises(ResultError, match=f"have different {what}"):
        tables_by_ipc([vendi("a", 1.0), vendi("a", 1.0, 50, **changes)])


def test_one_result_for_each_cell():
    first = vendi("a", 1.0)
    again = replace(first, sets=(replace(first.sets[0], digest="other"),))
    with pytest.raises(ResultError, match="two results are both a with 10 images per class; .*--name"):
        tables_by_ipc([first, again])
    part = trained_result("a", make_accuracy(), scored=False)
    assert [len(t.rows[0]) for t in tables_by_ipc([first, part])] == [2, 2], "parts of one are one"
    bare = replace(first, sets=(replace(first.sets[0], per_class=()),))
    with pytest.raises(ResultError, match="a: its images have no labels"):
        tables_by_ipc([bare])


def test_every_count_is_said_and_one_run_has_no_interval():
    results = [
        trained_result("a", make_accuracy(accuracies=(0.5, 0.6, 0.7))),
        trained_result("b", make_accuracy(accuracies=(0.5,))),
        trained_result("a", make_accuracy(accuracies=(0.5, 0.6, 0.7)), ipc=50),
        trained_result("b", make_accuracy(accuracies=(0.5, 0.6)), ipc=50, sets=2),
    ]
    diversity, table = tables_by_ipc(results, metrics=["vendi", "accuracy"])
    assert table.rows[1][1] == 50.0
    assert {note for note in table.notes if note.startswith("n = ")} == {
        "n = 3 runs: a IPC 10, a IPC 50",
        "n = 1 run, and so no interval: b IPC 10",
        "n = 2 runs on 2 sets: b IPC 50",
    }
    assert {note for note in diversity.notes if note.startswith("n = ")} == {
        "n = 1 set: a IPC 10, b IPC 10, a IPC 50",
        "n = 2 sets: b IPC 50",
    }


def test_changes_stand_below_what_was_changed():
    results = [vendi("a", 1.0), vendi("z", 1.0), vendi("a+b", 1.5), vendi("a", 2.0, 50), vendi("a+b", 2.1, 50)]
    results = [twinned(one) for one in results]
    (table,) = tables_by_ipc(results, pairs=True)
    assert [row[0] for row in table.rows] == ["a", "a+b", "Δ a+b − a", "z", "(random real)"]
    assert [cell.value for cell in table.rows[2][1:]] == pytest.approx([0.5, 0.1])
    assert table.rows[2][1].p == 2 / 2**6
    assert table.rules == {3, 4}
    assert table.notes[0].startswith("Δ: ± 95% t interval over 6 classes")
    assert table.bold == {(1, 1), (1, 2)}
    trained = [twinned(one) for one in (trained_result("a", make_accuracy()), make_result("a+b"))]
    diversity, accuracy = tables_by_ipc(trained, metrics=["vendi", "accuracy"], pairs=True)
    assert len(diversity.rows) == len(accuracy.rows) + 2, "a change and a yardstick, which accuracies here have not"
    with pytest.raises(ResultError, match="no pair of before and after among a, a"):
        tables_by_ipc([vendi("a", 1.0), vendi("a+b", 1.5, 50)], pairs=True)


def test_the_family_of_a_test_is_all_that_is_shown():
    """Six classes can give p = 1/32 at least; Holm doubles it where two metrics are shown."""
    results = [make_result("a"), make_result("a+b", scores=(make_score(), vendi("", 3.0).scores[0]))]
    results = [twinned(one) for one in results]
    for metrics, p in ((["vendi"], 1 / 32), (["vendi", "coverage"], 1 / 16)):
        assert tables_by_ipc(results, metrics=metrics, pairs=True)[0].rows[2][1].p == p


def test_networks_by_entries():
    results = [
        trained_result("a", make_accuracy(random=0.3), make_accuracy("vgg", (0.9, 1.0))),
        trained_result("a+b", make_accuracy(accuracies=(0.7, 0.8)), make_accuracy("vgg", (0.1,))),
        trained_result("c", make_accuracy(accuracies=(0.2,)), ipc=50),
    ]
    ten, fifty = tables_by_network(results, pairs=True)
    assert ten.measure == "accuracy % ↑, IPC 10"
    assert ten.columns == ["network", "a", "a+b", "Δ a+b − a", "(random real)"]
    assert [row[0] for row in ten.rows] == ["convnet3", "vgg"]
    assert ten.rows[0][1] == pytest.approx((55.0, 50.0, 60.0, None))
    assert ten.rows[0][3].value == pytest.approx(20.0)
    assert ten.rows[0][4] == pytest.approx(30.0)
    assert ten.rows[1][2] == pytest.approx(10.0)
    assert ten.rows[1][4] is None
    assert ten.bold == {(0, 2), (1, 1)}
    assert ten.bold_note.startswith("bold: the best value of a row")
    assert "n = 1 run, and so no interval: a+b vgg" in ten.notes
    assert fifty.columns == ["network", "c"]
    assert fifty.rows == [["convnet3", 20.0], ["vgg", None]]
    assert not fifty.bold


def test_networks_are_those_of_students():
    result = trained_result("a", make_accuracy(), make_accuracy("vgg"))
    (table,) = tables_by_network([result], metrics=["accuracy/vgg"])
    assert [row[0] for row in table.rows] == ["vgg"]
    with pytest.raises(ResultError, match="choose among accuracies, not 'vendi'"):
        tables_by_network([result], metrics=["accuracy", "vendi"])
    with pytest.raises(ResultError, match="train some first"):
        tables_by_network([make_result()])
    others = trained_result("b", make_accuracy(), make_accuracy("vgg"), real_digest="x")
    assert len(tables_by_network([result, others])[0].columns) == 3, "the real set of other metrics does not matter"
