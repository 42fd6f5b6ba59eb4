"""A table cell by cell, as the templates of pages want it. No torch in here."""

import re
from typing import NamedTuple

from divbench.report.render import Table, shown_notes, sort_key, text
from divbench.wording import REFERENCES

_REFERENCE_ROW = re.compile(rf"\((?:{'|'.join(map(re.escape, REFERENCES.values()))})(?:: .+)?\)")


class CellText(NamedTuple):
    """A cell as it is shown, and what it is sorted by."""

    text: str
    key: float | str | None
    bold: bool


class PageRow(NamedTuple):
    """``kind``: ``ref`` of yardsticks and controls, ``mid`` of classes that wait to be asked for."""

    cells: list[CellText]
    kind: str


class PageTable(NamedTuple):
    """A table as the template wants it."""

    title: str
    columns: list[str]
    rows: list[PageRow]
    notes: list[str]


def page_table(table: Table) -> PageTable:
    """A table of the room, cell by cell."""
    rows = [
        PageRow(
            [CellText(text(cell), sort_key(cell), (i, j) in table.bold) for j, cell in enumerate(row)],
            "ref" if _REFERENCE_ROW.fullmatch(str(row[0])) else "",
        )
        for i, row in enumerate(table.rows)
    ]
    return PageTable(table.title, table.columns, rows, shown_notes(table))
