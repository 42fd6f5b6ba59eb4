"""Bars and curves hold the values of every class."""

import msgspec
import numpy as np
import pytest
from matplotlib.colors import to_hex

from divbench.errors import ResultError
from divbench.figures.canvas import encoded, look
from divbench.figures.per_class import classes
from tests.figures.drawn import legend, overflow, small_print
from tests.records import make_result, make_score


def entry(name="before", values=((1.5, 2.0, 2.5),), metric="vendi", ipc=10, names=None, **changes):
    """An entry with one value per class of each of its sets."""
    means = tuple(None if None in some else sum(some) / len(some) for some in values)
    score = make_score(metric, means, values, {"random": (2.2, 2.4)}, interval=None, **changes)
    result = make_result(name, (score,), ipc, sets=len(values))
    return result if names is None else msgspec.structs.replace(result, classes=names)


def many(name, values):
    return entry(name, (tuple(values),), names=tuple(f"c{i}" for i in range(len(values))))


def heights(figure):
    """Per entry the heights of its bars."""
    return [[bar.get_height() for bar in bars] for bars in figure.axes[0].containers if hasattr(bars, "patches")]


def test_bars_have_the_heights_of_the_classes_side_by_side():
    figure = classes([entry(), entry("after", ((3.0, 1.0, 2.0),))])
    ax = figure.axes[0]
    assert heights(figure) == [[1.5, 2.0, 2.5], [3.0, 1.0, 2.0]]
    before, after = (bars.patches for bars in ax.containers)
    for place, (left, right) in enumerate(zip(before, after, strict=True)):
        assert left.get_x() + left.get_width() == pytest.approx(place) == pytest.approx(right.get_x())
        assert (to_hex(left.get_facecolor()).upper(), left.get_hatch()) == (look(0).colour, look(0).hatch)
        assert (to_hex(right.get_facecolor()).upper(), right.get_hatch()) == (look(1).colour, look(1).hatch)
    assert [label.get_text() for label in ax.get_xticklabels()] == ["cat", "dog & co", "<b>"]
    assert ax.get_ylim()[0] == 0
    assert (ax.get_title("left"), ax.get_ylabel()) == ("vendi ↑", "effective number of images")
    assert legend(figure) == ["before (mean 2.00)", "after (mean 2.00)", "random real (mean 2.30)"]
    assert ax.lines[0].get_ydata()[0] == pytest.approx(2.3)
    assert small_print(figure) == "class scope, 10 images per class, against real ↑ higher is better"


def test_several_sets_are_their_mean_with_whiskers_from_least_to_greatest():
    figure = classes([entry(values=((1.0, 2.0, 2.0), (3.0, 2.0, 5.0)))])
    assert heights(figure) == [[2.0, 2.0, 3.5]]
    whiskers = figure.axes[0].collections[0].get_segments()
    assert [(low[1], high[1]) for low, high in whiskers] == [(1.0, 3.0), (2.0, 2.0), (2.0, 5.0)]
    assert "mean over sets, whiskers from least to greatest" in small_print(figure)
    assert not classes([entry()]).axes[0].collections


def test_accuracies_are_in_percent():
    figure = classes([entry(values=((0.1, 0.2, 0.3), (0.3, 0.2, 0.5)), metric="accuracy/net_3")], "accuracy/net_3")
    assert heights(figure)[0] == pytest.approx([20, 20, 40])
    assert figure.axes[0].get_title("left") == "net_3 ↑"
    assert figure.axes[0].get_ylabel() == "accuracy, % of test images"
    assert legend(figure) == ["before (mean 26.7)", "random real (mean 230)"]
    assert "mean over runs" in small_print(figure)


def test_missing_values_are_left_out_and_said():
    figure = classes([entry(values=((None, 2.0, 2.5),)), entry("after")])
    assert np.isnan(heights(figure)[0][0])
    assert heights(figure)[0][1:] == [2.0, 2.5]
    assert legend(figure)[0] == "before (no mean)"
    assert "classes without a value: before 1 of 3" in small_print(figure)
    assert "before 2.00 (dog & co) to 2.50 (<b>)" in figure.alt


def test_curves_are_sorted_and_dots_follow_the_first_entry():
    first, second = [3.0, 1.0, 2.0] * 7, [2.5, 3.0, 1.5] * 7
    figure = classes([many("before", first), many("after", second)])
    lines = figure.axes[0].lines
    assert lines[0].get_ydata().tolist() == sorted(first)
    assert lines[1].get_ydata().tolist() == sorted(second)
    assert lines[2].get_ydata().tolist() == [3.0] * 7 + [1.5] * 7 + [2.5] * 7
    assert (lines[2].get_linestyle(), lines[2].get_marker()) == ("None", look(1).marker)
    assert lines[2].get_xdata().tolist() == list(range(1, 22))
    assert figure.axes[0].get_xlabel() == "rank of the class, each line sorted by itself; dots in the order of before"


def test_curves_pass_over_missing_values_and_over_dots_of_many_entries():
    figure = classes([entry(values=((2.0, None, 1.0),)), *(entry(f"e{i}") for i in range(4))], style="curves")
    assert figure.axes[0].lines[0].get_ydata().tolist() == [1.0, 2.0]
    assert len(figure.axes[0].lines) == 5 + 1
    assert "dots" not in figure.axes[0].get_xlabel()
    assert not figure.axes[0].containers


def test_the_number_of_classes_decides_unless_a_style_was_asked_for():
    few, more = many("a", [1.0] * 20), many("a", [1.0] * 21)
    assert classes([few]).axes[0].containers
    assert not classes([more]).axes[0].containers
    assert classes([more], style="bars").axes[0].containers
    with pytest.raises(ResultError, match="bars of 51 classes cannot be told apart, up to 50 can"):
        classes([many("a", [1.0] * 51)], style="bars")


def test_entries_of_unequal_numbers_of_images_have_their_own_yardsticks():
    figure = classes([entry(), entry(ipc=50)])
    assert legend(figure)[0] == "before, 10 images per class (mean 2.00)"
    assert legend(figure)[2:] == [
        "random real, 10 images per class (mean 2.30)",
        "random real, 50 images per class (mean 2.30)",
    ]
    assert small_print(figure).startswith("class scope, against real ")


def test_a_metric_without_a_direction_has_no_arrow():
    figure = classes([entry(metric="density", higher_is_better=None)], "density")
    assert figure.axes[0].get_title("left") == "density"
    assert small_print(figure) == "class scope, 10 images per class, against real"
    assert classes([entry(higher_is_better=False)]).axes[0].get_title("left") == "vendi ↓"


def test_words_hold_the_numbers():
    figure = classes([entry(), entry("after", ((3.0, 1.0, 2.0),))])
    assert figure.alt == (
        "vendi (effective number of images) of 3 classes: before 1.50 (cat) to 2.50 (<b>), "
        "after 1.00 (dog & co) to 3.00 (cat)."
    )


def test_any_name_fits_and_words_stay_short():
    names = tuple(f"$class$_{i} <script>{'x' * 60}{i}" for i in range(20))
    held = [entry("_$name$" + "y" * 90 + str(i), ((1.0,) * 20,), ipc=10 + i, names=names) for i in range(12)]
    figure = classes(held)
    assert len(figure.alt) < 400
    assert overflow(figure) < 0.01
    assert len(legend(figure)) == 12 + 12


def test_a_small_figure_is_a_small_file_and_always_the_same():
    names = tuple(f"class {i}" for i in range(10))
    held = [entry(name, ((1.0, 2.0) * 5,), names=names) for name in ("random", "SRe2L", "SRe2L + DiRe")]
    data = encoded(classes(held), "svg")
    assert data == encoded(classes(held), "svg")
    assert len(data) < 60_000


def test_what_cannot_be_compared_or_is_not_held_is_refused():
    with pytest.raises(ResultError, match="holds no 'recall' at class scope; it holds vendi/class"):
        classes([entry()], "recall")
    with pytest.raises(ResultError, match="different real sets"):
        classes([make_result("a"), make_result("b", real_digest="x")])
    with pytest.raises(ResultError, match="no result to draw"):
        classes([])
