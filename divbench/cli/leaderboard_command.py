"""``divbench leaderboard``: its four commands."""

from pathlib import Path
from typing import Any

import click

from divbench.cli import _options
from divbench.leaderboard import FOLDER, TOLERANCE

_folder = click.option(
    "--folder", type=_options.PATH, default=FOLDER, show_default=True, help="Of the leaderboard."
)  # fmt: skip


@click.group()
def leaderboard() -> None:
    """Keep reported numbers beside measured ones, and audit them."""


@leaderboard.command()
@_folder
def build(folder: Path) -> None:
    """Write README.md, index.html and numbers.csv from the entries."""
    from divbench.leaderboard.build import build as write
    from divbench.leaderboard.build import summary

    board = write(folder)
    click.echo(f"{folder}: {summary(board)}")
    click.echo(f"open {folder / 'index.html'} in a browser")


@leaderboard.command()
@_folder
@click.option(
    "--against",
    metavar="COMMIT",
    default=None,
    help="List measured numbers that changed since then, such as origin/main.",
)
@click.option(
    "--tolerance", type=click.FloatRange(0), default=TOLERANCE, show_default=True,
    help="Share of itself by which a number may change.",
)  # fmt: skip
@_options.format_
def check(folder: Path, against: str | None, tolerance: float, format_: str) -> None:
    """Check that entries are valid and tables fresh and, with --against, that no published number has changed.

    Exit status: 0 all is well, 1 something is not, 2 the question was wrong.
    """
    import gc
    import math

    from divbench.leaderboard.build import summary
    from divbench.leaderboard.changes import changes_table
    from divbench.leaderboard.check import check as look
    from divbench.report.render import render

    if not math.isfinite(tolerance):
        raise click.UsageError(f"--tolerance {tolerance}: expected a number from 0 on")
    gc.disable()  # many small records and no cycles: looking for some takes a tenth of the time
    found = look(folder, tolerance, against)
    if found.changes or format_ != "table":
        click.echo(render(changes_table(found.changes, tolerance), format_))
    if not found.compared:
        click.echo(f"{against} holds no numbers.csv of {folder}: compared with nothing", err=True)
    for problem in found.problems:
        click.echo(problem, err=True)
    if found.board is not None and not found.problems:
        click.echo(f"{folder}: all is well. {summary(found.board)}", err=format_ != "table")
    raise SystemExit(1 if found.problems else 0)


@leaderboard.command()
@click.argument("result", type=_options.PATH, metavar="RESULT.json")
@click.option("--method", required=True, metavar="KEY", help="Of methods.toml, such as sre2l+dire.")
@click.option("--note", default="", help="What readers of the tables have to know.")
@click.option("--dataset", default=None, metavar="KEY", help="Such as cifar10.  [default: the name of the real data]")
@click.option("--replace", is_flag=True, help="Replace the entry that is there; shows old and new numbers.")
@_folder
def add(result: Path, method: str, note: str, dataset: str | None, replace: bool, folder: Path) -> None:
    """Make a result an entry, and write the tables.

    The entry's command lines name files without their folders.
    """
    from divbench.leaderboard.add import add as put
    from divbench.leaderboard.build import build as write
    from divbench.leaderboard.changes import changes_table
    from divbench.report.render import render

    entry, changes = put(result, folder, method, dataset=dataset, note=note, overwrite=replace)
    click.echo(f"{folder / 'results' / entry.place}.json: {entry.result.name}")
    if changes:
        click.echo(render(changes_table(changes, TOLERANCE)))
    write(folder)


@leaderboard.command()
@_folder
@click.option("--paper", default=None, help="Of this paper alone, such as dire.")
@click.option(
    "--severity", type=click.Choice(["error", "warning", "info"]), default="info", show_default=True, help="And worse."
)
@_options.format_
def audit(folder: Path, paper: str | None, severity: Any, format_: str) -> None:
    """Say what printed numbers contradict: themselves, each other, mathematics, measurements.

    A finding is no verdict on a paper: it says which numbers cannot be read as they stand, and why.
    """
    from divbench.leaderboard.board import load_board
    from divbench.leaderboard.tables import audit_table
    from divbench.report.render import render

    click.echo(render(audit_table(load_board(folder), paper, severity), format_), nl=False)
