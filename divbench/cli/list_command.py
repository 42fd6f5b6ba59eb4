"""``divbench list``."""

import click

from divbench.cli import _options


@click.command("list")
@click.argument(
    "what",
    type=click.Choice(
        [
            "metrics",
            "embedders",
            "protocols",
            "readers",
            "datasets",
            "recipes",
            "terms",
            "methods",
            "students",
            "networks",
        ]
    ),
)
@_options.format_
def list_(what: str, format_: str) -> None:
    """List what divbench knows."""
    from divbench import listing
    from divbench.report.render import render

    click.echo(render(getattr(listing, what)(), format_), nl=False)
