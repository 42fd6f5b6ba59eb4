"""The audit: every rule on small tables made for it, on one real computation, and on the printed numbers."""

import math
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

import divbench
from divbench.leaderboard import audit as module
from divbench.leaderboard.audit import RULES, audit
from divbench.leaderboard.bounds import iid_coverage, least_images, mixture_bound, vendi_bound
from divbench.leaderboard.facts import Fact, facts
from divbench.leaderboard.reported import load_reported
from divbench.leaderboard.rules.gains import comparisons
from divbench.metrics import balls, vendi

SEVEREST = ("error", "warning", "info")
FOLDER = Path(divbench.__file__).parents[1] / "leaderboards" / "reported"


@pytest.fixture(scope="module")
def known():
    return list(facts(load_reported(FOLDER)))


@pytest.fixture(scope="module")
def found(known):
    return audit(known)


def fact(quantity="coverage", value=5.0, **stated):
    """A made-up printed number of CIFAR-10; two places unless said otherwise."""
    decimals = stated.pop("decimals", 2)
    method = stated.pop("method", "a")
    host = method.rpartition("+")[0]
    made = {"paper": "p", "table": "Table 1", "row": method, "column": quantity, "dataset": "cifar10", "unit": ""}
    made |= stated
    return Fact(
        method=method, host=host, quantity=quantity, value=value, printed=f"{value:.{decimals}f}", decimals=decimals,
        **made,
    )  # fmt: skip


def severities(rule, *made):
    return [f.severity for f in audit(made) if f.rule == rule]


# --- the closed forms


def test_the_closed_forms_are_those_of_the_metrics():
    for n in (1, 2, 10, 100, 1281):
        for s in (-0.1, 0, 0.01, 0.5, 0.99, 1):
            assert vendi_bound(n, s) == vendi.vendi_bound(n, s)
        for real in (500, 5000):
            assert iid_coverage(real, n) == pytest.approx(balls.iid_coverage(real, n), abs=1e-15)


@pytest.mark.parametrize(
    ("cosine", "score", "bounds", "least"),
    [
        (0.90, 1.87, (1.65, 2.02, 2.18), 26),
        (0.93, 2.28, (1.45, 1.68, 1.77), 3477),
        (0.81, 2.79, (2.30, 3.34, 3.85), 23),
        (0.66, 3.07, (3.63, 6.91, 8.89), 7),
        (0.75, 6.41, (2.79, 4.53, 5.46), 186),
        (0.82, 4.41, (2.22, 3.17, 3.62), 286),
        (0.81, 7.87, (2.30, 3.34, 3.85), 4032),
        (0.67, 13.2, (3.53, 6.61, 8.44), 372),
    ],
)
def test_bounds_of_methods_md_17_2(cosine, score, bounds, least):
    assert [round(vendi_bound(n, cosine), 2) for n in (10, 50, 100)] == list(bounds)
    assert least_images(score, cosine) == least
    assert vendi_bound(least, cosine) >= score > vendi_bound(least - 1, cosine)


def test_identical_images_never_have_a_greater_score():
    assert least_images(1.01, 1.0) is None
    (finding,) = audit([fact("cosine", 1.0, decimals=6), fact("vendi", 5.0)])
    assert finding.severity == "error"
    assert finding.text.endswith("5.00 is printed, which needs more images than any, rounding considered")


@pytest.mark.parametrize("n", [2, 10, 100])
@settings(deadline=None)
@given(similarities=st.lists(st.floats(0, 1), min_size=1, max_size=8))
def test_no_mixture_of_classes_exceeds_the_envelope(n, similarities):
    mean = sum(vendi_bound(n, s) for s in similarities) / len(similarities)
    assert mean <= mixture_bound(n, sum(similarities) / len(similarities)) + 1e-9


@pytest.mark.parametrize("n", [2, 10, 100])
def test_the_envelope_is_reached(n):
    """It is a mean of two classes, but for the 1/500 that its steps are rounded by."""
    for s in np.linspace(0, 1, 21):
        ends = [(a, b) for a in np.linspace(0, s, 41) for b in np.linspace(s, 1, 41) if a < b]
        best = max(
            [((b - s) * vendi_bound(n, a) + (s - a) * vendi_bound(n, b)) / (b - a) for a, b in ends]
            + [vendi_bound(n, s)]
        )
        assert best - 1e-9 <= mixture_bound(n, s) <= best + 0.02 * n


# --- one real computation


def computed(n, width, pulls, ipc, seed):
    """Facts of a set of classes: mean Vendi Score and mean cosine of random unit vectors, pulled to a mean each."""
    rng = np.random.default_rng(seed)
    scores, cosines = [], []
    for pull in pulls:
        rows = rng.normal(size=(n, width)) / math.sqrt(width) + pull * rng.normal(size=width) / math.sqrt(width)
        rows /= np.linalg.norm(rows, axis=1, keepdims=True)
        gram = rows @ rows.T
        spectrum = np.clip(np.linalg.eigvalsh(gram / n), 1e-300, None)
        scores.append(math.exp(-(spectrum * np.log(spectrum)).sum()))
        cosines.append((gram.sum() - n) / (n * (n - 1)))
    values = {"vendi": float(np.mean(scores)), "cosine": float(np.mean(cosines))}
    return [fact(name, round(value, 2), ipc=ipc) for name, value in values.items()]


@settings(max_examples=60, deadline=None)
@given(
    n=st.integers(2, 60),
    width=st.sampled_from([3, 16, 512]),
    pull=st.floats(0, 5),
    classes=st.integers(1, 12),
    seed=st.integers(0, 2**32 - 1),
)
@example(n=2, width=512, pull=3.0, classes=10, seed=0)
def test_one_real_computation_never_trips_the_bound(n, width, pull, classes, seed):
    """Classes of one law. Two images have exactly the score of the bound, so there the mean over classes is looser."""
    if n > 2 or width == 512:
        assert audit(computed(n, width, [pull] * classes, n, seed)) == []
    assert not {"error"} & {f.severity for f in audit(computed(n, width, [pull] * classes, n, seed))}


@settings(max_examples=60, deadline=None)
@given(n=st.integers(2, 60), pulls=st.lists(st.floats(0, 20), min_size=1, max_size=8), seed=st.integers(0, 999))
@example(n=30, pulls=[0, 100], seed=0)
def test_unequal_classes_never_contradict_mathematics(n, pulls, seed):
    assert "error" not in {f.severity for f in audit(computed(n, 64, pulls, n, seed))}


def test_unequal_classes_are_why_a_warning_is_no_error():
    (finding,) = audit(computed(30, 512, [0, 0, 100, 100], 30, 0))
    assert (finding.rule, finding.severity) == ("Vendi against cosine", "warning")


@pytest.mark.parametrize("n", [10, 50, 100])
def test_nor_does_it_where_the_number_of_images_is_not_stated(n):
    found = audit(computed(n, 512, [1.5] * 10, None, n))
    assert {f.severity for f in found} <= {"info"}


# --- rules, each on tables made for it


def test_vendi_against_cosine_severities():
    def rule(cosine, score, **stated):
        return severities("Vendi against cosine", fact("cosine", cosine, **stated), fact("vendi", score, **stated))

    assert rule(0.66, 3.07) == []
    assert rule(0.90, 1.87) == ["info"]
    assert rule(0.93, 2.28) == ["warning"]
    assert rule(0.93, 12.0) == ["error"]  # an envelope of 9.4 at n = 100
    assert rule(0.90, 1.87, ipc=50) == []
    assert rule(0.90, 1.87, ipc=10) == ["warning"]
    assert rule(0.90, 1.65, ipc=10) == rule(0.90, 1.68, ipc=10) == []  # what rounding to two places explains
    bound = vendi_bound(10, 0.895)
    assert rule(0.90, bound + 0.004, ipc=10) == []
    assert rule(0.90, bound + 0.006, ipc=10) == ["warning"]
    assert rule(0.90, 12.0, unit="min-max") == []


def test_cosines_and_scores_of_other_tables_methods_or_embedders_are_not_paired():
    for other in ({"table": "Table 2"}, {"method": "b"}, {"embedder": "CLIP"}, {"dataset": "cifar100"}):
        made = [fact("cosine", 0.93), fact("vendi", 9.0, **other)]
        assert severities("Vendi against cosine", *made) == []


@pytest.mark.parametrize(
    ("value", "unit", "dataset", "ipc", "severity"),
    [
        (9.4, "%", "cifar10", None, ["info"]),
        (9.5, "%", "cifar10", None, ["warning"]),
        (0.095, "", "cifar10", None, ["warning"]),
        (4.8, "%", "cifar10", None, []),
        (4.8, "%", "cifar10", 10, ["warning"]),
        (9.4, "%", "cifar10", 100, []),
        (0.09, "%", "cifar10", None, ["info"]),
        (0.11, "%", "cifar10", None, []),
        (53, "%", "cifar10-of-mine", None, []),
        (53, "%", "tiny-imagenet", None, ["info"]),
        (0.40, "", "imagenet-1k", None, ["warning"]),
    ],
)
def test_coverage_against_iid(value, unit, dataset, ipc, severity):
    made = fact("coverage", value, unit=unit, dataset=dataset, ipc=ipc, decimals=3)
    assert severities("coverage against i.i.d.", made) == severity


def test_printed_twice_converts_units_and_allows_for_rounding():
    table_2 = {"table": "Table 2"}
    for value, expected in ((0.301, []), (0.305, []), (0.3052, ["warning"]), (0.45, ["warning"])):
        made = [fact(value=30, unit="%", decimals=0), fact(value=value, decimals=4, **table_2)]
        assert severities("printed twice", *made) == expected, value
    assert severities("printed twice", fact(value=1, unit="h", decimals=0), fact(value=9000, unit="s", **table_2))
    assert severities("printed twice", fact(value=1, unit="h"), fact(value=3600, unit="s", **table_2)) == []
    for other in ({"ipc": 10}, {"baseline": "b"}, {"variant": "v"}, {"network": "ViT"}):
        assert severities("printed twice", fact(value=5), fact(value=9, **table_2, **other)) == []
    (finding,) = [f for f in audit([fact(value=6.4, unit="%"), fact(value=0.45, **table_2)]) if "twice" in f.rule]
    assert finding.text.endswith("0.45 is 7.0 times 6.40 % as a fraction and 1/14.2 of it as a percentage")
    assert len(finding.facts) == 2


def test_printed_elsewhere_weighs_the_source():
    paper = fact("accuracy", 52.5, unit="%")
    for source, severity in (("paper", "warning"), ("readme", "warning"), ("via", "warning"), ("issue", "info")):
        made = [paper, fact("accuracy", 53.5, unit="%", paper="q", source=source)]
        assert severities("printed elsewhere", *made) == [severity]
        assert severities("printed twice", *made) == []
    assert severities("printed elsewhere", paper, fact("accuracy", 52.5, unit="%", paper="q")) == []
    same = [fact("setting: lr", value, source=source) for value, source in ((1, "supplement"), (2, "readme"))]
    assert severities("printed elsewhere", *same) == ["warning"]


def test_identical_rows_need_every_cell():
    first = [fact("coverage", 2.0), fact("vendi", 3.0)]
    again = [fact("coverage", 2.0, method="b"), fact("vendi", 3.0, method="b")]
    assert severities("identical rows", *first, *again) == ["warning"]
    assert severities("identical rows", *first, again[0]) == []
    assert severities("identical rows", first[0], again[0]) == []  # one number may well be equal
    assert severities("identical rows", *first, again[0], fact("vendi", 3.01, method="b")) == []


def test_identical_across_data_sets():
    one = fact("accuracy", 57.5, std=0.6)
    for other, expected in (
        ({"std": 0.6}, ["warning"]),
        ({"std": 0.5}, []),
        ({"std": 0.6, "method": "b"}, []),
        ({"std": 0.6, "ipc": 10}, []),
    ):
        made = [one, fact("accuracy", 57.5, dataset="cifar100", table="Table 2", **other)]
        assert severities("identical across data sets", *made) == expected


@pytest.mark.parametrize(
    ("quantity", "before", "after", "severity"),
    [
        ("cosine", 0.74, 0.82, ["error"]),
        ("cosine", 0.74, 0.70, []),
        ("cosine", 0.66, 0.66, ["warning"]),
        ("vendi", 2.0, 2.1, []),
        ("vendi", 2.1, 2.0, ["error"]),
        ("coverage", 0.3, 0.2, ["error"]),
        ("time", 1.0, 2.0, []),
    ],
)
def test_refuted_improvement(quantity, before, after, severity):
    made = [fact(quantity, before), fact(quantity, after, method="a+x")]
    assert severities("refuted improvement", *made) == severity


def test_only_like_is_compared_with_like():
    for other in ({"table": "Table 2"}, {"ipc": 10}, {"network": "ViT"}, {"block": "x"}, {"method": "b+x"}):
        assert comparisons([fact("vendi", 2.0), fact("vendi", 1.0, **{"method": "a+x", **other})]) == []


def test_within_deviation():
    def rule(gain, **stated):
        made = [fact("accuracy", 50, std=0.3), fact("accuracy", 50 + gain, method="a+x", **stated)]
        return severities("within deviation", *made)

    assert rule(0.5, std=0.2) == ["info"]
    assert rule(0.51, std=0.2) == rule(0.1) == rule(-0.1, std=0.2) == []


def test_factor_of_100_needs_a_place_among_the_others():
    def rule(value):
        others = [fact("coverage", v, unit="%", method=m) for m, v in (("a", 0.9), ("b", 3.0), ("c", 6.7))]
        return severities("factor of 100", *others, fact("coverage", value, unit="%", method="d"))

    assert rule(0.04) == rule(0.06) == ["warning"]
    assert rule(0.004) == rule(0.09) == rule(0.07) == rule(0.0) == []


def test_both_rows_of_a_method_may_have_the_wrong_unit():
    made = [fact("coverage", v, unit="%", method=m) for m, v in (("a", 4), ("b", 6), ("c", 0.04), ("c+x", 0.06))]
    assert severities("factor of 100", *made) == ["warning", "warning"]


def test_more_images_no_better():
    made = {ipc: fact("accuracy", value, ipc=ipc) for ipc, value in ((50, 9.0), (10, 9.0), (100, 9.1))}
    assert severities("more images, no better", *made.values()) == ["warning"]
    assert severities("more images, no better", made[50], made[100]) == []
    assert severities("more images, no better", made[50], fact("accuracy", 1.0, ipc=100, network="ViT")) == []


def test_stated_overhead():
    def rule(percent):
        times = [fact("time", 100.0, unit="s"), fact("time", 117.7, unit="s", method="a+x")]
        return severities(
            "stated overhead", *times, fact("overhead", percent, unit="%", method="a+x", baseline="a", decimals=0)
        )

    assert rule(17) == ["info"]
    assert rule(18) == []


def test_out_of_range_and_deviation_above_the_mean():
    for quantity, value, bad in (("cosine", 1.01, 1), ("vendi", 0.9, 1), ("coverage", 1.1, 1), ("coverage", 1.0, 0)):
        assert len(severities("out of range", fact(quantity, value))) == bad
    assert severities("out of range", fact("accuracy", 101, unit="%")) == ["error"]
    assert severities("deviation above mean", fact("time", 0.015, std=0.029)) == ["info"]
    assert severities("deviation above mean", fact("time", 0.03, std=0.029)) == []


def test_every_rule_says_what_it_is():
    assert len({rule.name for rule in RULES}) == len(RULES)
    for rule in RULES:
        assert rule.reference
        assert rule.check.__doc__
        assert list(rule.check([])) == []
    assert all(getattr(module, rule.check.__name__) is rule.check for rule in RULES)


# --- the printed numbers


def test_of_66_comparisons_62_hold_3_are_worse_1_is_equal(known):
    tables = ("Table 3", "Table 5", "Table 7", "Table 9")
    pairs = [c for c in comparisons(known) if c.after.paper == "dire" and c.after.table in tables]
    assert Counter(c.after.table for c in pairs) == {"Table 3": 18, "Table 5": 15, "Table 7": 15, "Table 9": 18}
    assert Counter(c.outcome for c in pairs) == {1: 62, -1: 3, 0: 1}
    fails = [(c.after.table, c.after.method, c.before.value, c.after.value) for c in pairs if c.outcome < 1]
    assert fails == [
        ("Table 3", "INFER+DiRe", 0.74, 0.82),
        ("Table 3", "INFER(D)+DiRe", 0.74, 0.82),
        ("Table 3", "DELT+DiRe", 0.84, 0.93),
        ("Table 7", "SRe2L+DiRe", 0.66, 0.66),
    ]


def test_every_printed_accuracy_improves(known):
    pairs = [c for c in comparisons(known) if c.after.quantity == "accuracy"]
    assert Counter(c.outcome for c in pairs) == {1: 86}


# Rule, severity, place; each was checked by hand against the transcription of the printed table.
FINDINGS = """
Vendi against cosine | info | dire Table 3: SRe2L, vendi
Vendi against cosine | info | dire Table 3: SRe2L + DiRe, vendi
Vendi against cosine | info | dire Table 3: DWA, vendi
Vendi against cosine | warning | dire Table 3: DELT + DiRe, vendi
Vendi against cosine | info | dire Table 5: SRe2L, vendi
Vendi against cosine | info | dire Table 5: DWA, vendi
Vendi against cosine | info | dire Table 5: CDA, vendi
Vendi against cosine | warning | dire Table 7: CDA, vendi
Vendi against cosine | info | dire Table 7: CDA + DiRe, vendi
Vendi against cosine | warning | dire Table 9: SRe2L, vendi
Vendi against cosine | info | dire Table 9: SRe2L + DiRe, vendi
Vendi against cosine | warning | dire Table 9: DWA, vendi
Vendi against cosine | info | dire Table 9: DWA + DiRe, vendi
Vendi against cosine | warning | dire Table 9: CDA, vendi
Vendi against cosine | info | dire Table 9: CDA + DiRe, vendi
Vendi against cosine | warning | dire Table 9: INFER, vendi
Vendi against cosine | info | dire Table 9: INFER + DiRe, vendi
Vendi against cosine | warning | dire Table 9: G-VBSM, vendi
Vendi against cosine | warning | dire Table 9: G-VBSM + DiRe, vendi
Vendi against cosine | warning | dire Table 9: DELT, vendi
Vendi against cosine | info | dire Table 9: DELT + DiRe, vendi
Vendi against cosine | info | dire Table 17: RDED, vendi
Vendi against cosine | info | dire Table 17: SRe2L + DiRe, vendi
coverage against i.i.d. | info | dire Table 3: INFER + DiRe, coverage
coverage against i.i.d. | info | dire Table 3: INFER(D) + DiRe, coverage
coverage against i.i.d. | info | dire Table 3: G-VBSM, coverage
coverage against i.i.d. | info | dire Table 3: G-VBSM + DiRe, coverage
coverage against i.i.d. | info | dire Table 7: SRe2L + DiRe, coverage
coverage against i.i.d. | info | dire Table 7: DWA + DiRe, coverage
coverage against i.i.d. | info | dire Table 7: CDA + DiRe, coverage
coverage against i.i.d. | info | dire Table 7: G-VBSM + DiRe, coverage
coverage against i.i.d. | info | dire Table 16 (Coverage): SRe2L + DiRe, ResNet-18
coverage against i.i.d. | warning | dire Table 17: RDED, coverage
coverage against i.i.d. | warning | dire Table 17: SRe2L + DiRe, coverage
printed twice | warning | dire Table 17: SRe2L + DiRe, coverage
printed twice | warning | dire Table 17: SRe2L + DiRe, vendi
printed elsewhere | warning | dire Table 8: CDA, 50
printed elsewhere | info | cda SRe2L issue #27 (users): CDA, 200
printed elsewhere | warning | dire Table 8: DELT, 10
printed elsewhere | info | g-vbsm issues (users): G-VBSM, 50
printed elsewhere | warning | sre2l issue #10 (CIFAR-100, users): SRe2L, 50
printed elsewhere | info | rded issue #6 (users): RDED, 50
printed elsewhere | warning | wmdd run.sh: squeeze, epochs
printed elsewhere | warning | wmdd README (tiny-imagenet): recover, lambda
identical rows | warning | dire Table 3: INFER (D), vendi
identical rows | warning | dire Table 3: INFER(D) + DiRe, vendi
identical rows | warning | dire Table 5: INFER (D), vendi
identical rows | warning | dire Table 5: INFER(D) + DiRe, vendi
identical across data sets | warning | dire Table 4: SRe2L, 100
refuted improvement | error | dire Table 3: INFER + DiRe, cosine
refuted improvement | error | dire Table 3: INFER(D) + DiRe, cosine
refuted improvement | error | dire Table 3: DELT + DiRe, cosine
refuted improvement | warning | dire Table 7: SRe2L + DiRe, cosine
within deviation | info | dire Table 4: DWA + DiRe, 100
within deviation | info | dire Table 8: DELT + DiRe, 50
factor of 100 | warning | dire Table 3: G-VBSM, coverage
factor of 100 | warning | dire Table 3: G-VBSM + DiRe, coverage
more images, no better | warning | dire Table 12 (IPC=50): SRe2L, ShuffleNet
stated overhead | info | dire Section 4.9: SRe2L + DiRe, SRe2L
stated overhead | info | dire Section 4.9: SRe2L + DiRe, DWA
deviation above mean | info | wmdd supplement Table 7: SRe2L, time per iteration
"""


def test_the_findings_on_the_printed_numbers(found):
    lines = sorted(FINDINGS.strip().split("\n"), key=lambda line: SEVEREST.index(line.split(" | ")[1]))
    assert [f"{f.rule} | {f.severity} | {f.place}" for f in found] == lines


@pytest.mark.parametrize("rule", [rule.name for rule in RULES if rule.name != "out of range"])
def test_every_rule_finds_something_and_shows_the_numbers(found, rule):
    mine = [f for f in found if f.rule == rule]
    assert mine
    for finding in mine:
        assert all(f.printed in finding.text for f in finding.facts if rule != "identical rows")
        assert finding.place == finding.facts[-1].place
