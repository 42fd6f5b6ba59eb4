"""The figures of a page that results alone can give, and how figures are put into it. No torch in here."""

import base64
import re
from collections.abc import Sequence
from typing import Any

import msgspec

from divbench.errors import ResultError
from divbench.figures.canvas import encoded
from divbench.figures.per_class import classes as classes_figure
from divbench.figures.references import controls as controls_figure
from divbench.figures.references import coverage as coverage_figure
from divbench.figures.training import curves, seeds
from divbench.report._page_tables import headline_metrics
from divbench.report.gallery import Shown
from divbench.report.parts import is_accuracy
from divbench.report.verdicts import scope_of
from divbench.results import Result

_PIXELS_PER_INCH = 100


def page_figures(results: list[Result]) -> list[Shown]:
    """Every figure that the results have numbers for."""
    shown = []
    scored = [_without_students(result) for result in results if result.protocol is not None]
    scope = scope_of(scored) or "class"
    offered: list[tuple[str, str, str, Any]] = [
        (
            "figure-controls",
            "Entries beside their controls",
            "What a number is worth: random real images, k-means centroids and near-copies of the class mean, of as "
            "many images per class.",
            lambda: controls_figure(scored, scope=scope),
        ),
        (
            "figure-coverage",
            "Coverage",
            "The i.i.d. yardstick is what as many fresh real images would reach. Coverage that near-copies of the "
            "class mean reach as well is no evidence of diversity.",
            lambda: coverage_figure(scored, scope),
        ),
    ]
    for metric in headline_metrics(results):
        title, said = f"{metric} class by class", "A mean hides classes that lose."
        own = results if is_accuracy(metric) else scored
        offered.append((f"classes-{metric}", title, said, _of_metric(own, metric)))
    for i, (net, trained) in enumerate(_trained_alike(results)):
        offered.append((f"curves-{i}", f"Learning curves, {net}", "Accuracy on test images.", _curves(trained, net)))
        said = "Each point is a student of another seed."
        offered.append((f"seeds-{i}", f"Every student, {net}", said, _seeds(trained, net)))
    for key, title, caption, draw in offered:
        try:
            shown.append(Shown(key, title, caption, draw()))
        except ResultError:  # no such scores, or no curves: the page goes without
            continue
    return shown


def _without_students(result: Result) -> Result:
    """What was scored alone: students of several recipes do not keep scores from being compared."""
    scores = tuple(score for score in result.scores if not is_accuracy(score.metric))
    return msgspec.structs.replace(result, scores=scores, accuracies=())


def _trained_alike(results: Sequence[Result]) -> list[tuple[str, list[Result]]]:
    """Network and entries whose students of it were trained by one recipe."""
    groups: dict[tuple[str, str], list[Result]] = {}
    for result in results:
        for one in result.accuracies:
            groups.setdefault((one.net, one.digest), []).append(result)
    return [(net, group) for (net, _), group in groups.items()]


def _of_metric(results: list[Result], metric: str) -> Any:
    return lambda: classes_figure(results, metric)


def _curves(results: list[Result], net: str) -> Any:
    return lambda: curves(results, net)


def _seeds(results: list[Result], net: str) -> Any:
    return lambda: seeds(results, net)


def embedded(one: Shown) -> dict[str, Any]:
    data = _light(encoded(one.figure, "svg", for_page=True))
    width, height = (round(_PIXELS_PER_INCH * inches) for inches in one.figure.get_size_inches())
    url = f"data:image/svg+xml;base64,{base64.b64encode(data).decode()}"
    return {
        "key": one.key, "title": one.title, "caption": one.caption, "alt": one.figure.alt, "url": url, "width": width,
        "height": height,
    }  # fmt: skip


def _light(svg: bytes) -> bytes:
    """Without indentation, and with places to a hundredth of a point: half the weight, and nobody sees it."""

    def rounded(attribute: re.Match[str]) -> str:
        return re.sub(r"(\.\d\d)\d+", r"\1", attribute[0])

    text = re.sub(r'\b(?:d|x|y|transform|points)="[^"]*"', rounded, svg.decode())
    return re.sub(r"\s*\n\s*", "\n", text).encode()
