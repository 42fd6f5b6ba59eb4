"""The derived files of a leaderboard: README.md, index.html and numbers.csv. Written from the entries, never edited."""

import dataclasses
from collections import Counter
from collections.abc import Iterator, Sequence
from importlib import resources
from pathlib import Path

from divbench.files import write_whole
from divbench.leaderboard.audit import MEASURED_RULES, RULES, MeasuredRule, Rule
from divbench.leaderboard.board import Board, load_board
from divbench.leaderboard.measured import LEGEND, groups, measured_tables, printed_tables
from divbench.leaderboard.numbers import Number, csv, numbers
from divbench.leaderboard.stated import MARKS
from divbench.leaderboard.tables import claims_summary, claims_table, methods_table
from divbench.report.cells import page_table
from divbench.report.filled import filled
from divbench.report.render import Cell, Measured, Table, in_markdown, render, text

HEADLINE = ("accuracy", "coverage", "vendi", "cosine")
"""What the page shows of measured numbers, inside classes; the CSV holds all of them."""


def derived(board: Board) -> dict[str, str]:
    """Name of each derived file -> its text; the same for the same entries."""
    tables = measured_tables(board)
    every = numbers(board)
    return {"README.md": readme(board, tables), "index.html": page(board, tables, every), "numbers.csv": csv(every)}


def build(folder: Path) -> Board:
    """Write the derived files of the leaderboard in ``folder``; raises as `load_board` does, and writes nothing."""
    board = load_board(folder)
    for name, content in derived(board).items():
        write_whole(folder / name, content.encode())
    return board


def stale(board: Board) -> list[str]:
    """Names of derived files that are not what the entries make."""
    return [name for name, content in derived(board).items() if not _is(board.folder / name, content.encode())]


def _is(path: Path, content: bytes) -> bool:
    return path.is_file() and path.read_bytes() == content


def readme(board: Board, tables: Sequence[Table]) -> str:
    """The leaderboard in Markdown; ``tables`` are those of measured entries."""
    parts = [
        "<!-- Written by `divbench leaderboard build`. Edit what it is made of instead; see Contributing. -->",
        "# Leaderboards",
        f"{summary(board)} Reported numbers stand beside measured ones; neither is ever filled in from the other.",
        "Every table, sorted and filtered as you like: open [index.html](index.html) in a browser. "
        "Every number: [numbers.csv](numbers.csv).",
        "## Measured",
        "\n".join(f"- {line}" for line in LEGEND),
        *(_markdown(_entries_alone(table), "###") for table in tables),
        *([] if board.entries else ["Nothing yet."]),
        "## Claims",
        "What papers claim that an addition gains, held against the numbers that they print and against entries.",
        render(claims_summary(board), "markdown").partition("\n\n")[2].strip(),
        *_failing(board),
        "## Audit",
        "Which printed numbers cannot be read as they stand, and why. A finding is no verdict on a paper. `divbench "
        "leaderboard audit` lists them all; here are errors and warnings.",
        render(audit_summary(board), "markdown").partition("\n\n")[2].strip(),
        *_grave(board),
        "## Methods",
        render(methods_table(board), "markdown").partition("\n\n")[2].strip(),
        (resources.files("divbench") / "leaderboard" / "contributing.md").read_text(encoding="utf-8").strip(),
    ]
    return "\n\n".join(parts) + "\n"


def summary(board: Board) -> str:
    """What there is, in a sentence."""
    printed = sum(not fact.is_setting for fact in board.facts)
    return (
        f"{_count(len(board.entries), 'measured entry', 'measured entries')} in "
        f"{_count(len(groups(board.entries)), 'table', 'tables')}; {_count(printed, 'number', 'numbers')} printed in "
        f"{_count(len(board.papers), 'paper or repository', 'papers and repositories')}; "
        f"{_count(len(board.stated), 'claim', 'claims')}; "
        f"{_count(len(board.findings), 'finding', 'findings')} of the audit."
    )


def _count(number: int, one: str, several: str) -> str:
    return f"{number} {one if number == 1 else several}"


def _markdown(table: Table, level: str) -> str:
    """A table under a heading instead of its title."""
    body = render(table, "markdown").partition("\n\n")[2]
    return f"{level} {in_markdown(table.title)}\n\n{body.strip()}"


def _entries_alone(table: Table) -> Table:
    """Without the methods that have printed numbers alone, and so no sets: those stand on the page."""
    kept = [i for i, row in enumerate(table.rows) if row[table.columns.index("sets")] is not None]
    bold = {(kept.index(i), j) for i, j in table.bold if i in kept}
    return dataclasses.replace(table, rows=[table.rows[i] for i in kept], bold=bold)


def _failing(board: Board) -> list[str]:
    """Claims that the printed numbers, or entries, do not bear out, and those that stay open, as lists."""
    lists: dict[str, list[str]] = {
        "Not borne out by the printed numbers themselves:": [],
        "Refuted by entries here:": [],
        "Inconclusive (within noise):": [],
    }
    printed, refuted, open_ = lists.values()
    for one in board.stated:
        name, claimed = board.methods.name(one.candidate), one.claim.claimed or ()
        what = f"- {one.paper} {one.claim.source}, {one.dataset}, {name}, {one.claim.metric}"
        if one.printed != "holds":
            printed.append(f"{what}: {one.printed}, {' → '.join(f'{value:g}' for value in claimed)}")
        for m in one.measured:
            line = f"{what}, IPC {m.ipc}: {m.verdict.text}"
            refuted += [line] if m.verdict.status == "refuted" else []
            open_ += [line] if m.verdict.status == "inconclusive" else []
    return [f"{title}\n\n" + "\n".join(map(in_markdown, lines)) for title, lines in lists.items() if lines]


def _grave(board: Board) -> list[str]:
    """Errors and warnings, by their number."""
    found = [(number, one) for number, one in enumerate(board.findings, 1) if one.severity != "info"]
    lines = [f"- [{number}] {one.severity}, {one.rule}: {one.place}: {one.text}" for number, one in found]
    return ["\n".join(map(in_markdown, lines))] if lines else []


def audit_summary(board: Board) -> Table:
    """Findings by rule and severity."""
    counts = Counter((one.rule, one.severity) for one in board.findings)
    rules: list[Rule | MeasuredRule] = [*RULES, *MEASURED_RULES]
    rows: list[list[Cell]] = [
        [rule.name, *(counts[rule.name, s] for s in ("error", "warning", "info")), rule.reference] for rule in rules
    ]
    return Table("Audit", ["rule", "errors", "warnings", "infos", "reference"], rows)


def page(board: Board, tables: Sequence[Table], every: Sequence[Number]) -> str:
    """The leaderboard as one self-contained HTML file, with its tables of measured entries and its numbers."""
    shown = [one for one in every if one.kind == "printed" or _headline(one)]
    return filled(
        "leaderboard/board.html.j2",
        ["report/page.css", "leaderboard/board.css"],
        ["report/page.js", "leaderboard/board.js"],
        summary=summary(board),
        tables=[(f"measured-{i}", page_table(table)) for i, table in enumerate(tables)],
        legend=LEGEND,
        printed=[(f"printed-{i}", page_table(table)) for i, table in enumerate(printed_tables(board))],
        numbers=[(one, _value(one), board.methods.name(one.method)) for one in shown],
        filters=list(_filters(shown)),
        claims=page_table(claims_table(board)),
        claims_summary=page_table(claims_summary(board)),
        findings=board.findings,
        methods=list(zip(methods_table(board).rows, board.methods.known.values(), strict=True)),
    )


def _headline(one: Number) -> bool:
    return one.scope == "class" and one.quantity in HEADLINE


def _value(one: Number) -> str:
    """A number as people read it: as printed, or measured with its interval, accuracies in percent."""
    if one.kind == "printed" or one.value is None:
        return one.printed
    scale, unit = (100, " %") if one.quantity == "accuracy" else (1, "")
    if one.low is None or one.high is None:
        return text(scale * one.value) + unit
    return text(Measured(scale * one.value, scale * one.low, scale * one.high)) + unit


def _filters(shown: list[Number]) -> Iterator[tuple[str, int, list[str]]]:
    """Label, column and choices of each filter; a gain may hold several of the words."""
    yield "data set", 0, sorted({one.dataset for one in shown if one.dataset})
    yield "IPC", 1, [*(str(ipc) for ipc in sorted({one.ipc for one in shown if one.ipc})), "not stated"]
    yield "quantity", 3, sorted({one.quantity for one in shown})
    yield "kind", 6, ["printed", "measured"]
    yield "claimed gain", 8, [mark for mark in MARKS if mark != "error"]
