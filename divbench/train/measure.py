"""From image sets to a Result with accuracies. What the command line and the demo share."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec

from divbench.cautions import of_test_images
from divbench.combine import check_equal_seeds, check_same_sets, with_accuracies
from divbench.embedders.embed import content_of
from divbench.errors import InputError, ResultError
from divbench.images import ImageSet, match_sets, take_per_class
from divbench.progress import Progress, no_progress
from divbench.provenance import environment
from divbench.results import Accuracy, Caution, Result, Run, Score, SetRecord
from divbench.teacher import Teacher
from divbench.train.accuracy import accuracy_result, known_runs, record_of
from divbench.train.files import first_alone
from divbench.train.train import Plan, train


@dataclass(frozen=True)
class Matching:
    """Which images of the sets are used.

    Attributes:
        ipc: the first ``ipc`` of each class only; None: all.
        classes: how the sets name the classes of the test images (``index``, ``name``, ``wnid``), if that is not plain.
        common: leave out classes that only one side has.
    """

    ipc: int | None = None
    classes: str | None = None
    common: bool = False


def measure_accuracy(
    sets: Sequence[tuple[ImageSet, Path | None]],
    test: ImageSet,
    plan: Plan,
    *,
    name: str | None = None,
    matching: Matching | None = None,
    teachers: Sequence[Teacher] = (),
    real: ImageSet | None = None,
    before: Result | None = None,
    path: Path | None = None,
    progress: Progress = no_progress,
    report: Callable[[str, Run], object] = lambda title, run: None,
) -> Result:
    """Train students on image sets, several seeds of one entry, and say how many test images they tell rightly.

    Args:
        sets: each with the folder that may hold stored soft labels.
        test: real images that were used for nothing else.
        plan: which students, and how they are trained; its ``kept`` is there until `Plan.forget`.
        name: of the entry, whatever ``before`` calls it; default: that of ``before``, or of the first set.
        matching: which images are used; default: all.
        teachers: that give soft labels, where the recipe asks for them.
        real: real training images, of which a random subset is trained on as a yardstick.
        before: what is known of these sets already, such as their diversity; runs that it holds are not made again.
            It may have more sets, of which those are left as they are. Where it has fewer, the first of these, its
            students and its note are kept and its diversity is left out.
        path: of ``before``, for messages.
        progress, report: see `divbench.train.train.train`.

    Raises:
        ResultError: ``before`` is of other images, has accuracies by another recipe, or students of fewer sets by a
            network that is not in ``plan``.
        DivbenchError: see `divbench.train.train.train`.
    """
    began, chosen = time.perf_counter(), matching or Matching()
    matched, tests = match_sets([images for images, _ in sets], test, chosen.classes, chosen.common)
    if chosen.ipc is not None:
        matched = [take_per_class(images, chosen.ipc) for images in matched]
    if real is not None:
        (real,), tests = match_sets([real], tests, chosen.classes, chosen.common)
    looked = _look(matched, tests, real)
    tested, truth = looked.test, looked.real
    if truth == tested.digest:
        raise InputError(f"{tests.name}: is both tested on and the yardstick's training data; give others with --real")
    plan = replace(plan, test_digest=tested.digest)
    entry = _Entry.of(before, path, looked.sets, tests.classes, plan.nets)
    check_equal_seeds([(one.name, one.per_class) for one in entry.sets])
    trained = train(
        [(images, folder) for images, (_, folder) in zip(matched, sets, strict=True)],
        tests,
        plan,
        teachers=teachers,
        real=real,
        known=lambda net, digest: entry.given(known_runs(before, path, net, digest, truth)),
        progress=progress,
        report=report,
    )
    result = accuracy_result(
        replace(trained, runs={net: entry.all_runs(net, runs) for net, runs in trained.runs.items()}),
        name=name or (matched[0].entry if before is None else before.name),
        recipe=(plan.name, plan.recipe),
        classes=tests.classes,
        sets=entry.sets,
        test=tested,
        real=truth,
        cautions=looked.cautions,
        environment=environment(time.perf_counter() - began, str(plan.device)),
    )
    if before is None:
        return result
    result = msgspec.structs.replace(
        result,
        accuracies=tuple(entry.as_known(one) for one in result.accuracies),
        scores=tuple(entry.with_teachers(one) for one in result.scores),
    )
    whole = result if len(entry.sets) > len(before.sets) else with_accuracies(before, result)
    return msgspec.structs.replace(whole, name=result.name, note=before.note)


@dataclass(frozen=True)
class _Entry:
    """All sets of an entry, and which of them are trained on now: ``places``, in the order that they are given in."""

    before: Result | None
    sets: tuple[SetRecord, ...]
    places: tuple[int, ...]

    @classmethod
    def of(
        cls, before: Result | None, path: Path | None, given: Sequence[SetRecord], classes: tuple[str, ...],
        nets: Sequence[str],
    ) -> "_Entry":  # fmt: skip
        """Raises `ResultError` where a result's sets are neither these, nor some of them, nor more."""
        whole = cls(before, tuple(given), tuple(range(len(given))))
        if before is None:
            return whole
        path = path or Path(before.name)
        held, digests = [one.digest for one in before.sets], [one.digest for one in given]
        if len({*digests} & {*held}) == len(digests) < len(held):
            check_same_sets(before, path, before.sets, classes)
            return cls(before, before.sets, tuple(held.index(digest) for digest in digests))
        more = before.accuracies and len(digests) > len(held)
        check_same_sets(before, path, given[: len(held)] if more else given, classes)
        trained = [one.net for one in before.accuracies]
        if more and not set(trained) <= set(nets):
            raise ResultError(
                f"{path}: has students of {', '.join(trained)} on {len(held)} of these {len(digests)} sets; train all "
                f"networks on the new, too (--net {','.join(dict.fromkeys((*trained, *nets)))}), or give another -o"
            )
        return whole

    def given(self, runs: Sequence[Run]) -> list[Run]:
        """Those runs that are on a set that is given, by its number among these, or on none."""
        return [
            msgspec.structs.replace(run, set=None if run.set is None else self.places.index(run.set))
            for run in runs
            if run.set is None or run.set in self.places
        ]

    def all_runs(self, net: str, runs: Sequence[Run]) -> tuple[Run, ...]:
        """Runs on sets that are given, by their numbers in the entry, and those that the result has on other sets."""
        held = None if self.before is None else self.before.accuracy(net)
        kept = [] if held is None else [run for run in held.own if run.set not in self.places]
        placed = [msgspec.structs.replace(run, set=None if run.set is None else self.places[run.set]) for run in runs]
        return tuple(sorted([*kept, *placed], key=lambda run: (run.set is None, run.set or 0, run.seed)))

    def as_known(self, one: Accuracy) -> Accuracy:
        """What the result held where no run is new; where some are, with what it said of the others."""
        held = None if self.before is None else self.before.accuracy(one.net)
        if held is None or held.runs == one.runs:
            return held or one
        notes = tuple(dict.fromkeys((*held.notes, *one.notes)))
        return msgspec.structs.replace(one, real=one.real or held.real, notes=notes, earlier=held.environments)

    def with_teachers(self, one: Score) -> Score:
        """With the accuracies of teachers that the result held, where none is tested now."""
        scores = () if self.before is None else self.before.scores
        known = {(held.metric, held.scope): held.reference for held in scores}
        return msgspec.structs.replace(one, reference={**known.get((one.metric, one.scope), {}), **one.reference})


class _Looked(msgspec.Struct):
    """What reading all images tells: of the sets, of the test images, the digest of the real ones, and cautions."""

    sets: list[SetRecord]
    test: SetRecord
    real: str | None
    cautions: list[Caution]


def _look(sets: Sequence[ImageSet], tests: ImageSet, real: ImageSet | None) -> _Looked:
    """The first process reads, and tells the others."""

    def read() -> _Looked:
        test = content_of(tests)
        contents = [content_of(images) for images in sets]
        known = [(images.name, content) for images, content in zip(sets, contents, strict=True)]
        truth = None if real is None else content_of(real)
        return _Looked(
            sets=[record_of(images, content) for images, content in zip(sets, contents, strict=True)],
            test=record_of(tests, test),
            real=None if truth is None else truth.digest,
            cautions=[one for name, content in known for one in of_test_images(name, content, tests.name, test)],
        )

    return msgspec.convert(first_alone(lambda: msgspec.to_builtins(read())), _Looked)
