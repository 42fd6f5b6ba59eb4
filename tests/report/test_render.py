"""A table in six formats: what is shown, what is escaped, what stays exact."""

import csv
import io
import json
import shutil
import subprocess
from html.parser import HTMLParser

import pytest

from divbench.report.layouts import tables_by_ipc, tables_by_network
from divbench.report.render import FORMATS, Labelled, Measured, Table, render, render_all, shown_notes, sort_key, text
from divbench.report.tables import accuracy_table, compare_table, differences_table, score_table
from tests.records import make_result
from tests.report.students import make_accuracy, trained_result

NASTY = "a_b%&#$~^\\{}<i>é|*`[x]"


def table(**changes):
    fields = {
        "title": "a title",
        "columns": ["entry", "vendi ↑"],
        "rows": [["one", Measured(2.0, 1.5, 2.5)], ["two", 3.0]],
        "notes": ["a note"],
        "bold": {(1, 1)},
        "bold_note": "bold: best",
    }
    return Table(**{**fields, **changes})


@pytest.mark.parametrize(
    ("cell", "shown", "key"),
    [
        (None, "–", None),
        ("two\nlines", "two lines", "two\nlines"),
        (3, "3", 3.0),
        (1 / 3, "0.3333", 1 / 3),
        (1.2e-7, "1.2e-07", 1.2e-7),
        (Measured(12.34, 11.0, 13.68), "12.3 ±1.3", 12.34),
        (Measured(-0.5, -0.6, -0.4, 0.0312), "-0.50 ±0.10 (p 0.031)", -0.5),
        (Measured(1.0, 1.0, 1.0), "1.0000 ±0.0000", 1.0),
        (Measured(30.250000000000004, 27.0, 33.5), "30.2 ±3.2", 30.250000000000004),
    ],
)
def test_text_and_sort_key_of_a_cell(cell, shown, key):
    assert text(cell) == shown
    assert sort_key(cell) == key
    assert isinstance(sort_key(cell), type(key))


@pytest.mark.parametrize(
    ("format", "marked"), [("markdown", "**3**"), ("latex", r"\textbf{3}"), ("html", "<strong>3</strong>")]
)
def test_bold_is_marked_and_explained(format, marked):
    shown = render(table(), format)
    assert shown.count(marked) == 1
    assert shown.count("bold: best") == 1
    plain = render(table(bold=set()), format)
    assert marked not in plain
    assert "bold" not in plain
    assert shown_notes(table()) == ["a note", "bold: best"]
    assert shown_notes(table(bold=set())) == ["a note"]


@pytest.mark.parametrize("format", ["table", "csv", "json"])
def test_bold_is_nothing_to_plain_formats(format):
    assert render(table(), format) == render(table(bold=set()), format)


def test_text_is_plain_and_breaks_long_names_of_metrics():
    assert (
        render(table(columns=["entry", "rke_unbiased ↑"]))
        == """\
a title

entry             rke
           unbiased ↑
-------  ------------
one        2.00 ±0.50
two                 3

- a note
"""
    )
    assert "one_set_two" in render(table(columns=["entry", "one_set_two"], measure="vendi"))


def test_latex_is_a_booktabs_tabular_with_everything_else_in_comments():
    made = render(table(rules={1}, measure="100 %", title="two\nlines"), "latex").splitlines()
    assert made == [
        r"% needs \usepackage{booktabs}; letters other than é, ü, ñ and their like need LuaLaTeX",
        "% two lines",
        r"\begin{tabular}{lr}",
        r"\toprule",
        r" & \multicolumn{1}{c}{100 \%} \\",
        r"\cmidrule(lr){2-2}",
        r"entry & vendi $\uparrow$ \\",
        r"\midrule",
        r"one & 2.00 $\pm$0.50 \\",
        r"\midrule",
        r"two & \textbf{3} \\",
        r"\bottomrule",
        r"\end{tabular}",
        "% a note",
        "% bold: best",
    ]


def test_latex_escapes_texts_and_sets_numbers():
    cells = [NASTY, Measured(-0.5, -0.6, -0.4, 1e-5), 9.8e-6, "↑↓±×–Δ−…→—"]
    line = render(table(columns=["a", "b", "c", "d"], rows=[cells], bold=set()), "latex").splitlines()[6]
    assert line == (
        r"a\_b\%\&\#\$\textasciitilde{}\textasciicircum{}\textbackslash{}\{\}$<$i$>$é$|${*}`{[}x] & "
        r"$-$0.50 $\pm$0.10 (p 1$\times10^{-5}$) & 9.8$\times10^{-6}$ & "
        r"$\uparrow$$\downarrow$$\pm$$\times$--$\Delta$$-$\dots{}$\to$--- \\"
    )


class _Reader(HTMLParser):
    """Which tags stand around each text."""

    def __init__(self, source):
        super().__init__()
        self.open, self.texts = [], []
        self.feed(source)
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.open.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop()[0] == tag

    def handle_data(self, data):
        if data.strip():
            self.texts.append((data, [tag for tag, _ in self.open], self.open[-1][1]))


def test_html_has_a_head_scopes_and_escapes_everything():
    made = table(
        title=NASTY, columns=[NASTY, "↑ & %"], rows=[[NASTY, 1.0], ["two", 2.0]], notes=[NASTY], bold_note=NASTY
    )
    found = _Reader(render(made, "html")).texts
    right = {"style": "text-align: right"}
    assert found == [
        (NASTY, ["table", "caption"], {}),
        (NASTY, ["table", "thead", "tr", "th"], {"scope": "col"}),
        ("↑ & %", ["table", "thead", "tr", "th"], {"scope": "col", **right}),
        (NASTY, ["table", "tbody", "tr", "th"], {"scope": "row"}),
        ("1", ["table", "tbody", "tr", "td"], right),
        ("two", ["table", "tbody", "tr", "th"], {"scope": "row"}),
        ("2", ["table", "tbody", "tr", "td", "strong"], {}),
        (NASTY, ["ul", "li"], {}),
        (NASTY, ["ul", "li"], {}),
    ]
    assert made._repr_html_() == render(made, "html")


def test_markdown_escapes_what_would_be_markup():
    made = render(table(title="<b>", columns=["a|b", "vendi ↑"], rows=[["x|*y*`\\<i>~", 1.0], ["b", 2.0]]), "markdown")
    lines = made.splitlines()
    assert lines[0] == r"\<b>"
    assert lines[2].startswith(r"| a\|b ")
    assert lines[4].startswith(r"| x\|\*y\*\`\\\<i>\~ ")


def test_markdown_makes_no_link_or_picture_of_a_name():
    made = render(table(title="![x](http://t.example/p.png) [a][b] [4] !", notes=["[b]: http://t.example"]), "markdown")
    assert made.splitlines()[0] == r"![x\](http://t.example/p.png) [a\][b] [4] !"
    assert r"- [b\]: http://t.example" in made.splitlines()


@pytest.mark.parametrize("format", ["table", "markdown", "latex", "html"])
def test_names_neither_steer_a_terminal_nor_begin_lines(format):
    wild = "a\x1b]0;pwned\x07\n\n# b\x1b[2J\u202ec"
    made = table(title=wild, columns=[wild, "vendi ↑"], rows=[[wild, 1.0], [Labelled(wild, 1.0), 2.0]], notes=[wild])
    shown = render(made, format) + render_all([made, made], format)
    assert shown.replace("\n", "").isprintable()
    assert not any(line.startswith("#") for line in shown.splitlines())


def test_several_tables_say_what_they_share_once():
    tables = [table(notes=["of both", "of one"]), table(notes=["of both"], title="second", bold=set())]
    assert render_all(tables).count("of both") == 1
    assert render_all(tables).endswith("\n\n- of both\n")
    assert render_all(tables[:1]) == render(tables[0])
    assert render_all(tables, "html").count("<li>of both</li>") == 1
    assert render_all(tables, "latex").count(r"\begin{tabular}") == 2
    assert render_all(tables, "markdown").count("- of one\n") == 1


def test_several_tables_for_machines():
    rows = [["one", Measured(2.0, 1.5, 2.5, 0.1)]]
    tables = [table(measure="vendi ↑"), table(measure="acc %", columns=["entry", "IPC 10"], rows=rows)]
    found = list(csv.DictReader(io.StringIO(render_all(tables, "csv"))))
    assert list(found[0]) == [
        "measure", "entry", "vendi", "vendi_low", "vendi_high", "IPC 10", "IPC 10_low", "IPC 10_high", "IPC 10_p",
    ]  # fmt: skip
    assert [(row["measure"], row["entry"], row["vendi"], row["IPC 10_p"]) for row in found] == [
        ("vendi", "one", "2.0", ""), ("vendi", "two", "3.0", ""), ("acc %", "one", "", "0.1"),
    ]  # fmt: skip
    first, second = json.loads(render_all(tables, "json"))
    assert first["measure"] == "vendi"
    assert second["rows"] == [{"entry": "one", "IPC 10": 2.0, "IPC 10_low": 1.5, "IPC 10_high": 2.5, "IPC 10_p": 0.1}]


def test_a_ratio_is_called_by_the_column_before_it():
    made = table(columns=["entry", "coverage ↑", "/ i.i.d."], rows=[["one", Measured(0.3, 0.2, 0.4, 0.5), 1.5]])
    assert (
        render(made, "csv").splitlines()[0] == "entry,coverage,coverage_low,coverage_high,coverage_p,coverage_over_iid"
    )


def every_table(name):
    """One table of each kind, with an entry of this name."""
    first = trained_result("SRe2L", make_accuracy(), make_accuracy("vgg_16", (0.4,)))
    second = trained_result(name, make_accuracy(accuracies=(0.7, 0.8), random=0.3, teacher=0.9))
    pair = [first, trained_result("SRe2L+DiRe", make_accuracy(accuracies=(0.6, 0.9)))]
    return [
        [score_table(second)],
        [compare_table([first, second])],
        [compare_table([*pair, second], pairs=True)],
        [compare_table([first, make_result(name, ipc=50)])],
        [differences_table([first, second])],
        [accuracy_table(second)],
        tables_by_ipc([*pair, second], pairs=True),
        tables_by_network([*pair, second], pairs=True),
    ]


@pytest.mark.parametrize("format", FORMATS)
def test_every_format_of_every_table(format):
    for tables in every_table(NASTY):
        shown = render_all(tables, format)
        assert shown.endswith("\n")
        assert len(shown.splitlines()) > 1
        if format == "html":
            assert "<i>" not in shown
        if format == "latex":
            body = [line for line in shown.splitlines() if not line.startswith("%")]
            assert all(c == "é" or c.isascii() for line in body for c in line)


@pytest.mark.slow
def test_pdflatex_sets_every_table_with_booktabs_alone(tmp_path):
    if shutil.which("pdflatex") is None:
        pytest.skip("no pdflatex here: apt-get install texlive-latex-base texlive-latex-recommended")
    tables = [tables for name in (NASTY, "[x] first", "*second") for tables in every_table(name)]
    for i, some in enumerate(tables):
        (tmp_path / f"{i}.tex").write_text(render_all(some, "latex"))
    inputs = "\n\n".join(f"\\input{{{i}.tex}}" for i in range(len(tables)))
    document = f"\\documentclass{{article}}\\usepackage{{booktabs}}\\begin{{document}}\n{inputs}\n\\end{{document}}\n"
    (tmp_path / "all.tex").write_text(document)
    done = subprocess.run(
        ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "all.tex"],
        cwd=tmp_path, capture_output=True, text=True, errors="replace", check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-2000:]
    assert "Missing character" not in (tmp_path / "all.log").read_text(errors="replace")
