"""The methods of the field: the file itself, names and keys, strict reading."""

import subprocess
import sys
from collections import defaultdict
from pathlib import Path

import pytest

import divbench
from divbench.errors import ResultError
from divbench.leaderboard.facts import facts, normalise
from divbench.leaderboard.methods import load_methods
from divbench.leaderboard.reported import load_reported

FOLDER = Path(divbench.__file__).parents[1] / "leaderboards"


@pytest.fixture(scope="module")
def methods():
    return load_methods(FOLDER / "methods.toml")


def test_the_methods_are_there_by_kind_and_in_order(methods):
    kinds = defaultdict(list)
    for key, method in methods.known.items():
        kinds[method.kind].append(key)
    assert kinds == {
        "selected": ["random", "kmeans", "rded"],
        "generated": ["d4m"],
        "optimised": [
            "dc", "dsa", "kip", "mtt", "dm", "sre2l", "cda", "g-vbsm", "dwa", "edc", "lpld", "infer", "infer-d",
            "cv-dd", "sre2lpp", "delt", "wmdd", "deda",
        ],
        "addition": [
            "dire", "dire-released", "cd", "cdm", "edm", "dpp", "coreset-edm", "real-start", "noise-start",
            "released-settings",
        ],
    }  # fmt: skip


def test_every_printed_method_is_known(methods):
    printed = {fact.method for fact in facts(load_reported(FOLDER / "reported"), methods.aliases)}
    # torchmetrics is a library whose speed DiRe's text compares; split without aliases, SRe2L++ ends in empty parts.
    printed.remove("torchmetrics")
    assert {"sre2l", "sre2lpp", "infer-d+dire", "g-vbsm", "deda"} <= printed
    for key in printed:
        methods.check(key)


def test_names_lead_back_to_their_keys(methods):
    additions = [key for key, method in methods.known.items() if method.kind == "addition"]
    for key in [*methods.known, "sre2l+cd+dpp", *(f"{host}+{key}" for host in methods.known for key in additions)]:
        assert normalise(methods.name(key), methods.aliases) == key


def test_spellings(methods):
    names = {"sre2l+dire": "SRe2L + DiRe", "sre2lpp+cd+cdm": "SRe2L++ + CD + CDM", "cda+dire-released":
             "CDA + DiRe (released)", "New++": "New++", "New+++dire": "New++ + DiRe", "": ""}  # fmt: skip
    assert {key: methods.name(key) for key in names} == names
    keys = {"SRe²L + DiRe": "sre2l+dire", "INFER (D) + DiRe": "infer-d+dire", "SRe²L++": "sre2lpp", "TM": "mtt",
            "Random": "random", "DiRe(released)": "dire-released", "sre2l": "sre2l"}  # fmt: skip
    assert {printed: normalise(printed, methods.aliases) for printed in keys} == keys
    assert methods.aliases.keys() > methods.known.keys()


def test_the_kind_is_that_of_the_first_part(methods):
    keys = ("sre2l", "sre2l+dire", "random", "rded+dire", "d4m", "dire", "Other", "")
    assert [key for key in keys if methods.kind(key) == "optimised"] == ["sre2l", "sre2l+dire"]


def test_order_is_that_of_the_file(methods):
    keys = ["random", "dc", "sre2l", "sre2l+dire", "sre2l+dire+cd", "sre2l+cd", "sre2l+Other", "cda", "Other"]
    assert sorted(sorted(keys), key=methods.order) == keys


@pytest.mark.parametrize(
    ("key", "message"),
    [
        ("sre2", r"'sre2': unknown method 'sre2'; did you mean 'sre2l'\? .* a table in methods\.toml"),
        ("sre2l+dir", r"'sre2l\+dir': unknown method 'dir'; did you mean 'dire'\?"),
        ("SRE2L", r"unknown method 'SRE2L'; did you mean 'sre2l'\?"),
        ("SRe2L++", r"unknown method 'SRe2L'; did you mean 'sre2lpp'\?"),
        ("SRe2L + DiRe", r"unknown method 'SRe2L '; did you mean 'sre2l\+dire'\?"),
        ("sre2l+", r"'sre2l\+': unknown method ''; To add one, write a table in methods\.toml"),
        ("dire", r"'dire' is an addition; name what it is added to first: 'sre2l\+dire'"),
        ("sre2l+cda", r"only additions follow a '\+', and 'cda' is of kind 'optimised'"),
        ("sre2l+dire+random", r"'sre2l\+dire\+random': only additions follow .* 'random' is of kind 'selected'"),
    ],
)
def test_keys_that_name_no_method_are_refused(methods, key, message):
    with pytest.raises(ResultError, match=message):
        methods.check(key)


def test_entries_of_one_paper_agree_and_papers_differ(methods):
    papers, codes = defaultdict(set), defaultdict(set)
    for key, method in methods.known.items():
        papers[method.title, method.authors, method.venue, method.arxiv].add(key)
        codes[method.code].add(key)
    for titles_or_numbers in ([paper[0] for paper in papers], [paper[3] for paper in papers if paper[3]]):
        assert len(set(titles_or_numbers)) == len(titles_or_numbers)
    inside = {"dire", "dire-released", "cd", "cdm", "edm"}
    none = {"random", "kmeans", "dpp", "coreset-edm", "real-start", "noise-start", "released-settings"}
    assert [keys for keys in papers.values() if len(keys) > 1] == [
        none, {"infer", "infer-d"}, {"cv-dd", "sre2lpp"}, inside]  # fmt: skip
    assert [keys for keys in codes.values() if len(keys) > 1] == [
        none | {"deda"}, {"dc", "dsa", "dm"}, {"infer", "infer-d"}, {"cv-dd", "sre2lpp"}, inside]  # fmt: skip


GOOD = '[a]\nname = "A"\nkind = "optimised"\n'


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("# none\n", r"holds no method; add a table"),
        ("[a\n", r"is no TOML"),
        ("a = 1\n", r"a: Expected `object`, got `int`"),
        ('[a]\nkind = "selected"\n', r"a: Object missing required field `name`; a method has name, kind"),
        (GOOD + 'year = "2024"\n', r"a: .*unknown field `year`"),
        (GOOD.replace("optimised", "optimized"), r"a: .*'optimized' - at `\$\.kind`; .*kind \(optimised, selected"),
        (GOOD + "arxiv = 2306.13092\n", r"a: Expected `str`, got `float` - at `\$\.arxiv`"),
        (GOOD + 'arxiv = "2306.130925"\n', r"a: arxiv is a number such as 2306\.13092, got '2306\.130925'"),
        (GOOD + 'code = "http://x.org"\n', r"a: code is an address that begins with https://, got 'http://x\.org'"),
        (GOOD + 'aliases = "B"\n', r"a: Expected `array`, got `str` - at `\$\.aliases`"),
        (GOOD + 'aliases = [" "]\n', r"a: name and aliases are spellings of one method, .* got ' '"),
        (GOOD.replace('"A"', '"A + B"'), r"a: name and aliases .* got 'A \+ B'"),
        (GOOD.replace("[a]", "[A]"), r"A: a key is of lower-case letters, digits and '-', got 'A'"),
        (GOOD.replace("[a]", '["a+b"]'), r"a\+b: a key is of .* got 'a\+b'"),
        (GOOD + '[b]\nname = "A"\nkind = "selected"\n', r"b: 'A' is a spelling of a already; drop one"),
        (GOOD + 'aliases = ["b"]\n[b]\nname = "B"\nkind = "selected"\n', r"b: 'b' is a spelling of a already"),
        (GOOD + 'aliases = ["B(D)"]\n[b]\nname = "B (D)"\nkind = "selected"\n', r"b: 'B \(D\)' is a spelling of a"),
    ],
)  # fmt: skip
def test_files_are_read_strictly(tmp_path, text, message):
    path = tmp_path / "methods.toml"
    path.write_text(text)
    with pytest.raises(ResultError, match=rf"^{path}: {message}"):
        load_methods(path)


@pytest.mark.parametrize("name", ["a.toml", "b.toml"])
def test_what_cannot_be_read_is_refused(tmp_path, name):
    (tmp_path / "a.toml").write_bytes(b'[a]\nname = "\xe9"\n')  # no UTF-8; b.toml is missing
    with pytest.raises(ResultError, match=rf"{name}: cannot be read \("):
        load_methods(tmp_path / name)


def test_reading_loads_no_torch():
    code = "import sys, divbench.leaderboard.methods; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
