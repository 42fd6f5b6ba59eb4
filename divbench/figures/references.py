"""Entries beside what says how much their numbers are worth: yardsticks and controls. No torch in here."""

from collections.abc import Sequence
from statistics import fmean

from divbench.errors import ResultError, shorten
from divbench.figures._dots import dots
from divbench.figures._words import (
    digits,
    entries,
    groups_of,
    holder_of,
    references_in,
    said,
    said_references,
    value_of,
)
from divbench.figures.canvas import Picture, cut
from divbench.protocol import Scope
from divbench.results import Result, Score
from divbench.wording import REFERENCES


def coverage(results: Sequence[Result], scope: Scope = "class") -> Picture:
    """Coverage (share of real images, 0 to 1) of each entry with its interval, beside yardstick and controls.

    Coverage says little alone: it is read beside the i.i.d. yardstick, what as many fresh real images would reach in
    expectation, and beside near-copies of the class mean, which it must beat. Entries of unequal images per class stand
    apart, each group with its own.

    Raises:
        ResultError: no results, not comparable, or one without coverage at this scope.
    """
    held = entries(results, ["coverage"])
    scores = [result.score("coverage", scope) for result in held]
    figure = dots(held, ["coverage"], scope, beside=_over_iid)
    figure.alt = f"Coverage at {scope} scope: {said(held, scores)}{said_references(held, scores)}."
    return figure


def controls(results: Sequence[Result], metrics: Sequence[str] | None = None, scope: Scope = "class") -> Picture:
    """Several metrics, a panel each: every entry with its interval, beside yardstick and controls.

    Args:
        results: of entries; those of unequal images per class stand apart, each group with its own controls.
        metrics: names; an accuracy is ``accuracy/NET``, shown in percent. Default: all that every entry holds and that
            have a yardstick or control.
        scope: of the scores.

    Raises:
        ResultError: no results, not comparable, one lacks a metric, or no metric has a yardstick or control.
    """
    held = entries(results, metrics)
    if metrics is None:
        shared = set.intersection(*({s.metric for s in one.scores if s.scope == scope} for one in held))
        scores = {s.metric: [one.score(s.metric, scope) for one in held] for s in held[0].scores if s.metric in shared}
        scores = {metric: some for metric, some in scores.items() if _has_references(some)}
    else:
        scores = {metric: [one.score(metric, scope) for one in held] for metric in metrics}
    if not any(_has_references(some) for some in scores.values()):
        raise ResultError(
            f"{shorten([one.name for one in held])}: no yardstick or control of a common metric at {scope} scope; "
            "score with a protocol that has controls, or train with --yardsticks"
        )
    figure = dots(held, list(scores), scope)
    alike = len(groups_of(held)) == 1
    names = shorten([cut(one.name, 20) for one in held], 3)
    ranges = shorten([_range(metric, some, alike) for metric, some in scores.items()], 3)
    figure.alt = f"{names} beside controls at {scope} scope, by metric: {ranges}."
    return figure


def _has_references(scores: Sequence[Score]) -> bool:
    return any(key in score.reference for score in scores for key in REFERENCES)


def _over_iid(score: Score, key: str | None, value: float) -> str:
    """A value, and how many times the yardstick that is."""
    iid = score.reference_value("iid")
    return digits(value) + (f" = {value / iid:.2f} × i.i.d." if iid and key != "iid" else "")


def _range(metric: str, scores: Sequence[Score], alike: bool) -> str:
    """The entries' least and greatest value and, where all have as many images, what random real ones have."""
    values = [value for score in scores if (value := value_of(score)) is not None]
    ends = " to ".join(dict.fromkeys(digits(end) for end in (min(values), max(values)))) if values else "no value"
    holder = holder_of(scores, "random")
    random = f" (random real {digits(fmean(references_in(holder, 'random')))})" if holder is not None and alike else ""
    return f"{cut(metric, 20)} {ends}{random}"
