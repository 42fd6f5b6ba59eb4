"""``divbench claim``: write claim files."""

import os
from pathlib import Path

import click

from divbench.cli import _options


@click.group()
def claim() -> None:
    """Write claim files; 'divbench check' tests them."""


@claim.command()
@click.argument("baseline", type=_options.PATH, metavar="BASELINE.json")
@click.argument("candidate", type=_options.PATH, metavar="CANDIDATE.json")
@click.option("-o", "--output", type=_options.PATH, default=None, help="CLAIMS.toml; a new file.  [default: print it]")
def new(baseline: Path, candidate: Path, output: Path | None) -> None:
    """Draft claims from two results, with thresholds from what was measured."""
    from divbench.claims.draft import draft
    from divbench.errors import OutputError
    from divbench.files import write_whole
    from divbench.results import load_result

    if output is not None and output.exists():
        raise OutputError(f"{output}: is there already, and people may have written in it; give another -o")
    for path in (baseline, candidate):
        if path.suffix != ".json":
            raise click.UsageError(
                f"{path}: expected a name in .json, which is how 'divbench check' finds results; rename the file"
            )
    before, after = load_result(baseline), load_result(candidate)
    base = (Path() if output is None else output.parent).resolve()
    if baseline.resolve() == candidate.resolve():
        raise click.UsageError(f"{baseline} and {candidate} are one file; give the results of two entries")
    names = [Path(os.path.relpath(path.resolve().with_suffix(""), base)).as_posix() for path in (baseline, candidate)]
    text = draft(before, after, *names)
    if output is None:
        click.echo(text, nl=False)
    else:
        write_whole(output, text.encode())
