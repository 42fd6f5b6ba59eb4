"""Figures: plain functions on results, embeddings and image sets that return matplotlib figures. None prints or saves.

    from divbench import figures

    figures.classes(results, "vendi")
    figures.tsne(real, [before, after])

They show themselves in a notebook; `figures.save` writes PNG, SVG or PDF, the same bytes for the same input. Names are
loaded when they are first used: those on results import no torch.
"""

import importlib
from typing import Any

_HOME = {
    "classes": "divbench.figures.per_class",
    "controls": "divbench.figures.references",
    "coverage": "divbench.figures.references",
    "covered": "divbench.figures.neighbours",
    "curves": "divbench.figures.training",
    "grid": "divbench.figures.grids",
    "nearest": "divbench.figures.neighbours",
    "save": "divbench.figures.canvas",
    "seeds": "divbench.figures.training",
    "spectrum": "divbench.figures.spectra",
    "tsne": "divbench.figures.maps",
}

__all__ = list(_HOME)


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'divbench.figures' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
