"""Printed numbers, flat: one `Fact` for each, with all that its table states about it.

papers (`divbench.leaderboard.reported`) + names of methods -> facts
"""

import re
from collections.abc import Hashable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal

from divbench.leaderboard.reported import Paper, Printed, Settings, Source, Table, parts

_BASE = {"%": 0.01, "h": 3600.0}  # of one, in units that compare: fractions, seconds


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

    @property
    def is_setting(self) -> bool:
        """Whether it is a hyper-parameter and no result."""
        return self.quantity.startswith("setting: ")

    @property
    def scale(self) -> float:
        """One of its unit, in units that compare: fractions, seconds."""
        return _BASE.get(self.unit, 1.0)

    @property
    def base(self) -> float:
        """The value in units that compare."""
        return self.value * self.scale

    @property
    def rounding(self) -> float:
        """`half_step` in units that compare."""
        return self.half_step * self.scale

    @property
    def base_unit(self) -> str:
        """The unit of `base`; "" is a fraction or a bare number."""
        return {"%": "", "h": "s"}.get(self.unit, self.unit)

    @property
    def spot(self) -> tuple[str, str, str, str]:
        """The table, or the part of one, that it stands in."""
        return self.paper, self.source, self.table, self.block

    @property
    def circumstances(self) -> tuple[Hashable, ...]:
        """All that is stated of it except the method and the place."""
        return (self.dataset, self.ipc, self.network, self.embedder, self.variant, self.baseline, self.quantity)


def normalise(printed: str, aliases: Mapping[str, str]) -> str:
    """One name for all spellings of a method: parts around " + " are looked up one by one and joined by "+".

    >>> normalise("INFER(D) + DiRe", {"DiRe": "dire", "INFER (D)": "infer-d"})
    'infer-d+dire'
    >>> normalise("INFER (D) + DiRe", {})
    'INFER(D)+DiRe'
    >>> normalise("SRe2L++", {})
    'SRe2L++'
    """
    return "+".join(_names(printed, _known(aliases)))


def _known(aliases: Mapping[str, str]) -> dict[str, str]:
    return {_squeezed(name): to for name, to in aliases.items()}


def _names(printed: str, known: Mapping[str, str]) -> list[str]:
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
    known = _known(aliases or {})
    for paper in papers:
        for table in paper.table:
            for row, cells in table.rows.items():
                yield from (_fact(paper, table, row, c, cells[c], known) for c in table.columns if c in cells)
        for settings in paper.settings:
            yield from _setting_facts(paper, settings, known)


def _fact(paper: Paper, table: Table, row: str, column: str, cell: Printed, known: Mapping[str, str]) -> Fact:
    labels: dict[str, str] = {table.down: row, table.across: column}
    said = {axis: labels.get(axis) or getattr(table, axis) for axis in _TEXTS}
    value, std, printed = parts(cell)
    method = _names(said["method"], known)
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
        baseline="+".join(_names(said["baseline"], known)),
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


def _setting_facts(paper: Paper, settings: Settings, known: Mapping[str, str]) -> Iterator[Fact]:
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
                method="+".join(_names(settings.method, known)),
                quantity=f"setting: {name}",
                value=float(value),
                unit="",
                printed=str(value),
                decimals=_decimals(value),
                variant=settings.stage,
                note=settings.note,
            )
