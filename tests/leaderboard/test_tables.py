"""Tables and the CSV: printed beside measured, and what is missing stays missing, unranked and unaveraged."""

import csv
import io

import pytest
from msgspec.structs import replace

from divbench.leaderboard.board import load_board
from divbench.leaderboard.build import build, derived
from divbench.leaderboard.measured import measured_tables, printed_tables
from divbench.report.render import text
from divbench.results import Caution
from tests.leaderboard.boards import (
    OTHER,
    OURS,
    SECOND,
    make_board,
    put,
    recipe,
    scored,
    three,
)


def table_of(folder, which=0):
    return measured_tables(load_board(folder))[which]


def columns_of(table):
    """Column -> method -> cell."""
    return {name: {row[0]: row[i] for row in table.rows} for i, name in enumerate(table.columns) if i}


def present(column):
    """The cells of methods that have one."""
    return {name: cell for name, cell in column.items() if cell not in (None, "")}


def texts(column):
    return {name: text(cell) for name, cell in present(column).items()}


def bold_of(table):
    return {(table.rows[row][0], table.columns[column]) for row, column in table.bold}


def numbers_of(folder):
    """The CSV as it was written."""
    build(folder)
    return list(csv.DictReader(io.StringIO((folder / "numbers.csv").read_text(), newline="")))


def ranks(rows, quantity):
    kept = [row for row in rows if row["kind"] == "measured" and (row["quantity"], row["scope"]) == (quantity, "class")]
    return {row["method"]: (row["rank"], row["of"]) for row in kept}


def seeds(*levels):
    """A result of several sets, one for each mean of the Vendi Score."""
    made = [scored(vendi=level) for level in levels]
    scores = [
        replace(parts[0], values=tuple(v for part in parts for v in part.values),
                per_class=tuple(row for part in parts for row in part.per_class), interval=None)
        for parts in zip(*(one.scores for one in made), strict=True) if parts[0].metric == "vendi"
    ]  # fmt: skip
    return replace(made[0], scores=tuple(scores), sets=tuple(one.sets[0] for one in made))


# --- measured beside printed


@pytest.fixture
def folder(tmp_path):
    return make_board(tmp_path / "board", three())


CONTROLS = ["(i.i.d. yardstick)", "(random real)", "(collapse to mean)"]


def test_a_table_shows_measured_and_printed_numbers_side_by_side(folder):
    table = table_of(folder)
    assert table.title.startswith("cifar10, 10 images per class, protocol hand-")
    assert table.columns == [
        "method", "kind", "sets", "convnet3 % ↑ (quick)", "convnet3 % printed", "gain in convnet3", "coverage ↑",
        "/ i.i.d.", "coverage printed", "gain in coverage", "vendi ↑", "vendi printed", "gain in vendi", "cosine ↓",
        "cosine printed", "gain in cosine",
    ]  # fmt: skip
    shown = columns_of(table)
    assert shown["kind"] == {
        "Random real": "selected", "Aa": "optimised", "Aa + Xx": "optimised", "Bb": "optimised",
        "Bb + Xx": "optimised", **dict.fromkeys(CONTROLS, ""),
    }  # fmt: skip
    assert list(shown["kind"]) == [row[0] for row in table.rows]
    assert present(shown["sets"]) == {"Random real": 1, "Aa": 1, "Aa + Xx": 1}
    assert present(shown["convnet3 % ↑ (quick)"]) == {
        "Aa": pytest.approx((52, 51, 53, None)), "Aa + Xx": pytest.approx((62, 61, 63, None)),
    }  # fmt: skip
    assert texts(shown["convnet3 % printed"]) == {
        "Aa": "27.2 ± 0.4 (p) / 27.0 (q) [4]", "Aa + Xx": "37.4 ± 1.1", "Bb": "33.10",
    }  # fmt: skip
    assert texts(shown["coverage printed"]) == {
        "Aa": "2.25 %", "Aa + Xx": "3.50 %", "Bb": "2.43 %", "Bb + Xx": "2.84 %",
    }  # fmt: skip
    assert texts(shown["cosine printed"]) == {"Aa": "0.90 [1]", "Aa + Xx": "0.95 [1, 3]"}
    assert shown["coverage printed"]["Bb"].key == pytest.approx(0.0243)
    assert present(shown["/ i.i.d."]) == pytest.approx({"Random real": 0.55, "Aa": 0.5, "Aa + Xx": 0.6})
    assert [shown["coverage ↑"][key] for key in CONTROLS] == pytest.approx([0.2, 0.19, 0.1])
    assert [shown["vendi ↑"][key] for key in CONTROLS] == [None, 2.5, None]
    assert table.notes[0] == "Random real: drawn with seed 0"


def test_runs_that_others_report_in_issues_stand_in_the_csv_alone(folder):
    issue = SECOND.replace("[[table]]", '[[table]]\nsource = "issue"').replace('"q"', '"r"').replace("27.0", "20.0")
    (folder / "reported" / "r.toml").write_text(issue)
    assert "20.0" not in str(columns_of(table_of(folder))["convnet3 % printed"])
    assert [row["value"] for row in numbers_of(folder) if row["where"] == "r Table 1: Aa, 10"] == ["0.2"]


def test_gains_are_marked_where_a_paper_claims_them(folder):
    shown = columns_of(table_of(folder))
    claimed = ("coverage", "cosine", "vendi", "convnet3")
    assert {key: (shown[f"gain in {key}"]["Aa + Xx"], shown[f"gain in {key}"]["Bb + Xx"]) for key in claimed} == {
        "coverage": ("(✓)", ""), "cosine": ("(✗)", ""), "vendi": ("(?)", "○"), "convnet3": ("(✓)", ""),
    }  # fmt: skip
    assert {shown[f"gain in {key}"][name] for key in claimed for name in ("Random real", "Aa", "Bb")} == {""}
    readme = derived(load_board(folder))["README.md"]
    assert all(word in readme for word in ("✓ holds", "? inconclusive", "✗ refuted", "○ not measured"))


def test_a_gain_over_several_seeds_is_about_the_method(tmp_path):
    folder = make_board(tmp_path, [("a", seeds(2.0, 2.1, 2.05)), ("a+x", seeds(2.4, 2.5, 2.45))])
    assert columns_of(table_of(folder))["gain in vendi"]["Aa + Xx"] == "✓"
    assert columns_of(table_of(folder))["sets"]["Aa"] == 3


def test_a_missing_cell_stays_missing_and_its_column_has_no_best_and_no_rank(folder):
    table = table_of(folder)
    shown = columns_of(table)
    assert shown["cosine ↓"]["Random real"] is None
    assert shown["convnet3 % ↑ (quick)"]["Random real"] is None
    assert shown["vendi ↑"]["Bb"] is None
    assert bold_of(table) == {("Aa + Xx", "coverage ↑"), ("Aa + Xx", "vendi ↑")}
    rows = [row for row in numbers_of(folder) if row["kind"] == "measured"]
    assert not [row for row in rows if row["quantity"] in ("cosine", "accuracy") and (row["rank"] or row["of"])]
    assert ranks(rows, "coverage") == {"random": ("2", "3"), "a": ("3", "3"), "a+x": ("1", "3")}
    put(folder, "random", scored(coverage=0.11, cosine=0.7, students=(0.1, 0.2)))
    assert {("Random real", "cosine ↓"), ("Aa + Xx", "convnet3 % ↑ (quick)")} < bold_of(table_of(folder))
    assert ranks(numbers_of(folder), "cosine") == {"random": ("1", "3"), "a": ("2", "3"), "a+x": ("3", "3")}
    assert ranks(numbers_of(folder), "accuracy") == {"random": ("3", "3"), "a": ("2", "3"), "a+x": ("1", "3")}


def test_equal_values_share_a_rank_and_copies_of_real_images_have_none(tmp_path):
    copied = replace(scored(vendi=3), cautions=(Caution("copies", "10 of 10 images are exact copies"),))
    entries = [("random", copied), ("a", scored(vendi=3)), ("a+x", scored(vendi=3)), ("b", scored(vendi=2.5))]
    folder = make_board(tmp_path, entries, claims="", students="")
    assert ranks(numbers_of(folder), "vendi") == {
        "random": ("", ""), "a": ("1", "3"), "a+x": ("1", "3"), "b": ("3", "3"),
    }  # fmt: skip
    assert {name for name, column in bold_of(table_of(folder)) if column == "vendi ↑"} == {"Aa", "Aa + Xx"}


def test_a_set_without_a_value_is_not_averaged_over(tmp_path):
    result = scored(coverage=0.1)
    scores = [
        replace(one, values=(one.values[0], None), interval=None,
                per_class=tuple(row for row in (*one.per_class, (None, 0.1) * 5) if one.per_class))
        for one in result.scores
    ]  # fmt: skip
    several = replace(result, scores=tuple(scores), sets=result.sets * 2)
    folder = make_board(tmp_path, [("a", several), ("b", scored())])
    table = table_of(folder)
    assert columns_of(table)["coverage ↑"]["Aa"] is None
    assert columns_of(table)["/ i.i.d."]["Aa"] is None
    assert table.bold == set()
    rows = [row for row in numbers_of(folder) if row["kind"] == "measured" and row["quantity"] == "coverage"]
    assert [(row["method"], row["value"] != "", row["n"], row["rank"]) for row in rows] == [
        *[("a", False, "2", "")] * 2, *[("b", True, "1", "")] * 2,
    ]  # fmt: skip


def test_students_of_two_recipes_stand_in_columns_of_their_own(tmp_path):
    result = scored(students=(0.5, 0.6))
    folder = make_board(tmp_path, [("a", result), ("b", recipe(result, "soft", "e" * 16))])
    put(folder, "a+x", recipe(scored(students=(0.8, 0.81)), "quick", "f" * 16))
    shown = columns_of(table_of(folder))
    names = [name for name in shown if name.startswith("convnet3 % ↑")]
    assert names == ["convnet3 % ↑ (quick dddd)", "convnet3 % ↑ (quick ffff)", "convnet3 % ↑ (soft)"]
    assert [list(present(shown[name])) for name in names] == [["Aa"], ["Aa + Xx"], ["Bb"]]
    assert not {cell for cell in bold_of(table_of(folder)) if "convnet3" in cell[1]}
    assert not [row for row in numbers_of(folder) if row["network"] == "convnet3" and row["rank"]]


def test_code_that_no_commit_holds_is_told(tmp_path):
    clean = scored(students=(0.5, 0.6))
    (trained,) = clean.accuracies
    dirty = replace(clean.environment, commit="c0ffee" * 6, dirty=True)
    folder = make_board(tmp_path, [
        ("a", clean), ("b", replace(clean, environment=dirty)),
        ("a+x", replace(clean, accuracies=(replace(trained, earlier=(dirty,)),))),
    ])  # fmt: skip
    told = [note for note in table_of(folder).notes if "changes that no commit holds" in note]
    assert [note.partition(":")[0] for note in told] == ["Aa + Xx", "Bb"]


def test_tables_are_by_data_set_ipc_and_protocol(tmp_path):
    folder = make_board(tmp_path, [("a", scored()), ("a", scored(ipc=50)), ("a", scored(protocol=OTHER))])
    put(folder, "b", scored(dataset="svhn"))
    put(folder, "b", scored())
    protocols = "images per class, protocol"
    assert [table.title.rpartition("-")[0] for table in measured_tables(load_board(folder))] == [
        f"cifar10, 10 {protocols} hand", f"cifar10, 10 {protocols} other-one", f"cifar10, 50 {protocols} hand",
        f"svhn, 10 {protocols} hand",
    ]  # fmt: skip
    assert list(present(columns_of(table_of(folder, 3))["sets"])) == ["Bb"]
    rows = [row for row in numbers_of(folder) if row["kind"] == "measured"]
    assert {row["of"] for row in rows if row["where"].startswith("cifar10/ipc10/") and "/hand" in row["where"]} == {"2"}
    assert {row["of"] for row in rows if "/other" in row["where"]} == {""}


def test_what_was_not_measured_at_all_has_tables_of_its_own(folder):
    tables = {table.title: table for table in printed_tables(load_board(folder))}
    assert list(tables) == ["cifar10, images per class not stated", "cifar10, 50 images per class"]
    table = tables["cifar10, 50 images per class"]
    assert (table.columns, table.bold) == (["method", "kind", "convnet3 % printed"], set())
    assert texts(columns_of(table)["convnet3 % printed"]) == {"Aa": "47.5 [2]", "Aa + Xx": "46.0 [2]"}
    put(folder, "a", scored(ipc=50))
    assert [one.title for one in printed_tables(load_board(folder))] == ["cifar10, images per class not stated"]


# --- every number


def test_the_csv_holds_every_digit_and_fractions(folder):
    rows, board = numbers_of(folder), load_board(folder)
    measured = {(r["where"], r["quantity"], r["network"], r["scope"]): r for r in rows if r["kind"] == "measured"}
    scores = [(entry, score) for entry in board.entries for score in entry.result.scores]
    assert len(measured) == len(scores) == sum(row["kind"] == "measured" for row in rows)
    for entry, score in scores:
        quantity, _, network = score.metric.partition("/")
        row = measured[f"{entry.place}.json", quantity, network, score.scope]
        assert (row["dataset"], row["ipc"], row["method"]) == ("cifar10", "10", entry.method)
        assert float(row["value"]) == score.value
        assert (float(row["low"]), float(row["high"])) == (score.interval.low, score.interval.high)
        assert row["n"] == str(len(score.values))
        assert row["yardstick"] == ("0.2" if quantity == "coverage" else "")
        assert row["protocol"] == (f"quick {'d' * 16}" if network else entry.protocol)
        assert row["embedder"] == ("" if network else "pixels")
    printed = {row["where"]: row for row in rows if row["kind"] == "printed"}
    assert len(printed) == sum(not fact.quantity.startswith("setting") for fact in board.facts)
    one = printed["p Table 1: Aa, coverage"]
    assert (one["value"], one["printed"], one["std"], one["ipc"], one["rank"]) == ("0.0225", "2.25 %", "", "", "")
    one = printed["p Table 2: Aa + Xx, 10"]
    assert (one["value"], one["printed"], one["std"], one["ipc"]) == ("0.374", "37.4 ± 1.1 %", "0.011", "10")
    assert printed["q Table 1: Bb, 10"]["printed"] == "33.10 %"


def test_the_csv_says_what_becomes_of_claimed_gains(folder):
    rows = numbers_of(folder)
    found = {(row["where"].partition("/hand")[0], row["quantity"]): row["gain"] for row in rows if
             row["gain"] and row["scope"] != "dataset"}  # fmt: skip
    sure = "for these sets"
    assert found == {
        ("cifar10/ipc10/a+x", "accuracy"): f"✓ holds {sure}", ("cifar10/ipc10/a+x", "coverage"): f"✓ holds {sure}",
        ("cifar10/ipc10/a+x", "vendi"): f"? inconclusive {sure}",
        ("cifar10/ipc10/a+x", "cosine"): f"✗ refuted {sure}",
        ("p Table 1: Aa + Xx, coverage", "coverage"): f"✓ holds {sure} (IPC 10)",
        ("p Table 1: Aa + Xx, vendi", "vendi"): f"? inconclusive {sure} (IPC 10)",
        ("p Table 1: Aa + Xx, cosine", "cosine"): f"✗ worse as printed, ✗ refuted {sure} (IPC 10)",
        ("p Table 1: Bb + Xx, vendi", "vendi"): "✗ equal as printed, ○ not measured",
        ("p Table 2: Aa + Xx, 10", "accuracy"): f"✓ holds {sure} (IPC 10)",
    }  # fmt: skip
    assert not [row for row in rows if row["scope"] == "dataset" and row["gain"]]


@pytest.mark.parametrize("ours", [False, True])
def test_the_findings_of_a_number_are_those_that_are_about_it(folder, ours, tmp_path):
    where = OURS if ours else folder
    board = load_board(where)
    text = (OURS / "numbers.csv").read_text() if ours else derived(board)["numbers.csv"]
    noted = {row["where"]: [int(number) for number in row["findings"].split()] for row in
             csv.DictReader(io.StringIO(text)) if row["kind"] == "printed"}  # fmt: skip
    expected = {place: [] for place in noted}
    for number, finding in enumerate(board.findings, 1):
        for place in dict.fromkeys(fact.place for fact in finding.facts if fact.place in expected):
            expected[place].append(number)
    assert noted == expected
    assert sum(map(len, noted.values())) > 2
