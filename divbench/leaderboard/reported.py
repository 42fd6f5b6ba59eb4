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
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
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


Entry = Decimal | int | tuple[Decimal | int, Decimal | int] | Cell


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
    rows: dict[str, dict[str, Entry]]
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


@dataclass(frozen=True)
class Fact:
    """One printed number and all that is stated about it; "" and None: not stated.

    Attributes:
        paper, source, table, block, row, column: where it stands, names as printed.
        method: normalised; ``host`` is the method that the last part was plugged into: ``SRe2L`` of ``SRe2L+DiRe``.
        quantity: ``accuracy``, ``coverage``, ``cosine``, ``vendi``, ``time``, ... or ``setting: lambda``.
        value, std: in ``unit``; ``decimals`` is how many the paper printed of the value.
        printed: the cell as the paper prints it.
    """

    paper: str
    table: str
    row: str
    column: str
    method: str
    quantity: str
    value: float
    unit: str
    printed: str
    decimals: int = 0
    std: float | None = None
    source: Source = "paper"
    block: str = ""
    host: str = ""
    dataset: str = ""
    ipc: int | None = None
    network: str = ""
    embedder: str = ""
    variant: str = ""
    baseline: str = ""
    note: str = ""

    @property
    def place(self) -> str:
        """Where to look: paper, table, row, column."""
        word = f"{self.source} " if self.source == "supplement" else ""
        block = f" ({self.block})" if self.block else ""
        return f"{self.paper} {word}{self.table}{block}: {self.row}, {self.column}"

    @property
    def shown(self) -> str:
        """The cell with its unit."""
        return f"{self.printed} {self.unit}" if self.unit and not self.printed.endswith(self.unit) else self.printed

    @property
    def half_step(self) -> float:
        """Greatest error that rounding for print can have made, in the unit."""
        return 0.5 * 10.0**-self.decimals


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
                    _convert(cell, Entry)
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
            value, std, _ = _parts(cell)
            if not math.isfinite(value) or (std is not None and not 0 <= std < math.inf):
                yield f"{row}, {column}: numbers must be finite, and deviations not negative"
    for column in table.columns:
        if not any(column in cells for cells in table.rows.values()):
            yield f"column {column!r} has no cell in any row; leave it out"


def _parts(cell: Entry) -> tuple[Decimal | int, Decimal | int | None, str]:
    """Value, deviation and printed text."""
    if isinstance(cell, Cell):
        value, std, printed = cell.value, cell.std, cell.printed
    else:
        (value, std), printed = cell if isinstance(cell, tuple) else (cell, None), ""
    return value, std, printed or (f"{value} ± {std}" if std is not None else f"{value}")


def normalise(printed: str, aliases: Mapping[str, str]) -> str:
    """One name for all spellings of a method: parts around " + " are looked up one by one and joined by "+".

    >>> normalise("INFER(D) + DiRe", {"DiRe": "dire", "INFER (D)": "infer-d"})
    'infer-d+dire'
    >>> normalise("INFER (D) + DiRe", {})
    'INFER(D)+DiRe'
    >>> normalise("SRe2L++", {})
    'SRe2L++'
    """
    return "+".join(_names(printed, aliases))


def _names(printed: str, aliases: Mapping[str, str]) -> list[str]:
    known = {_squeezed(name): to for name, to in aliases.items()}
    parts = [_squeezed(part) for part in re.split(r"\s+\+\s+", printed.strip())]
    return [known.get(part, part) for part in parts]


def _squeezed(name: str) -> str:
    return re.sub(r"\s+(?=\()|(?<=\()\s+|\s+(?=\))", "", " ".join(name.split()))


def facts(papers: Iterable[Paper], aliases: Mapping[str, str] | None = None) -> Iterator[Fact]:
    """Every printed number, flat, in the order of the papers.

    Args:
        papers: from `load_reported`.
        aliases: printed name of a method -> its one name; names that are not in it stay as printed.
    """
    for paper in papers:
        for table in paper.table:
            for row, cells in table.rows.items():
                yield from (_fact(paper, table, row, c, cells[c], aliases or {}) for c in table.columns if c in cells)
        for settings in paper.settings:
            yield from _setting_facts(paper, settings, aliases or {})


def _fact(paper: Paper, table: Table, row: str, column: str, cell: Entry, aliases: Mapping[str, str]) -> Fact:
    labels: dict[str, str] = {table.down: row, table.across: column}
    said = {axis: labels.get(axis) or getattr(table, axis) for axis in _TEXTS}
    value, std, printed = _parts(cell)
    method = _names(said["method"], aliases)
    return Fact(
        paper=paper.paper,
        source=table.source,
        table=table.id,
        block=table.block,
        row=row,
        column=column,
        dataset=table.dataset,
        method="+".join(method),
        host="+".join(method[:-1]),
        ipc=int(labels["ipc"]) if "ipc" in labels else table.ipc,
        network=said["network"],
        embedder=said["embedder"],
        variant=said["variant"],
        baseline=normalise(said["baseline"], aliases),
        quantity=said["quantity"],
        value=float(value),
        std=None if std is None else float(std),
        unit=table.units.get(said["quantity"], table.unit),
        printed=printed,
        decimals=_decimals(value),
        note=table.note,
    )


_TEXTS = ("method", "network", "embedder", "quantity", "variant", "baseline")


def _decimals(value: Decimal | int) -> int:
    """Places after the point: 2 of 0.90."""
    return max(0, -int(value.as_tuple().exponent)) if isinstance(value, Decimal) else 0


def _setting_facts(paper: Paper, settings: Settings, aliases: Mapping[str, str]) -> Iterator[Fact]:
    """The numbers among them; words and lists are for readers."""
    for name, value in settings.values.items():
        if isinstance(value, Decimal | int):
            yield Fact(
                paper=paper.paper,
                source=settings.source,
                table=settings.id,
                block=settings.dataset,
                row=settings.stage or "-",
                column=name,
                dataset=settings.dataset,
                method=normalise(settings.method, aliases),
                quantity=f"setting: {name}",
                value=float(value),
                unit="",
                printed=str(value),
                decimals=_decimals(value),
                variant=settings.stage,
                note=settings.note,
            )
