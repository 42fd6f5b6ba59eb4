"""Result files: what was measured, on what, by which protocol or recipe, and how sure it is. No torch in here.

Machines write these files as JSON; `load_result` is strict, so that a file which was cut short, written by another
version or edited so that it contradicts itself is refused instead of half understood.
"""

import contextlib
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import msgspec
from msgspec import Struct

from divbench.errors import ResultError
from divbench.files import write_whole
from divbench.origin import Origin
from divbench.protocol import Protocol, Scope, protocol_digest

SCHEMA = 2
ACCURACY = "accuracy/"
"""What the metric of an accuracy begins with; the student's network follows."""
_UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


class Interval(Struct, frozen=True, forbid_unknown_fields=True):
    """A confidence interval for the mean of a score's values.

    ``about`` says what varies in it: the images of these sets, or the sets that a method makes from several seeds.
    """

    low: float
    high: float
    level: float
    procedure: str
    about: Literal["these sets", "the method"]


class Score(Struct, frozen=True, forbid_unknown_fields=True):
    """One metric at one scope, for every synthetic set (seed) of an entry.

    Attributes:
        metric: its name; ``accuracy/NET`` for students of that network, whose runs are in `Result.accuracies`.
        values: one per set, of an accuracy one per run; at class scope the mean over classes. None: undefined, or
            undefined for some class.
        per_class: one vector over the classes for each of the values at class scope, else empty.
        n_real: smallest and largest number of real rows in one call of the metric; of an accuracy, of test images.
        n_fake: likewise of synthetic rows.
        reference: yardsticks and controls by name: ``iid``, ``random``, ``kmeans``, ``collapse``, ``teacher``; one
            value per seed.
    """

    metric: str
    scope: Scope
    higher_is_better: bool | None
    values: tuple[float | None, ...]
    per_class: tuple[tuple[float | None, ...], ...]
    n_real: tuple[int, int]
    n_fake: tuple[int, int]
    reference: dict[str, tuple[float | None, ...]]
    interval: Interval | None

    @property
    def value(self) -> float | None:
        """Mean over the sets; None where any of them has no value."""
        return mean(self.values)

    def reference_value(self, name: str) -> float | None:
        """Mean of a yardstick or control over its seeds; None where it was not computed."""
        return mean(self.reference.get(name, ()))


class Caution(Struct, frozen=True, forbid_unknown_fields=True):
    """Something that a reader of the numbers has to know; ``code`` is stable, ``text`` is for people."""

    code: str
    text: str


class SetRecord(Struct, frozen=True, forbid_unknown_fields=True):
    """Which images were scored.

    Attributes:
        recognised: the format, as the reader found it.
        digest: of pixels and labels; equal digests are equal sets.
        count: images used.
        per_class: images of each class, in the order of the result's classes; empty for an unlabelled set.
        skipped: files left out because they could not be read.
        remarks: counts of what was noticed while decoding, such as ``jpeg``.
        notes: what the reader noticed.
        origin: how divbench generated it; None of other sets.
    """

    name: str
    recognised: str
    digest: str
    count: int
    per_class: tuple[int, ...]
    skipped: tuple[str, ...] = ()
    remarks: dict[str, int] = {}
    notes: tuple[str, ...] = ()
    origin: Origin | None = None

    @property
    def said(self) -> tuple[str, ...]:
        """How the set was generated, if that is known, and the notes."""
        return self.notes if self.origin is None else (str(self.origin), *self.notes)


class Environment(Struct, frozen=True, forbid_unknown_fields=True):
    """Where and how a result was made; nothing here enters a comparison."""

    divbench: str
    python: str
    torch: str
    device: str
    platform: str
    date: str
    seconds: float
    argv: tuple[str, ...] = ()
    commit: str | None = None
    dirty: bool | None = None


class EpochRecord(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """What an epoch of training has come to.

    Attributes:
        epoch: from 1 on.
        loss: mean over the batches, as they went by, of that over the augmented training images of each; a smaller last
            batch counts as much as others.
        train_accuracy: the same of the share that is told rightly, by hard labels.
        test_accuracy: of the network after the epoch; None: it was not tested.
        seconds: since the record before, with the test; None: not kept.
    """

    epoch: int
    loss: float
    train_accuracy: float
    test_accuracy: float | None = None
    seconds: float | None = None


class Run(Struct, frozen=True, forbid_unknown_fields=True):
    """One student.

    Attributes:
        set: index of the synthetic set that it was trained on; None: a random real subset of the same size.
        seed: of its weights, of order and augmentation, and of the real subset.
        accuracy: share of the test images that it tells rightly after the last epoch.
        per_class: the same of each class; None where the test set has no image of it.
        best_on_test, best_epoch: the greatest accuracy of the curve and when it was reached. It was chosen on the test
            images, so it says too much and stands in no table.
        curve: the epochs that were tested.
        seconds: of training and testing.
    """

    set: int | None
    seed: int
    accuracy: float
    per_class: tuple[float | None, ...]
    best_on_test: float
    best_epoch: int
    curve: tuple[EpochRecord, ...]
    seconds: float


class Accuracy(Struct, frozen=True, forbid_unknown_fields=True):
    """How the students of one network were trained: what a protocol is to other metrics.

    Attributes:
        net: their network, as in the metric ``accuracy/NET``.
        recipe: name of the training recipe.
        settings: every key of it, as asked for.
        labels: where labels came from, in words.
        digest: of all that decides an accuracy but the images and the seed; numbers compare only inside one.
        test: what was tested on.
        real: digest of the real images of which random subsets were trained on; None: no such run.
        notes: what had to differ from the recipe.
        runs: all students.
        environment: of the last of them.
        earlier: of those that were trained before, oldest first, where not all were trained at once; the command in
            each says on which sets.
    """

    net: str
    recipe: str
    settings: dict[str, Any]
    labels: str
    digest: str
    test: SetRecord
    real: str | None
    notes: tuple[str, ...]
    runs: tuple[Run, ...]
    environment: Environment
    earlier: tuple[Environment, ...] = ()

    @property
    def environments(self) -> tuple[Environment, ...]:
        """Where all students were trained, oldest first."""
        return (*self.earlier, self.environment)

    @property
    def own(self) -> tuple[Run, ...]:
        """The runs on the synthetic sets, in the order of the score's values."""
        return tuple(run for run in self.runs if run.set is not None)


class Result(Struct, frozen=True, forbid_unknown_fields=True):
    """Everything measured about one entry: one or several synthetic sets (seeds).

    Attributes:
        protocol, protocol_digest, embedder, real: how and against what the sets were scored; None where they were not.
        classes: of the real data, or of the test images.
        accuracies: how students were trained, one for each network.
        note: what whoever added it to a leaderboard says of it.
    """

    schema: int
    name: str
    protocol: Protocol | None
    protocol_digest: str | None
    embedder: str | None
    classes: tuple[str, ...]
    real: SetRecord | None
    sets: tuple[SetRecord, ...]
    scores: tuple[Score, ...]
    cautions: tuple[Caution, ...]
    environment: Environment
    accuracies: tuple[Accuracy, ...] = ()
    note: str = ""

    def score(self, metric: str, scope: Scope = "class") -> Score:
        """The score of ``metric`` at ``scope``; raises `ResultError` where the result does not hold it."""
        for score in self.scores:
            if (score.metric, score.scope) == (metric, scope):
                return score
        held = ", ".join(f"{s.metric}/{s.scope}" for s in self.scores)
        raise ResultError(f"{self.name}: holds no {metric!r} at {scope} scope; it holds {held}")

    def accuracy(self, net: str) -> Accuracy | None:
        """How the students of ``net`` were trained; None where there are none."""
        return next((one for one in self.accuracies if one.net == net), None)

    def students(self, metric: str) -> Accuracy | None:
        """How the students were trained whose accuracy ``metric`` is; None where it is none, or nothing says how."""
        return self.accuracy(metric.removeprefix(ACCURACY)) if metric.startswith(ACCURACY) else None

    @property
    def level(self) -> float:
        """Confidence level of the intervals."""
        return 0.95 if self.protocol is None else self.protocol.level

    @property
    def ipc(self) -> tuple[int, int] | None:
        """Smallest and largest number of images per class over the sets; None for unlabelled sets."""
        counts = [n for record in self.sets for n in record.per_class]
        return (min(counts), max(counts)) if counts else None

    @property
    def sizes(self) -> frozenset[tuple[int, tuple[int, ...]]]:
        """Numbers of images, in all and of each class, over the sets: entries of equal sizes compare."""
        return frozenset((record.count, record.per_class) for record in self.sets)

    def _repr_html_(self) -> str:
        from divbench.report.render import render
        from divbench.report.tables import score_table

        return render(score_table(self), "html")


def mean(values: tuple[float | None, ...]) -> float | None:
    """Mean of the values; None where there are none or any is missing."""
    try:
        return sum(values) / len(values)  # type: ignore[arg-type]
    except (TypeError, ZeroDivisionError):
        return None


def save_result(result: Result, path: str | Path) -> None:
    """Write ``result`` as JSON, whole or not at all.

    Raises:
        ResultError: a value is NaN or infinite.
        OutputError: the file cannot be written; an existing one is then unharmed.
    """
    data = msgspec.json.format(msgspec.json.encode(result), indent=1) + b"\n"
    try:
        same = msgspec.json.decode(data, type=Result) == result
    except msgspec.ValidationError:
        same = False
    if not same:
        raise ResultError(f"{path}: the result holds NaN or infinite values, which no result file may; nothing written")
    write_whole(Path(path), data)


def load_result(path: str | Path) -> Result:
    """Read a result file.

    Raises:
        ResultError: the file is missing, is no result, has unknown or missing keys or another schema number, or
            contradicts itself.
    """
    path = Path(path)
    try:
        data = path.read_bytes()
    except (OSError, ValueError) as error:
        raise ResultError(f"{path}: cannot be read ({getattr(error, 'strerror', None) or error})") from error
    try:
        result = msgspec.json.decode(data, type=Result)
        _check_schema(path, result.schema)
    except _UNREADABLE as error:
        with contextlib.suppress(*_UNREADABLE):
            _check_schema(path, msgspec.json.decode(data, type=_Versioned).schema)
        raise ResultError(
            f"{path}: is no divbench result ({error}); make one with 'divbench score ... -o FILE'"
        ) from error
    scored = (result.protocol, result.protocol_digest, result.embedder, result.real)
    if any(part is None for part in scored) and any(part is not None for part in scored):
        raise ResultError(f"{path}: has parts of a protocol only: the file was edited; score the sets again")
    expected = None if result.protocol is None else protocol_digest(result.protocol, result.embedder or "")
    if result.protocol_digest != expected:
        raise ResultError(
            f"{path}: $.protocol_digest is {result.protocol_digest}, but its protocol and embedder have "
            f"{expected}: the file was edited; score the sets again"
        )
    for problem in _contradictions(result):
        raise ResultError(f"{path}: {problem}: the file was edited or is damaged; score the sets again")
    return result


def _check_schema(path: Path, schema: int) -> None:
    if schema != SCHEMA:
        raise ResultError(f"{path}: has schema {schema}, this divbench reads schema {SCHEMA}; score the sets again")


def _contradictions(result: Result) -> Iterator[str]:
    """What cannot be so in a result that divbench made."""
    if len(set(result.classes)) < len(result.classes):
        yield "$.classes holds a class twice"
    for i, record in enumerate(result.sets):
        yield from _miscounted(f"$.sets[{i}]", record, result.classes)
    if result.real is not None:
        yield from _miscounted("$.real", result.real, result.classes)
    yield from _impossible_runs(result)
    names = [(score.metric, score.scope) for score in result.scores]
    if len(set(names)) < len(names):
        yield "$.scores holds a metric twice at one scope"
    for i, score in enumerate(result.scores):
        where = f"$.scores[{i}] ({score.metric}, {score.scope} scope)"
        trained = result.students(score.metric)
        count, what = 0 if score.metric.startswith(ACCURACY) else len(result.sets), "sets"
        if trained is not None:
            count, what = len(trained.own), "runs"
            if score.scope == "dataset" and score.values != tuple(run.accuracy for run in trained.own):
                yield f"{where} has other values than its runs"
        if len(score.values) != count:
            yield f"{where} has {len(score.values)} values for {count} {what}"
        if len(score.per_class) != (count if score.scope == "class" else 0):
            yield f"{where} has {len(score.per_class)} per-class vectors for {count} {what}"
        for value, vector in zip(score.values, score.per_class, strict=False):
            if len(vector) != len(result.classes):
                yield f"{where} has {len(vector)} per-class values for {len(result.classes)} classes"
            elif not _close(value, mean(vector)):
                yield f"{where} has the value {value}, but its classes have the mean {mean(vector)}"
        centre, found = score.value, score.interval
        if found is not None and (centre is None or not found.low <= centre <= found.high):
            yield f"{where} has an interval that does not hold its value"
        if found is not None and not 0 < found.level < 1:
            yield f"{where} has an interval of level {found.level}, which must lie between 0 and 1"


def _miscounted(where: str, record: SetRecord, classes: tuple[str, ...]) -> Iterator[str]:
    """What cannot be so in the counts of a set's images; an unlabelled set has none of each class."""
    counts = record.per_class
    if counts and len(counts) != len(classes):
        yield f"{where} has {len(counts)} per-class counts for {len(classes)} classes"
    if min(counts, default=0) < 0:
        yield f"{where} has a negative number of images of a class"
    if counts and sum(counts) != record.count:
        yield f"{where} has {record.count} images, but {sum(counts)} over its classes"


def _impossible_runs(result: Result) -> Iterator[str]:
    nets = [one.net for one in result.accuracies]
    if len(set(nets)) < len(nets):
        yield "$.accuracies holds a network twice"
    for i, one in enumerate(result.accuracies):
        yield from _miscounted(f"$.accuracies[{i}].test", one.test, result.classes)
        for run in one.runs:
            if run.set is not None and not 0 <= run.set < len(result.sets):
                yield f"$.accuracies[{i}] ({one.net}) has a run on set {run.set} of {len(result.sets)}"


def _close(a: float | None, b: float | None) -> bool:
    return a == b if a is None or b is None else math.isclose(a, b, rel_tol=1e-12, abs_tol=1e-12)


class _Versioned(Struct):
    schema: int


def result_schema() -> bytes:
    """JSON Schema of result files, generated from the records."""
    return msgspec.json.format(msgspec.json.encode(msgspec.json.schema(Result)), indent=1) + b"\n"
