"""One metric class by class: which classes a method changes. No torch in here."""

from collections.abc import Sequence
from statistics import fmean
from typing import Any, Literal

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray

from divbench.errors import ResultError, shorten
from divbench.figures._words import (
    DASHES,
    GREY,
    arrow_note,
    context_of,
    digits,
    entries,
    groups_of,
    holder_of,
    references_in,
    scale_of,
    title_of,
    told_apart,
    unit_of,
    value_of,
)
from divbench.figures.canvas import INK, Picture, caption, cut, legend_below, look, panels, shortened, styled
from divbench.results import ACCURACY, Result, Score
from divbench.wording import REFERENCES

_BARS = 20  # classes up to which bars are drawn unasked
_MOST_BARS = 50  # and up to which they can be told apart
_MOST_DOTTED = 4  # entries whose dots can be told apart
Values = NDArray[np.float64]


def classes(
    results: Sequence[Result], metric: str = "vendi", *, style: Literal["bars", "curves"] | None = None
) -> Picture:
    """A metric of every class, before and after, as in figures 2 and 8 of DiRe (arXiv:2512.13083).

    Bars for few classes; of several sets (runs) their mean, with whiskers from least to greatest. For many classes
    each entry's sorted values as a line, which compares the entries at large, and its classes as dots in the order of
    the first entry's values, which compares them one by one. Yardsticks are level lines: of them only the mean over
    classes is known.

    Args:
        results: of entries.
        metric: of class scope; an accuracy is ``accuracy/NET``, shown in percent.
        style: ``bars`` or ``curves``; default: bars up to 20 classes.

    Raises:
        ResultError: no results, not comparable, one lacks the metric, or too many classes for bars.
    """
    held = entries(results, [metric])
    scores = [result.score(metric) for result in held]
    names = held[0].classes
    if style == "bars" and len(names) > _MOST_BARS:
        raise ResultError(f"bars of {len(names)} classes cannot be told apart, up to {_MOST_BARS} can; draw curves")
    bars = style == "bars" or (style is None and len(names) <= _BARS)
    values = [_by_class(score) for score in scores]
    width = min(max(6.4, 1.5 + 0.1 * len(names) * len(held)), 12.0) if bars else 6.4
    with styled():
        figure, axes = panels(size=(width, 3.4))
        ax = axes[0, 0]
        labels = [_legend(one, score, held) for one, score in zip(held, scores, strict=True)]
        (_bars if bars else _curves)(ax, values, labels)
        _yardsticks(ax, held, scores)
        ax.set_title(title_of(scores[0]))
        ax.set_ylabel(unit_of(scores[0]))
        if bars:
            _name_classes(ax, names, width)
        else:
            dotted = f"; dots in the order of {shortened(held[0].name)}" if 1 < len(held) <= _MOST_DOTTED else ""
            ax.set_xlabel(f"rank of the class, each line sorted by itself{dotted}")
        legend_below(figure, ax)
        caption(figure, _notes(held, scores, bars))
    figure.alt = _alt(held, scores[0], values)
    return figure


def _by_class(score: Score) -> Values:
    """[values, classes] as they are shown; nan where there is none."""
    return np.array(score.per_class, dtype=float) * scale_of(score)


def _bars(ax: Axes, values: Sequence[Values], labels: Sequence[str]) -> None:
    width = 0.84 / len(values)
    for i, (some, label) in enumerate(zip(values, labels, strict=True)):
        style, centre = look(i), some.mean(0)
        at = np.arange(len(centre)) + (i - (len(values) - 1) / 2) * width
        drawn: dict[str, Any] = {"color": style.colour, "hatch": style.hatch, "edgecolor": "white", "linewidth": 0.5}
        ax.bar(at, centre, width, label=[label] + ["_"] * (len(at) - 1), **drawn)
        if len(some) > 1:
            reach = np.stack([centre - some.min(0), some.max(0) - centre]).clip(0)  # equal values round
            ax.errorbar(at, centre, reach, fmt="none", ecolor=INK, elinewidth=0.8, capsize=1.5)


def _curves(ax: Axes, values: Sequence[Values], labels: Sequence[str]) -> None:
    order = np.argsort(values[0].mean(0), kind="stable")
    ranks = np.arange(1, len(order) + 1)
    few = len(order) <= _MOST_BARS
    for i, (some, label) in enumerate(zip(values, labels, strict=True)):
        style, centre = look(i), some.mean(0)
        found = np.sort(centre[np.isfinite(centre)])
        ax.plot(ranks[: len(found)], found, color=style.colour, ls=style.line, label=label)
        if 0 < i < len(values) <= _MOST_DOTTED:
            dots: dict[str, Any] = {"ms": 4.0, "mfc": "none"} if few else {"ms": 2.0, "alpha": 0.5, "mew": 0}
            ax.plot(ranks, centre[order], style.marker, color=style.colour, **dots)


def _yardsticks(ax: Axes, held: Sequence[Result], scores: Sequence[Score]) -> None:
    """What random real images reach on average over classes, and in expectation, for every number of images."""
    for group in groups_of(held):
        for key in ("iid", "random"):
            score = holder_of([scores[i] for i in group], key)
            if score is not None:
                mean = fmean(references_in(score, key))
                label = f"{REFERENCES[key]}{told_apart(held[group[0]], held)} (mean {digits(mean)})"
                ax.axhline(mean, color=GREY, lw=1.1, ls=DASHES[key], label=label)


def _name_classes(ax: Axes, names: Sequence[str], width: float) -> None:
    """Names under the bars, slanted where they would run into each other in a figure of ``width`` inches."""
    shown = [shortened(name, 18) for name in names]
    slanted = max(map(len, shown)) > 11 * width / len(names)
    ax.set_xticks(range(len(names)), shown, rotation=40 if slanted else 0, ha="right" if slanted else "center")
    ax.set_xlim(-0.6, len(names) - 0.4)
    ax.tick_params(axis="x", length=0)
    ax.grid(False, axis="x")


def _legend(one: Result, score: Score, held: Sequence[Result]) -> str:
    value = value_of(score)
    mean = "no mean" if value is None else f"mean {digits(value)}"
    return f"{shortened(one.name)}{told_apart(one, held)} ({mean})"


def _notes(held: Sequence[Result], scores: Sequence[Score], bars: bool) -> list[str]:
    several = any(len(score.values) > 1 for score in scores)
    what = "runs" if scores[0].metric.startswith(ACCURACY) else "sets"
    spread = ", whiskers from least to greatest" if bars else ""
    missing = [
        f"{shortened(one.name)} {lacking} of {len(one.classes)}"
        for one, score in zip(held, scores, strict=True)
        if (lacking := int(np.isnan(_by_class(score).mean(0)).sum()))
    ]
    notes = [f"mean over {what}{spread}"] if several else []
    notes += [f"classes without a value: {shorten(missing, 3)}"] if missing else []
    notes += [arrow_note(scores)] if arrow_note(scores) else []
    return [*context_of(held, "class", [scores[0].metric]), "; ".join(notes)]


def _alt(held: Sequence[Result], score: Score, values: Sequence[Values]) -> str:
    """The first entries with their least and greatest class."""
    found = []
    for one, some in zip(held, values, strict=True):
        centre, names = some.mean(0), [cut(name, 15) for name in one.classes]
        if np.isfinite(centre).any():
            low, high = int(np.nanargmin(centre)), int(np.nanargmax(centre))
            ends = f"{digits(centre[low])} ({names[low]}) to {digits(centre[high])} ({names[high]})"
        else:
            ends = "no value"
        found.append(f"{cut(one.name, 20)}{told_apart(one, held)} {ends}")
    unit = f" ({unit_of(score)})" if unit_of(score) else ""
    return f"{cut(score.metric)}{unit} of {len(held[0].classes)} classes: {shorten(found, 3)}."
