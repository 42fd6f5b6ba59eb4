"""``divbench compare``."""

from pathlib import Path

import click

from divbench.cli import _options


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
    "--differences", is_flag=True, help="Show each entry minus the first, paired over classes, with p-values."
)
@click.option(
    "--mixed", is_flag=True, help="Show results of different protocols or real sets in one table all the same."
)
@click.option("-o", "--output", type=_options.PATH, default=None, help="Write the table here.  [default: print it]")
@_options.format_
def compare(
    results: tuple[Path, ...], scope: str, differences: bool, mixed: bool, output: Path | None, format_: str
) -> None:
    """Put results into one table, with yardsticks and controls."""
    from divbench.files import write_whole
    from divbench.report.render import render
    from divbench.report.tables import compare_table, differences_table
    from divbench.results import load_result

    if differences and (mixed or scope != "class"):
        raise click.UsageError("--differences pairs the classes of comparable results: leave out --mixed and --scope")
    entries = [load_result(path) for path in results]
    table = differences_table(entries, scope) if differences else compare_table(entries, scope, mixed)  # type: ignore[arg-type]
    text = render(table, format_)
    if output is not None:
        write_whole(output, text.encode())
    else:
        click.echo(text, nl=False)
