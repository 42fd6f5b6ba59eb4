"""Diversity metrics: functions on embedding matrices that never see labels.

Each module holds one metric family. A metric is a plain function and one decorator::

    @metric(better="higher", bounds=(0, 1), cite="...")
    def my_metric(real: Tensor, fake: Tensor, k: int = 5) -> float: ...

A metric whose first parameter is called ``fake`` does not look at the real images. A value that is undefined for
its input (one image has no pairs) is ``nan``. `unit_rows`, `radii` and `hits` are what metrics are made of.
"""

import inspect
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal, TypeVar

from torch import Tensor

from divbench.errors import ProtocolError
from divbench.metrics._cosine import unit_rows
from divbench.metrics._neighbours import hits, radii
from divbench.registry import Registry, resolve_settings

__all__ = ["METRICS", "Metric", "hits", "metric", "radii", "unit_rows"]

Direction = Literal["higher", "lower"] | None
Parameters = dict[str, bool | int | float]
Function = TypeVar("Function", bound=Callable[..., float])


@dataclass(frozen=True)
class Metric:
    """A metric function and what the rest of the house needs to know about it.

    Attributes:
        function: ``f(real, fake, **parameters)`` or ``f(fake, **parameters)``, returning a float.
        better: which direction means more diverse; None where neither does.
        bounds: least and greatest possible value.
        cite: paper and equation.
        parameters: names and defaults of the settings.
        leave_one_out: same arguments as ``function``; values [n] with each synthetic row left out in turn, faster
            than n calls. None: the rows are really left out.
        closed_form: ``leave_one_out`` costs little more than one call, however many rows there are.
        jackknife: leaving images out says how uncertain the value is; False where that was measured to mislead.
        on_nothing: value for a set without rows; None where it is undefined.
        iid: ``f(n_real, n_fake, **parameters)``, the expectation when real and synthetic rows have the same law.
    """

    name: str
    function: Callable[..., float]
    better: Direction
    bounds: tuple[float, float]
    cite: str
    leave_one_out: Callable[..., Tensor] | None = None
    closed_form: bool = False
    jackknife: bool = True
    on_nothing: float | None = None
    iid: Callable[..., float] | None = None
    parameters: Parameters = field(default_factory=dict)
    needs_real: bool = False

    @property
    def summary(self) -> str:
        """First line of the docstring."""
        return (inspect.getdoc(self.function) or "").split("\n")[0]

    def __call__(self, real: Tensor, fake: Tensor, **parameters: bool | int | float) -> float:
        return float(self.function(*self._rows(real, fake), **parameters))

    def left_out(self, real: Tensor, fake: Tensor, **parameters: bool | int | float) -> Tensor | None:
        """Values [n] with each synthetic row left out, where the metric has a fast way; else None."""
        return None if self.leave_one_out is None else self.leave_one_out(*self._rows(real, fake), **parameters)

    def _rows(self, real: Tensor, fake: Tensor) -> tuple[Tensor, ...]:
        return (real, fake) if self.needs_real else (fake,)

    def resolve(self, settings: Parameters) -> Parameters:
        """All settings, the given ones with the type of their defaults.

        Raises:
            ProtocolError: a setting that the metric does not have, or a value of another type or out of range.
        """
        resolved = resolve_settings(f"metric {self.name!r}", self.parameters, settings, ProtocolError)
        for key, value in resolved.items():
            if not math.isfinite(value) or value < 0 or (key == "k" and value < 1):
                raise ProtocolError(f"metric {self.name!r}: {key} = {value!r} is out of range")
        return resolved


METRICS: Registry[Metric] = Registry("metric", "divbench.metrics")


def metric(
    *,
    better: Direction,
    bounds: tuple[float, float] = (0.0, math.inf),
    cite: str,
    leave_one_out: Callable[..., Tensor] | None = None,
    closed_form: bool = False,
    jackknife: bool = True,
    on_nothing: float | None = None,
    iid: Callable[..., float] | None = None,
) -> Callable[[Function], Function]:
    """Register the decorated function under its own name and return it unchanged."""

    def register(function: Function) -> Function:
        signature: dict[str, Any] = dict(inspect.signature(function).parameters)
        rows = [name for name in signature if name in ("real", "fake")]
        if rows not in (["fake"], ["real", "fake"]):
            raise TypeError(f"a metric takes (fake, ...) or (real, fake, ...), {function.__name__} takes {rows}")
        settings = {name: p.default for name, p in signature.items() if name not in rows}
        METRICS.add(
            function.__name__,
            Metric(
                name=function.__name__,
                function=function,
                better=better,
                bounds=bounds,
                cite=cite,
                leave_one_out=leave_one_out,
                closed_form=closed_form,
                jackknife=jackknife,
                on_nothing=on_nothing,
                iid=iid,
                parameters=settings,
                needs_real="real" in rows,
            ),
        )
        return function

    return register
