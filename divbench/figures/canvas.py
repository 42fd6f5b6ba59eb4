"""What all figures have in common: their looks, how they are made, and how they are written. No torch in here."""

import io
import math
import textwrap
import warnings
from collections.abc import Iterable, Iterator
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
_SCREEN, _PRINT = 110, 200
"""Pixels per inch."""
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
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": 9,
    "grid.color": GRID,
    "hatch.linewidth": 0.6,
    "legend.frameon": False,
    "lines.linewidth": 1.5,
    "pdf.fonttype": 42,
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
    Look("#009E73", "^", "|||", (0, (1, 1))),
    Look("#CC79A7", "D", "\\\\\\", (0, (5, 1.5, 1, 1.5))),
    Look("#56B4E9", "v", "xxx", (0, (3, 1))),
    Look("#D55E00", "P", "---", (0, (7, 1, 1, 1, 1, 1))),
    Look("#000000", "X", "+++", (0, (1, 2.5))),
    Look("#8C6D00", "*", "//--", (0, (9, 2))),
)


def look(index: int) -> Look:
    """The look of the entry at ``index``: colours repeat after eight, then with other shapes; all repeat after 64."""
    turn, place = divmod(index, len(LOOKS))
    return LOOKS[(place + 3 * turn) % len(LOOKS)]._replace(colour=LOOKS[place].colour)


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
    """The legend of ``axes`` under the whole figure, which grows by it; in fewer columns where labels are long."""
    handles, labels = axes.get_legend_handles_labels()
    if handles:
        fitting = int(figure.get_figwidth() * 12 / (max(map(len, labels)) + 8))
        columns = max(1, min(columns, len(labels), fitting))
        figure.set_figheight(figure.get_figheight() + 0.19 * math.ceil(len(labels) / columns))
        figure.legend(handles, labels, loc="outside lower center", ncols=columns)


def caption(figure: Figure, lines: Iterable[str]) -> None:
    """Small print at the foot of a figure, which grows by it; wrapped to its width, and under a legend made before."""
    words = "\n".join(textwrap.fill(line, int(figure.get_figwidth() * 19)) for line in lines if line)
    strip = 0.13 * (words.count("\n") + 1) + 0.08
    height = figure.get_figheight() + strip
    figure.set_figheight(height)
    figure.text(0.01, 0.04 / height, words, fontsize=7, linespacing=1.3, va="bottom")
    figure.set_layout_engine("constrained", rect=(0, strip / height, 1, 1 - strip / height))
    for legend in figure.legends:  # the layout knows nothing of two things at one edge
        legend.borderaxespad = strip * 72 / matplotlib.rcParams["font.size"]


def encoded(figure: Figure, format: str, font: str | None = None, *, for_page: bool = False) -> bytes:
    """The figure as a file of ``format``; the same bytes for the same figure.

    Args:
        figure: any figure.
        format: ``png``, ``svg`` or ``pdf``.
        font: family to draw with; default: DejaVu Sans, which comes with matplotlib.
        for_page: a light SVG: words are left to the fonts of whoever shows it, so that no character can be missing, and
            what is made of pixels has those of a screen.

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
        matplotlib.rcParams["svg.fonttype"] = "none" if for_page else "path"
        warnings.filterwarnings("ignore" if for_page else "error", message="Glyph .* missing from font")
        try:
            figure.savefig(out, format=format, metadata=dates[format], dpi=_SCREEN if for_page else _PRINT)
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


def cut(name: str, most: int = 28) -> str:
    """A name on one line of at most ``most`` characters: the middle goes, as names of entries often end differently."""
    name = "".join(c if c.isprintable() else " " for c in " ".join(name.split()))  # SVG allows no control characters
    return name if len(name) <= most else f"{name[: most // 2]}…{name[len(name) - (most - 1) // 2 :]}"


def shortened(name: str, most: int = 28) -> str:
    """A `cut` name that matplotlib shows as it is: it reads $ as mathematics, and keeps a first _ out of legends."""
    return ("\u200b" if name.lstrip().startswith("_") else "") + cut(name, most).replace("$", r"\$")


def _installed(font: str) -> str:
    names = sorted({entry.name for entry in font_manager.fontManager.ttflist})
    if font not in names:
        near = [name for name in names if font.lower() in name.lower()] or names
        raise InputError(f"font {font!r} is not installed; choose one of {shorten(near)}, or leave out --font")
    return font
