"""Printed numbers: `leaderboards/reported/*.toml`, one file per paper or repository, table by table as printed.

A file is made to be checked against the paper line by line::

    paper = "dire"
    title = "DiRe"
    arxiv = "2512.13083"

    [[table]]
    id = "Table 3"
    caption = "diversity, CIFAR-10"
    dataset = "cifar10"
    down = "method"                             # what the names of the rows are
    across = "quantity"                         # what the names of the columns are
    columns = ["coverage", "cosine", "vendi"]   # in the order of the paper
    units = { coverage = "%" }
    [table.rows]
    SRe2L  = { coverage = 2.25, cosine = 0.90, vendi = 1.87 }
    G-VBSM = { coverage = { value = 0.04, printed = "0.04%" }, cosine = 0.76 }

A cell is a number, ``[mean, standard deviation]``, or a record with the text as printed where that says more. A missing
cell is absent. Trailing zeros count: 0.90 was rounded to two places. Parts of a table under headings of their own are
tables with one id and different ``block``.
"""

import math
import re
import tomllib
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal

import msgspec
from msgspec import Struct

from divbench.errors import ResultError

Source = Literal["paper", "supplement", "abstract", "readme", "code", "issue", "via"]
"""Where the authors printed it; ``issue``: somebody else's run; ``via``: other papers' tables of the method."""

Axis = Literal["method", "ipc", "network", "embedder", "quantity", "variant", "baseline"]
"""What the rows or the columns of a table differ in."""


class Cell(Struct, frozen=True, forbid_unknown_fields=True):
    """A number with what the number alone does not say: its deviation, or how it is printed."""

    value: Decimal | int
    std: Decimal | int | None = None
    printed: str = ""


Printed = Decimal | int | tuple[Decimal | int, Decimal | int] | Cell


class Table(Struct, frozen=True, forbid_unknown_fields=True):
    """A printed table, or the part of one under a heading.

    Attributes:
        id: as the paper calls it: ``Table 2``, ``Section 4.9``.
        caption: what it is about, in few words.
        down, across: what the names of its rows and of its columns are.
        columns: names of the columns, in the order of the paper.
        rows: cells by column, by row; a missing cell is absent.
        block: heading of this part, where a table has several.
        units: of the columns, where those are quantities; "" is a bare number.
        note: what a reader has to know.
        source: where it is printed.
        dataset, method, variant, network, embedder, baseline, ipc, quantity, unit: what all its cells share;
            ``network`` is the student, "" or absent where it is not stated.
    """

    id: str
    caption: str
    down: Axis
    across: Axis
    columns: tuple[str, ...]
    rows: dict[str, dict[str, Printed]]
    block: str = ""
    units: dict[str, str] = {}
    note: str = ""
    source: Source = "paper"
    dataset: str = ""
    method: str = ""
    variant: str = ""
    network: str = ""
    embedder: str = ""
    baseline: str = ""
    ipc: int | None = None
    quantity: str = ""
    unit: str = ""


class Settings(Struct, frozen=True, forbid_unknown_fields=True):
    """Printed hyper-parameters of a method: numbers, words and lists of numbers.

    ``stage`` is squeeze or recover; an empty ``dataset`` means all.
    """

    id: str
    caption: str
    method: str
    values: dict[str, Any]  # checked below: msgspec knows no union of Decimal and str
    stage: str = ""
    dataset: str = ""
    note: str = ""
    source: Source = "paper"


class Paper(Struct, frozen=True, forbid_unknown_fields=True):
    """A paper with its supplement, or a repository: all that was taken from it."""

    paper: str
    title: str
    arxiv: str = ""
    table: tuple[Table, ...] = ()
    settings: tuple[Settings, ...] = ()


def load_reported(folder: Path) -> list[Paper]:
    """All papers of a folder, by file name.

    Raises:
        ResultError: the folder holds no TOML, a file cannot be read or has unknown or missing keys, or a table
            contradicts itself; the message says in which file, table, row and column.
    """
    paths = sorted(folder.glob("*.toml"))
    if not paths:
        raise ResultError(f"{folder}: holds no .toml files of printed numbers")
    papers: dict[str, tuple[Paper, Path]] = {}
    for path in paths:
        paper = load_paper(path)
        if paper.paper in papers:
            raise ResultError(f"{path}: paper {paper.paper!r} is {papers[paper.paper][1]} already; rename one")
        papers[paper.paper] = paper, path
    return [paper for paper, _ in papers.values()]


def load_paper(path: Path) -> Paper:
    """One file; raises as `load_reported` does."""
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"), parse_float=Decimal)
    except (OSError, UnicodeDecodeError) as error:
        raise ResultError(f"{path}: cannot be read ({getattr(error, 'strerror', None) or error})") from error
    except tomllib.TOMLDecodeError as error:
        raise ResultError(f"{path}: is no TOML: {error}") from error
    try:
        paper = _convert(data, Paper)
    except msgspec.ValidationError as error:
        raise ResultError(f"{path}: {_where(data, str(error))}{error}") from error
    if not paper.table and not paper.settings:
        raise ResultError(f"{path}: holds no number; add a [[table]] or [[settings]]")
    seen: set[tuple[str, str, str]] = set()
    for table in paper.table:
        for problem in _problems(table):
            raise ResultError(f"{path}: {_name(table.id, table.block)}: {problem}")
        if (key := (table.source, table.id, table.block)) in seen:
            raise ResultError(f"{path}: {_name(table.id, table.block)} stands there twice; give each part its 'block'")
        seen.add(key)
    for settings in paper.settings:
        for name, value in settings.values.items():
            if not _is_setting(value):
                raise ResultError(f"{path}: {settings.id}: {name} is a number, text or list of numbers, got {value!r}")
    return paper


def _is_number(value: Any) -> bool:
    return isinstance(value, Decimal | int) and not isinstance(value, bool) and math.isfinite(value)


def _is_setting(value: Any) -> bool:
    return isinstance(value, str) or all(map(_is_number, value if isinstance(value, list) and value else [value]))


def _convert(data: Any, kind: Any) -> Any:
    """Strictly: without ``builtin_types``, msgspec reads the string "0.9" as the number."""
    return msgspec.convert(data, kind, builtin_types=(Decimal,))


def _name(id: Any, block: Any) -> str:
    return f"{id} ({block})" if block else str(id)


def _where(data: dict[str, Any], message: str) -> str:
    """Which table and cell a message of msgspec is about; its own path names neither."""
    match = re.search(r"\$\.(table|settings)\[(\d+)\](\.rows)?", message)
    if match is None:
        return ""
    entry = data[match[1]][int(match[2])]
    name = _name(entry.get("id", f"{match[1]} {int(match[2]) + 1}"), entry.get("block")) + ": "
    if match[3] and isinstance(entry["rows"], dict):
        for row, cells in entry["rows"].items():
            for column, cell in cells.items() if isinstance(cells, dict) else ():
                try:
                    _convert(cell, Printed)
                except msgspec.ValidationError:
                    return f"{name}{row}, {column}: "
    return name


def _problems(table: Table) -> Iterator[str]:
    """What a type cannot say."""
    axes = (table.down, table.across)
    if table.down == table.across:
        yield f"down and across are both {table.down!r}"
    for axis in axes:
        if getattr(table, axis) not in ("", None):
            yield f"{axis} is given for the whole table and by its rows or columns; drop one"
    for needed in ("method", "quantity"):
        if needed not in axes and not getattr(table, needed):
            yield f"does not say its {needed}; give it, or let down or across be {needed!r}"
    names = table.columns if table.across == "quantity" else table.rows if table.down == "quantity" else ()
    if table.units and table.unit:
        yield "has both unit and units; drop one"
    for name in table.units:
        if name not in names:
            yield f"units names {name!r}, which is no quantity of its columns: {', '.join(names) or 'none'}"
    if len(set(table.columns)) < len(table.columns):
        yield "names a column twice"
    if not table.rows:
        yield "has no rows"
    for axis, labels in ((table.down, tuple(table.rows)), (table.across, table.columns)):
        for label in labels:
            if axis == "ipc" and not re.fullmatch(r"[1-9]\d*", label):
                yield f"{label!r} is no IPC: {axis} names are whole numbers from 1"
    for row, cells in table.rows.items():
        if not cells:
            yield f"row {row!r} is empty; leave it out"
        for column, cell in cells.items():
            if column not in table.columns:
                yield f"{row}: unknown column {column!r}; the table has {', '.join(table.columns)}"
            value, std, _ = parts(cell)
            if not math.isfinite(value) or (std is not None and not 0 <= std < math.inf):
                yield f"{row}, {column}: numbers must be finite, and deviations not negative"
    for column in table.columns:
        if not any(column in cells for cells in table.rows.values()):
            yield f"column {column!r} has no cell in any row; leave it out"


def parts(cell: Printed) -> tuple[Decimal | int, Decimal | int | None, str]:
    """Value, deviation and printed text."""
    if isinstance(cell, Cell):
        value, std, printed = cell.value, cell.std, cell.printed
    else:
        (value, std), printed = cell if isinstance(cell, tuple) else (cell, None), ""
    return value, std, printed or (f"{value} ± {std}" if std is not None else f"{value}")
