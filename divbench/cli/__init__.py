"""The command line: a module for each command, heavy imports inside functions, and the only place that prints."""

import os
import sys
from typing import Any

import click

from divbench import __version__
from divbench.cli._options import FORMATS
from divbench.cli.cache_command import cache
from divbench.cli.check_command import check
from divbench.cli.claim_command import claim
from divbench.cli.compare_command import compare
from divbench.cli.demo_command import demo
from divbench.cli.generate_command import generate
from divbench.cli.leaderboard_command import leaderboard
from divbench.cli.list_command import list_
from divbench.cli.plan_command import plan
from divbench.cli.plot_command import plot
from divbench.cli.regenerate_command import regenerate
from divbench.cli.report_command import report
from divbench.cli.score_command import score
from divbench.cli.squeeze_command import squeeze
from divbench.cli.train_command import train
from divbench.errors import DivbenchError

__all__ = ["FORMATS", "main"]


class _Group(click.Group):
    """Answers what a user can mend with one line and exit status 2, and an interrupt with 130."""

    def main(self, *args: Any, **kwargs: Any) -> Any:
        # Threads that wait by spinning make everything ten times as slow where other programs want the cores, too.
        os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
        kwargs["standalone_mode"] = False
        try:
            return super().main(*args, **kwargs)
        except click.exceptions.NoArgsIsHelpError as error:
            click.echo(error.format_message(), err=True)
        except click.ClickException as error:
            path = error.ctx.command_path if isinstance(error, click.UsageError) and error.ctx else "divbench"
            click.echo(f"{path}: {error.format_message()} (see '{path} --help')", err=True)
        except DivbenchError as error:
            click.echo(f"divbench: {error}", err=True)
        except (click.Abort, KeyboardInterrupt):
            click.echo(
                "divbench: interrupted; nothing is half-written, and the same command uses what is done", err=True
            )
            sys.exit(130)
        except BrokenPipeError:  # the reader of our output, such as 'head', has seen enough
            sys.stderr.close()
            sys.exit(141)
        except OSError as error:
            click.echo(f"divbench: {error}", err=True)
        sys.exit(2)


@click.group(cls=_Group, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120})
@click.version_option(__version__, prog_name="divbench")
def main() -> None:
    """Measure, compare and test the diversity of distilled image data sets."""


main.add_command(cache)
main.add_command(check)
main.add_command(claim)
main.add_command(compare)
main.add_command(demo)
main.add_command(generate)
main.add_command(leaderboard)
main.add_command(list_)
main.add_command(plan)
main.add_command(plot)
main.add_command(regenerate)
main.add_command(report)
main.add_command(score)
main.add_command(squeeze)
main.add_command(train)
