"""From students to a Result: accuracies as scores that tables, claims and leaderboards treat like any other."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

from divbench.embedders.embed import SetContent, content_of
from divbench.errors import ResultError
from divbench.images import ImageSet
from divbench.protocol import Scope
from divbench.results import (
    ACCURACY,
    SCHEMA,
    Accuracy,
    Caution,
    Environment,
    Interval,
    Result,
    Run,
    Score,
    SetRecord,
    mean,
)
from divbench.settings import json_types
from divbench.statistics import t_half_width
from divbench.train.recipe import TrainRecipe
from divbench.train.train import Trained

_LEVEL = 0.95


def accuracy_result(
    trained: Trained,
    *,
    name: str,
    recipe: tuple[str, TrainRecipe],
    classes: tuple[str, ...],
    sets: Sequence[SetRecord],
    test: SetRecord,
    real: str | None,
    cautions: Sequence[Caution],
    environment: Environment,
) -> Result:
    """The result of an entry whose students were trained; see `divbench.combine` for those that were scored, too.

    Args:
        trained: the students.
        name: of the entry.
        recipe: name and recipe, as asked for.
        classes: of the test images.
        sets: what the students were trained on.
        test: what they were tested on.
        real: digest of the real images of the yardstick; None: there was none.
        cautions: on these images.
        environment: of this run.
    """
    accuracies = tuple(
        Accuracy(
            net=net,
            recipe=recipe[0],
            settings=json_types(msgspec.structs.replace(recipe[1], net=net)),
            labels=trained.labels,
            digest=trained.digests[net],
            test=test,
            real=real,
            notes=trained.notes,
            runs=runs,
            environment=environment,
        )
        for net, runs in trained.runs.items()
    )
    per_class = [n for record in sets for n in record.per_class]
    counts = ((min(trained.counts), max(trained.counts)), (min(per_class), max(per_class)))
    return Result(
        schema=SCHEMA,
        name=name,
        protocol=None,
        protocol_digest=None,
        embedder=None,
        classes=classes,
        real=None,
        sets=tuple(sets),
        scores=tuple(score for one in accuracies for score in _scores(one, trained, counts)),
        cautions=tuple(cautions),
        environment=environment,
        accuracies=accuracies,
    )


def record_of(images: ImageSet, content: SetContent | None = None) -> SetRecord:
    """What a result says of a set; its digest is that of the set where it is scored. ``content`` spares reading it."""
    content = content or content_of(images)
    return SetRecord(
        name=images.name,
        recognised=images.recognised,
        digest=content.digest,
        count=len(images),
        per_class=tuple(images.labels.bincount(minlength=len(images.classes)).tolist()),
        remarks=content.remarks,
        notes=images.notes,
        origin=images.origin,
    )


def known_runs(before: Result | None, path: Path | None, net: str, digest: str, real: str | None) -> tuple[Run, ...]:
    """The runs of ``net`` that a result holds; raises `ResultError` where they were trained otherwise."""
    held = None if before is None else before.accuracy(net)
    if held is None:
        return ()
    if held.digest != digest:
        raise ResultError(
            f"{path}: holds accuracies of {net} by another recipe, labels or test set ({held.recipe}, {held.labels}, "
            f"{held.test.name}, digest {held.digest}, not {digest}); give another -o"
        )
    if real is not None and held.real not in (None, real):
        raise ResultError(f"{path}: holds a yardstick of other real images; give the same --real, or another -o")
    return held.runs


def _scores(one: Accuracy, trained: Trained, counts: tuple[tuple[int, int], tuple[int, int]]) -> list[Score]:
    """At class scope the mean over classes, which is the accuracy itself where all have as many test images."""
    random = [run for run in one.runs if run.set is None]
    whole = sum(trained.counts)
    teachers = [
        sum((share or 0.0) * count for share, count in zip(shares, trained.counts, strict=True)) / whole
        for shares in trained.teachers
    ]
    at_class = {"random": [mean(run.per_class) for run in random], "teacher": [mean(one) for one in trained.teachers]}
    at_whole = {"random": [run.accuracy for run in random], "teacher": teachers}
    return [
        _score(one, "class", [mean(run.per_class) for run in one.own], at_class, counts),
        _score(one, "dataset", [run.accuracy for run in one.own], at_whole, counts),
    ]


def _score(
    one: Accuracy,
    scope: Scope,
    values: Sequence[float | None],
    reference: Mapping[str, Sequence[float | None]],
    counts: tuple[tuple[int, int], tuple[int, int]],
) -> Score:
    return Score(
        metric=ACCURACY + one.net,
        scope=scope,
        higher_is_better=True,
        values=tuple(values),
        per_class=tuple(run.per_class for run in one.own) if scope == "class" else (),
        n_real=counts[0],
        n_fake=counts[1],
        reference={key: tuple(found) for key, found in reference.items() if found},
        interval=_interval(one.own, values),
    )


def _interval(runs: Sequence[Run], values: Sequence[float | None]) -> Interval | None:
    """Of one set: t over its runs. Of several: t over the means of each, which speaks about the method."""
    of_set: dict[int | None, list[float]] = {}
    for run, value in zip(runs, values, strict=True):
        if value is None:
            return None
        of_set.setdefault(run.set, []).append(value)
    means = [sum(some) / len(some) for some in of_set.values()]
    if len(of_set) > 1 and len({len(some) for some in of_set.values()}) == 1:
        units, how, about = means, f"t over the mean runs of {len(of_set)} sets", "the method"
    elif len(of_set) == 1:
        units, how, about = next(iter(of_set.values())), f"t over {len(runs)} runs", "these sets"
    else:
        return None
    if len(units) < 2 or (half := t_half_width(units, _LEVEL)) <= 1e-12 * max(units):  # rounding is no spread
        return None
    centre = sum(units) / len(units)
    return Interval(centre - half, centre + half, _LEVEL, how, about)  # type: ignore[arg-type]
