"""What a table is, and how it is written: text, Markdown, LaTeX, HTML, CSV or JSON. No torch in here.

A cell is a text, a number, or a `Measured` with its interval; formatting comes last, so that CSV and JSON keep every
digit. A missing value stays missing.
"""

import csv
import html
import io
import math
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import msgspec
from tabulate import tabulate

FORMATS = ("table", "json", "csv", "markdown", "latex", "html")
_TABULATE = {"table": "simple", "markdown": "pipe", "latex": "latex_booktabs", "html": "html"}
_LATEX = {"↑": r"$\uparrow$", "↓": r"$\downarrow$", "±": r"$\pm$", "×": r"$\times$", "–": "--", "Δ": r"$\Delta$"}


class Measured(NamedTuple):
    """A value with its interval and, for a difference, the p-value of its test."""

    value: float
    low: float
    high: float
    p: float | None = None


Cell = str | int | float | Measured | None


@dataclass
class Table:
    """Column names, rows of cells, a line above and lines below."""

    title: str
    columns: list[str]
    rows: list[list[Cell]]
    notes: list[str] = field(default_factory=list)


def render(table: Table, format: str = "table") -> str:
    """The table in one of `FORMATS`, ending in a newline; all but CSV with its title and notes."""
    if format == "json":
        rows = [dict(zip(_expanded(table), _flat(row, table), strict=True)) for row in table.rows]
        whole = {"title": table.title, "rows": rows, "notes": table.notes}
        return msgspec.json.format(msgspec.json.encode(whole), indent=1).decode() + "\n"
    if format == "csv":
        out = io.StringIO()
        writer = csv.writer(out, lineterminator="\n")
        writer.writerow(_expanded(table))
        writer.writerows(_flat(row, table) for row in table.rows)
        return out.getvalue()
    body = tabulate(
        [[_text(cell) for cell in row] for row in table.rows],
        headers=[_broken(column) for column in table.columns] if format == "table" else table.columns,
        tablefmt=_TABULATE[format],
        disable_numparse=True,
        colalign=["left" if _is_text(table, i) else "right" for i in range(len(table.columns))] if table.rows else None,
    )
    if format == "latex":
        for sign, command in _LATEX.items():
            body = body.replace(sign, command)
        return "\n".join([f"% {line}" for line in (table.title, *table.notes)] + [body]) + "\n"
    if format == "html":
        notes = "".join(f"<li>{html.escape(note)}</li>\n" for note in table.notes)
        return f"<p>{html.escape(table.title)}</p>\n{body}\n<ul>\n{notes}</ul>\n"
    return "\n".join([table.title, "", body, "", *(f"- {note}" for note in table.notes)]).rstrip() + "\n"


def _broken(column: str) -> str:
    """A column's name on several lines, where that makes it narrower."""
    return column.replace("_", "\n").replace("accuracy/", "accuracy\n")


def _text(cell: Cell) -> str:
    """Four significant digits; a measured value to the two that its interval leaves it."""
    if cell is None:
        return "–"
    if isinstance(cell, Measured):
        half = (cell.high - cell.low) / 2
        digits = min(5, max(0, 1 - math.floor(math.log10(half)))) if half > 0 else 4
        p = "" if cell.p is None else f" (p {cell.p:.2g})"
        return f"{cell.value:.{digits}f} ±{half:.{digits}f}{p}"
    return f"{cell:.4g}" if isinstance(cell, float) else str(cell)


def _is_text(table: Table, column: int) -> bool:
    return column == 0 or all(isinstance(row[column], str) for row in table.rows)


def _is_measured(table: Table, column: int) -> bool:
    return any(isinstance(row[column], Measured) for row in table.rows)


def _expanded(table: Table) -> list[str]:
    """Plain column names, with ``_low``, ``_high`` (and ``_p``) beside measured ones."""
    names: list[str] = []
    for i, column in enumerate(table.columns):
        plain = _plain(column)
        plain = f"{names[-1].removesuffix('_high')}_over_iid" if plain == "/ i.i.d." and names else plain
        names.append(plain)
        if _is_measured(table, i):
            names += [f"{plain}_low", f"{plain}_high"]
            if any(isinstance(r[i], Measured) and r[i].p is not None for r in table.rows):  # type: ignore[union-attr]
                names.append(f"{plain}_p")
    return names


def _flat(row: list[Cell], table: Table) -> list[Any]:
    out: list[Any] = []
    for i, cell in enumerate(row):
        if not _is_measured(table, i):
            out.append(_plain(cell) if isinstance(cell, str) else cell)
            continue
        parts = list(cell) if isinstance(cell, Measured) else [cell, None, None, None]
        with_p = any(isinstance(r[i], Measured) and r[i].p is not None for r in table.rows)  # type: ignore[union-attr]
        out += parts if with_p else parts[:3]
    return out


def _plain(text: str) -> str:
    """Without the arrows that are for people."""
    return text.translate({ord(c): None for c in "↑↓"}).strip()
