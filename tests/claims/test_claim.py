"""Claim files are read strictly: an error names the line, and nothing passes for nothing."""

import pytest

from divbench.claims.claim import load_claims
from divbench.errors import ClaimError

GOOD = """# what the paper says
[[claim]]
id = "one"
baseline = "sre2l"
candidate = "sre2l+dire"
metric = "vendi"
min_gain = 0.1
claimed = [1.87, 2.25]
source = "Table 3"

[[claim]]
id = "two"
baseline = "sre2l"
candidate = "sre2l+dire"
metric = "diversity"

[[pin]]
id = "vendi of sre2l"
result = "sre2l"
metric = "vendi"
tolerance = 0.01
"""


def load(tmp_path, text):
    path = tmp_path / "x.claims.toml"
    path.write_text(text)
    return load_claims(path)


def test_a_file_with_claims_and_pins(tmp_path):
    file = load(tmp_path, GOOD)
    assert [claim.id for claim in file.claims] == ["one", "two"]
    assert file.claims[0].claimed == (1.87, 2.25)
    assert file.claims[0].group == file.claims[1].group == "sre2l | sre2l+dire"
    assert (file.claims[0].confidence, file.claims[0].scope, file.claims[0].seeds) == (0.95, "class", 1)
    assert file.pins[0].tolerance == 0.01
    assert file.lines == {"one": 2, "two": 11, "vendi of sre2l": 17}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            ("min_gain = 0.1", "min_gian = 0.1"),
            r"line 2: Object contains unknown field `min_gian` - at `\$.claim\[0\]`",
        ),
        (('metric = "diversity"\n', ""), r"line 11: Object missing required field `metric` - at `\$.claim\[1\]`"),
        (("min_gain = 0.1", 'min_gain = "much"'), r"line 2: Expected `float`"),
        (("min_gain = 0.1", "min_gain = nan"), "line 2: one: min_gain is a finite number >= 0, got nan"),
        (
            ('"vendi"\nmin_gain = 0.1', '"accuracy/resnet18"\nmin_gain = 2'),
            "line 2: one: min_gain of an accuracy is a share",
        ),
        (("claimed = [1.87, 2.25]", "claimed = [1.87, inf]"), "line 2: one: claimed holds two finite numbers"),
        (("claimed = [1.87, 2.25]", "claimed = [1.87]"), "line 2: Expected `array` of length 2"),
        (('"vendi"\nmin_gain', '"vendi"\nconfidence = 95\nmin_gain'), "line 2: one: confidence is from 0.5 to below 1"),
        (('id = "two"', 'id = "one"'), "line 11: id 'one' stands on line 2 already"),
        (('id = "two"', 'id = ""'), "line 11: : id is a name on one line"),
        (("tolerance = 0.01", "tolerance = -1"), "line 17: vendi of sre2l: tolerance is a number >= 0"),
        (('candidate = "sre2l+dire"\nmetric = "vendi"', 'candidate = "sre2l"\nmetric = "vendi"'), "are both 'sre2l'"),
        (
            ('metric = "diversity"', 'metric = "diversity"\nmin_gain = 1'),
            "line 11: two: diversity is judged as a whole",
        ),
        (('metric = "diversity"', 'metric = "vendi"'), r"line 11: two says of the same entries .* by one \(line 2\)"),
        (("[[claim]]", "[[claims]]"), "unknown field `claims`"),
        (('id = "two"', 'id = "two'), "is no TOML"),
    ],
)
def test_what_is_wrong_is_said_with_its_place(tmp_path, change, said):
    assert change[0] in GOOD
    with pytest.raises(ClaimError, match=said) as caught:
        load(tmp_path, GOOD.replace(*change))
    assert "x.claims.toml" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_claims_of_which_one_must_be_false(tmp_path):
    turned = (
        '[[claim]]\nid = "a"\nbaseline = "x"\ncandidate = "y"\nmetric = "vendi"\nmin_gain = 0.1\n'
        '[[claim]]\nid = "b"\nbaseline = "y"\ncandidate = "x"\nmetric = "vendi"\nmin_gain = {}\n'
    )
    with pytest.raises(ClaimError, match=r"line 7: b cannot hold together with a \(line 1\)"):
        load(tmp_path, turned.format(0.0))
    ring = "".join(
        f'[[claim]]\nid = "{a}{b}"\nbaseline = "{a}"\ncandidate = "./{b}"\nmetric = "vendi"\n'
        for a, b in ("xy", "yz", "zx")
    )
    with pytest.raises(ClaimError, match=r"line 11: zx cannot hold together with yz \(line 6\)"):
        load(tmp_path, ring)


@pytest.mark.parametrize(
    "text",
    [
        'claim = [{id="bad",baseline="after",candidate="before",metric="vendi"}]',
        '[["claim"]]\nid = "bad"\nbaseline = "a"\ncandidate = "b"\nmetric = "vendi"\n',
        GOOD + 'source = """\n[[claim]]\n"""\n',
    ],
)
def test_claims_that_have_no_line_of_their_own_are_refused(tmp_path, text):
    """They could be passed over in silence."""
    with pytest.raises(ClaimError):
        load(tmp_path, text)


@pytest.mark.parametrize("text", ["", "# nothing\n", "claim = []\n"])
def test_an_empty_file_is_no_pass(tmp_path, text):
    with pytest.raises(ClaimError, match="states no claim, so nothing was checked"):
        load(tmp_path, text)


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(ClaimError, match="none.toml: cannot be read"):
        load_claims(tmp_path / "none.toml")
