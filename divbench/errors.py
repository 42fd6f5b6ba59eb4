"""What divbench raises when the question or its input is wrong.

Every message says what was expected, what came, and what to do; the command line prints it as it is.

    DivbenchError
    ├── InputError          a file, folder, archive, tensor or label that cannot be scored
    ├── WeightsError        network weights that cannot be loaded or do not fit
    ├── ProtocolError       a protocol, metric or embedder setting that makes no sense
    ├── ResultError         a result that cannot be read or compared
    ├── ClaimError          a claim file that cannot be read, states nothing or contradicts itself
    ├── OutputError         a file that cannot be written
    ├── RecipeError         a recipe, term or method setting that is unknown or makes no sense
    ├── RecoveryError       recovery of images that stopped because a loss was not finite
    └── MissingExtraError   an optional dependency that is not installed
"""

from collections.abc import Sequence
from typing import Any


class DivbenchError(Exception):
    """Base of every error that a user can cause and mend."""


class InputError(DivbenchError):
    """An image, label, file or folder cannot be used as it is."""


class WeightsError(DivbenchError):
    """Network weights cannot be loaded safely, or do not fit the network."""


class ProtocolError(DivbenchError):
    """A protocol, metric or embedder setting is unknown or contradicts another."""


class ResultError(DivbenchError):
    """A result cannot be read or compared."""


class ClaimError(DivbenchError):
    """A claim file cannot be checked."""


class OutputError(DivbenchError):
    """A file cannot be written."""


class RecipeError(DivbenchError):
    """A recipe, or a setting of one, is unknown or contradicts another."""


class RecoveryError(DivbenchError):
    """A loss became NaN or infinite.

    Attributes:
        step: the first step where it was so.
        terms: the terms that were not finite.
        images: a tensor, the images some steps earlier, when all was well.
    """

    def __init__(self, step: int, terms: Sequence[str], images: Any) -> None:
        super().__init__(
            f"step {step}: {', '.join(terms)} is NaN or infinite; lower optimizer.lr or the weight of the term, "
            "or set precision=float32"
        )
        self.step, self.terms, self.images = step, tuple(terms), images


class MissingExtraError(DivbenchError):
    """An optional dependency is needed; the message holds the pip line."""

    def __init__(self, what: str, extra: str) -> None:
        super().__init__(f"{what} needs an optional dependency: pip install 'divbench[{extra}]'")


def shorten(names: Sequence[str], most: int = 5) -> str:
    """The first ``most`` names and, where there are more, how many in all; for lists inside messages."""
    return shown(", ".join(names[:most])) + (f", ... ({len(names)} in all)" if len(names) > most else "")


def shown(name: str) -> str:
    r"""``name`` as it can be printed and stored: bytes of a file's name that are not UTF-8 stand as ``\udcxx``."""
    return name.encode("utf-8", "backslashreplace").decode()
