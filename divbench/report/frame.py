"""Results as one tidy data frame, for everything that no table or figure here shows."""

from collections.abc import Iterator, Sequence
from typing import Any

import pandas as pd

from divbench.results import Result

_COLUMNS = ("entry", "ipc", "metric", "scope", "of", "seed", "class", "value")


def frame(results: Result | Sequence[Result]) -> pd.DataFrame:
    """One row for each number.

    Args:
        results: one or several; they need not be comparable.

    Returns:
        Columns ``entry``; ``ipc`` (smallest number of images per class); ``metric``, ``scope``; ``of``: ``set``, or the
        yardstick or control ``iid``, ``random``, ``kmeans``, ``collapse``, ``teacher``; ``seed``: which set, run or
        draw, from 0; ``class``: its name, missing for the mean over classes and at dataset scope; ``value``: in the
        metric's own unit, accuracies as shares, missing where undefined.
    """
    entries = [results] if isinstance(results, Result) else results
    return pd.DataFrame([row for result in entries for row in _rows(result)], columns=list(_COLUMNS))


def _rows(result: Result) -> Iterator[tuple[Any, ...]]:
    ipc = None if result.ipc is None else result.ipc[0]
    for score in result.scores:
        head = (result.name, ipc, score.metric, score.scope)
        for seed, value in enumerate(score.values):
            yield (*head, "set", seed, None, value)
        for seed, vector in enumerate(score.per_class):
            for name, value in zip(result.classes, vector, strict=True):
                yield (*head, "set", seed, name, value)
        for of, values in score.reference.items():
            for seed, value in enumerate(values):
                yield (*head, of, seed, None, value)
