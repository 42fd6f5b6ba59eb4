"""What a table is, and how it is written: text, Markdown, LaTeX, HTML, CSV or JSON. No torch in here.

A cell is a text, a number, or a `Measured` with its interval; formatting comes last, so that CSV and JSON keep every
digit. A missing value stays missing.
"""

import csv
import html
import io
import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import msgspec
from tabulate import tabulate

from divbench.report import _latex

FORMATS = ("table", "json", "csv", "markdown", "latex", "html")
_MARKDOWN = str.maketrans({sign: f"\\{sign}" for sign in "\\`*|<~"})
_LINK = re.compile(r"\](?=[(\[:])")


class Measured(NamedTuple):
    """A value with its interval and, for a difference, the p-value of its test."""

    value: float
    low: float
    high: float
    p: float | None = None


class Labelled(NamedTuple):
    """A text that is sorted by a number."""

    text: str
    key: float


Cell = Labelled | str | int | float | Measured | None


@dataclass
class Table:
    """Column names, rows of cells, a line above and lines below.

    Attributes:
        bold: (row, column) of cells that are shown bold where the format can.
        bold_note: what bold means; shown below, in formats that show bold, where any cell is.
        rules: rows with a line above them in LaTeX.
        measure: what every column but the first holds, where that is one thing and not in the columns' names.
    """

    title: str
    columns: list[str]
    rows: list[list[Cell]]
    notes: list[str] = field(default_factory=list)
    bold: set[tuple[int, int]] = field(default_factory=set)
    bold_note: str = ""
    rules: set[int] = field(default_factory=set)
    measure: str = ""

    def _repr_html_(self) -> str:
        return render(self, "html")


def render(table: Table, format: str = "table") -> str:
    """The table in one of `FORMATS`, ending in a newline; all but CSV with its title and notes."""
    if format == "json":
        return _json(_record(table))
    if format == "csv":
        return _csv(_expanded(table), _records(table))
    table = _in_lines(table)
    return _WRITERS[format](table, _notes(table, format))


def render_all(tables: Sequence[Table], format: str = "table") -> str:
    """Several tables in one text; notes that all of them share stand once, at the end.

    JSON is a list. CSV is one table with all their columns, after a first one that holds each table's ``measure``.
    """
    if format == "json":
        return _json([_record(table) for table in tables])
    if format == "csv":
        columns = dict.fromkeys(["measure", *(name for table in tables for name in _expanded(table))])
        rows = [{"measure": _plain(table.measure), **row} for table in tables for row in _records(table)]
        return _csv(list(columns), rows)
    tables = [_in_lines(table) for table in tables]
    notes = [_notes(table, format) for table in tables]
    shared = [note for note in notes[0] if all(note in some for some in notes)] if len(tables) > 1 else []
    parts = [
        _WRITERS[format](table, [note for note in own if note not in shared])
        for table, own in zip(tables, notes, strict=True)
    ]
    return "\n".join([*parts, *(["\n".join(_LISTS[format](shared)) + "\n"] if shared else [])])


def text(cell: Cell) -> str:
    """What people see of a cell: four significant digits; of a measured value the two that its interval leaves it."""
    if cell is None:
        return "–"
    if isinstance(cell, Labelled):
        return _line(cell.text)
    if isinstance(cell, Measured):
        half = (cell.high - cell.low) / 2
        digits = min(5, max(0, 1 - math.floor(math.log10(half)))) if half > 0 else 4
        p = "" if cell.p is None else f" (p {cell.p:.2g})"
        value = float(f"{cell.value:.12g}")  # how it was summed decides no tie
        return f"{value:.{digits}f} ±{half:.{digits}f}{p}"
    return f"{cell:.4g}" if isinstance(cell, float) else _line(str(cell))


def _line(words: str) -> str:
    """Words of people in one line, without the characters that would steer a terminal."""
    return "".join(sign for sign in " ".join(words.split()) if sign.isprintable())


def _in_lines(table: Table) -> Table:
    """The table with title, columns and notes that are one line each, for people."""
    columns, notes = [[_line(words) for words in some] for some in (table.columns, table.notes)]
    return replace(table, title=_line(table.title), columns=columns, notes=notes)


def sort_key(cell: Cell) -> float | str | None:
    """What a cell is sorted by: a number, of a measured one its value; a text; or None for a missing one."""
    if isinstance(cell, Measured):
        return cell.value
    if isinstance(cell, Labelled):
        return cell.key
    return cell if cell is None or isinstance(cell, str) else float(cell)


def shown_notes(table: Table) -> list[str]:
    """The notes of a table in a format that shows bold."""
    return table.notes + ([table.bold_note] if table.bold and table.bold_note else [])


def _notes(table: Table, format: str) -> list[str]:
    return table.notes if format == "table" else shown_notes(table)


def _text_table(table: Table, notes: list[str]) -> str:
    headers = table.columns if table.measure else [_broken(column) for column in table.columns]
    body = _tabulated(table, "simple", headers, [[text(cell) for cell in row] for row in table.rows])
    return "\n".join([table.title, "", body, "", *_text_list(notes)]).rstrip() + "\n"


def _text_list(notes: list[str]) -> list[str]:
    return [f"- {note}" for note in notes]


def in_markdown(words: str) -> str:
    """Words of people, without signs that Markdown would take for its own."""
    return _LINK.sub(r"\\]", words.translate(_MARKDOWN))  # other brackets make neither link nor picture


def _markdown_table(table: Table, notes: list[str]) -> str:
    def cell(r: int, c: int) -> str:
        shown = in_markdown(text(table.rows[r][c]))
        return f"**{shown}**" if (r, c) in table.bold else shown

    columns = [in_markdown(column) for column in table.columns]
    body = _tabulated(table, "pipe", columns, _grid(table, cell))
    return "\n".join([in_markdown(table.title), "", body, "", *_markdown_list(notes)]).rstrip() + "\n"


def _markdown_list(notes: list[str]) -> list[str]:
    return [f"- {in_markdown(note)}" for note in notes]


def _latex_table(table: Table, notes: list[str]) -> str:
    """A tabular, with title and notes in comments."""

    def cell(r: int, c: int) -> str:
        held = table.rows[r][c]
        shown = _latex.escaped(text(held)) if isinstance(held, str) else _latex.number(text(held))
        return rf"\textbf{{{shown}}}" if (r, c) in table.bold else shown

    last = len(table.columns)
    measure = rf" & \multicolumn{{{last - 1}}}{{c}}{{{_latex.escaped(table.measure)}}} \\"
    body: list[str] = []
    for r, cells in enumerate(_grid(table, cell)):
        body += [r"\midrule"] if r in table.rules else []
        body.append(" & ".join(cells) + r" \\")
    lines = [
        *_latex.comments([_latex.NEEDS, table.title]),
        rf"\begin{{tabular}}{{{''.join('l' if _is_text(table, c) else 'r' for c in range(last))}}}",
        r"\toprule",
        *([measure, rf"\cmidrule(lr){{2-{last}}}"] if table.measure else []),
        " & ".join(_latex.escaped(column) for column in table.columns) + r" \\",
        r"\midrule",
        *body,
        r"\bottomrule",
        r"\end{tabular}",
        *_latex.comments(notes),
    ]
    return "\n".join(lines) + "\n"


def _html_table(table: Table, notes: list[str]) -> str:
    right = ["" if _is_text(table, c) else ' style="text-align: right"' for c in range(len(table.columns))]

    def cell(r: int, c: int) -> str:
        shown = html.escape(text(table.rows[r][c]))
        shown = f"<strong>{shown}</strong>" if (r, c) in table.bold else shown
        return f'<th scope="row">{shown}</th>' if c == 0 else f"<td{right[c]}>{shown}</td>"

    head = [f'<th scope="col"{right[c]}>{html.escape(column)}</th>' for c, column in enumerate(table.columns)]
    lines = [
        "<table>",
        f"<caption>{html.escape(table.title)}</caption>",
        "<thead>",
        f"<tr>{''.join(head)}</tr>",
        "</thead>",
        "<tbody>",
        *(f"<tr>{''.join(cells)}</tr>" for cells in _grid(table, cell)),
        "</tbody>",
        "</table>",
        *_html_list(notes),
    ]
    return "\n".join(lines) + "\n"


def _html_list(notes: list[str]) -> list[str]:
    return ["<ul>", *(f"<li>{html.escape(note)}</li>" for note in notes), "</ul>"] if notes else []


_WRITERS = {"table": _text_table, "markdown": _markdown_table, "latex": _latex_table, "html": _html_table}
_LISTS = {"table": _text_list, "markdown": _markdown_list, "latex": _latex.comments, "html": _html_list}


def _grid(table: Table, cell: Callable[[int, int], str]) -> list[list[str]]:
    return [[cell(r, c) for c in range(len(table.columns))] for r in range(len(table.rows))]


def _tabulated(table: Table, kind: str, headers: list[str], rows: list[list[str]]) -> str:
    sides = ["left" if _is_text(table, c) else "right" for c in range(len(table.columns))]
    return str(tabulate(rows, headers, kind, disable_numparse=True, colalign=sides if rows else None))


def _broken(column: str) -> str:
    """A metric's name on several lines, where that makes its column narrower."""
    return column.replace("_", "\n").replace("accuracy/", "accuracy\n")


def _is_text(table: Table, column: int) -> bool:
    return column == 0 or all(isinstance(row[column], str) for row in table.rows)


def _is_measured(table: Table, column: int) -> bool:
    return any(isinstance(row[column], Measured) for row in table.rows)


def _is_tested(table: Table, column: int) -> bool:
    return any(isinstance(cell := row[column], Measured) and cell.p is not None for row in table.rows)


def _json(whole: object) -> str:
    return msgspec.json.format(msgspec.json.encode(whole), indent=1).decode() + "\n"


def _csv(columns: list[str], rows: list[dict[str, Any]]) -> str:
    out = io.StringIO()
    writer = csv.DictWriter(out, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue()


def _record(table: Table) -> dict[str, Any]:
    measure = {"measure": _plain(table.measure)} if table.measure else {}
    return {"title": table.title, **measure, "rows": _records(table), "notes": table.notes}


def _records(table: Table) -> list[dict[str, Any]]:
    names = _expanded(table)
    parts = [1 + 2 * _is_measured(table, i) + _is_tested(table, i) for i in range(len(table.columns))]
    return [dict(zip(names, _flat(row, parts), strict=True)) for row in table.rows]


def _expanded(table: Table) -> list[str]:
    """Plain column names, with ``_low``, ``_high`` (and ``_p``) beside measured ones."""
    names: list[str] = []
    before = ""
    for i, column in enumerate(table.columns):
        plain = f"{before}_over_iid" if column == "/ i.i.d." else _plain(column)
        names.append(plain)
        if _is_measured(table, i):
            names += [f"{plain}_low", f"{plain}_high"]
        if _is_tested(table, i):
            names.append(f"{plain}_p")
        before = plain
    return names


def _flat(row: list[Cell], parts: Sequence[int]) -> list[Any]:
    """The cells of a row, each in as many parts as its column has."""
    out: list[Any] = []
    for cell, count in zip(row, parts, strict=True):
        plain = cell.text if isinstance(cell, Labelled) else cell
        whole = list(plain) if isinstance(plain, Measured) else [plain, None, None, None]
        out += whole[:count] if count > 1 else [_plain(plain) if isinstance(plain, str) else plain]
    return out


def _plain(text: str) -> str:
    """Without the arrows that are for people."""
    return text.translate({ord(c): None for c in "↑↓"}).strip()
