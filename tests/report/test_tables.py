"""Tables keep what was measured, say what is missing, and never mix protocols in silence."""

import csv
import io
import json

import msgspec
import pytest

from divbench.errors import ResultError
from divbench.report.render import FORMATS, render
from divbench.report.tables import compare_table, differences_table, score_table
from divbench.results import Interval
from tests.records import PROTOCOL, make_result, make_score


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


@pytest.mark.parametrize("format", FORMATS)
def test_every_format_of_every_table(format):
    results = [make_result("a"), make_result("<script>_100%")]
    for table in (score_table(results[0]), compare_table(results), differences_table(results)):
        text = render(table, format)
        assert text.endswith("\n")
        assert len(text.splitlines()) > 1
    text = render(compare_table(results), format)
    if format == "html":
        assert "<script>" not in text
        assert "&lt;script&gt;" in text
    if format == "latex":
        assert r"\ensuremath{<}script\ensuremath{>}\_100\%" in text
        assert "↑" not in "".join(line for line in text.splitlines() if not line.startswith("%"))


def test_differences_are_paired_over_classes():
    higher = make_score(values=(0.4,), per_class=((0.3, 0.39, 0.51),))
    table = differences_table([make_result("a"), make_result("b", scores=(higher, make_result().score("vendi")))])
    cell = table.rows[0][1]
    assert cell.value == pytest.approx(0.1)
    assert cell.low < 0.1 < cell.high
    assert cell.p == pytest.approx(2 * 2 / 2**3)  # Holm over two metrics of the smallest p of three classes
    assert "about these sets, not about the methods" in table.notes[0]


def test_differences_need_two_entries_of_equal_size_with_classes():
    with pytest.raises(ResultError, match="two or more results"):
        differences_table([make_result()])
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
