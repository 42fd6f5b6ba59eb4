"""Claims of papers: the files say what the tables print, and entries hold, refute or leave them open."""

import re
from collections import Counter

import pytest

from divbench.claims.claim import Claim
from divbench.claims.judge import judge_claims
from divbench.errors import ClaimError, ResultError
from divbench.leaderboard.board import load_board
from divbench.leaderboard.facts import facts
from divbench.leaderboard.methods import load_methods
from divbench.leaderboard.reported import load_reported
from divbench.leaderboard.rules.gains import comparisons
from divbench.leaderboard.stated import MARKS, load_stated, printed_for
from tests.leaderboard.boards import (
    CLAIMS,
    OTHER,
    OURS,
    STUDENTS,
    claim,
    gaining,
    make_board,
    put,
    recipe,
    scored,
)
from tests.report.stories import with_students

FILES = {"dire": (3, 5, 7, 9), "dire.accuracy": (2, 4, 6, 8)}
"""Claim file -> tables of the paper."""


@pytest.fixture(scope="module")
def known():
    return list(facts(load_reported(OURS / "reported"), load_methods(OURS / "methods.toml").aliases))


def ours(*names):
    paths = [OURS / "claims" / f"{name}.claims.toml" for name in names]
    methods = load_methods(OURS / "methods.toml")
    return load_stated(paths, list(facts(load_reported(OURS / "reported"), methods.aliases)), [], methods)


def found(folder):
    """Claim -> what is measured of it, as (IPC, protocol, status)."""
    return {
        one.claim.id: [(m.ipc, m.protocol.rpartition("-")[0], m.verdict.status) for m in one.measured]
        for one in load_board(folder).stated
    }


# --- the claims of DiRe


def of_table(known, tables):
    return [
        c for c in comparisons(known) if c.after.paper == "dire" and c.after.table in {f"Table {n}" for n in tables}
    ]


@pytest.mark.parametrize("file", FILES)
def test_every_printed_pair_has_one_claim_and_every_claim_a_pair(known, file):
    pairs = of_table(known, FILES[file])
    printed = [
        (c.after.table, c.after.dataset, c.after.ipc, c.before.method, c.after.method,
         "accuracy/resnet18" if c.after.quantity == "accuracy" else c.after.quantity,
         (round(c.before.base, 9), round(c.after.base, 9)))
        for c in pairs
    ]  # fmt: skip
    claimed = [
        (one.claim.source, one.dataset, one.ipc, one.baseline, one.candidate, one.claim.metric, one.claim.claimed)
        for one in ours(file)
    ]
    assert Counter(claimed) == Counter(printed)
    assert set(Counter(claimed).values()) == {1}
    assert {c.after.network for c in pairs} == ({"ResNet-18"} if "accuracy" in file else {""})
    assert all(one.claim.scope == "class" and not one.claim.min_gain and one.measured == () for one in ours(file))


@pytest.mark.parametrize("file", FILES)
def test_a_claim_finds_the_two_numbers_it_is_about(known, file):
    for one in ours(file):
        about = [fact for fact in known if printed_for(fact, one) and fact.table == one.claim.source]
        assert [fact.method for fact in about] == [one.baseline, one.candidate], one.claim.id
        assert tuple(fact.base for fact in about) == pytest.approx(one.claim.claimed), one.claim.id


def test_62_of_66_hold_as_printed_3_are_worse_and_1_is_equal(known):
    stated = ours("dire")
    assert Counter(one.printed for one in stated) == {"holds": 62, "worse": 3, "equal": 1}
    outcomes = {1: "holds", 0: "equal", -1: "worse"}
    pairs = of_table(known, FILES["dire"])
    by_pair = {(c.after.table, c.after.method, c.after.quantity): outcomes[c.outcome] for c in pairs}
    assert {(one.claim.source, one.candidate, one.quantity): one.printed for one in stated} == by_pair
    assert [(one.dataset, one.candidate, one.printed) for one in stated if one.printed != "holds"] == [
        ("cifar10", "infer+dire", "worse"), ("cifar10", "infer-d+dire", "worse"), ("cifar10", "delt+dire", "worse"),
        ("tiny-imagenet", "sre2l+dire", "equal"),
    ]  # fmt: skip
    assert Counter(one.printed for one in ours("dire.accuracy")) == {"holds": 58}


def test_ours_are_judged_where_both_were_measured():
    stated = load_board(OURS).stated
    judged = {one.claim.id: {m.ipc: m.verdict.status for m in one.measured} for one in stated if one.measured}
    assert {key: judged[key][10] for key in judged if key.startswith("c10-sre2l-dire-") and 10 in judged[key]} == {
        f"c10-sre2l-dire-{metric}": "inconclusive" for metric in ("accuracy-ipc10", "coverage", "cosine", "vendi")
    }


# --- against entries


def test_a_claim_holds_is_refuted_left_open_or_not_measured(tmp_path):
    folder = make_board(tmp_path, gaining())
    assert found(folder) == {
        "acc-10": [], "coverage": [(10, "hand", "holds")], "cosine": [(10, "hand", "refuted")],
        "vendi": [(10, "hand", "inconclusive")], "b": [],
    }  # fmt: skip
    stated = {one.claim.id: one for one in load_board(folder).stated}
    assert {key: (one.paper, one.printed) for key, one in stated.items()} == {
        "acc-10": ("p", "holds"), "coverage": ("p", "holds"), "cosine": ("p", "worse"), "vendi": ("p", "holds"),
        "b": ("p", "equal"),
    }  # fmt: skip
    protocol = stated["vendi"].measured[0].protocol
    signs = [stated[key].sign(10, protocol) for key in ("coverage", "cosine", "vendi", "b")]
    assert signs == ["(✓)", "(✗)", "(?)", "○"]
    assert stated["coverage"].sign(50, protocol) == stated["coverage"].sign(10, "other") == "○"
    assert (stated["coverage"].signs, stated["b"].signs) == ("(✓) IPC 10", "○")
    assert len(set(MARKS.values())) == len(MARKS)


def test_a_claim_is_judged_at_every_ipc_or_at_the_one_that_it_states(tmp_path):
    levels = {"a": {"vendi": 2, "students": (0.5, 0.51, 0.52)}, "a+x": {"vendi": 2.4, "students": (0.6, 0.61, 0.62)}}
    entries = [(method, scored(ipc=ipc, **level)) for ipc in (10, 50) for method, level in levels.items()]
    later = claim("acc-50", "accuracy/convnet3", 0.475, 0.46, place="cifar10/ipc50", table=2)
    folder = make_board(tmp_path, entries, students=STUDENTS + later)
    assert found(folder)["vendi"] == [(10, "hand", "holds"), (50, "hand", "holds")]
    assert found(folder)["acc-10"] == [(10, "hand", "holds")]
    assert found(folder)["acc-50"] == [(50, "hand", "holds")]
    assert {one.claim.id: (one.ipc, one.printed) for one in load_board(folder).stated}["acc-50"] == (50, "worse")


def test_a_claim_is_judged_under_every_protocol_and_never_across(tmp_path):
    first, more = scored(), scored(vendi=2.4)
    folder = make_board(tmp_path, [("a", first), ("a+x", scored(vendi=2.4, protocol=OTHER))])
    assert found(folder)["vendi"] == []
    put(folder, "a+x", scored(vendi=2.4, dataset="svhn"))
    put(folder, "b+x", more)
    put(folder, "a+x", scored(ipc=50, vendi=2.4))
    assert found(folder)["vendi"] == []
    put(folder, "a", scored(protocol=OTHER))
    assert found(folder)["vendi"] == [(10, "other-one", "holds")]
    put(folder, "a+x", more)
    assert Counter(found(folder)["vendi"]) == {(10, "hand", "holds"): 1, (10, "other-one", "holds"): 1}


def test_what_one_side_lacks_is_not_measured_and_what_cannot_be_compared_is_an_error(tmp_path):
    few = claim("seeds", "coverage", 0.0243, 0.0284, base="b", top="b+x", more="seeds = 2")
    folder = make_board(tmp_path, [("a", scored(cosine=None)), ("a+x", scored(vendi=2.4))], students=few)
    put(folder, "b", scored())
    put(folder, "b+x", scored(vendi=2.4))
    assert found(folder)["cosine"] == []
    assert found(folder)["vendi"] == [(10, "hand", "holds")]
    assert found(folder)["b"] == [(10, "hand", "holds")]
    assert found(folder)["seeds"] == [(10, "hand", "error")]


def test_accuracies_are_judged_inside_one_recipe(tmp_path):
    more = scored(students=(0.60, 0.61, 0.62))
    folder = make_board(tmp_path, [("a", scored(students=(0.50, 0.51, 0.52))), ("a+x", more)])
    assert found(folder)["acc-10"] == [(10, "hand", "holds")]
    put(folder, "a+x", recipe(more, "soft", "e" * 16))
    assert found(folder)["acc-10"] == [(10, "hand", "error")]
    assert found(folder)["vendi"] == [(10, "hand", "inconclusive")]
    put(folder, "a+x", scored())
    assert found(folder)["acc-10"] == []


def test_claims_about_the_same_two_entries_are_one_family(tmp_path):
    """By Holm over the claims of one file about them: other IPCs, pairs and files are families of their own."""
    pair = [(method, with_students(result, (0.5, 0.51, 0.52))) for method, result in gaining()]
    entries = [*pair, ("a", scored(ipc=50)), ("a+x", scored(ipc=50, vendi=2.4))]
    entries += [("b", scored()), ("b+x", scored(vendi=2.1))]
    folder = make_board(tmp_path, entries)
    board = load_board(folder)
    texts = {(one.claim.id, m.ipc): m.verdict for one in board.stated for m in one.measured}
    assert {key: re.findall(r"Holm over \d", one.text) for key, one in texts.items()} == {
        **{(metric, ipc): ["Holm over 3"] for metric in ("coverage", "cosine", "vendi") for ipc in (10, 50)},
        ("acc-10", 10): [], ("b", 10): [],
    }  # fmt: skip
    results = {entry.place: entry.result for entry in board.entries}
    a, more = (one.place for one in board.entries if one.ipc == 10 and one.method in ("a", "a+x"))
    wanted = ("coverage", "cosine", "vendi")
    verdicts = judge_claims([Claim(metric, a, more, metric) for metric in wanted], results.__getitem__)
    assert [texts[key, 10].p for key in wanted] == [one.p for one in verdicts]
    assert texts["coverage", 10].p == pytest.approx(3 * 2 / 2**10)


def test_a_claim_is_about_the_table_that_it_names(tmp_path):
    folder = make_board(tmp_path, claims=claim("c", "vendi", 1.5, 1.6, table=2))
    with pytest.raises(ResultError, match="c: claims 1.5 for vendi of a, .* has none"):
        load_board(folder)


def test_what_entries_refute_or_cannot_tell_is_a_finding_about_the_printed_numbers(tmp_path):
    board = load_board(make_board(tmp_path, gaining()))
    found = {one.rule: one for one in board.findings if one.severity == "info"}
    refuted, collapse = found["refuted by measurement"], found["coverage against collapse"]
    assert [fact.place for fact in refuted.facts] == ["p Table 1: Aa, cosine", "p Table 1: Aa + Xx, cosine"]
    assert "IPC 10" in refuted.text
    assert [fact.place for fact in collapse.facts] == ["p Table 1: Aa, coverage"]  # 0.12 of Aa + Xx beats 0.1


# --- what is refused


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (claim("c", "vendi", 1, 2, place="cifar10/ipc1/x"), "line {}: c: baseline and candidate are methods of one"),
        (claim("c", "vendi", 1, 2, place="cifar10/ipc0"), "line {}: c: baseline and candidate are methods of one"),
        (claim("c", "vendi", 1, 2).replace("cifar10/a+x", "cifar100/a+x"), "line {}: c: .*, got 'cifar10/a' and"),
        (claim("c", "vendi", 1, 2).replace("cifar10/a+x", "cifar10/ipc10/a+x"), "line {}: c: .*of one data set"),
        (claim("c", "vendi", 1, 2).replace("cifar10/a+x", "a+x"), "line {}: c: .*methods of one data set"),
        (claim("c", "vendi", 1, 2, top="aa+x"), "line {}: c: 'aa[+]x': unknown method 'aa'; did you mean 'a"),
        (claim("c", "vendi", 1, 2, base="x"), "line {}: c: 'x': 'x' is an addition"),
        (claim("c", "recall", 1, 2), "line {}: c: metric 'recall' is none of accuracy, coverage, vendi, cosine"),
        (claim("c", "diversity", 1, 2), "line {}: c: metric 'diversity' is none of"),
        (claim("c", "vendi", 1, 2).replace("claimed = [1, 2]\n", ""), "line {}: c: states no printed .*claimed ="),
        (claim("c", "vendi", 1.5, 1.61), "line {}: c: claims 1.61 for vendi of a[+]x, .*p.toml has 1.6 .p Table 1: Aa"),
        (claim("c", "coverage", 2.25, 3.5), "line {}: c: claims 2.25 for coverage of a, and .* has 0.0225 "),
        (claim("c", "vendi", 1.5, 1.6, place="cifar10/ipc10"), "line {}: c: claims 1.5 for vendi of a, .* has none"),
        (claim("c", "vendi", 1.5, 1.6, place="cifar100"), "line {}: c: .* has none"),
        (claim("c", "accuracy/resnet18", 0.272, 0.374, place="cifar10/ipc10"), "line {}: c: .* has none"),
    ],
)
def test_claims_that_no_paper_can_make_are_refused_with_their_line(tmp_path, text, message):
    first = claim("first", "cosine", 0.9, 0.95)
    folder = make_board(tmp_path, claims=first + text)
    line = first.count("\n") + 1
    with pytest.raises(ResultError, match=r"p\.claims\.toml, " + message.format(line)):
        load_board(folder)


def test_claim_files_are_read_strictly(tmp_path):
    folder = make_board(tmp_path, claims=CLAIMS + claim("vendi", "vendi", 1, 2, base="b", top="b+x"))
    with pytest.raises(ClaimError, match=r"p\.claims\.toml, line 33: id 'vendi' stands on line 17 already"):
        load_board(folder)
    (folder / "claims" / "p.claims.toml").write_text("")
    with pytest.raises(ClaimError, match="states no claim"):
        load_board(folder)


def test_files_are_read_in_the_order_of_their_names_and_need_not_be_there(tmp_path):
    assert list(found(make_board(tmp_path / "a"))) == ["acc-10", "coverage", "cosine", "vendi", "b"]
    assert found(make_board(tmp_path / "b", claims="", students="")) == {}
    assert list(found(make_board(tmp_path / "c", claims="", students=STUDENTS))) == ["acc-10"]
