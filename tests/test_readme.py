"""The README's output is real."""

import os
import re
import shlex
from pathlib import Path

import pytest
from click.testing import CliRunner

from divbench.cli import main

README = Path(__file__).parents[1] / "README.md"


def shape_of(text):
    """Everything but numbers, the widths that they give to columns, and the cautions that follow from them."""
    text = "\n".join(line for line in text.splitlines() if ": caution [" not in line)
    text = re.sub(r"[0-9a-f]{16,}", "#", text)
    return re.sub(r"[\s-]+", " ", re.sub(r"[-±]?\d[\w.+%]*", "#", text)).strip()


@pytest.mark.slow
def test_the_demo_prints_what_the_readme_shows(tmp_path, monkeypatch):
    """But for the numbers, which are those of one machine: another processor rounds otherwise.

    Takes minutes, unless the environment variable DIVBENCH_DEMO_OUTPUT names a file with what a demo has printed.
    """
    monkeypatch.chdir(tmp_path)
    shown = re.search(r"<!-- demo -->\n```\n(.*?)\n```", README.read_text(), re.DOTALL).group(1)
    if printed := os.environ.get("DIVBENCH_DEMO_OUTPUT"):
        stdout = Path(printed).read_text()
    else:
        done = CliRunner().invoke(main, ["demo"])
        assert done.exit_code == 0, done.stderr
        stdout = done.stdout
    assert shape_of(stdout) == shape_of(shown)


def test_links_inside_the_page_lead_somewhere():
    text = README.read_text()
    places = {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in re.findall(r"^#+ (.*)$", text, re.M)}
    links = set(re.findall(r"\]\(#([^)]*)\)", text))
    assert links
    assert links <= places


@pytest.mark.parametrize("page", ["README.md", "reports/cifar10-grid.md", "reports/cifar10-parts.md"])
def test_tables_are_what_the_commands_above_them_print(page, monkeypatch):
    """To the last digit: they only read results that are in the repository. Notes below a table are left out."""
    monkeypatch.chdir(README.parent)
    blocks = re.findall(r"<!-- table of: divbench (.*?) -->\n```\n(.*?)\n```", Path(page).read_text(), re.DOTALL)
    assert blocks
    for command, shown in blocks:
        done = CliRunner().invoke(main, shlex.split(command))
        assert done.exit_code == 0, done.stderr
        assert done.stdout.split("\n\n- ")[0] == shown


def test_the_table_of_effects_says_what_the_comparisons_do(monkeypatch):
    """README's table of DiRe's effects, written by hand; coverage, recall and accuracy are in points."""
    monkeypatch.chdir(README.parent)
    pairs = [("sre2l", "+dire"), ("sre2l+real-start", "+dire"), ("sre2l+released-settings", "+dire-released")]
    rows = {"accuracy/resnet20": "accuracy, points", "coverage": "coverage, points", "recall": "recall, points",
            "vendi": "the Vendi Score", "cosine": "the cosine similarity"}  # fmt: skip
    for place, (base, added) in enumerate(pairs):
        files = [
            f"leaderboards/results/cifar10/ipc10/{key}/paper-resnet18-3c655cbe.json" for key in (base, base + added)
        ]
        done = CliRunner().invoke(main, ["compare", *files, "--metrics", ",".join(rows), "--differences"])
        measured = re.findall(r"(-?[\d.]+) ±([\d.]+) \(p", done.stdout)
        assert len(measured) == len(rows)
        for (metric, row), cell in zip(rows.items(), measured, strict=True):
            line = re.search(rf"^\| (?:raises|lowers) {row} \|(.*)\|$", README.read_text(), re.MULTILINE).group(1)
            shown = line.split("|")[1 + place].replace(" ", "").split("±")
            scale = 100 if metric in ("coverage", "recall") else 1
            assert [float(number) for number in shown] == pytest.approx([scale * float(one) for one in cell])


def test_what_the_readme_says_was_found_is_borne_out_by_the_results(monkeypatch):
    monkeypatch.chdir(README.parent)
    done = CliRunner().invoke(
        main, ["check", "reports/cifar10.claims.toml", "--results", "leaderboards/results/cifar10"]
    )
    assert done.exit_code == 0, done.stdout + done.stderr


def test_the_example_metric_works(tmp_path):
    import torch

    code = re.search(r"```python\n(from torch import Tensor.*?)```", README.read_text(), re.DOTALL).group(1)
    scope = {}
    exec(code, scope)
    from divbench.metrics import METRICS

    try:
        rows = torch.tensor([[1.0, 0.0], [0.0, 2.0], [1.0, 1.0]])
        assert METRICS["widest_angle"](rows, rows) == 1.0
    finally:
        METRICS._items.pop("widest_angle")
