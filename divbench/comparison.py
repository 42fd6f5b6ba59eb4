"""What may be compared, and what differs between two entries, class by class. No torch in here."""

from collections.abc import Collection, Hashable, Sequence
from dataclasses import replace
from typing import NamedTuple

import msgspec

from divbench.errors import ResultError, shorten
from divbench.gains import Change, Gain, Unit, measure_change, measure_gain
from divbench.protocol import Scope
from divbench.results import Accuracy, Result, Score, mean
from divbench.statistics import holm


def check_comparable(results: Sequence[Result]) -> None:
    """Raise `ResultError` where two results may not stand in one table.

    Scores compare inside one protocol and real set, accuracies of a network inside one recipe, kind of labels and test
    set. A result that lacks one or the other compares by what it has.
    """
    for i, other in enumerate(results):
        for first in results[:i]:
            _check_pair(first, other)


class Differences(NamedTuple):
    """Metric -> its change from one entry to another, and why other metrics could not be tested."""

    tested: dict[str, Change]
    untested: tuple[str, ...]


def differences(before: Result, after: Result, metrics: Collection[str] | None = None) -> Differences:
    """``after`` minus ``before`` at class scope by `measure_change`; p-values after Holm over what could be tested.

    Args:
        before, after: of one protocol and equal images per class.
        metrics: those to test; default: all that both hold at class scope.

    Raises:
        ResultError: not comparable, of unequal IPC, without values of classes, or without a metric in common.
    """
    check_comparable([before, after])
    check_equal_sizes(before, after)
    if not (class_scores(before) and class_scores(after)) or len(before.classes) < 2:
        raise ResultError("differences are those of class means: every result needs scores of two or more classes")
    theirs = {score.metric for score in class_scores(after)}
    own = [score.metric for score in class_scores(before) if score.metric in theirs]
    keys = [key for key in own if metrics is None or key in metrics]
    if not keys:
        raise ResultError(
            f"{before.name} and {after.name} have no metric in common; score both, or train students on both"
        )
    found: dict[str, Change] = {}
    untested = []
    for key in keys:
        first, second, units = _sides(before, after, key, "class")
        try:
            found[key] = measure_change(first, second, units=units, level=before.level)
        except ResultError as reason:
            untested.append(str(reason))
    adjusted = holm([one.p for one in found.values()])
    tested = {key: replace(one, p=p) for (key, one), p in zip(found.items(), adjusted, strict=True)}
    return Differences(tested, tuple(untested))


def gain_between(
    before: Result, after: Result, metric: str, scope: Scope = "class", *, margin: float = 0.0, level: float = 0.95
) -> Gain:
    """How much more diverse ``after`` is than ``before``: `measure_gain` over their sets, or over students of one set.

    Args:
        before, after: comparable results of equal images per class.
        metric, scope: of the score that both hold.
        margin, level: see `measure_gain`.

    Raises:
        ResultError: a result does not hold the score, or as `measure_gain`.
    """
    first, second, units = _sides(before, after, metric, scope)
    return measure_gain(first, second, units=units, margin=margin, level=level)


def _sides(before: Result, after: Result, metric: str, scope: Scope) -> tuple[Score, Score, tuple[Unit, Unit]]:
    """The scores of a metric with what they have values for."""
    first, second = (per_set(result, result.score(metric, scope)) for result in (before, after))
    return first, second, (unit_of(before, metric), unit_of(after, metric))


def check_equal_sizes(before: Result, after: Result) -> None:
    """Raise `ResultError` where some class, or the whole, has another number of images."""
    if before.sizes != after.sizes:
        raise ResultError(
            f"{before.name} and {after.name} have unequal images per class, which by itself moves coverage and Vendi; "
            "score both with the same --ipc"
        )


def before_and_after(results: Sequence[Result]) -> list[tuple[Result, Result]]:
    """Pairs whose names say that one is the other with something added: ``SRe2L`` and ``SRe2L + DiRe``.

    Of equal images of each class only. The longest name that fits is taken: ``a+b+c`` is ``a+b`` with something added.
    """
    pairs = []
    for after in results:
        fitting = [one for one in results if _extends(one.name, after.name) and one.sizes == after.sizes]
        if fitting:
            pairs.append((max(fitting, key=lambda one: len(one.name)), after))
    return pairs


def by_ipc(results: Sequence[Result]) -> list[list[Result]]:
    """Entries with as many images of each class, in their order."""
    groups: dict[Hashable, list[Result]] = {}
    for result in results:
        groups.setdefault(result.sizes, []).append(result)
    return list(groups.values())


def class_scores(result: Result) -> list[Score]:
    """The scores at class scope."""
    return [score for score in result.scores if score.scope == "class"]


def class_means(score: Score) -> list[float]:
    """Mean over the sets of each class's value; empty where any is missing."""
    means = [mean(values) for values in zip(*score.per_class, strict=True)]
    return [m for m in means if m is not None] if None not in means else []


def set_count(result: Result, metric: str) -> int:
    """Sets that have a value of the metric: of an accuracy those with students, which need not be all."""
    trained = result.students(metric)
    return len(result.sets if trained is None else {run.set for run in trained.own})


def unit_of(result: Result, metric: str) -> Unit:
    """What `per_set` leaves a value of the metric for: each set, or each student where all are of one set."""
    return "runs" if result.students(metric) is not None and set_count(result, metric) < 2 else "sets"


def per_set(result: Result, score: Score) -> Score:
    """The score with one value for each set, where an accuracy has runs on several sets; see `unit_of`.

    What varies between the means of sets is the method; what varies between runs on one set is the students' seeds.
    A score that has one value for each set stays as it is.
    """
    trained = result.students(score.metric)
    if trained is None or set_count(result, score.metric) in (1, len(score.values)):
        return score
    places = [run.set for run in trained.own]
    groups = [[i for i, place in enumerate(places) if place == index] for index in dict.fromkeys(places)]
    values = tuple(mean(tuple(score.values[i] for i in group)) for group in groups)
    vectors = tuple(
        tuple(mean(column) for column in zip(*(score.per_class[i] for i in group), strict=True))
        for group in groups
        if score.per_class
    )
    interval = None if score.interval is None else msgspec.structs.replace(score.interval, about="the method")
    return msgspec.structs.replace(score, values=values, per_class=vectors, interval=interval)


def values_of_sets(result: Result, score: Score) -> list[float | None]:
    """The score of each set of the result, of an accuracy the mean over its students; None where there is none."""
    trained = result.students(score.metric)
    if trained is None:
        return list(score.values)
    places = list(dict.fromkeys(run.set for run in trained.own))
    values = per_set(result, score).values if len(places) > 1 else (score.value,)
    found = dict(zip(places, values, strict=True))
    return [found.get(place) for place in range(len(result.sets))]


def protocol_of(result: Result) -> str:
    """Name and short digest of the protocol, for people."""
    return "–" if result.protocol is None else f"{result.protocol.name} {result.protocol_digest:.6}"


def _extends(before: str, after: str) -> bool:
    plain, longer = ("".join(name.lower().split()) for name in (before, after))
    return longer.startswith(plain + "+")


def _check_pair(first: Result, other: Result) -> None:
    pairs: list[tuple[str, object, object, str, str]] = [
        ("classes", first.classes, other.classes, shorten(first.classes), shorten(other.classes))
    ]
    if first.real is not None and other.real is not None:
        pairs = [
            ("protocols", first.protocol_digest, other.protocol_digest, protocol_of(first), protocol_of(other)),
            ("real sets", first.real.digest, other.real.digest, first.real.name, other.real.name),
            *pairs,
        ]
    for one in first.accuracies:
        if (their := other.accuracy(one.net)) is not None:
            what = f"recipes, labels or test sets of {one.net}"
            pairs.append((what, one.digest, their.digest, _training(one), _training(their)))
    for what, a, b, mine, theirs in pairs:
        if a != b:
            raise ResultError(
                f"{first.name} and {other.name} have different {what} ({mine}; {theirs}) and cannot be compared; "
                "treat both alike"
            )


def _training(one: Accuracy) -> str:
    return f"{one.recipe} {one.digest:.6}, {one.labels}, tested on {one.test.name}"
