"""The story says what the tests show, no more: better, worse, contradictory or open; and what cannot be concluded."""

import msgspec
import pytest

from divbench.comparison import before_and_after, differences
from divbench.errors import ResultError
from divbench.report.story import against_controls, pairs_to_tell, tell, verdict
from tests.report.stories import CLASSES, entry


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
    found = verdict(entry(), entry("after", recall=1.0)).answers[1]
    assert (found.status, found.words) == ("open", "no difference shown (recall alone: wider reach)")
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
    test = differences(before, after, ["vendi"]).tested["vendi"]
    assert (finding.gain.effect, finding.gain.low) == pytest.approx((test.effect, test.low))
    assert finding.p == pytest.approx(3 * 2 / 2**10)  # Holm over vendi, coverage, precision; least p of ten classes
    assert finding.text == f"vendi 2 → 2.4 (+0.4 ± {(test.high - test.low) / 2:.2g}, p {finding.p:.2g})"


def test_many_alike_metrics_do_not_water_down_the_one_that_decides():
    """RKE, cosine and their like move with the Vendi Score: they support it, and cost it nothing."""
    alike = {"cosine": 0.7, "rke": 1.5, "prototype_distance": 0.3, "rke_unbiased": 1.6}
    before = entry(rke=1.2, prototype_distance=0.2, rke_unbiased=1.3)
    found = verdict(before, entry("after", vendi=2.4, **alike)).answers[0]
    assert [one.deciding for one in found.findings] == [True, False, False, False, False]
    assert found.findings[0].p == pytest.approx(3 * 2 / 2**10)
    assert " p " not in found.findings[1].text


def test_one_student_each_is_no_test_of_students():
    said = verdict(entry(accuracy=(0.5,)), entry("after", accuracy=(0.7,)))
    assert {a.concept.key: a.status for a in said.answers}["use"] == "open"


def test_a_metric_without_a_value_is_said_to_be_untested():
    after = entry("after", vendi=2.4)
    vendi = after.score("vendi")
    holed = msgspec.structs.replace(vendi, values=(None,), per_class=((None, *vendi.per_class[0][1:]),), interval=None)
    scores = tuple(holed if score.metric == "vendi" else score for score in after.scores)
    after = msgspec.structs.replace(after, scores=scores)
    story = tell([entry(), after])
    assert any("Not tested: vendi at class scope: the candidate lacks 1 of 10 values" in line for line in story.limits)
    assert {a.concept.key: a.status for a in story.verdicts[0].answers}["spread"] == "unmeasured"


def test_unlabelled_sets_are_judged_as_a_whole():
    def flat(name, **levels):
        result = entry(name, **levels)
        scores = tuple(msgspec.structs.replace(s, scope="dataset", per_class=()) for s in result.scores)
        return msgspec.structs.replace(result, scores=scores)

    story = tell([flat("a"), flat("b", vendi=2.4)])
    assert {a.concept.key: a.status for a in story.verdicts[0].answers}["spread"] == "more"
    assert story.controls.title.endswith("dataset scope")
    assert any("both intervals" in line for line in story.reliability)


def test_entries_that_do_not_compare_have_no_answer_but_a_reason():
    said = verdict(entry(), entry("after", ipc=50))
    assert said.answers == ()
    assert "unequal images per class" in said.problem
    story = tell([entry(), entry("after", ipc=50)])
    assert any("Images per class are unequal" in line for line in story.limits)


def test_pairs_are_those_that_names_tell_else_each_beside_the_first():
    a, b, c, plain = entry("SRe2L"), entry("sre2l + DiRe"), entry("SRe2L+DiRe+X"), entry("MTT")
    assert [(x.name, y.name) for x, y in before_and_after([plain, b, a, c])] == [
        ("SRe2L", "sre2l + DiRe"),
        ("sre2l + DiRe", "SRe2L+DiRe+X"),
    ]
    assert [(x.name, y.name) for x, y in pairs_to_tell([plain, a])] == [("MTT", "SRe2L")]
    two = [plain, a, entry("MTT", ipc=50), entry("SRe2L", ipc=50)]
    assert [(x.name, x.ipc, y.name, y.ipc) for x, y in pairs_to_tell(two)] == [
        ("MTT", (10, 10), "SRe2L", (10, 10)),
        ("MTT", (50, 50), "SRe2L", (50, 50)),
    ]
    assert before_and_after([a, entry("SRe2L+DiRe", ipc=50)]) == []
    assert tell([a]).verdicts == ()


def test_controls_are_beaten_only_by_the_whole_interval():
    table = against_controls([entry(), entry("b", coverage=0.26, vendi=2.51, cosine=0.6)])
    assert table.columns == [
        "entry", "coverage / i.i.d.", "coverage / collapse to mean", "vendi / random real", "cosine vs random real",
    ]  # fmt: skip
    assert table.rows[0] == ["before", "1.20 better", "0.75 worse", "0.80 worse", "0.8 : 0.7 worse"]
    assert table.rows[1] == ["b", "1.04 not told apart", "0.65 worse", "1.00 not told apart", "0.6 : 0.7 better"]


def test_limits_name_what_stands_in_the_way():
    few = ("a", "b", "c")
    story = tell([entry(cautions=("collapse", "own-judge"), classes=few), entry("after", classes=few)])
    said = "\n".join(story.limits)
    for part in (
        "Coverage of before, after at class scope does not beat near-copies",
        "before: optimised for the very network whose features are scored",
        "One set each of before, after",
        "No student was trained",
        "eyes of one embedder",
    ):
        assert part in said, part
    seven = tell([entry(classes=CLASSES[:7]), entry("after", classes=CLASSES[:7])])
    assert not any("can reach an adjusted p" in line for line in seven.limits)  # 3 * 2 / 2**7 = 0.047
    six = tell([entry(classes=CLASSES[:6]), entry("after", vendi=4.0, classes=CLASSES[:6])])
    assert any("With 6 classes and 3 metrics no test over classes" in line for line in six.limits)
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
