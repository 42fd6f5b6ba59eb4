"""How students learned, and how far their accuracies lie apart. No torch in here."""

import math
from collections.abc import Sequence
from statistics import fmean
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from divbench.errors import ResultError, shorten
from divbench.figures._dots import dots, tiles
from divbench.figures._words import (
    DASHES,
    GREY,
    context_of,
    digits,
    entries,
    groups_of,
    holder_of,
    is_beyond,
    references_in,
    said,
    said_references,
    score_of,
    told_apart,
)
from divbench.figures.canvas import Picture, caption, cut, legend_below, look, shortened, styled
from divbench.results import ACCURACY, Result, Run, Score
from divbench.wording import REFERENCES


def curves(results: Sequence[Result], net: str | None = None) -> Picture:
    """Learning curves: accuracy on the test images (%) against the epoch, a panel for each network.

    Thin lines are runs; a bold one is the mean of an entry's runs where all were tested after the same epochs. Students
    of random real images are grey and dashed, what the teachers reach is a level line. No paper shows these: they say
    whether training had converged where the accuracy of the last epoch was taken.

    Args:
        results: of entries with accuracies.
        net: network of the students; default: all of which a run was tested more than once.

    Raises:
        ResultError: no results, not comparable, no such students, or every run was tested only once.
    """
    held = entries(results, None if net is None else [ACCURACY + net])
    nets = [name for name in _networks(held, net) if any(_runs(one, name, own=True) for one in held)]
    if not nets:
        raise ResultError(
            f"{shorten([one.name for one in held])}: every run was tested only once, which is no curve; "
            "train with a smaller test_every"
        )
    alt = _alt("Learning curves", held, nets)
    with styled():
        figure, axes = tiles(len(nets), 3.0)
        for ax, name in zip(axes, nets, strict=True):
            _panel(ax, held, name)
        axes[0].set_ylabel("test accuracy, % ↑")
        _key(axes[0], held, nets)
        legend_below(figure, axes[0])
        caption(figure, _reading(held, nets))
    figure.alt = alt
    return figure


def seeds(results: Sequence[Result], net: str | None = None) -> Picture:
    """Accuracy (% of the test images) of every run, with the mean and its t interval, a panel for each network.

    Beside the entries stand students of as many random real images, and the teachers. How far equal runs lie apart
    says which differences mean anything: DiRe's tables (arXiv:2512.13083) give it as mean and deviation.

    Raises:
        ResultError: no results, not comparable, or no such students.
    """
    held = entries(results, None if net is None else [ACCURACY + net])
    nets = _networks(held, net)
    alt = _alt("Accuracy of every run", held, nets)
    figure = dots(held, [ACCURACY + name for name in nets], "dataset", beside=_mean_of, runs=True)
    figure.alt = alt
    return figure


def _networks(held: Sequence[Result], net: str | None) -> list[str]:
    known = list(dict.fromkeys(one.net for result in held for one in result.accuracies))
    if not known:
        raise ResultError(
            f"{shorten([one.name for one in held])}: no students were trained; 'divbench train' adds accuracies"
        )
    if net is not None and net not in known:
        raise ResultError(f"there are no students of {net}, but of {shorten(known)}")
    return known if net is None else [net]


def _runs(result: Result, net: str, own: bool) -> list[Run]:
    """The runs with a curve: those on the synthetic sets, or those on random real images."""
    one = result.accuracy(net)
    return [run for run in one.runs if (run.set is not None) == own and len(_curve(run)) > 1] if one else []


def _curve(run: Run) -> list[tuple[int, float]]:
    """Epochs and accuracies in percent."""
    return [(p.epoch, 100 * p.test_accuracy) for p in run.curve if p.test_accuracy is not None]


def _panel(ax: Axes, held: Sequence[Result], net: str) -> None:
    for group in groups_of(held):
        random = next((runs for i in group if (runs := _runs(held[i], net, own=False))), [])
        _lines(ax, random, {"color": GREY, "ls": DASHES["random"]})
    for i, one in enumerate(held):
        _lines(ax, _runs(one, net, own=True), _looks(i))
    teacher = holder_of([score_of(one, ACCURACY + net, "dataset") for one in held], "teacher")
    if teacher is not None:
        _teacher(ax, fmean(references_in(teacher, "teacher")))
    ax.set_title(shortened(net))
    ax.set_xlabel("epoch")
    ax.xaxis.set_major_locator(MaxNLocator(6, integer=True, steps=[1, 2, 5, 10]))


def _teacher(ax: Axes, reached: float) -> None:
    """A level line that says what it is; words alone where it lies far above all curves."""
    drawn = [float(value) for line in ax.get_lines() for value in np.asarray(line.get_ydata())]
    words = f"{REFERENCES['teacher']} {digits(reached)} %"
    if is_beyond(reached, drawn):
        ax.annotate(f"↑ {words}", (0.01, 0.99), xycoords="axes fraction", va="top", fontsize=8)
    else:
        ax.axhline(reached, color=GREY, lw=1.0)
        ax.annotate(words, (0.01, reached), (0, 2), ("axes fraction", "data"), "offset points", fontsize=8)


def _looks(place: int) -> dict[str, Any]:
    style = look(place)
    return {"color": style.colour, "ls": style.line, "marker": style.marker, "ms": 4}


def _lines(ax: Axes, runs: Sequence[Run], style: dict[str, Any]) -> None:
    """Each run, thin where a bold mean of all can be drawn."""
    every = [np.array(_curve(run)) for run in runs]
    alike = len(every) > 1 and len({tuple(curve[:, 0]) for curve in every}) == 1
    for curve in every:
        style["markevery"] = math.ceil(len(curve) / 12)
        thin = {"lw": 0.7, "alpha": 0.6, "marker": ""} if alike else {}
        ax.plot(*curve.T, **{**style, **thin})
    if alike:
        ax.plot(*np.mean(every, 0).T, **style, lw=2)


def _key(ax: Axes, held: Sequence[Result], nets: Sequence[str]) -> None:
    """Lines without points, for the legend: one panel may lack an entry that another has."""
    for i, one in enumerate(held):
        if any(_runs(one, net, own=True) for net in nets):
            ax.plot([], [], label=shortened(one.name) + told_apart(one, held), **_looks(i))
    if any(_runs(one, net, own=False) for one in held for net in nets):
        ax.plot([], [], label=REFERENCES["random"], color=GREY, ls=DASHES["random"])


def _reading(held: Sequence[Result], nets: Sequence[str]) -> list[str]:
    """What was trained how, what the lines are, and which entries have one run or no curve."""
    runs = [(shortened(one.name), [_runs(one, net, own=True) for net in nets]) for one in held]
    single = [name for name, by_net in runs if any(len(some) == 1 for some in by_net)]
    none = [name for name, by_net in runs if not any(by_net)]
    lines = context_of(held, "dataset", [ACCURACY + net for net in nets])
    lines.append("↑\u00a0higher is better; thin: each run, bold: mean of runs tested after the same epochs")
    lines += [f"n = 1: {shorten(single, 3)}"] if single else []
    return lines + ([f"no curve: {shorten(none, 3)}"] if none else [])


def _mean_of(score: Score, key: str | None, value: float) -> str:
    """Mean in percent with half the interval, and the number of runs."""
    bar = score.interval if key is None else None
    half = f" ± {50 * (bar.high - bar.low):.1f}" if bar is not None else ""
    runs = len(score.values if key is None else score.reference[key])
    return f"{value:.1f}{half}" + (f", n = {runs}" if key != "teacher" else "")


def _alt(what: str, held: Sequence[Result], nets: Sequence[str]) -> str:
    """Final accuracies of the first entries, network by network; raises `ResultError` where runs have no score."""
    found = []
    for net in nets:
        of = [one for one in held if one.accuracy(net) is not None]
        scores = [one.score(ACCURACY + net, "dataset") for one in of]
        found.append(f"{cut(net, 20)}: {said(of, scores, 2)}{said_references(of, scores)}")
    more = f" ({len(nets)} networks in all.)" if len(nets) > 2 else ""
    return f"{what}, final % of the test images. {'. '.join(found[:2])}.{more}"
