"""The page: one self-contained HTML file that tells what results say. No torch in here.

results (+ gallery) -> story, tables, figures -> template -> text
"""

import base64
import hashlib
import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib import resources
from pathlib import PurePath
from typing import Any, NamedTuple

from jinja2 import Environment, StrictUndefined

from divbench import __version__
from divbench.combine import joined
from divbench.comparison import check_comparable, class_means
from divbench.errors import ResultError
from divbench.figures.canvas import encoded
from divbench.figures.per_class import classes as classes_figure
from divbench.figures.references import controls as controls_figure
from divbench.figures.references import coverage as coverage_figure
from divbench.figures.training import curves, seeds
from divbench.report.gallery import NO_GALLERY, Gallery, Shown
from divbench.report.render import Cell, Table, shown_notes, sort_key, text
from divbench.report.story import Story, against_controls, pairs_to_tell, tell
from divbench.report.tables import accuracy_table, compare_table
from divbench.results import ACCURACY, Result

SIGNS = {"more": "▲", "less": "▼", "mixed": "◆", "open": "○", "unmeasured": "–"}
MANY_CLASSES = 40
"""From here on the tables of classes show both ends and a search."""
_END = 10
_HEADLINE = ("vendi", "coverage", "cosine")
_PIXELS_PER_INCH = 100


@dataclass(frozen=True)
class Wording:
    """What the author of a report says."""

    title: str = ""
    note: str = ""
    pairs: Sequence[tuple[str, str]] = field(default=())


_NO_WORDS = Wording()


class _Cell(NamedTuple):
    text: str
    key: float | str | None
    bold: bool


class _Row(NamedTuple):
    cells: list[_Cell]
    kind: str


class _Rows(NamedTuple):
    """A table as the template wants it."""

    title: str
    columns: list[str]
    rows: list[_Row]
    notes: list[str]


def page(results: Sequence[Result], gallery: Gallery = NO_GALLERY, wording: Wording = _NO_WORDS) -> str:
    """The report as HTML; the same text for the same input.

    Args:
        results: entries of one protocol; parts of one entry (scores, accuracies) are joined.
        gallery: figures and pictures made from images, see `divbench.exhibits`.
        wording: title, note, and which entries are before and after; default: those whose names say so.

    Raises:
        ResultError: no results, not comparable, two of one name, or a pair that names no entry.
    """
    results = checked(results)
    pairs = named_pairs(results, wording.pairs) if wording.pairs else pairs_to_tell(results)
    story = tell(results, pairs)
    style, script = _resource("page.css"), _resource("page.js")
    many = len(results[0].classes) if len(results[0].classes) > MANY_CLASSES else 0
    controls = against_controls(results)
    text = _TEMPLATE.render(
        title=wording.title or _title(results),
        what=_what(results),
        note=[part for part in re.split(r"\n\s*\n", wording.note.strip()) if part],
        style=style,
        script=script,
        style_hash=_hash(style),
        script_hash=_hash(script),
        version=__version__,
        signs=SIGNS,
        story=story,
        controls=None if controls is None else _rows(controls),
        measurement=_measurement(story),
        tables=_tables(results),
        per_class=[(f"class-{i}", table) for i, table in enumerate(_class_tables(results, pairs, bool(many)))],
        many=many,
        figures=[_embedded(one) for one in (*_figures(results), *gallery.figures)],
        classes=gallery.classes,
        gallery_notes=gallery.notes,
        provenance=[_provenance(result) for result in results],
    )
    return text + "\n"


def checked(results: Sequence[Result]) -> list[Result]:
    """The entries, joined; raises `ResultError` where they cannot stand on one page."""
    if not results:
        raise ResultError("a report needs at least one result")
    found = joined(results)
    check_comparable(found)
    for i, result in enumerate(found):
        if any(result.name == other.name for other in found[:i]):
            raise ResultError(
                f"two results are called {result.name!r}, which a page could not tell apart; give one another --name"
            )
    return found


def named_pairs(results: Sequence[Result], names: Sequence[tuple[str, str]]) -> list[tuple[Result, Result]]:
    """Before and after by their names; raises `ResultError` for one that there is not."""
    known = {result.name: result for result in results}
    for name in (name for pair in names for name in pair):
        if name not in known:
            raise ResultError(f"pairs: there is no entry {name!r}; the entries are {', '.join(known)}")
    return [(known[before], known[after]) for before, after in names]


def ends(results: Sequence[Result], pairs: Sequence[tuple[Result, Result]], most: int) -> list[int]:
    """Classes at both ends of the first pair's difference in the first headline metric, or of the first entry."""
    order = _order(results, pairs, _headline_metrics(results)[:1])
    half = most // 2
    return order if len(order) <= most else [*order[: most - half], *order[len(order) - half :]]


def _title(results: Sequence[Result]) -> str:
    names = [result.name for result in results]
    return "Diversity of " + (", ".join(names[:-1]) + " and " + names[-1] if len(names) > 1 else names[0])


def _what(results: Sequence[Result]) -> str:
    first = results[0]
    ipc = sorted({one for r in results if r.ipc for one in r.ipc})
    per_class = f", {' to '.join(map(str, dict.fromkeys((ipc[0], ipc[-1]))))} images per class" if ipc else ""
    real = next((f", against {r.real.count} images of {r.real.name}" for r in results if r.real is not None), "")
    entries = "one entry" if len(results) == 1 else f"{len(results)} entries"
    return f"{entries}, {len(first.classes)} classes{per_class}{real}"


def _measurement(story: Story) -> list[tuple[str, str, Sequence[str]]]:
    return [
        ("Conceptualise", "What is meant by diversity?", story.conceptualise),
        ("Operationalise", "How was it turned into numbers?", story.operationalise),
        ("Reliability", "Would the same numbers come again?", story.reliability),
        ("Validity", "Do the numbers measure what is meant?", story.validity),
    ]


def _tables(results: list[Result]) -> list[tuple[str, _Rows]]:
    """All scores at both scopes, and the students one by one."""
    held = {score.scope for result in results for score in result.scores}
    tables = [
        (f"scope-{scope}", _rows(compare_table(results, scope))) for scope in ("class", "dataset") if scope in held
    ]
    trained = [result for result in results if result.accuracies]
    return tables + [(f"students-{i}", _rows(accuracy_table(result))) for i, result in enumerate(trained)]


def _rows(table: Table) -> _Rows:
    rows = [
        _Row(
            [_Cell(text(cell), sort_key(cell), (i, j) in table.bold) for j, cell in enumerate(row)],
            "ref" if str(row[0]).startswith("(") else "",
        )
        for i, row in enumerate(table.rows)
    ]
    return _Rows(table.title, table.columns, rows, shown_notes(table))


def _headline_metrics(results: Sequence[Result]) -> list[str]:
    """What is shown class by class: the headline metrics that all entries hold, and accuracies."""
    held = [{s.metric for s in result.scores if s.scope == "class"} for result in results]
    nets = dict.fromkeys(ACCURACY + one.net for result in results for one in result.accuracies)
    return [metric for metric in (*_HEADLINE, *nets) if all(metric in some for some in held)]


def _class_tables(results: Sequence[Result], pairs: Sequence[tuple[Result, Result]], trim: bool) -> list[_Rows]:
    return [_class_table(results, pairs, metric, trim) for metric in _headline_metrics(results)]


def _class_table(results: Sequence[Result], pairs: Sequence[tuple[Result, Result]], metric: str, trim: bool) -> _Rows:
    """A row for each class, a column for each entry, then the differences of pairs."""
    scale, unit = (100, " %") if metric.startswith(ACCURACY) else (1, "")
    values = {result.name: class_means(result.score(metric)) for result in results}
    differences = [(before.name, after.name) for before, after in pairs if values[before.name] and values[after.name]]
    columns = ["class", *values, *(f"{after} – {before}" for before, after in differences)]
    order = _order(results, pairs, [metric])
    shown = {*order[:_END], *order[len(order) - _END :]}
    rows = []
    for label, name in enumerate(results[0].classes):
        cells: list[Cell] = [scale * one[label] if one else None for one in values.values()]
        cells += [scale * (values[after][label] - values[before][label]) for before, after in differences]
        row = [_Cell(name, name, False), *(_Cell(text(cell), sort_key(cell), False) for cell in cells)]
        rows.append(_Row(row, "" if label in shown or not trim else "mid"))
    about = "the first pair's difference" if differences else "the first entry"
    notes = [f"both ends by {about}: {_END} classes each; search, or show all"] if trim else []
    return _Rows(f"{metric}{unit}", columns, rows, notes)


def _order(results: Sequence[Result], pairs: Sequence[tuple[Result, Result]], metrics: Sequence[str]) -> list[int]:
    """Classes by the first pair's difference, or by the first entry's value, from the least to the greatest."""
    everything = list(range(len(results[0].classes)))
    for metric in metrics:
        values = [class_means(result.score(metric)) for result in (pairs[0] if pairs else results[:1])]
        if all(values):
            height = [last - first for first, last in zip(values[0], values[-1], strict=True)] if pairs else values[0]
            return sorted(everything, key=lambda label: height[label])
    return everything


def _figures(results: list[Result]) -> list[Shown]:
    """Every figure that the results have numbers for."""
    shown = []
    offered: list[tuple[str, str, str, Any]] = [
        (
            "figure-controls",
            "Entries beside their controls",
            "What a number is worth: random real images, k-means centroids and near-copies of the class mean, of as "
            "many images per class.",
            lambda: controls_figure(results),
        ),
        (
            "figure-coverage",
            "Coverage",
            "The i.i.d. yardstick is what as many fresh real images would reach. Coverage that near-copies of the "
            "class mean reach as well is no evidence of diversity.",
            lambda: coverage_figure(results),
        ),
    ]
    for metric in _headline_metrics(results):
        title = f"{metric} class by class"
        offered.append((f"classes-{metric}", title, "A mean hides classes that lose.", _of_metric(results, metric)))
    for net in dict.fromkeys(one.net for result in results for one in result.accuracies):
        trained = [result for result in results if result.accuracy(net) is not None]
        offered.append((f"curves-{net}", f"Learning curves, {net}", "Accuracy on test images.", _curves(trained, net)))
        offered.append(
            (
                f"seeds-{net}",
                f"Every student, {net}",
                "Each point is a student of another seed.",
                _seeds(trained, net),
            )
        )
    for key, title, caption, draw in offered:
        try:
            shown.append(Shown(key, title, caption, draw()))
        except ResultError:  # no such scores, or no curves: the page goes without
            continue
    return shown


def _of_metric(results: list[Result], metric: str) -> Any:
    return lambda: classes_figure(results, metric)


def _curves(results: list[Result], net: str) -> Any:
    return lambda: curves(results, net)


def _seeds(results: list[Result], net: str) -> Any:
    return lambda: seeds(results, net)


def _embedded(one: Shown) -> dict[str, Any]:
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


def _provenance(result: Result) -> dict[str, Any]:
    facts: list[tuple[str, str]] = []
    if result.protocol is not None and result.real is not None:
        facts.append(("protocol", f"{result.protocol.name}, digest {result.protocol_digest}"))
        facts.append(("real images", f"{result.real.name}, {result.real.count}, digest {result.real.digest}"))
    for record in result.sets:
        facts.append(("set", f"{record.name}, {record.count} images, digest {record.digest}"))
        facts.append(("read as", record.recognised))
        facts += [("note", note) for note in record.notes]
    made = [("scored", result.environment)] if result.protocol is not None else []
    for what, where in [*made, *((f"trained {one.net}", one.environment) for one in result.accuracies)]:
        commit = f", commit {where.commit:.12}{' with changes' if where.dirty else ''}" if where.commit else ""
        facts.append(
            (
                what,
                f"{where.date}, {where.seconds:.0f} s on {where.device} ({where.platform}); divbench {where.divbench}"
                f"{commit}, Python {where.python}, torch {where.torch}",
            )
        )
        if where.argv:
            facts.append(("command", shlex.join([PurePath(where.argv[0]).name, *where.argv[1:]])))
    return {"name": result.name, "facts": facts}


def _resource(name: str) -> str:
    return (resources.files("divbench") / "report" / name).read_text(encoding="utf-8")


def _hash(source: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(source.encode()).digest()).decode()


_TEMPLATE = Environment(autoescape=True, trim_blocks=False, lstrip_blocks=True, undefined=StrictUndefined).from_string(
    _resource("page.html.j2")
)
