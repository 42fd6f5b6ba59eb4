"""``divbench demo``."""

from collections.abc import Callable
from pathlib import Path

import click

from divbench.cli import _options
from divbench.cli._progress import progress_bar


@click.command()
@click.option(
    "-o",
    "--output",
    type=_options.PATH,
    default="divbench-demo",
    show_default=True,
    help="Folder for the networks, images, results and the page.",
)
def demo(output: Path) -> None:
    """Distil digits without and with DiRe and score both, offline, in a few minutes on two cores."""
    from divbench import parallel
    from divbench.demo import demo as run
    from divbench.progress import no_progress
    from divbench.report.render import render
    from divbench.report.tables import compare_table, differences_table

    first = parallel.rank() == 0
    say: Callable[[str], object] = (lambda text: click.echo(text, err=True)) if first else (lambda text: None)
    made = run(output, say=say, progress=progress_bar if first else no_progress)
    if first:
        click.echo(render(compare_table(made.results), "table"))
        click.echo(render(differences_table(made.results), "table"))
        click.echo(
            f"{output}: networks, images, results (*.json), and report.html, which shows it all; open it in a browser"
        )
