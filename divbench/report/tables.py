"""Tables of results as text, Markdown, LaTeX, HTML, CSV or JSON. No torch in here.

A cell is a text, a number, or a `Measured` with its interval; formatting comes last, so that CSV and JSON keep every
digit. A missing value stays missing.
"""

import csv
import html
import io
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import msgspec
from tabulate import tabulate

from divbench.errors import ResultError, shorten
from divbench.protocol import Scope
from divbench.results import Result, Score, mean
from divbench.statistics import holm, paired_over_classes

FORMATS = ("table", "json", "csv", "markdown", "latex", "html")
_TABULATE = {"table": "simple", "markdown": "pipe", "latex": "latex_booktabs", "html": "html"}
_ARROWS = {True: " ↑", False: " ↓", None: ""}
_CONTROLS = {"random": "random real", "kmeans": "k-means centroids", "collapse": "collapse to mean"}
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


def score_table(result: Result) -> Table:
    """All scores of one result beside their yardstick and controls."""
    known = [key for key in ("iid", *_CONTROLS) if any(key in s.reference for s in result.scores)]
    titles = {"iid": "i.i.d.", "random": "random", "kmeans": "k-means", "collapse": "collapse"}
    columns = ["metric", "scope", "value", *(titles[key] for key in known), *(["/ i.i.d."] if "iid" in known else [])]
    rows = []
    for score in result.scores:
        row: list[Cell] = [score.metric + _ARROWS[score.higher_is_better], score.scope, _measured(score)]
        row += [score.reference_value(key) for key in known]
        if "iid" in known:
            row.append(_ratio(score))
        rows.append(row)
    return Table(_headline(result), columns, rows, _notes([result]))


def compare_table(results: Sequence[Result], scope: Scope = "class", mixed: bool = False) -> Table:
    """Entries as rows, metrics as columns, with yardstick and controls as rows of their own.

    Raises:
        ResultError: protocols, real sets or classes differ (unless ``mixed``), or no result has the scope.
    """
    if not mixed:
        check_comparable(results)
    kept = [r for r in results if any(s.scope == scope for s in r.scores)]
    if not kept:
        raise ResultError(f"no result holds scores at {scope} scope")
    metrics = list(dict.fromkeys(s.metric for r in kept for s in r.scores if s.scope == scope))
    arrows = {s.metric: _ARROWS[s.higher_is_better] for r in kept for s in r.scores}
    columns = ["entry", "IPC", "sets"] + (["protocol"] if mixed else [])
    for key in metrics:
        columns += [key + arrows[key], "/ i.i.d."] if key == "coverage" else [key + arrows[key]]
    rows: list[list[Cell]] = [_entry_row(r, metrics, scope, mixed) for r in kept]
    rows += _reference_rows(kept, metrics, scope, mixed)
    notes = _notes(kept)
    if len({r.ipc for r in kept}) > 1:
        notes.insert(
            0, "the entries have unequal images per class: coverage and Vendi grow with them (score with --ipc)"
        )
    return Table(f"{scope} scope, against {kept[0].real.name}" if not mixed else f"{scope} scope", columns, rows, notes)


def differences_table(results: Sequence[Result], scope: Scope = "class") -> Table:
    """Each further entry minus the first, paired over classes, with Holm's p over the metrics of an entry.

    Raises:
        ResultError: fewer than two entries, not comparable, of unequal IPC, or without values of classes.
    """
    check_comparable(results)
    if len(results) < 2 or scope != "class":
        raise ResultError("differences are paired over classes: give two or more results, at class scope")
    unequal = [r.name for r in results if r.ipc != results[0].ipc]
    if unequal:
        raise ResultError(
            f"{shorten(unequal)} and {results[0].name} have unequal images per class, which by itself moves coverage "
            "and Vendi; score all with the same --ipc"
        )
    if any(not _class_scores(r) for r in results) or len(results[0].classes) < 2:
        raise ResultError("differences are paired over classes: every result needs scores of two or more classes")
    first, rows = results[0], []
    metrics = [s.metric for s in first.scores if s.scope == "class"]
    for other in results[1:]:
        pairs = {key: (_class_means(first.score(key)), _class_means(other.score(key))) for key in metrics}
        tests = {
            key: paired_over_classes(a, b, first.protocol.level)
            for key, (a, b) in pairs.items()
            if a and b and len(a) > 1
        }
        adjusted = dict(zip(tests, holm([t.p for t in tests.values()]), strict=True))
        row: list[Cell] = [other.name]
        row += [Measured(t.effect, t.low, t.high, adjusted[key]) if (t := tests.get(key)) else None for key in metrics]
        rows.append(row)
    columns = ["minus " + first.name, *("Δ " + s.metric + _ARROWS[s.higher_is_better] for s in _class_scores(first))]
    single = all(len(r.sets) == 1 for r in results)
    about = (
        "one set each: this speaks about these sets, not about the methods" if single else "per-class means over sets"
    )
    note = (
        f"± {first.protocol.level:.0%} t interval over {len(first.classes)} classes; p: sign-flip test, Holm; {about}"
    )
    return Table(f"differences to {first.name}", columns, rows, [note])


def check_comparable(results: Sequence[Result]) -> None:
    """Raise `ResultError` where two results may not stand in one table."""
    first = results[0]
    for other in results[1:]:
        for what, same, a, b in (
            ("protocols", first.protocol_digest == other.protocol_digest, _protocol(first), _protocol(other)),
            ("real sets", first.real.digest == other.real.digest, first.real.name, other.real.name),
            ("classes", first.classes == other.classes, shorten(first.classes), shorten(other.classes)),
        ):
            if not same:
                raise ResultError(
                    f"{first.name} and {other.name} have different {what} ({a}; {b}) and cannot be compared; "
                    "score both alike, or say --mixed to see them side by side"
                )


def _protocol(result: Result) -> str:
    return f"{result.protocol.name} {result.protocol_digest[:6]}"


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
        headers=[c.replace("_", "\n") for c in table.columns] if format == "table" else table.columns,
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


def _headline(result: Result) -> str:
    count = len(result.sets)
    images = result.sets[0].count
    ipc = "" if result.ipc is None else f", {len(result.classes)} classes x {_span(result.ipc)}"
    sets = f"{count} sets of {images}" if count > 1 else str(images)
    return f"{result.name}: {sets} images{ipc}, against {result.real.count} of {result.real.name}"


def _notes(results: Sequence[Result]) -> list[str]:
    """How to read the numbers, once; then what to beware of, entry by entry."""
    notes = []
    for text in dict.fromkeys(f"protocol {r.protocol.name} {r.protocol_digest}: {r.embedder}" for r in results):
        notes.append(text)
    about = dict.fromkeys(
        f"± {s.interval.level:.0%}, {s.interval.procedure}: about {s.interval.about}"
        for r in results
        for s in r.scores
        if s.interval
    )
    notes += list(about)
    for r in results:
        prefix = f"{r.name}: " if len(results) > 1 else ""
        notes += [f"{prefix}caution [{c.code}] {c.text}" for c in r.cautions]
    return notes


def _entry_row(result: Result, metrics: list[str], scope: Scope, mixed: bool) -> list[Cell]:
    row: list[Cell] = [result.name, _span(result.ipc), len(result.sets)]
    row += [_protocol(result)] if mixed else []
    held = {s.metric: s for s in result.scores if s.scope == scope}
    for key in metrics:
        score = held.get(key)
        row.append(_measured(score) if score else None)
        if key == "coverage":
            row.append(_ratio(score) if score else None)
    return row


def _reference_rows(results: Sequence[Result], metrics: list[str], scope: Scope, mixed: bool) -> list[list[Cell]]:
    """One row for each yardstick and control, protocol and number of images per class."""
    rows: list[list[Cell]] = []
    groups = {(r.protocol_digest, r.real.digest, r.ipc): r for r in reversed(results)}
    for result in reversed(groups.values()):
        held = {s.metric: s for s in result.scores if s.scope == scope}
        for key, title in {"iid": "i.i.d. yardstick", **_CONTROLS}.items():
            values = {m: s.reference_value(key) for m, s in held.items() if key in s.reference}
            if not values:
                continue
            seeds = max(len(s.reference[key]) for s in held.values() if key in s.reference)
            row: list[Cell] = [f"({title})", _span(result.ipc), seeds if key != "iid" else None]
            row += [_protocol(result)] if mixed else []
            for m in metrics:
                row.append(values.get(m))
                if m == "coverage":
                    iid = held[m].reference_value("iid") if m in held else None
                    value = values.get(m)
                    row.append(value / iid if value is not None and iid else None)
            rows.append(row)
    return rows


def _class_scores(result: Result) -> list[Score]:
    return [s for s in result.scores if s.scope == "class"]


def _class_means(score: Score) -> list[float]:
    """Mean over the sets of each class's value; empty where any is missing."""
    means = [mean(values) for values in zip(*score.per_class, strict=True)]
    return [m for m in means if m is not None] if None not in means else []


def _measured(score: Score) -> Cell:
    if score.value is None or score.interval is None:
        return score.value
    return Measured(score.value, score.interval.low, score.interval.high)


def _ratio(score: Score) -> float | None:
    iid = score.reference_value("iid")
    return score.value / iid if score.value is not None and iid else None


def _span(ipc: tuple[int, int] | None) -> str | int | None:
    if ipc is None:
        return None
    return ipc[0] if ipc[0] == ipc[1] else f"{ipc[0]}-{ipc[1]}"


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
        plain = column.translate({ord(c): None for c in "↑↓"}).strip()
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
            out.append(cell)
            continue
        parts = list(cell) if isinstance(cell, Measured) else [cell, None, None, None]
        with_p = any(isinstance(r[i], Measured) and r[i].p is not None for r in table.rows)  # type: ignore[union-attr]
        out += parts if with_p else parts[:3]
    return out
