"""The page: self-contained, escaped, the same bytes again, light, and readable with a thousand classes."""

import base64
import hashlib
import os
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import msgspec
import pytest

from divbench.errors import ResultError
from divbench.report._page_tables import ends
from divbench.report.gallery import ClassPictures, Gallery, Strip
from divbench.report.page import Wording, page
from divbench.results import SetRecord
from tests.records import uneven
from tests.report.stories import CLASSES, entry

PIXEL = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)


class Parsed(HTMLParser):
    """Tags with attributes, and the text of the page."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.words, self.open = [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        if tag not in ("meta", "img", "input", "br", "link"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if not self.open or self.open[-1] not in ("style", "script"):
            self.words.append(data)

    def of(self, tag):
        return [attributes for name, attributes in self.tags if name == tag]


def pair(**changes):
    return [entry("x", accuracy=(0.5, 0.52)), entry("x+y", vendi=2.4, accuracy=(0.6, 0.61), **changes)]


def pictures(name="cat"):
    strip = Strip("synthetic", PIXEL, "image/png", 1, f"An image of {name}")
    return Gallery(classes=[ClassPictures(name, (("x", (strip,)),))], notes=["about them"])


def test_the_page_is_whole_and_asks_the_network_for_nothing():
    text = page(pair(), pictures())
    found = Parsed(text)
    assert found.open == []
    assert not found.of("link")
    for tag, attributes in found.tags:
        for key in ("src", "href"):
            value = attributes.get(key)
            assert value is None or value.startswith(("data:image/", "#")), (tag, value)
        assert not any(key.startswith("on") or key == "style" for key in attributes), (tag, attributes)
    targets = {attributes["id"] for _, attributes in found.tags if "id" in attributes}
    assert {a["href"][1:] for a in found.of("a")} <= targets
    assert all(image["alt"] for image in found.of("img"))


def test_every_id_stands_once():
    found = Parsed(page(pair(), pictures()))
    names = [attributes["id"] for _, attributes in found.tags if "id" in attributes]
    assert len(set(names)) == len(names)


def test_only_our_own_script_and_style_may_run():
    text = page(pair())
    policy = next(m["content"] for m in Parsed(text).of("meta") if m.get("http-equiv") == "Content-Security-Policy")
    for tag in ("style", "script"):
        source = re.search(rf"<{tag}>(.*?)</{tag}>", text, re.DOTALL)[1]
        digest = base64.b64encode(hashlib.sha256(source.encode()).digest()).decode()
        assert f"{tag}-src 'sha256-{digest}'" in policy
    assert policy.startswith("default-src 'none'; base-uri 'none'; form-action 'none'; img-src data:;")


def test_names_cannot_break_out():
    evil = "<script>alert(1)</script>"
    classes = (evil, '" onload="x', *CLASSES[2:])
    results = [entry(evil, classes=classes), entry(f"{evil}+</title>", classes=classes, vendi=2.4, cautions=(evil,))]
    text = page(results, pictures(evil), Wording(title=evil, note=f"{evil}\n\n<b>two</b>"))
    found = Parsed(text)
    assert len(found.of("script")) == 1
    assert "<script>alert" not in text
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in text
    assert not found.of("b")
    assert not any("onload" in attributes for _, attributes in found.tags)


def test_the_same_input_gives_the_same_bytes():
    assert page(pair(), pictures()) == page(pair(), pictures())


@pytest.mark.slow
def test_the_order_of_hashes_does_not_show(tmp_path):
    code = (
        "import hashlib; from tests.report.test_page import *;"
        "print(hashlib.sha256(page(pair(), pictures()).encode()).hexdigest())"
    )
    found = {
        subprocess.run(
            [sys.executable, "-c", code], env={**os.environ, "PYTHONHASHSEED": seed}, capture_output=True, text=True,
            check=True, cwd=Path(__file__).parents[2],
        ).stdout
        for seed in ("1", "2")
    }  # fmt: skip
    assert len(found) == 1


def test_the_verdict_comes_first_and_the_parts_in_order():
    text = page(pair(), pictures())
    places = [text.index(f'<section id="{name}">') for name in
              ("verdict", "measurement", "tables", "figures", "images", "provenance")]  # fmt: skip
    assert places == sorted(places)
    words = " ".join(" ".join(Parsed(text).words).split())
    assert "x+y beside x" in words
    assert "▲ more spread out" in words
    assert "vendi 2 → 2.4 (+0.4 ±" in words
    for heading in ("Conceptualise", "Operationalise", "Reliability", "Validity"):
        assert heading in words


def test_one_entry_has_no_verdict_but_its_controls():
    words = " ".join(" ".join(Parsed(page([entry("alone")])).words).split())
    assert "there is nothing to compare it with" in words
    assert "coverage / collapse to mean" in words


def test_parts_of_one_entry_are_one():
    whole = entry("x", accuracy=(0.5, 0.52))
    scored = msgspec.structs.replace(whole, scores=whole.scores[:5], accuracies=())
    trained = msgspec.structs.replace(
        whole, scores=whole.scores[5:], protocol=None, protocol_digest=None, embedder=None, real=None
    )
    assert page([scored, trained]) == page([whole])


def test_students_that_were_added_later_have_a_command_of_their_own():
    one = entry("x", accuracy=(0.5, 0.52))
    (trained,) = one.accuracies
    earlier, last = (
        msgspec.structs.replace(trained.environment, commit=commit * 20, argv=("divbench", "train", commit))
        for commit in ("ab", "cd")
    )
    grown = msgspec.structs.replace(trained, environment=last, earlier=(earlier,))
    words = " ".join(" ".join(Parsed(page([msgspec.structs.replace(one, accuracies=(grown,))])).words).split())
    assert words.index("divbench train ab") < words.index("divbench train cd")
    assert "commit abababababab" in words
    assert "commit cdcdcdcdcdcd" in words


def test_a_thousand_classes_show_both_ends_and_a_search():
    classes = tuple(f"class number {i}" for i in range(1000))
    results = [entry("x", classes=classes), entry("x+y", vendi=2.4, classes=classes)]
    text = page(results)
    found = Parsed(text)
    assert len(text) < 1_500_000
    rows = [row.get("class") for row in found.of("tr")]
    assert rows.count("mid") == 3 * (1000 - 20)
    assert any(field.get("type") == "search" for field in found.of("input"))
    assert "search" not in [field.get("type") for field in Parsed(page(pair())).of("input")]
    assert len(ends(results, [tuple(results)], 20)) == 20


def test_the_ends_are_the_classes_that_lost_and_gained_most():
    before, after = entry("x"), entry("x+y")
    score = after.score("vendi")
    moved = list(score.per_class[0])
    moved[3], moved[6] = moved[3] - 1, moved[6] + 1
    vendi = msgspec.structs.replace(score, per_class=(tuple(moved),))
    after = msgspec.structs.replace(after, scores=tuple(vendi if s.metric == "vendi" else s for s in after.scores))
    found = ends([before, after], [(before, after)], 2)
    assert found == [3, 6]
    assert ends([before, after], [(before, after)], 10) == sorted(
        range(10), key=lambda c: moved[c] - before.score("vendi").per_class[0][c]
    )


def test_entries_that_share_no_scope_still_have_a_page():
    whole = entry("x", accuracy=(0.5, 0.52))
    flat = msgspec.structs.replace(
        entry("flat"), scores=tuple(msgspec.structs.replace(s, scope="dataset", per_class=()) for s in entry().scores)
    )
    assert 'id="scope-dataset"' in page([whole, flat])
    single = [entry(name, classes=("only",)) for name in ("x", "x+y")]
    assert "x+y <span>beside x</span>" in page(single)


def test_names_that_look_like_yardsticks_are_entries():
    text = page([entry("(ours) A"), entry("Δ B")])
    assert text.count('<tr class="ref">') == text.count('<th scope="row">(random real)') * 3


def test_what_cannot_stand_on_one_page():
    with pytest.raises(ResultError, match="at least one result"):
        page([])
    with pytest.raises(ResultError, match="two results are called 'x'.*give one another --name"):
        page([entry("x"), entry("x", digest="a" * 64)])
    counts = (1,) * 9
    with pytest.raises(ResultError, match="two results are called 'x'"):
        page([uneven(entry("x"), (*counts, 10)), uneven(entry("x", digest="a" * 64), (10, *counts))])
    other = SetRecord("other", "by hand", "o" * 64, 1000, (100,) * 10)
    with pytest.raises(ResultError, match="x and y have different real sets"):
        page([entry("x"), msgspec.structs.replace(entry("y"), real=other)])
    with pytest.raises(ResultError, match="there is no entry 'z'; the entries are x, x\\+y"):
        page(pair(), wording=Wording(pairs=[("x", "z")]))


def test_several_numbers_of_images_stand_apart_and_side_by_side():
    few = pair()
    many = [entry(r.name, ipc=50, accuracy=(0.7, 0.72), digest=str(i) * 64, vendi=3.0 + i) for i, r in enumerate(few)]
    recipe = msgspec.structs.replace(many[0].accuracies[0], recipe="longer", digest="e" * 16)
    many = [msgspec.structs.replace(result, accuracies=(recipe,)) for result in many]
    text = page([*few, *many])
    words = " ".join(" ".join(Parsed(text).words).split())
    assert "IPC 50 x+y beside IPC 50 x" in words
    assert "IPC 10 x+y beside IPC 10 x" in words
    assert "Images per class are unequal" in words
    found = Parsed(text)
    names = {attributes.get("id") for _, attributes in found.tags}
    assert {"ipc-vendi", "scope-class", "scope-class-1", "network-0", "network-1", "curves-1"} <= names
    assert {"figure-controls", "figure-coverage", "classes-vendi"} <= names
    assert "Kendall" not in words


def test_pairs_that_were_asked_for():
    results = [*pair(), entry("other")]
    words = " ".join(" ".join(Parsed(page(results, wording=Wording(pairs=[("other", "x")]))).words).split())
    assert "x beside other" in words
    assert "x+y beside x" not in words
