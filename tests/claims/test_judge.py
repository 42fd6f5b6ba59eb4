"""Verdicts: what holds holds, noise is inconclusive, falls are refuted, and what does not compare is an error."""

import msgspec
import pytest

from divbench.claims.claim import Claim, load_claims
from divbench.claims.draft import draft
from divbench.claims.judge import EXIT, Verdict, judge, judge_claims, results_in, worst
from divbench.comparison import differences
from divbench.protocol import protocol_digest
from divbench.report.sets import sets_table
from divbench.report.tables import compare_table
from divbench.report.verdicts import verdict
from divbench.results import Interval, SetRecord, save_result
from tests.records import PROTOCOL
from tests.report.stories import CLASSES, entry


def verdict_of(before, after, metric="vendi", **changes):
    claim = Claim("c", "a", "b", metric, **changes)
    (found,) = judge_claims([claim], {"a": before, "b": after}.__getitem__)
    return found


def test_holds_refuted_and_inconclusive():
    assert verdict_of(entry(), entry("after", vendi=2.4)).status == "holds"
    assert verdict_of(entry(), entry("after", vendi=1.6)).status == "refuted"
    assert verdict_of(entry(), entry("after")).status == "inconclusive"


def test_a_fall_is_a_gain_where_lower_is_better():
    found = verdict_of(entry(), entry("after", cosine=0.7), "cosine")
    assert found.status == "holds"
    assert found.gain.effect == pytest.approx(0.1)
    assert verdict_of(entry(), entry("after", cosine=0.9), "cosine").status == "refuted"


def test_the_least_gain_is_tested_and_not_just_any():
    after = entry("after", vendi=2.4)
    assert verdict_of(entry(), after, min_gain=0.3).status == "holds"
    assert verdict_of(entry(), after, min_gain=0.4).status == "inconclusive"
    assert verdict_of(entry(), after, min_gain=0.5).status == "refuted"


def test_the_numbers_are_those_of_the_tests():
    before, after = entry(), entry("after", vendi=2.4)
    found, test = verdict_of(before, after), differences(before, after, ["vendi"]).tested["vendi"]
    assert (found.gain.effect, found.gain.low, found.gain.high) == pytest.approx((test.effect, test.low, test.high))
    assert found.p == pytest.approx(test.p)
    assert found.measured == (pytest.approx(2.0), pytest.approx(2.4))
    assert "10 classes" in found.text
    assert "about these sets" in found.text


def test_sets_that_differ_by_rounding_alone_differ_in_no_test():
    """The mean of three sets of 0.1 is 0.1 but for the last bit, in all classes alike."""
    one, three = (
        msgspec.structs.replace(
            entry(),
            sets=entry().sets * count,
            scores=(
                msgspec.structs.replace(
                    entry().score("recall"), values=(0.1,) * count, per_class=((0.1,) * 10,) * count, interval=None
                ),
            ),
        )
        for count in (1, 3)
    )
    assert differences(one, three).tested["recall"].p == verdict_of(one, three, "recall").p == 1


def test_claims_of_one_family_share_the_chance_of_a_false_alarm():
    load = {"a": entry(), "b": entry("after", vendi=2.4, cosine=0.7, coverage=0.4)}.__getitem__
    claims = [Claim(key, "a", "b", key) for key in ("vendi", "cosine", "coverage")]
    alone = [judge_claims([claim], load)[0].p for claim in claims]
    together = [verdict.p for verdict in judge_claims(claims, load)]
    spelled = [msgspec.structs.replace(claims[0], baseline="./a", candidate="x/../b"), *claims[1:]]
    assert {claim.group for claim in spelled} == {"a | b"}
    apart = [msgspec.structs.replace(claim, family=claim.id) for claim in claims]
    assert alone == pytest.approx([2 / 2**10] * 3)
    assert together == pytest.approx([3 * 2 / 2**10] * 3)
    assert [verdict.p for verdict in judge_claims(apart, load)] == alone


def test_an_error_of_one_claim_leaves_the_others():
    load = {"a": entry(), "b": entry("after", vendi=2.4)}.__getitem__
    found = judge_claims([Claim("x", "a", "b", "beauty"), Claim("y", "a", "b", "vendi")], load)
    assert [verdict.status for verdict in found] == ["error", "holds"]
    assert "holds no 'beauty' at class scope" in found[0].text
    assert found[1].p == pytest.approx(2 / 2**10)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"ipc": (50,) * 10}, "unequal images per class"),
        ({"classes": tuple("abcdefghij")}, "different classes"),
        ({"real": "o"}, "different real sets"),
        ({"protocol": 9}, "different protocols"),
    ],
)
def test_what_does_not_compare_is_an_error(change, said):
    after = entry("after", vendi=2.4)
    if "ipc" in change:
        after = entry("after", vendi=2.4, ipc=50)
    if "classes" in change:
        after = msgspec.structs.replace(after, classes=change["classes"])
    if "real" in change:
        after = msgspec.structs.replace(after, real=SetRecord("o", "by hand", "o" * 64, 1000, (100,) * 10))
    if "protocol" in change:
        other = msgspec.structs.replace(PROTOCOL, metrics={"coverage": {"k": 9}})
        after = msgspec.structs.replace(after, protocol=other, protocol_digest=protocol_digest(other, "pixels id"))
    found = verdict_of(entry(), after)
    assert found.status == "error"
    assert said in found.text


def test_what_does_not_matter_to_the_metric_may_differ():
    """Students of another recipe do not touch the Vendi Score, and another protocol no accuracy."""
    before, after = entry(accuracy=(0.5, 0.51)), entry("after", vendi=2.4, accuracy=(0.7, 0.72))
    recipe = msgspec.structs.replace(after.accuracies[0], recipe="other", digest="o" * 16)
    assert verdict_of(before, msgspec.structs.replace(after, accuracies=(recipe,))).status == "holds"
    other = msgspec.structs.replace(PROTOCOL, metrics={"coverage": {"k": 9}})
    rules = msgspec.structs.replace(after, protocol=other, protocol_digest=protocol_digest(other, "pixels id"))
    assert verdict_of(before, rules, "accuracy/convnet3").status == "holds"
    found = verdict_of(before, msgspec.structs.replace(after, accuracies=(recipe,)), "accuracy/convnet3")
    assert "different recipes" in found.text


def test_seeds_that_are_demanded_must_be_there():
    found = verdict_of(entry(), entry("after", vendi=2.4), seeds=3)
    assert found.status == "error"
    assert "seeds = 3, but a has 1 set(s); score more seeds together" in found.text
    results = [entry(name, accuracy=levels) for name, levels in (("a", (0.5, 0.51)), ("b", (0.6, 0.62)))]
    before, after = (msgspec.structs.replace(result, sets=result.sets * 3) for result in results)
    found = verdict_of(before, after, "accuracy/convnet3", seeds=3)
    assert "seeds = 3, but a has 1 set(s) with students; train students on more seeds" in found.text


def test_a_family_too_large_for_its_classes_is_told_so():
    load = {"a": entry(), "b": entry("after", vendi=2.4)}.__getitem__
    few = {"a": entry(classes=CLASSES[:6]), "b": entry("after", vendi=4.0, classes=CLASSES[:6])}.__getitem__
    claims = [Claim(key, "a", "b", key) for key in ("vendi", "cosine")]
    assert "split it" not in judge_claims(claims, load)[0].text
    assert "2 claims of one family cannot reach p < 0.062 over 6 classes" in judge_claims(claims, few)[0].text


def of_sets(name, levels, places):
    """An entry of three sets with a student of each accuracy in ``levels`` on the set in ``places``."""
    result = entry(name, accuracy=levels)
    (trained,) = result.accuracies
    runs = tuple(msgspec.structs.replace(run, set=place) for run, place in zip(trained.runs, places, strict=True))
    return msgspec.structs.replace(
        result,
        sets=result.sets * 3,
        accuracies=(msgspec.structs.replace(trained, runs=runs),),
        scores=tuple(
            msgspec.structs.replace(score, interval=None) if score.metric.startswith("accuracy") else score
            for score in result.scores
        ),
    )


def test_runs_are_averaged_over_each_of_several_sets():
    """Six students of three sets are three values, not six: their sets' spread is the method's."""
    places = (0, 0, 1, 1, 2, 2)
    sides = [of_sets(name, levels, places) for name, levels in (("a", (4, 4, 5, 5, 6, 6)), ("b", (5, 5, 6, 6, 7, 7)))]
    found = verdict_of(*sides, "accuracy/convnet3")
    assert found.gain.seeds == (3, 3)
    assert found.gain.about == "the method"
    assert found.status == "inconclusive"


def test_where_sets_have_unequal_runs_the_values_shown_are_those_of_the_gain():
    """The mean over all runs of a is 0.38, below b's 0.41, though the mean over its sets is 0.434, above it."""
    before = of_sets("a", (0.30, 0.30, 0.301, 0.50, 0.501), (0, 0, 0, 1, 2))
    after = of_sets("a+b", (0.410, 0.411, 0.41), (0, 1, 2))
    found = verdict_of(before, after, "accuracy/convnet3")
    assert found.gain.effect == pytest.approx(found.measured[1] - found.measured[0])
    assert "0.4338 → 0.4103: gain -0.0234 " in found.text
    assert "(Welch t over 3 and 3 sets, each the mean of the same 10 classes; 3 and 3 sets: about the met" in found.text
    (shown,) = verdict(before, after).answers[-1].findings
    assert "43.4 → 41 % (-2.3 " in shown.text
    table = compare_table([before, after], metrics=["accuracy"])
    assert [row[-1] for row in table.rows] == [pytest.approx(43.38, abs=0.01), pytest.approx(41.03, abs=0.01)]
    assert sets_table([before], metrics=["accuracy"]).rows[0][-1] == pytest.approx(30.03, abs=0.01)


@pytest.mark.parametrize(("levels", "status"), [((0.7,), "inconclusive"), ((0.7, 0.71), "holds")])
def test_one_student_alone_proves_nothing_here_as_in_the_report(levels, status):
    sides = [entry(accuracy=tuple(level - 0.3 for level in levels)), entry("after", accuracy=levels)]
    found = verdict_of(*sides, "accuracy/convnet3")
    assert (found.status, verdict(*sides).answers[-1].status) == (status, {"holds": "more"}.get(status, "open"))
    assert found.p < 0.05
    assert ("one student alone on a side" in found.text) == (status != "holds")
    assert ('metric = "accuracy/convnet3"' in draft(*sides, "a", "b")) == (status == "holds")


@pytest.mark.parametrize("metric", ["vendi", "diversity"])
def test_labels_that_look_swapped_are_an_error(metric):
    found = verdict_of(entry(), entry("after", vendi=2.4, cautions=("label-order",)), metric)
    assert found.status == "error"
    assert "about label-order Scores inside classes mean nothing if so" in found.text


def test_sets_of_equal_extremes_and_unequal_classes_do_not_compare():
    def sized(name, counts, **levels):
        result = entry(name, **levels)
        record = msgspec.structs.replace(result.sets[0], per_class=counts, count=sum(counts))
        return msgspec.structs.replace(result, sets=(record,))

    found = verdict_of(sized("a", (50,) + (10,) * 9), sized("b", (10,) + (50,) * 9, vendi=2.4))
    assert (found.status, "unequal images per class" in found.text) == ("error", True)


def test_intervals_without_width_are_no_proof():
    def narrow(name, value):
        score = msgspec.structs.replace(
            entry(name).score("vendi"), scope="dataset", per_class=(), values=(value,),
            interval=Interval(value, value, 0.95, "jackknife", "these sets"),
        )  # fmt: skip
        return msgspec.structs.replace(entry(name), scores=(score,))

    found = verdict_of(narrow("a", 1.0), narrow("b", 2.0), scope="dataset")
    assert (found.status, "have no width" in found.text) == ("error", True)


def test_the_composite_needs_all_of_its_conditions():
    good = entry("after", vendi=2.4, cosine=0.7, coverage=0.45)
    found = verdict_of(entry(), good, "diversity")
    assert found.status == "holds", found.text
    assert [one.answer for one in found.composite.conditions] == ["yes"] * 4
    for change, status in (
        ({"coverage": 0.3}, "refuted"),  # below near-copies of the mean, which reach 0.4
        ({"coverage": 0.405}, "inconclusive"),  # not told from them
        ({"vendi": 2.0, "cosine": 0.8}, "inconclusive"),
        ({"vendi": 1.6, "cosine": 0.9}, "refuted"),
        ({"recall": 0.5}, "refuted"),  # something got worse
    ):
        levels = {"vendi": 2.4, "cosine": 0.7, "coverage": 0.45, **change}
        assert verdict_of(entry(), entry("after", **levels), "diversity").status == status, change


def test_the_composite_says_what_it_lacks():
    found = verdict_of(entry(cosine=None), entry("after"), "diversity")
    assert (found.status, "lacks cosine" in found.text) == ("error", True)


def test_the_worst_verdict_wins():
    of = {status: Verdict(None, status, "") for status in EXIT}
    assert worst([of["holds"]]) == "holds"
    assert worst([of["holds"], of["inconclusive"]]) == "inconclusive"
    assert worst([of["inconclusive"], of["refuted"], of["holds"]]) == "refuted"
    assert worst(list(of.values())) == "error"
    assert worst([]) == "error"  # nothing was judged
    assert EXIT == {"holds": 0, "inconclusive": 3, "refuted": 1, "error": 2}


def test_results_are_found_below_their_folder_and_places_are_kept(tmp_path):
    (tmp_path / "cifar10").mkdir()
    save_result(entry("SRe2L"), tmp_path / "cifar10" / "sre2l.json")
    save_result(entry("SRe2L+DiRe", vendi=2.4), tmp_path / "cifar10" / "dire.json")
    path = tmp_path / "c.toml"
    path.write_text(
        '\n[[claim]]\nid = "x"\nbaseline = "cifar10/sre2l"\ncandidate = "cifar10/dire"\nmetric = "vendi"\n'
        '[[claim]]\nid = "y"\nbaseline = "cifar10/sre2l"\ncandidate = "cifar10/none"\nmetric = "vendi"\n'
    )
    found = judge(load_claims(path), results_in(tmp_path))
    assert [verdict.status for verdict in found] == ["holds", "error"]
    assert [verdict.line for verdict in found] == [2, 7]
    assert "none.json: is not there" in found[1].text
