"""How far long work is, for who waits at a terminal or reads a log file later."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import click

_LINE_EVERY = 30.0


class _Lines:
    """Where a bar goes that no terminal shows: whole lines on standard error, which a log file can hold."""

    def write(self, text: str) -> None:
        if text.strip():
            click.echo(text.strip(), err=True)

    def flush(self) -> None:
        pass


@contextmanager
def progress_bar(title: str, total: int) -> Iterator[Callable[..., None]]:
    """A bar on a terminal's standard error; elsewhere a line each half minute of what takes longer than that."""
    from tqdm import tqdm

    seen = sys.stderr.isatty()
    every = 0.1 if seen else _LINE_EVERY
    with tqdm(
        total=total,
        desc=title,
        leave=False,
        unit="",
        mininterval=every,
        maxinterval=10 * every,
        miniters=1,
        delay=0 if seen else every,
        dynamic_ncols=seen,
        file=sys.stderr if seen else _Lines(),
    ) as bar:

        def advance(done: int, text: str = "", /) -> None:
            bar.set_postfix_str(text, refresh=False)
            bar.update(done)

        yield advance
