"""Figures look the same whatever a user's settings, and every name can be drawn."""

import subprocess
import sys

import matplotlib
import pytest

from divbench.errors import InputError, OutputError
from divbench.figures.canvas import (
    LOOKS,
    caption,
    cut,
    encoded,
    legend_below,
    look,
    panels,
    save,
    shortened,
    styled,
)
from tests.figures.drawn import box, legend, small_print


def make_figure(names=("one", "two"), lines=()):
    with styled():
        figure, axes = panels(size=(4.0, 2.0))
        for i, name in enumerate(names):
            axes[0, 0].plot([0, 1], [0, i + 1], look(i).marker, ls=look(i).line, label=shortened(name))
        legend_below(figure, axes[0, 0])
        caption(figure, lines)
    return figure


def test_64_entries_are_told_apart_by_colour_with_shape_with_hatch_and_with_dashes():
    for key in ("marker", "hatch", "line"):
        assert len({(look(i).colour, str(getattr(look(i), key))) for i in range(64)}) == 64
    assert [look(i) for i in range(8)] == list(LOOKS)
    assert len({style.marker for style in LOOKS}) == len({style.hatch for style in LOOKS}) == len(LOOKS)


def test_names_are_cut_in_the_middle_where_they_are_alike():
    assert cut("short  name\n") == "short name"
    long = "cifar10-ipc50-sre2l-of-some-teacher"
    assert cut(long, 12) != cut(long + "+DiRe", 12)
    assert cut(long, 12) == "cifar1…acher"
    for most in (5, 6, 12, 28):
        assert len(cut(long * 2, most)) == most


def test_names_are_shown_as_they_are():
    figure = make_figure(("$x_1$", "_hidden", "<script>"))
    assert shortened("$x$") == r"\$x\$"
    assert legend(figure) == [r"\$x_1\$", "\u200b_hidden", "<script>"]
    assert b"&lt;script&gt;" in encoded(figure, "svg", for_page=True)
    assert b">$x_1$<" in encoded(figure, "svg", for_page=True)


@pytest.mark.parametrize("format", ["png", "svg", "pdf"])
def test_the_same_figure_has_the_same_bytes(format):
    assert encoded(make_figure(), format) == encoded(make_figure(), format)


def test_settings_of_the_user_neither_matter_nor_change():
    plain = encoded(make_figure(lines=["words"]), "svg")
    with matplotlib.rc_context({"font.size": 20.0, "axes.facecolor": "red", "lines.linewidth": 9.0}):
        before = dict(matplotlib.rcParams)
        assert encoded(make_figure(lines=["words"]), "svg") == plain
        assert dict(matplotlib.rcParams) == before


def test_a_caption_stands_under_the_legend_and_neither_leaves_the_figure():
    figure = make_figure(("first " * 5, "second " * 5, "third"), ["a long line of words " * 10, "", "another"])
    words = figure.texts[0]
    upper, lower = box(figure, figure.legends[0]), box(figure, words)
    assert lower.y1 <= upper.y0
    assert upper.y1 <= box(figure, figure.axes[0].get_xticklabels()[0]).y0
    for some in (upper, lower):
        assert 0 <= some.x0 < some.x1 <= figure.bbox.width
        assert some.y0 >= 0
    assert small_print(figure) == "a long line of words " * 10 + "another"


def test_a_figure_grows_by_legend_and_caption():
    assert make_figure(()).get_figheight() < make_figure().get_figheight() < make_figure(lines="ab").get_figheight()
    assert make_figure(("x" * 40, "y" * 40)).get_figheight() > make_figure().get_figheight()


def test_characters_that_no_font_has_are_refused_but_left_to_the_reader_of_a_page():
    figure = make_figure(("中文",))
    with pytest.raises(InputError, match="--font"):
        encoded(figure, "svg")
    assert "中文".encode() in encoded(figure, "svg", for_page=True)
    with pytest.raises(InputError, match="'Nothing Sans' is not installed; choose one of"):
        encoded(figure, "png", "Nothing Sans")
    assert encoded(make_figure(), "png", "DejaVu Serif") != encoded(make_figure(), "png")


def test_saving_writes_by_the_ending_and_refuses_others(tmp_path):
    save(make_figure(), tmp_path / "a.PNG")
    assert (tmp_path / "a.PNG").read_bytes()[:4] == b"\x89PNG"
    assert make_figure()._repr_png_() == (tmp_path / "a.PNG").read_bytes()
    with pytest.raises(OutputError, match=r"\.png, \.svg or \.pdf"):
        save(make_figure(), tmp_path / "a.jpg")
    assert [path.name for path in tmp_path.iterdir()] == ["a.PNG"]


def test_figures_of_results_import_neither_torch_nor_pyplot():
    code = (
        "import sys; from divbench.figures import classes, controls, coverage, curves, seeds; "
        "print({'torch', 'matplotlib.pyplot'} & set(sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "set()\n"
