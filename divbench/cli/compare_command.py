"""``divbench compare``."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from divbench.cli import _options

if TYPE_CHECKING:
    from divbench.protocol import Scope

_ENDINGS = {".json": "json", ".csv": "csv", ".md": "markdown", ".tex": "latex", ".html": "html"}


@click.command()
@click.argument("results", nargs=-1, required=True, type=_options.PATH, metavar="RESULT.json...")
@click.option(
    "--scope",
    type=click.Choice(["class", "dataset"]),
    default="class",
    show_default=True,
    help="Mean over classes of the metric inside each, or all images at once.",
)
@click.option(
    "--metrics",
    default=None,
    metavar="NAME,...",
    help="Show these, in this order, such as coverage,vendi,accuracy (of all networks).  [default: all]",
)
@click.option("--differences", is_flag=True, help="Show each entry minus the first, with intervals and p-values.")
@click.option(
    "--pairs",
    is_flag=True,
    help="Show below each entry such as SRe2L+DiRe what it adds to SRe2L, with p-values.",
)
@click.option(
    "--by",
    type=click.Choice(["ipc", "network"]),
    default=None,
    help="Lay out as papers do: for each metric, entries by images per class; or accuracies of networks by entries.  "
    "[default: entries by metrics]",
)
@click.option("--sets", is_flag=True, help="Show each set in a row of its own, and the commands behind its numbers.")
@click.option("--cost", is_flag=True, help="Show what it took to generate the sets: time, memory, bytes.")
@click.option(
    "--mixed", is_flag=True, help="Show results of different protocols or real sets in one table all the same."
)
@click.option("-o", "--output", type=_options.PATH, default=None, help="Write the table here.  [default: print it]")
@click.option(
    "--format",
    "format_",
    type=click.Choice(_options.FORMATS),
    default=None,
    help="How to write it.  [default: as the ending of --output says, such as .tex or .md, else table]",
)
def compare(
    results: tuple[Path, ...],
    scope: "Scope",
    metrics: str | None,
    differences: bool,
    pairs: bool,
    by: str | None,
    sets: bool,
    cost: bool,
    mixed: bool,
    output: Path | None,
    format_: str | None,
) -> None:
    """Put results into one table, with yardsticks and controls."""
    from divbench.files import write_whole
    from divbench.report.cost import cost_table
    from divbench.report.layouts import tables_by_ipc, tables_by_network
    from divbench.report.render import render, render_all
    from divbench.report.sets import sets_table
    from divbench.report.tables import compare_table, differences_table
    from divbench.results import load_result

    if format_ is None:
        format_ = "table" if output is None else _ENDINGS.get(output.suffix.lower(), "table")
    if differences and (mixed or pairs or by or scope != "class"):
        raise click.UsageError(
            "--differences pairs the classes of comparable results: leave out --mixed, --pairs, --by and --scope"
        )
    if pairs and (mixed or scope != "class"):
        raise click.UsageError("--pairs pairs the classes of comparable results: leave out --mixed and --scope")
    if by and mixed:
        raise click.UsageError("--by lays out comparable results: leave out --mixed, or --by")
    if sets and (differences or pairs or by or cost or mixed):
        raise click.UsageError("--sets is a table of its own: leave out all options but --metrics and --scope")
    if cost and (differences or pairs or by or mixed or metrics or scope != "class"):
        raise click.UsageError("--cost is a table of its own: leave out the options that shape others")
    entries = [load_result(path) for path in results]
    names = None if metrics is None else [name.strip() for name in metrics.split(",")]
    if cost:
        text = render(cost_table(entries), format_)
    elif sets:
        text = render(sets_table(entries, scope, names), format_)
    elif by:
        layout = tables_by_ipc if by == "ipc" else tables_by_network
        text = render_all(layout(entries, scope, names, pairs), format_)
    elif differences:
        text = render(differences_table(entries, names), format_)
    else:
        text = render(compare_table(entries, scope, mixed, names, pairs), format_)
    if output is not None:
        write_whole(output, text.encode())
    else:
        click.echo(text, nl=False)
