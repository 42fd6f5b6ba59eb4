"""The story says what the tests show, no more: better, worse, contradictory or open; and what cannot be concluded."""

import pytest

from divbench.comparison import before_and_after, differences
from divbench.errors import ResultError
from divbench.report.story import against_controls, pairs_to_tell, tell, verdict
from tests.report.stories import entry


def answers(before, after):
    return {a.concept.key: a.status for a in verdict(before, after).answers}


def test_more_diverse():
    found = answers(entry(), entry("after", vendi=2.4, cosine=0.7, coverage=0.45, recall=0.95))
    assert found == {"spread": "more", "reach": "more", "fidelity": "open", "use": "unmeasured"}


def test_less_diverse():
    found = answers(entry(), entry("after", vendi=1.6, cosine=0.9, coverage=0.2, recall=0.8, precision=0.5))
    assert found == {"spread": "less", "reach": "less", "fidelity": "less", "use": "unmeasured"}


def test_no_difference_is_open_and_no_proof():
    before, after = entry(), entry("after")
    assert set(answers(before, after).values()) == {"open", "unmeasured"}
    assert any("no proof of equality" in line for line in tell([before, after]).limits)


def test_a_metric_that_gains_while_the_first_one_does_not_is_no_gain():
    """Recall rises with outliers alone, and pulling a set to its means raises coverage and lowers the Vendi Score."""
    assert answers(entry(), entry("after", recall=1.0))["reach"] == "mixed"
    assert answers(entry(), entry("after", coverage=0.4, recall=0.8))["reach"] == "mixed"
    pulled = answers(entry(), entry("after", coverage=0.45, vendi=1.3, cosine=0.95))
    assert (pulled["spread"], pulled["reach"]) == ("less", "more")


def test_accuracies_are_the_use():
    before = entry(accuracy=(0.5, 0.52, 0.51))
    assert answers(before, entry("after", accuracy=(0.7, 0.71, 0.72)))["use"] == "more"
    said = verdict(before, entry("after", accuracy=(0.7, 0.71, 0.72)))
    text = next(a for a in said.answers if a.concept.key == "use").findings[0].text
    assert text.startswith("accuracy/convnet3 51 → 71 % (+20 ± ")


def test_the_numbers_of_a_finding_are_those_of_the_test():
    before, after = entry(), entry("after", vendi=2.4)
    finding = verdict(before, after).answers[0].findings[0]
    test = differences(before, after)["vendi"]
    assert finding.difference == test
    assert finding.text == f"vendi 2 → 2.4 (+0.4 ± {(test.high - test.low) / 2:.2g}, p {test.p:.2g})"
    assert test.p == pytest.approx(5 * 2 / 2**10)  # Holm over five metrics of the least p of ten classes


def test_entries_that_do_not_compare_have_no_answer_but_a_reason():
    said = verdict(entry(), entry("after", ipc=50))
    assert said.answers == ()
    assert "before and after have unequal images per class" in said.problem
    story = tell([entry(), entry("after", ipc=50)])
    assert any("Images per class are unequal" in line for line in story.limits)


def test_pairs_are_those_that_names_tell_else_each_beside_the_first():
    a, b, c, plain = entry("SRe2L"), entry("sre2l + DiRe"), entry("SRe2L+DiRe+X"), entry("MTT")
    assert [(x.name, y.name) for x, y in before_and_after([plain, b, a, c])] == [
        ("SRe2L", "sre2l + DiRe"),
        ("sre2l + DiRe", "SRe2L+DiRe+X"),
    ]
    assert [(x.name, y.name) for x, y in pairs_to_tell([plain, a])] == [("MTT", "SRe2L")]
    assert before_and_after([a, entry("SRe2L+DiRe", ipc=50)]) == []
    assert tell([a]).verdicts == ()


def test_controls_are_beaten_only_by_the_whole_interval():
    table = against_controls([entry(), entry("b", coverage=0.26, vendi=2.51, cosine=0.6)])
    assert table.columns == [
        "entry", "coverage / i.i.d.", "coverage / collapse to mean", "vendi / random real", "cosine / random real",
    ]  # fmt: skip
    assert table.rows[0] == ["before", "1.20 better", "0.75 worse", "0.80 worse", "1.14 worse"]
    assert table.rows[1] == ["b", "1.04 not told apart", "0.65 worse", "1.00 not told apart", "0.86 better"]


def test_limits_name_what_stands_in_the_way():
    few = ("a", "b", "c")
    story = tell([entry(cautions=("collapse", "own-judge"), classes=few), entry("after", classes=few)])
    said = "\n".join(story.limits)
    for part in (
        "Coverage of before does not beat near-copies",
        "before: optimised for the very network whose features are scored",
        "One set each of before, after",
        "With 3 classes no test over classes can reach p < 0.25",
        "No student was trained",
        "eyes of one embedder",
    ):
        assert part in said, part
    lone = tell([entry(accuracy=(0.5,)), entry("after", accuracy=(0.5, 0.6))])
    assert any("One student alone (n = 1) of before (convnet3)" in line for line in lone.limits)


def test_validity_says_whether_metrics_agree():
    entries = [
        entry("a"),
        entry("b", vendi=2.2, cosine=0.75, coverage=0.2),
        entry("c", vendi=2.4, cosine=0.7, coverage=0.1),
    ]
    said = "\n".join(tell(entries).validity)
    assert "by cosine similarity agree to Kendall's tau +1.00 (3 entries" in said
    assert "by coverage agree to Kendall's tau -1.00 (3 entries" in said
    assert "Kendall" not in "\n".join(tell(entries[:2]).validity)


def test_a_pair_without_common_metrics():
    with pytest.raises(ResultError, match="before and after have no metric in common"):
        differences(
            entry(coverage=None, cosine=None, recall=None, precision=None),
            entry("after", vendi=None, cosine=None, recall=None, precision=None),
        )
