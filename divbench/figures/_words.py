"""How figures name and value what results hold: entries, metrics, yardsticks, intervals. No torch in here."""

from collections.abc import Sequence
from statistics import fmean
from typing import Any

from divbench.combine import joined, nets_of, only_nets
from divbench.comparison import check_comparable
from divbench.errors import ResultError, shorten
from divbench.figures.canvas import cut, shortened
from divbench.protocol import Scope
from divbench.results import ACCURACY, Result, Score
from divbench.wording import ARROWS, REFERENCES

GREY = "#666666"
DASHES: dict[str, Any] = {
    "iid": (0, (1, 1.5)),
    "random": (0, (4, 2)),
    "kmeans": (0, (6, 1.5, 1, 1.5)),
    "collapse": (0, (2, 3)),
    "teacher": "-",
}
_UNITS = {
    "coverage": "share of real images",
    "recall": "share of real images",
    "density": "1 = as real images",
    "precision": "share of synthetic images",
    "vendi": "effective number of images",
    "rke": "effective number of images",
    "rke_unbiased": "effective number of images",
    "cosine": "mean cosine of two images",
    "prototype_distance": "1 - cosine to the mean image",
}


def entries(results: Sequence[Result], metrics: Sequence[str] | None = None) -> list[Result]:
    """The results to draw; raises `ResultError` where there are none, or ``metrics`` (default: all) do not compare."""
    held = joined(results)
    if not held:
        raise ResultError("there is no result to draw; give at least one")
    check_comparable(held if metrics is None else [only_nets(one, nets_of(metrics)) for one in held])
    return held


def told_apart(result: Result, held: Sequence[Result]) -> str:
    """What follows the name of an entry: its images per class where those of ``held`` differ, else nothing."""
    return f", {images_of(result)}" if len(groups_of(held)) > 1 else ""


def groups_of(held: Sequence[Result]) -> list[list[int]]:
    """Places of the entries with as many images of each class, which have yardsticks and controls in common."""
    sizes = [one.sizes for one in held]
    return [[i for i, own in enumerate(sizes) if own == group] for group in dict.fromkeys(sizes)]


def score_of(result: Result, metric: str, scope: Scope) -> Score | None:
    """The score of a metric, if the entry holds it."""
    return next((score for score in result.scores if (score.metric, score.scope) == (metric, scope)), None)


def context_of(held: Sequence[Result], scope: Scope, metrics: Sequence[str]) -> list[str]:
    """What was scored against what, and how students were trained and tested, in words."""
    words = [images_of(held[0])] if len(groups_of(held)) == 1 else []
    if not all(metric.startswith(ACCURACY) for metric in metrics):
        words += [f"against {one.real.name}" for one in held if one.real is not None][:1]
    if scope == "class" or len(words) > 1:
        words = [f"{scope} scope", *words]
    students = [one for result in held for one in result.accuracies if ACCURACY + one.net in metrics]
    trained = [f"recipe {s.recipe}, labels {s.labels}, tested on {s.test.count} of {s.test.name}" for s in students]
    return [shortened(line, 200) for line in (", ".join(words), *dict.fromkeys(trained))]


def images_of(result: Result) -> str:
    """Images per class in words."""
    if result.ipc is None:
        return "unlabelled"
    low, high = result.ipc
    return f"{low if low == high else f'{low}–{high}'} images per class"


def holder_of(scores: Sequence[Score | None], key: str) -> Score | None:
    """The first score with a value of this yardstick or control: entries of one group have it in common."""
    return next((one for one in scores if one is not None and one.reference_value(key) is not None), None)


def references_in(score: Score, key: str) -> list[float]:
    """Values of a yardstick or control, one per seed, as they are shown."""
    return [scale_of(score) * value for value in score.reference[key] if value is not None]


def title_of(score: Score) -> str:
    """Name of a metric, of an accuracy that of the network, with an arrow towards better."""
    net = score.metric.removeprefix(ACCURACY)
    return shortened(net if net != score.metric else net.replace("_", " "), 24) + ARROWS[score.higher_is_better]


def arrow_note(scores: Sequence[Score]) -> str:
    """What the arrows mean that are there."""
    there = {score.higher_is_better for score in scores}
    said = {True: "↑\u00a0higher is better", False: "↓\u00a0lower is better"}
    return ", ".join(words for kind, words in said.items() if kind in there)


def unit_of(score: Score) -> str:
    """What a metric counts; empty where that is not known."""
    return "accuracy, % of test images" if score.metric.startswith(ACCURACY) else _UNITS.get(score.metric, "")


def scale_of(score: Score) -> float:
    """What a score is multiplied by: accuracies are shown in percent."""
    return 100.0 if score.metric.startswith(ACCURACY) else 1.0


def value_of(score: Score) -> float | None:
    """The value as it is shown."""
    return None if score.value is None else scale_of(score) * score.value


def digits(value: float) -> str:
    """Three significant digits, trailing zeros among them."""
    return f"{value:#.3g}".rstrip(".")


def is_beyond(value: float, others: Sequence[float]) -> bool:
    """Whether an axis in percent that reached up to a teacher would press all else together."""
    return bool(others) and value > max(others) + 2 * max(max(others) - min(others), 5.0)


def said(held: Sequence[Result], scores: Sequence[Score], most: int = 4) -> str:
    """The first entries and their values, for an alternative text."""
    values = [value_of(score) for score in scores]
    words = ["no value" if value is None else digits(value) for value in values]
    names = [cut(one.name, 20) + told_apart(one, held) for one in held]
    return shorten([f"{name} {word}" for name, word in zip(names, words, strict=True)], most)


def said_references(held: Sequence[Result], scores: Sequence[Score]) -> str:
    """Yardsticks and controls and their mean values, for an alternative text; nothing where each group has its own."""
    if len(groups_of(held)) > 1:
        return ""
    found = [(name, references_in(one, key)) for key, name in REFERENCES.items() if (one := holder_of(scores, key))]
    words = ", ".join(f"{name} {digits(fmean(some))}" for name, some in found)
    return f"; beside {words}" if words else ""


def interval_notes(scores: Sequence[Score]) -> list[str]:
    """What the bars of entries are and, where that differs, of which metrics."""
    found: dict[str, dict[str, None]] = {}
    for score in scores:
        if score.interval is not None:
            bar = score.interval
            kind = f"bars: {bar.level:.0%} interval, {bar.procedure}, about {bar.about}"
            found.setdefault(kind, {})[score.metric] = None
    lines = [kind if len(found) == 1 else f"{kind}: {shorten(list(of), 4)}" for kind, of in found.items()]
    return [shortened(line, 200) for line in lines]
