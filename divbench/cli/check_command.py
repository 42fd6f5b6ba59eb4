"""``divbench check``."""

import os
from pathlib import Path

import click

from divbench.claims import FORMATS
from divbench.cli import _options


@click.command()
@click.argument("claims", nargs=-1, required=True, type=_options.PATH, metavar="CLAIMS.toml...")
@click.option(
    "--results", type=_options.PATH, default=None, help="Folder that results are named in.  [default: each file's own]"
)
@click.option("--junit", type=_options.PATH, default=None, help="Write the verdicts here, too, as JUnit XML.")
@click.option(
    "--format", "format_", type=click.Choice(FORMATS), default="table", show_default=True, help="How to print."
)
@click.option("--accept-inconclusive", is_flag=True, help="Exit with 0 where a gain is not told from noise.")
@click.option("--regenerate", is_flag=True, help="Write the pins' values as they are now; exit with 1 if any moved.")
def check(
    claims: tuple[Path, ...], results: Path | None, junit: Path | None, format_: str, accept_inconclusive: bool,
    regenerate: bool,
) -> None:  # fmt: skip
    """Test claimed gains against measured results.

    Exit status: 0 all claims hold, 1 some claim is refuted, 2 the question was wrong, 3 a gain is not beyond noise.
    With --format github, verdicts are annotations, and a table goes to the job's summary.
    """
    from divbench.claims.claim import load_claims
    from divbench.claims.judge import EXIT, Verdict, judge, results_in, unread, worst
    from divbench.claims.pins import judge_pins
    from divbench.claims.pins import regenerate as write_pins
    from divbench.claims.written import append_summary, written
    from divbench.claims.written import junit as as_junit
    from divbench.errors import DivbenchError
    from divbench.files import check_writable, write_whole

    if junit is not None:
        check_writable(junit)
    if junit is not None and junit.resolve() in {path.resolve() for path in claims}:
        raise click.UsageError(f"--junit {junit}: is a claim file; give another file")
    verdicts: list[Verdict] = []
    for path in claims:
        load = results_in(results or path.parent)
        try:
            file = load_claims(path)
            verdicts += judge(file, load)
            verdicts += (write_pins if regenerate else judge_pins)(file, load)
        except DivbenchError as problem:  # the verdicts of the other files are worth having
            verdicts.append(unread(path, str(problem)))
    if junit is not None:
        write_whole(junit, as_junit(verdicts, accept_inconclusive))
    click.echo(written(verdicts, format_), nl=False)
    summary = os.environ.get("GITHUB_STEP_SUMMARY")
    if format_ == "github" and summary:
        append_summary(verdicts, Path(summary))
    status = worst(verdicts)
    raise SystemExit(0 if status == "inconclusive" and accept_inconclusive else EXIT[status])
