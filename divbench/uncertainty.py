"""How uncertain a score is: which images are left out, and which procedure makes the interval."""

from collections.abc import Sequence

import torch
from torch import Tensor

from divbench.metrics import Metric, Parameters
from divbench.results import Interval
from divbench.statistics import jackknife_half_width, t_half_width

_LEAVE_ONE_OUT = 200  # rows up to which a metric's own way of leaving each one out is quick, closed form or not
_GROUPS = 20  # otherwise so many groups of rows are left out
_ROUNDING = 1e-12  # half widths up to this share of the value are rounding
_FEWEST = 5  # fewer images (or classes) than this carry no interval: leaving one out of three says too little


def left_out(metric: Metric, settings: Parameters, real: Tensor, fake: Tensor, labels: Tensor) -> list[float]:
    """Values with each row, or each of `_GROUPS` groups of rows, left out; empty where that says nothing.

    Groups take every `_GROUPS`-th row in the order of ``labels`` [n], so that each holds as many rows of a class as
    any other, up to one; inside a class the order of the rows decides which are left out together.
    """
    n = len(fake)
    if n < _FEWEST or not metric.jackknife:
        return []
    values = metric.left_out(real, fake, **settings) if n <= _LEAVE_ONE_OUT or metric.closed_form else None
    if values is None:
        groups = min(n, _GROUPS)
        member = labels.argsort(stable=True).argsort() % groups
        values = torch.tensor([metric(real, fake[member != g], **settings) for g in range(groups)], dtype=torch.float64)
    return values.tolist() if bool(torch.isfinite(values).all()) else []


def interval(
    values: Sequence[float | None],
    units: Sequence[float | None],
    strata: Sequence[list[float]],
    level: float,
) -> Interval | None:
    """The interval for the mean of ``values``, or None where nothing varies or there is too little to go by.

    Args:
        values: one per set. Several: t over the sets, about the method.
        units: the first set's value of each class; with few images per class, t over the classes.
        strata: what `left_out` gave for the first set in each class: the jackknife over its images.
        level: confidence level.
    """
    present = [v for v in values if v is not None]
    if len(present) < len(values):
        return None
    about = "the method" if len(values) > 1 else "these sets"
    if len(values) > 1:
        half, how = t_half_width(present, level), f"t over {len(values)} sets"
    elif all(strata):
        half, how = jackknife_half_width(strata, level), "jackknife over synthetic images"
    elif len(units) >= _FEWEST:
        half, how = t_half_width([v for v in units if v is not None], level), f"t over {len(units)} classes"
    else:
        return None
    if half <= _ROUNDING * max(map(abs, present)):  # nothing makes a difference, which does not say how sure it is
        return None
    centre = sum(present) / len(present)
    return Interval(centre - half, centre + half, level, how, about)  # type: ignore[arg-type]
