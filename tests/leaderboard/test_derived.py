"""README.md, the page and the CSV as files: whole, escaped, self-contained, and the same bytes for the same entries."""

import csv
import io
import os
import re
import subprocess
import sys
from collections import Counter
from html.parser import HTMLParser
from pathlib import Path

import pytest
from msgspec.structs import replace

from divbench.leaderboard.board import load_board
from divbench.leaderboard.build import build, derived
from tests.leaderboard.boards import CLAIMS, METHODS, PAPER, make_board, put, scored, three

FILES = ("README.md", "index.html", "numbers.csv")


@pytest.fixture
def folder(tmp_path):
    return make_board(tmp_path / "board", three())


class Elements(HTMLParser):
    """Tags with their attributes, and the text outside of scripts."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.words = [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.words.append(data)


def test_readme_and_page_hold_everything(folder):
    board = build(folder)
    readme, page = ((folder / name).read_text() for name in FILES[:2])
    assert readme.startswith("<!-- Written by `divbench leaderboard build`.")
    for heading in ("Measured", "Claims", "Audit", "Methods", "Contributing"):
        assert f"\n## {heading}\n" in readme
    counts = [
        [cell.strip() for cell in line.split("|")[1:-1]] for line in readme.splitlines() if line.startswith("| p")
    ]
    assert counts[:2] == [["p.accuracy", *"110010000"], ["p", *"421111101"]]
    assert "- p Table 1, cifar10, Aa + Xx, cosine: worse, 0.9 → 0.95" in readme
    assert "- p Table 1, cifar10, Bb + Xx, vendi: equal, 1.2 → 1.2" in readme
    assert "- p Table 1, cifar10, Aa + Xx, vendi, IPC 10: vendi 2 → 2.001: gain" in readme
    assert "- Random real: drawn with seed 0" in readme
    parsed = Elements(page)
    words = " ".join(" ".join(parsed.words).split())
    ids = [attrs["id"] for _, attrs in parsed.tags if "id" in attrs]
    assert len(set(ids)) == len(ids)
    assert {f"finding-{number}" for number in range(1, len(board.findings) + 1)} < set(ids)
    links = {attrs["href"] for _, attrs in parsed.tags if "href" in attrs} - {f"#{one}" for one in ids}
    assert links == {"https://arxiv.org/abs/2001.00001", "https://example.org/b"}
    assert {"measured-0", "claims-all", "claims-summary", "all-numbers", "all-findings", "all-methods"} < set(ids)
    cited = ("Ann & Bob, On A, ICML, arXiv:2001.00001", "example.org/b", "drawn with seed 0")
    shown = ("27.2 ± 0.4 (p) / 27.0 (q) [4]", "✗ worse", "? inconclusive for these sets at IPC 10", "2 of 3")
    for said in (*cited, *shown, *(one.text for one in board.findings)):
        assert " ".join(said.split()) in words, said
    assert summary_numbers(readme) == summary_numbers(words) == ["3", "1", "16", "2", "5", str(len(board.findings))]


def summary_numbers(text):
    return re.findall(r"\d+(?= (?:measured entr|tables? *;|table;|numbers? printed|paper|claim|finding))", text)[:6]


def test_an_empty_leaderboard_has_its_printed_numbers(tmp_path):
    folder = make_board(tmp_path, claims="", students="")
    build(folder)
    readme, page, numbers = ((folder / name).read_text() for name in FILES)
    assert "Nothing yet." in readme
    assert "Nothing was measured yet." in page
    assert Counter(row["kind"] for row in csv.DictReader(io.StringIO(numbers))) == {"printed": 16}


EVIL = "\"' onclick=alert(3) '\"><script>alert(1)</script><img src=x onerror=alert(2)>|`*"


def test_what_people_write_is_shown_and_never_run(tmp_path):
    folder = make_board(tmp_path, [("a", scored(note=EVIL, coverage=0.05))])
    quoted = EVIL.replace('"', '\\"')
    (folder / "methods.toml").write_text(METHODS.replace('name = "Aa"', f'name = "{quoted}"').replace("On A", quoted))
    papers = PAPER.replace("Aa", quoted).replace("2.43,", f'{{ value = 2.43, printed = "2.43 {quoted}" }},')
    papers = papers.replace(f"\n{quoted} =", f'\n"{quoted}" =').replace("Table 1", f"Table {quoted}")
    (folder / "reported" / "p.toml").write_text(papers)
    (folder / "reported" / "q.toml").write_text(papers.replace('"p"', '"q"').replace('"cifar10"', f'"{quoted}"'))
    (folder / "claims" / "p.claims.toml").write_text(CLAIMS.replace('"Table 1"', f'"Table {quoted}"'))
    put(folder, "a", replace(scored(note=EVIL), embedder="pixels id"))
    put(folder, "a+x", scored(coverage=0.05))
    build(folder)
    parsed = Elements((folder / "index.html").read_text())
    tags = Counter(tag for tag, _ in parsed.tags)
    assert (tags["script"], tags["style"], tags["img"], tags["link"], tags["iframe"]) == (1, 1, 0, 0, 0)
    assert not [attrs for _, attrs in parsed.tags if any(name.startswith("on") or name == "src" for name in attrs)]
    assert " ".join(parsed.words).count("<script>alert(1)") > 20
    tables = [line for line in (folder / "README.md").read_text().splitlines() if line.startswith(("|", "- <", "###"))]
    assert not [line for line in tables if re.search(r"(?<!\\)<", line)]
    for row in csv.DictReader(io.StringIO((folder / "numbers.csv").read_text(), newline=""), strict=True):
        assert None not in row


def test_the_page_may_load_and_run_nothing_else(folder):
    build(folder)
    page = (folder / "index.html").read_text()
    (policy,) = (attrs["content"] for tag, attrs in Elements(page).tags if attrs.get("http-equiv"))
    assert policy.startswith("default-src 'none'; ")
    assert "unsafe" not in policy
    assert "http" not in policy


# --- the same bytes


BUILD = "import sys; from pathlib import Path; from divbench.leaderboard.build import build; build(Path(sys.argv[1]))"


def test_the_same_entries_make_the_same_bytes(folder, tmp_path):
    put(folder, "b", scored(ipc=50, students=(0.3, 0.4), dataset="svhn"))
    made = []
    for seed in ("0", "1", "4"):
        subprocess.run([sys.executable, "-c", BUILD, folder], env={**os.environ, "PYTHONHASHSEED": seed}, check=True)
        made.append({name: (folder / name).read_bytes() for name in FILES})
    assert made[0] == made[1] == made[2]
    (folder / "results").rename(tmp_path / "results")
    other = make_board(tmp_path / "elsewhere" / "deeper")
    (tmp_path / "results").rename(other / "results")
    build(other)
    assert {name: (other / name).read_bytes() for name in FILES} == made[0]


def test_nor_does_the_order_matter_in_which_files_are_listed(folder, monkeypatch):
    put(folder, "b", scored(ipc=50, dataset="svhn"))
    board = load_board(folder)
    for name in ("glob", "rglob", "iterdir"):
        listed = getattr(Path, name)
        monkeypatch.setattr(Path, name, lambda *given, listed=listed: reversed(list(listed(*given))))
    assert derived(load_board(folder)) == derived(board)
