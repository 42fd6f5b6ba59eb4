"""What was scored and what was trained of the same images, in one result. No torch in here."""

from collections.abc import Collection, Sequence
from pathlib import Path

import msgspec

from divbench.errors import InputError, ResultError, shorten
from divbench.results import ACCURACY, Result, SetRecord, load_result

ABOUT_STUDENTS = ("test-copies", "near-test-copies")
"""Codes of cautions that are about what students learned from, and not about scores."""


def check_same_sets(before: Result, path: Path, sets: Sequence[SetRecord], classes: tuple[str, ...]) -> None:
    """Raise `ResultError` where the result in ``path`` is not of these very images, in this order, and classes."""
    if _digests(before.sets) != _digests(sets):
        raise ResultError(
            f"{path}: is the result of other images ({shorten([one.name for one in before.sets])}) than "
            f"{shorten([one.name for one in sets])}; give another -o, or the same sets in the same "
            "order with the same --ipc"
        )
    if before.classes != classes:
        raise ResultError(
            f"{path}: has the classes {shorten(before.classes)}, and these are {shorten(classes)}; give another -o"
        )


def load_same(path: Path, result: Result) -> Result:
    """The result in ``path``; raises `ResultError` where it is not of the same images and classes as ``result``."""
    found = load_result(path)
    check_same_sets(found, path, result.sets, result.classes)
    return found


def check_equal_seeds(sets: Sequence[tuple[str, Sequence[int]]]) -> None:
    """Raise `InputError` where sets of one entry, each a name and its images of each class, are of unequal sizes."""
    first, held = sets[0]
    for name, counts in sets:
        if tuple(counts) != tuple(held):
            raise InputError(
                f"{name} holds {sum(counts)} images and {first} {sum(held)}, or other numbers in some class: seeds of "
                "one entry have equal sizes; take the same number of each class (--ipc), or make them entries of their "
                "own"
            )


def with_accuracies(result: Result, other: Result) -> Result:
    """``result`` with the accuracies of ``other``, of the same images; they replace those of equal networks.

    Of the cautions of ``other`` those about students come along, and its note, where ``result`` has none.
    """
    about = [one for one in other.cautions if one.code in ABOUT_STUDENTS]
    nets = {ACCURACY + one.net for one in other.accuracies}
    kept = [score for score in result.scores if score.metric not in nets]
    return msgspec.structs.replace(
        result,
        scores=(*kept, *(score for score in other.scores if score.metric in nets)),
        cautions=tuple(dict.fromkeys((*result.cautions, *about))),
        note=result.note or other.note,
        accuracies=(*(one for one in result.accuracies if ACCURACY + one.net not in nets), *other.accuracies),
    )


def nets_of(metrics: Sequence[str]) -> list[str]:
    """The networks whose accuracies are among the metrics."""
    return [metric.removeprefix(ACCURACY) for metric in metrics if metric.startswith(ACCURACY)]


def only_nets(result: Result, nets: Collection[str]) -> Result:
    """The result without students of other networks, which neither have to be comparable nor are shown."""
    others = {ACCURACY + one.net for one in result.accuracies if one.net not in nets}
    return msgspec.structs.replace(
        result,
        scores=tuple(score for score in result.scores if score.metric not in others),
        accuracies=tuple(one for one in result.accuracies if one.net in nets),
    )


def relevant(result: Result, metric: str) -> Result:
    """The result with what matters to the metric alone: what else it holds need not be comparable."""
    found = only_nets(result, nets_of([metric]))
    if not metric.startswith(ACCURACY):
        return found
    return msgspec.structs.replace(found, protocol=None, protocol_digest=None, embedder=None, real=None)


def joined(results: Sequence[Result]) -> list[Result]:
    """The results, those of one name and the same images as one, where one was scored and others were trained."""
    found: list[Result] = []
    for result in results:
        place = next((i for i, one in enumerate(found) if _are_parts(one, result)), None)
        if place is None:
            found.append(result)
        elif found[place].protocol is None:
            found[place] = with_accuracies(result, found[place])
        else:
            found[place] = with_accuracies(found[place], result)
    return found


def _are_parts(one: Result, other: Result) -> bool:
    same = (one.name, one.classes, _digests(one.sets)) == (other.name, other.classes, _digests(other.sets))
    apart = not {a.net for a in one.accuracies} & {b.net for b in other.accuracies}
    return same and apart and (one.protocol is None or other.protocol is None)


def _digests(sets: Sequence[SetRecord]) -> list[str]:
    return [one.digest for one in sets]
