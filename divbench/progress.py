"""How long work says where it is: a callable that the edges of the house implement. Nothing here shows anything."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Protocol


class Advance(Protocol):
    """Called with the number of items done since the last call and, where there is something to say, a short text."""

    def __call__(self, done: int, text: str = "", /) -> Any: ...


Progress = Callable[[str, int], AbstractContextManager[Advance]]
"""What shows progress: a title and a total give a context whose value is called as items are finished."""


def no_progress(title: str, total: int) -> AbstractContextManager[Advance]:
    """Show nothing."""
    return nullcontext(lambda done, text="": None)
