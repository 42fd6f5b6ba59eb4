"""Dot plots: entries, and the yardsticks and controls that they are read beside, as rows. No torch in here."""

import math
from collections.abc import Callable, Sequence
from statistics import fmean, median
from typing import Any, NamedTuple

from matplotlib.axes import Axes
from matplotlib.ticker import LogLocator, NullFormatter

from divbench.figures._words import (
    DASHES,
    GREY,
    arrow_note,
    context_of,
    digits,
    groups_of,
    holder_of,
    images_of,
    interval_notes,
    is_beyond,
    references_in,
    scale_of,
    score_of,
    title_of,
    unit_of,
    value_of,
)
from divbench.figures.canvas import INK, Look, Picture, caption, look, panels, shortened, styled
from divbench.protocol import Scope
from divbench.results import Result, Score
from divbench.wording import REFERENCES

_FAR = 10  # times the entries' median beyond which a control would press all else into a corner of a linear axis
_WIDTHS = (5.6, 7.6, 9.6)  # inches of a figure of one, two, three columns
Beside = Callable[[Score, str | None, float], str]


class Row(NamedTuple):
    """A line of a dot plot: a heading, an entry, or a yardstick or control.

    Attributes:
        label: what stands beside the axis.
        top: number of the first row of entries of as many images per class.
        group: places of these entries.
        entry: place of the entry.
        key: of the yardstick or control.
    """

    label: str
    top: int
    group: Sequence[int]
    entry: int | None = None
    key: str | None = None


def dots(
    held: Sequence[Result],
    metrics: Sequence[str],
    scope: Scope,
    beside: Beside | None = None,
    runs: bool = False,
) -> Picture:
    """Entries and what they are read beside as rows, a panel for each metric.

    Args:
        held: of `entries`.
        metrics: those to draw, at least one, each held by some entry.
        scope: of the scores; where an entry has none, its row says so.
        beside: what to say at the right of a value: of an entry, or of the yardstick or control of the given key.
        runs: show every value (of a set or run) as well.
    """
    found = [[score_of(one, metric, scope) for one in held] for metric in metrics]
    scores = [score for some in found for score in some if score is not None]
    rows = _rows(held, [key for key in REFERENCES if any(key in score.reference for score in scores)])
    with styled():
        figure, axes = tiles(len(metrics), 0.75 + 0.21 * len(rows))
        axes[0].set_yticks(range(len(rows)), [row.label for row in rows])
        axes[0].set_ylim(len(rows) - 0.4, -0.6)
        for ax, some in zip(axes, found, strict=True):
            _panel(ax, rows, some, beside, runs)
            for label, row in zip(ax.get_yticklabels(), rows, strict=False):
                label.set_color(INK if row.entry is not None else GREY)
        caption(figure, [*context_of(held, scope, metrics), *interval_notes(scores), *_reading(scores, runs)])
    return figure


def tiles(count: int, height: float) -> tuple[Picture, list[Axes]]:
    """A figure of ``count`` axes in up to three columns, each ``height`` inches high, with one scale upwards."""
    wide = min(count, len(_WIDTHS))
    deep = math.ceil(count / wide)
    figure, axes = panels(deep, wide, (_WIDTHS[wide - 1], 0.3 + deep * height), sharey=True)
    for ax in axes.flat[count:]:
        ax.remove()
    return figure, list(axes.flat[:count])


def _rows(held: Sequence[Result], keys: Sequence[str]) -> list[Row]:
    """Group by group: a heading where there are several, the entries, their yardsticks and controls."""
    rows: list[Row] = []
    groups = groups_of(held)
    for group in groups:
        top = len(rows)
        rows += [Row(f"— {images_of(held[group[0]])} —", top, group)] if len(groups) > 1 else []
        rows += [Row(shortened(held[i].name), top, group, entry=i) for i in group]
        rows += [Row(REFERENCES[key], top, group, key=key) for key in keys]
    return rows


def _panel(
    ax: Axes,
    rows: Sequence[Row],
    scores: Sequence[Score | None],
    beside: Beside | None,
    runs: bool,
) -> None:
    centres: list[float] = []
    others: list[float] = []
    for y, row in enumerate(rows):
        if row.entry is not None:
            score = scores[row.entry]
            value = None if score is None else value_of(score)
            if score is None or value is None:
                _say(ax, y, "no value")
            else:
                _entry(ax, y, score, value, look(row.entry), runs)
                centres.append(value)
                if beside:
                    _say(ax, y, beside(score, None, value))
        elif row.key is not None:
            holder = holder_of([scores[i] for i in row.group], row.key)
            if holder is not None:
                values = references_in(holder, row.key)
                if row.key == "teacher" and is_beyond(fmean(values), centres + others):
                    _say(ax, y, "→" if beside else f"{digits(fmean(values))} →", inside=True)
                else:
                    _reference(ax, y, row, values)
                    others.append(fmean(values))
                if beside:
                    _say(ax, y, beside(holder, row.key, fmean(values)))
    first = next(score for score in scores if score is not None)
    ax.set_title(title_of(first))
    ax.set_xlabel((unit_of(first) + _scale(ax, centres, others)).strip())


def _entry(ax: Axes, y: int, score: Score, value: float, style: Look, runs: bool) -> None:
    if score.interval is not None:
        ends = [scale_of(score) * end for end in (score.interval.low, score.interval.high)]
        ax.plot(ends, [y, y], color=style.colour, lw=1.6, marker="|", ms=6, zorder=3)
    ax.plot(value, y, style.marker, color=style.colour, ms=6.5, mec="white", mew=0.6, zorder=4)
    if runs and len(score.values) > 1:
        each = [scale_of(score) * one for one in score.values if one is not None]
        ax.plot(each, [y + 0.3] * len(each), style.marker, color=style.colour, ms=3.5, mfc="none", mew=0.7, zorder=3)


def _reference(ax: Axes, y: int, row: Row, values: Sequence[float]) -> None:
    """A yardstick or control, with a line up through the entries that it stands beside."""
    centre = fmean(values)
    ax.plot([centre, centre], [row.top - 0.5, y], color=GREY, lw=0.9, ls=DASHES[row.key or ""], zorder=1)
    ax.plot([min(values), max(values)], [y, y], color=GREY, lw=1.2, zorder=2)
    ax.plot(centre, y, "o", color=GREY, mfc="white", ms=5, zorder=2)


def _say(ax: Axes, y: int, words: str, inside: bool = False) -> None:
    """Words at the right edge of a row."""
    place: dict[str, Any] = {"xytext": (-4, 0), "ha": "right"} if inside else {"xytext": (4, 0), "ha": "left"}
    ax.annotate(
        words, (1, y), xycoords=("axes fraction", "data"), textcoords="offset points", va="center", fontsize=8, **place
    )


def _scale(ax: Axes, centres: Sequence[float], others: Sequence[float]) -> str:
    """A logarithmic axis with plain numbers where a linear one would press the entries into a corner; says so."""
    both = [*centres, *others]
    if not centres or min(both) <= 0 or max(both) <= _FAR * median(centres):
        return ""
    ax.set_xscale("log")
    ax.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    ax.xaxis.set_major_formatter("{x:g}")
    ax.xaxis.set_minor_formatter(NullFormatter())
    return " (log scale)"


def _reading(scores: Sequence[Score], runs: bool) -> list[str]:
    """How to read the marks."""
    said = [arrow_note(scores)]
    said += ["small marks: each run"] if runs else []
    said += ["hollow, grey: mean over seeds, bar from least to greatest"] if any(s.reference for s in scores) else []
    return ["; ".join(said).removeprefix("; ")]
