"""The table of cost says what `set.json` said, and compares only what compares."""

import msgspec
import pytest

from divbench.errors import ResultError
from divbench.report.cost import cost_table
from divbench.report.page import page
from divbench.report.render import render
from tests.records import make_origin, make_result


def generated(name, *origins, ipc=10):
    result = make_result(name, ipc=ipc, sets=len(origins))
    sets = tuple(msgspec.structs.replace(one, origin=o) for one, o in zip(result.sets, origins, strict=True))
    return msgspec.structs.replace(result, sets=sets)


def origin(seconds, memory=2**30, **changes):
    recipe = {"name": "sre2l", "dataset": "digits", "iterations": 40}
    made = {
        "recipe": recipe,
        "seconds": {"recover": seconds, "label": 1.0},
        "bytes": {"images": 2**20, "labels": 2**19},
    }
    return make_origin(**made, peak_memory=memory, **changes)


def test_each_entry_with_its_ratio_to_the_one_without_the_addition():
    table = cost_table(
        [
            generated("SRe2L", origin(9), origin(19, seed=1)),
            generated("SRe2L+DiRe", origin(17, 3 * 2**29), origin(15, 3 * 2**29, seed=1)),
            make_result("published"),
        ]
    )
    assert table.rows == [
        ["SRe2L", 10, 2, "40", 15.0, "10 20", None, 1.0, None, 1.5, "cpu"],
        ["SRe2L+DiRe", 10, 2, "40", 17.0, "18 16", 17 / 15, 1.5, 1.5, 1.5, "cpu"],
    ]
    assert "in one go" in render(table)


def test_other_devices_sizes_and_unknown_memory_have_no_ratio():
    before = generated("SRe2L", origin(9, None))
    elsewhere = cost_table([before, generated("SRe2L+DiRe", origin(17, device="cuda"))]).rows[1]
    assert (elsewhere[6], elsewhere[8], elsewhere[10]) == (None, None, "cuda")
    larger = cost_table([before, generated("SRe2L+DiRe", origin(17), ipc=50)]).rows[1]
    assert larger[6] is None
    unknown = cost_table([before, generated("SRe2L+DiRe", origin(17))]).rows
    assert [row[7] for row in unknown] == [None, 1.0]
    assert (unknown[1][6], unknown[1][8]) == (1.8, None)


def test_an_entry_of_which_one_set_is_unknown_is_left_out():
    half = generated("half", origin(9), None)
    assert [row[0] for row in cost_table([half, generated("whole", origin(9))]).rows] == ["whole"]
    with pytest.raises(ResultError, match="nothing says how the sets of half were generated"):
        cost_table([half])


def test_a_page_shows_the_cost_of_the_run_that_measured_it():
    entries = [make_result("a"), make_result("a+b")]
    assert 'id="cost"' not in page([generated("c", origin(9))]), "seconds of sets that were made anyhow say little"
    shown = page(entries, cost=[generated("c", origin(9)), generated("c+d", origin(12))])
    assert 'id="cost"' in shown
    assert "c+d" in shown
