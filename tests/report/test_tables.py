"""Tables keep what was measured, say what is missing, and never mix protocols in silence."""

import csv
import io
import json

import msgspec
import pytest
from msgspec.structs import replace

from divbench.errors import ResultError
from divbench.gains import measure_gain
from divbench.report.cells import page_table
from divbench.report.render import Measured, render
from divbench.report.tables import accuracy_table, compare_table, differences_table, score_table
from divbench.results import Interval
from tests.records import PROTOCOL, make_origin, make_result, make_score, twinned, uneven
from tests.report.students import make_accuracy, trained_result


def test_score_table_shows_yardstick_controls_interval_and_cautions():
    text = render(score_table(make_result(cautions=("collapse",))))
    row = next(line for line in text.splitlines() if line.startswith("coverage"))
    assert row.split() == ["coverage", "↑", "class", "0.30", "±0.10", "1.2", "0.25", "0.25", "0.5"]
    assert "entry: 30 images, 3 classes x 10, against 300 of real" in text
    assert "caution [collapse] about collapse" in text
    assert "± 95%, jackknife over synthetic images: about these sets" in text
    assert "–" in next(line for line in text.splitlines() if line.startswith("vendi"))


def test_compare_table_has_a_row_for_each_entry_and_control():
    table = compare_table([make_result("a"), make_result("b")])
    assert [row[0] for row in table.rows] == [
        "a", "b", "(i.i.d. yardstick)", "(random real)", "(collapse to mean)",
    ]  # fmt: skip
    assert table.columns == ["entry", "IPC", "sets", "coverage ↑", "/ i.i.d.", "vendi ↑"]
    assert table.rows[2][3:] == [0.25, 1.0, None]


def test_controls_are_shown_for_each_number_of_images():
    table = compare_table([make_result("a"), make_result("b", ipc=50)])
    assert [row[1] for row in table.rows if row[0] == "(random real)"] == [10, 50]
    assert "unequal images per class" in table.notes[0]


def test_unevenness_of_another_kind_is_another_number_of_images():
    """The same smallest and largest class, yet other yardsticks, no common best, and no pair."""
    few, many = uneven(make_result("a"), (2, 2, 20)), uneven(make_result("a+b"), (2, 20, 20))
    many = replace(many, scores=(make_score(values=(0.4,), per_class=((0.4,) * 3,), reference={"iid": (0.35,)}),))
    table = compare_table([few, many])
    found = {row[0]: row[3] for row in table.rows if "yardstick" in row[0]}
    assert found == {"(i.i.d. yardstick: a)": 0.25, "(i.i.d. yardstick: a+b)": 0.35}
    assert table.bold == set()
    assert "unequal images per class" in table.notes[0]
    with pytest.raises(ResultError, match="no pair of before and after"):
        compare_table([few, many], pairs=True)


def test_references_that_differ_between_entries_are_named():
    """Students have them from their own runs; controls of scores, which agree, stand once."""
    a, b, c = (
        trained_result(name, make_accuracy(random=value)) for name, value in {"a": 0.9, "b": 0.9, "c": 0.7}.items()
    )
    plain = make_result("d")
    rows = {row[0]: row[3:] for row in compare_table([a, b, c, plain]).rows}
    assert rows["(random real: a, b, d)"] == [0.25, 1.0, pytest.approx(2.3), pytest.approx(90)]
    assert rows["(random real: c)"] == [0.25, 1.0, pytest.approx(2.3), pytest.approx(70)]
    assert "(collapse to mean)" in rows
    assert "(random real)" in {row[0] for row in compare_table([a, b, plain]).rows}
    kinds = {row.cells[0].text: row.kind for row in page_table(compare_table([a, c])).rows}
    assert (kinds["a"], kinds["(random real: c)"]) == ("", "ref")


def test_random_subsets_of_other_real_images_are_another_reference():
    a, b = (trained_result(name, make_accuracy(random=0.9)) for name in "ab")
    b = replace(b, accuracies=(replace(b.accuracies[0], real="other"),))
    named = [row[0] for row in compare_table([a, b]).rows if "random" in row[0]]
    assert named == ["(random real: a)", "(random real: b)"]


def test_different_protocols_or_real_sets_are_not_mixed():
    other = msgspec.structs.replace(PROTOCOL, metrics={"coverage": {"k": 3}, "vendi": {"q": 1.0}})
    for result, what in (
        (make_result("b", protocol=other), "protocols"),
        (make_result("b", real_digest="x"), "real sets"),
    ):
        with pytest.raises(ResultError, match=f"a and b have different {what} .*say --mixed"):
            compare_table([make_result("a"), result])
        table = compare_table([make_result("a"), result], mixed=True)
        assert table.columns[3] == "protocol"
        assert len(table.rows) == 8


def test_no_scores_at_the_scope():
    with pytest.raises(ResultError, match="no result holds scores at dataset scope"):
        compare_table([make_result()], "dataset")


def test_csv_and_json_keep_every_digit_and_missing_cells():
    exact = make_score(values=(1 / 3,), interval=Interval(0.1, 0.7, 0.95, "t", "these sets"))
    table = compare_table(
        [make_result(scores=(exact,)), make_result("none", scores=(make_score(values=(None,), interval=None),))]
    )
    rows = list(csv.DictReader(io.StringIO(render(table, "csv"))))
    assert float(rows[0]["coverage"]) == 1 / 3
    assert (float(rows[0]["coverage_low"]), float(rows[0]["coverage_high"])) == (0.1, 0.7)
    assert float(rows[0]["coverage_over_iid"]) == (1 / 3) / 0.25
    assert rows[1]["coverage"] == ""
    records = json.loads(render(table, "json"))["rows"]
    assert records[0]["coverage"] == 1 / 3
    assert records[1]["coverage"] is None


def test_differences_are_paired_over_classes():
    higher = make_score(values=(0.4,), per_class=((0.3, 0.39, 0.51),))
    results = [make_result("a"), make_result("b", scores=(higher, make_result().score("vendi")))]
    table = differences_table([twinned(one) for one in results])
    cell = table.rows[0][1]
    assert cell.value == pytest.approx(0.1)
    assert cell.low < 0.1 < cell.high
    assert cell.p == pytest.approx(2 * 2 / 2**6)  # Holm over two metrics of the smallest p of six classes
    assert table.notes == [
        "± 95% t interval over 6 classes; p: sign-flip test, Holm over the metrics that are shown of two entries; this "
        "speaks about these sets, not about the methods"
    ]


def test_one_student_alone_is_told_where_its_accuracy_is_tested():
    """Over classes it looks sure; its seed is in no p."""
    pair = [trained_result(name, make_accuracy(accuracies=(value,))) for name, value in (("a", 0.5), ("b", 0.7))]
    table = differences_table([twinned(one) for one in pair], ["accuracy"])
    assert table.rows[0][1].p == 2 / 2**6
    assert table.notes[0].endswith(
        "this speaks about these sets, not about the methods; accuracies in percentage points"
    )
    alone = "one student alone (n = 1) of an entry, whose seed is in no ± and p: accuracy/convnet3"
    assert table.notes[1] == alone
    named = [twinned(replace(pair[0], name="a")), twinned(replace(pair[1], name="a+b"))]
    assert f"Δ: {alone}" in compare_table(named, pairs=True).notes


def test_what_one_entry_lacks_is_tested_of_the_others():
    """A third entry without Vendi neither takes it from the second nor makes the second's family smaller."""
    first, second = (twinned(make_result(name)) for name in "ab")
    third = twinned(make_result("c", scores=(make_score(values=(0.4,), per_class=((0.3, 0.39, 0.51),)),)))
    alone, table = differences_table([first, second]), differences_table([first, second, third])
    assert table.columns == ["minus a", "Δ coverage ↑", "Δ vendi ↑"]
    assert table.rows[0] == alone.rows[0]
    assert (table.rows[1][1].p, table.rows[1][2]) == (2 / 2**6, None)


def test_differences_over_few_classes_are_those_of_the_intervals():
    """No sign-flip test over three classes tells anything; where there is an interval, it does."""
    table = differences_table([make_result("a"), coverage("b", 0.5)])
    cell = table.rows[0][1]
    gain = measure_gain(make_result().score("coverage"), coverage("b", 0.5).score("coverage"))
    assert (cell.value, cell.low, cell.high, cell.p) == pytest.approx((gain.effect, gain.low, gain.high, gain.p))
    assert table.notes[0].startswith("± 95% and p of both entries' own intervals put together, Holm over")
    table = differences_table([make_result("a"), make_result("b")])
    assert table.rows[0][2] is None, "Vendi has none"
    assert table.notes[1].startswith("no test of vendi at class scope: the baseline is one set without an interval")


def seeded(name, *rows):
    """An entry of several sets: its coverage is above as much in all classes, as the seed of a method may be."""
    means = tuple(sum(row) / 3 for row in rows)
    return make_result(name, scores=(make_score(values=means, per_class=rows),), sets=len(rows))


def test_differences_of_several_sets_are_those_of_gains_and_about_the_methods():
    before = seeded("a", (0.20, 0.30, 0.40), (0.25, 0.35, 0.45))
    after = seeded("b", (0.23, 0.33, 0.43), (0.28, 0.38, 0.48), (0.33, 0.43, 0.53))
    table = differences_table([before, after])
    gain = measure_gain(*(one.score("coverage") for one in (before, after)))
    cell = table.rows[0][1]
    assert (cell.value, cell.low, cell.high, cell.p) == pytest.approx((gain.effect, gain.low, gain.high, gain.p))
    assert gain.p > 0.2, "over classes alone it would look sure, since all of them move together"
    assert "Welch over the sets" in table.notes[0]
    assert "about the methods" in table.notes[0]


def test_differences_of_one_set_beside_several_are_about_these_sets():
    before, after = seeded("a", (0.20, 0.30, 0.40)), seeded("b", (0.23, 0.33, 0.43), (0.28, 0.38, 0.49))
    table = differences_table([twinned(before), twinned(after)])
    assert table.rows[0][1].p == 2 / 2**6
    assert table.notes[0].startswith("± 95% t interval over 6 classes; p: sign-flip test")
    several = [seeded(name, (0.1, 0.2, 0.3), (0.2, 0.3, 0.35)) for name in "cd"]
    note = differences_table([twinned(one) for one in (*several, before)]).notes[0]
    assert note.startswith("where both have several sets: ± 95% t interval and p after Welch")
    assert "; else: ± 95% t interval over 6 classes; p: sign-flip test" in note
    assert "only the first speaks about the methods" in note


def test_a_difference_that_nothing_makes_sure_is_left_out():
    same = seeded("a", (0.2, 0.3, 0.4), (0.2, 0.3, 0.4))
    table = differences_table([same, seeded("b", (0.3, 0.4, 0.5), (0.3, 0.4, 0.5))])
    assert table.rows[0][1] is None
    assert table.notes[0].startswith("no test of coverage at class scope: all sets of a side have the same value")


def test_differences_need_two_entries_of_equal_size_with_classes():
    with pytest.raises(ResultError, match="two or more results"):
        differences_table([make_result()])
    with pytest.raises(ResultError, match="no result holds scores at class scope"):
        differences_table([])
    with pytest.raises(ResultError, match="a and b have unequal images per class"):
        differences_table([make_result("a"), make_result("b", ipc=50)])
    bare = make_result("b", scores=(make_score(scope="dataset", per_class=()),))
    with pytest.raises(ResultError, match="every result needs scores of two or more classes"):
        differences_table([make_result("a"), bare])


def test_other_classes_are_not_compared():
    other = msgspec.structs.replace(make_result("b"), classes=("cat", "dog", "cow"))
    with pytest.raises(ResultError, match="a and b have different classes"):
        compare_table([make_result("a"), other])


def test_notebooks_show_a_table():
    shown = make_result(cautions=("<i>",))._repr_html_()
    assert "<table>" in shown
    assert "caution [&lt;i&gt;]" in shown


def coverage(name, value, half=0.001, **changes):
    """A result with this coverage alone, of three classes."""
    interval = Interval(value - half, value + half, 0.95, "t", "these sets")
    score = make_score(values=(value,), per_class=((value - 0.1, value, value + 0.1),), interval=interval)
    return make_result(name, scores=(score,), **changes)


def names_in_bold(table, column="coverage ↑"):
    at = table.columns.index(column)
    assert {c for _, c in table.bold} <= {at}
    return [row[0] for r, row in enumerate(table.rows) if (r, at) in table.bold]


def test_the_best_entry_of_a_column_is_bold_but_no_yardstick():
    table = compare_table([coverage("low", 0.3), coverage("high", 0.4), coverage("same", 0.40004)])
    assert table.rows[-1][3] == 0.5, "a control is higher"
    assert names_in_bold(table) == ["high", "same"], "what looks the same is as good"
    assert table.bold_note == "bold: the best value of a column, whether or not the difference is beyond noise"
    down = make_score("cosine", values=(0.2,), higher_is_better=False)
    lower = make_score(
        "cosine", values=(0.1,), higher_is_better=False, interval=Interval(0.0, 0.2, 0.95, "t", "these sets")
    )
    table = compare_table([make_result("a", scores=(down,)), make_result("b", scores=(lower,))])
    assert names_in_bold(table, "cosine ↓") == ["b"]


def test_nothing_is_bold_without_direction_rival_or_comparison():
    first, second = coverage("a", 0.3), coverage("b", 0.4)
    assert not compare_table([first]).bold
    assert not compare_table([first, second], mixed=True).bold
    assert not compare_table([first, msgspec.structs.replace(make_result("b"), scores=make_result().scores[1:])]).bold
    plain = [msgspec.structs.replace(r.scores[0], metric="density", higher_is_better=None) for r in (first, second)]
    assert not compare_table([make_result("a", scores=plain[:1]), make_result("b", scores=plain[1:])]).bold
    assert not score_table(first).bold


def test_bold_is_sought_among_equal_images_per_class():
    results = [coverage("a", 0.3), coverage("b", 0.4), coverage("c", 0.9, ipc=50)]
    table = compare_table(results)
    assert names_in_bold(table) == ["b"], "nothing to compare the third with"
    assert "among entries of equal images per class" in table.bold_note
    assert names_in_bold(compare_table([*results, coverage("d", 0.8, ipc=50)])) == ["b", "c"]


def test_accuracies_are_percentages_everywhere():
    first = trained_result("a", make_accuracy(accuracies=(0.5, 0.7), random=0.3, teacher=0.9))
    second = trained_result("b", make_accuracy(accuracies=(0.8, 0.9)))
    table = compare_table([first, second])
    at = table.columns.index("accuracy/convnet3 % ↑")
    shown = {row[0]: row[at] for row in table.rows}
    assert shown["a"] == pytest.approx((60.0, 55.0, 65.0, None), abs=1e-9)
    assert (shown["(random real)"], shown["(teacher)"]) == pytest.approx((30.0, 90.0))
    assert table.rows[0][3] == Measured(0.3, 0.2, 0.4), "all else keeps its unit"
    row = next(row for row in score_table(first).rows if row[0] == "accuracy/convnet3 % ↑")
    assert row[2].value == pytest.approx(60.0)
    assert row[-1] == pytest.approx(90.0)
    table = differences_table([first, second])
    assert table.rows[0][table.columns.index("Δ accuracy/convnet3 % ↑")].value == pytest.approx(25.0)
    assert "accuracies in percentage points" in table.notes[0]
    assert json.loads(render(compare_table([first]), "json"))["rows"][0]["accuracy/convnet3 %"] == pytest.approx(60.0)
    assert accuracy_table(first).rows[0][2] == pytest.approx(60.0)
    assert accuracy_table(first).rows[0][-2:] == pytest.approx([30.0, 90.0])


def test_sets_of_one_name_are_told_apart():
    result = trained_result("a", make_accuracy(), sets=3)
    runs = tuple(replace(run, set=place) for run in result.accuracies[0].runs for place in (0, 2))
    result = replace(result, accuracies=(replace(result.accuracies[0], runs=runs),))

    def shown(*changes):
        sets = tuple(replace(one, **change) for one, change in zip(result.sets, changes, strict=True))
        return [row[1] for row in accuracy_table(replace(result, sets=sets)).rows]

    assert shown({"name": "x"}, {"name": "y"}, {"name": "z"}) == ["x", "z"]
    assert shown({}, {}, {}) == ["a (1)", "a (3)"]
    assert shown(*({"origin": make_origin(seed=seed)} for seed in (5, 6, 7))) == ["a, seed 5", "a, seed 7"]
    assert shown(*({"origin": make_origin(seed=seed)} for seed in (5, 6, 6))) == ["a (1)", "a (3)"]


def test_metrics_are_chosen_and_ordered():
    result = trained_result("a", make_accuracy(), make_accuracy("vgg"))
    columns = compare_table([result], metrics=["vendi", "accuracy", "coverage", "vendi"]).columns
    assert columns[3:] == ["vendi ↑", "accuracy/convnet3 % ↑", "accuracy/vgg % ↑", "coverage ↑", "/ i.i.d."]
    assert compare_table([result], metrics=["accuracy/vgg"]).columns[3:] == ["accuracy/vgg % ↑"]
    assert differences_table([result, make_result("b")], ["vendi"]).columns == ["minus a", "Δ vendi ↑"]
    with pytest.raises(ResultError, match="no result holds 'vendy' at class scope; choose from coverage, vendi, acc"):
        compare_table([result], metrics=["vendi", "vendy"])
    with pytest.raises(ResultError, match="no result holds 'accuracy' at class scope"):
        compare_table([make_result()], metrics=["accuracy"])


def test_what_is_not_shown_need_not_agree():
    first = trained_result("a", make_accuracy(digest="1"))
    other = trained_result("b", make_accuracy(digest="2"))
    with pytest.raises(ResultError, match="different recipes"):
        compare_table([first, other])
    table = compare_table([first, other], metrics=["vendi"])
    assert not any("students" in note for note in table.notes)
    moved = trained_result("b", make_accuracy(digest="1"), real_digest="x")
    table = compare_table([first, moved], metrics=["accuracy"])
    assert table.title == "class scope"
    assert not any("protocol" in note for note in table.notes)
    with pytest.raises(ResultError, match="different real sets"):
        compare_table([first, moved], metrics=["vendi"])


def test_pairs_stand_together_with_what_the_second_adds():
    results = [
        coverage("SRe2L", 0.3),
        coverage("MTT", 0.2),
        coverage("SRe2L + DiRe", 0.4),
        coverage("SRe2L+DiRe+x", 0.5),
    ]
    results = [twinned(one) for one in results]
    table = compare_table(results, pairs=True)
    assert [row[0] for row in table.rows[:6]] == [
        "SRe2L", "SRe2L + DiRe", "Δ SRe2L + DiRe − SRe2L", "SRe2L+DiRe+x", "Δ SRe2L+DiRe+x − SRe2L + DiRe", "MTT",
    ]  # fmt: skip
    assert table.rows[2] == ["Δ SRe2L + DiRe − SRe2L", 10, None, Measured(*(pytest.approx(0.1),) * 3, 1 / 32), None]
    assert table.rules == {5, 6}
    assert names_in_bold(table) == ["SRe2L+DiRe+x"]
    assert table.notes[0].startswith("Δ: ± 95% t interval over 6 classes; p: sign-flip test, Holm over the metrics")
    order = [row[0] for row in compare_table(results).rows[:4]]
    assert order == [r.name for r in results], "as given"


def test_pairs_are_of_equal_size_and_known_by_their_names():
    with pytest.raises(ResultError, match=r"no pair .* among a, a\+b: names such as SRe2L and SRe2L\+DiRe .*--name"):
        compare_table([make_result("a"), make_result("a+b", ipc=50)], pairs=True)
    lone = msgspec.structs.replace(make_result("a+b"), scores=make_result().scores[1:])
    table = compare_table([coverage("a", 0.3), lone], pairs=True)
    assert table.rows[2][3:] == [None, None, None], "nothing in common is no difference"
    bare = make_score(scope="dataset", per_class=())
    whole = [make_result(name, scores=(bare,)) for name in ("a", "a+b")]
    with pytest.raises(ResultError, match="those of class means"):
        compare_table(whole, "dataset", pairs=True)


def test_what_sets_of_one_name_have_in_common_is_said_once():
    notes = compare_table([make_result("a", cautions=("copies", "copies", "uneven"), sets=2), make_result("b")]).notes
    assert [note for note in notes if "caution" in note] == [
        "a: caution [copies] about copies",
        "a: caution [uneven] about uneven",
    ]


def test_cautions_say_of_which_entry():
    (note,) = [
        n for n in compare_table([make_result("a", cautions=("x",)), make_result("a", ipc=50)]).notes if "[x]" in n
    ]
    assert note == "a, IPC 10: caution [x] about x"
