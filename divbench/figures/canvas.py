"""What all figures have in common: their looks, how they are made, and how they are written. No torch in here."""

import io
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import matplotlib
from matplotlib import font_manager
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.text import Text

from divbench.errors import InputError, OutputError, shorten
from divbench.files import check_writable, write_whole

FORMATS = ("png", "svg", "pdf")
INK, FAINT, GRID = "#222222", "#8a8a8a", "#e3e3e3"
_STYLE = {
    "axes.axisbelow": True,
    "axes.edgecolor": FAINT,
    "axes.grid": True,
    "axes.labelcolor": INK,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlelocation": "left",
    "axes.titlesize": 10,
    "figure.constrained_layout.use": True,
    "figure.dpi": 100,
    "font.size": 9,
    "grid.color": GRID,
    "hatch.linewidth": 0.6,
    "legend.frameon": False,
    "lines.linewidth": 1.5,
    "pdf.fonttype": 42,
    "savefig.dpi": 200,
    "svg.hashsalt": "divbench",
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
}


class Look(NamedTuple):
    """How an entry is drawn: told apart by colour, by lightness, and by shape, hatch or dashes alone."""

    colour: str
    marker: str
    hatch: str
    line: Any


# Okabe & Ito's colours, which every kind of colour blindness tells apart, from dark to light and back; in greyscale
# the marker, the hatch and the dashes tell.
LOOKS = (
    Look("#0072B2", "o", "", "-"),
    Look("#E69F00", "s", "///", (0, (5, 1.5))),
    Look("#009E73", "^", "...", (0, (1, 1))),
    Look("#CC79A7", "D", "\\\\\\", (0, (5, 1.5, 1, 1.5))),
    Look("#56B4E9", "v", "xxx", (0, (3, 1))),
    Look("#D55E00", "P", "---", (0, (7, 1, 1, 1, 1, 1))),
    Look("#000000", "X", "+++", (0, (1, 2.5))),
    Look("#8C6D00", "*", "ooo", (0, (9, 2))),
)


def look(index: int) -> Look:
    """The look of the entry at ``index``; they repeat after eight."""
    return LOOKS[index % len(LOOKS)]


class Picture(Figure):
    """A matplotlib figure that a notebook shows without pyplot, and that draws the same whatever a user's settings.

    Attributes:
        alt: the figure in words, with its numbers, for those who cannot see it.
    """

    alt = ""

    def _repr_png_(self) -> bytes:
        return encoded(self, "png")


@contextmanager
def styled() -> Iterator[None]:
    """Our settings of matplotlib and nobody else's, while a figure is made."""
    with warnings.catch_warnings(), matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(_STYLE)  # type: ignore[arg-type]
        yield


def panels(
    rows: int = 1, columns: int = 1, size: tuple[float, float] = (6.4, 3.6), **kinds: Any
) -> tuple[Picture, Any]:
    """A figure of ``size`` inches with rows x columns axes, as an array [rows, columns]; inside `styled`."""
    figure = Picture(figsize=size)
    return figure, figure.subplots(rows, columns, squeeze=False, **kinds)


def legend_below(figure: Figure, axes: Axes, columns: int = 4) -> None:
    """The legend of ``axes`` under the whole figure, where it hides nothing."""
    handles, labels = axes.get_legend_handles_labels()
    if handles:
        figure.legend(handles, labels, loc="outside lower center", ncols=min(columns, len(labels)))


def encoded(figure: Figure, format: str, font: str | None = None, *, text: bool = False) -> bytes:
    """The figure as a file of ``format``; the same bytes for the same figure.

    Args:
        figure: any figure.
        format: ``png``, ``svg`` or ``pdf``.
        font: family to draw with; default: DejaVu Sans, which comes with matplotlib.
        text: leave words in an SVG to the fonts of whoever shows it, so that no character can be missing.

    Raises:
        InputError: the font is not installed, or lacks characters of a name.
    """
    if font is not None:
        family = [_installed(font), "DejaVu Sans"]
        for words in figure.findobj(Text):
            words.set_fontfamily(family)
    dates: dict[str, dict[str, Any]] = {"svg": {"Date": None}, "pdf": {"CreationDate": None}, "png": {}}
    out = io.BytesIO()
    with styled():
        matplotlib.rcParams["svg.fonttype"] = "none" if text else "path"
        warnings.filterwarnings("ignore" if text else "error", message="Glyph .* missing from font")
        try:
            figure.savefig(out, format=format, metadata=dates[format])
        except UserWarning as problem:
            raise InputError(
                f"{problem} A name holds a character that the font does not have; choose an installed font that has "
                "it with --font"
            ) from None
    return out.getvalue()


def save(figure: Figure, path: str | Path, font: str | None = None) -> None:
    """Write a figure, whole or not at all.

    Args:
        figure: of any function of this package.
        path: ends in .png, .svg or .pdf.
        font: family to draw with; default: DejaVu Sans, which comes with matplotlib.

    Raises:
        OutputError: another ending, or the file cannot be written.
        InputError: the font is not installed, or lacks characters of a name.
    """
    check_figure_file(Path(path))
    write_whole(Path(path), encoded(figure, Path(path).suffix[1:].lower(), font))


def check_figure_file(path: Path) -> None:
    """Raise `OutputError` where no figure can be written: asked before long work."""
    if path.suffix[1:].lower() not in FORMATS:
        raise OutputError(f"{path}: figures are written as .png, .svg or .pdf; give one of these endings")
    check_writable(path)


def shortened(name: str, most: int = 28) -> str:
    """A name that fits beside an axis, without matplotlib's mathematics."""
    name = name if len(name) <= most else name[: most - 1] + "…"
    return name.replace("$", r"\$")


def _installed(font: str) -> str:
    names = sorted({entry.name for entry in font_manager.fontManager.ttflist})
    if font not in names:
        near = [name for name in names if font.lower() in name.lower()] or names
        raise InputError(f"font {font!r} is not installed; choose one of {shorten(near)}, or leave out --font")
    return font


def numbers(values: Sequence[float]) -> str:
    """Values for an alternative text: three significant digits each."""
    return ", ".join(f"{value:.3g}" for value in values)
