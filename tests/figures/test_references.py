"""Entries stand beside the yardstick and controls of as many images, with their intervals."""

import msgspec
import numpy as np
import pytest
from matplotlib.colors import to_hex

from divbench.errors import ResultError
from divbench.figures.canvas import encoded, look
from divbench.figures.references import controls, coverage
from divbench.results import Interval
from tests.figures.drawn import overflow, small_print
from tests.records import make_result, make_score

CLASS = {"iid": (0.25,), "random": (0.2, 0.3), "kmeans": (0.6,), "collapse": (0.5,)}


def entry(name="entry", reference=CLASS, ipc=10, **changes):
    return make_result(name, (make_score(reference=reference, **changes),), ipc)


def rows(figure, panel=0):
    """Label -> its y, from the left panel of the row."""
    ax = figure.axes[panel]
    return {label.get_text(): y for label, y in zip(ax.get_yticklabels(), ax.get_yticks(), strict=True)}


def points(figure, y, panel=0):
    """Marker -> x of what is drawn at a row; lines along it as pairs."""
    found = {}
    for line in figure.axes[panel].lines:
        xs, ys = np.asarray(line.get_xdata(), float), np.asarray(line.get_ydata(), float)
        if np.all(ys == y):
            found[line.get_marker() if len(xs) == 1 else "bar"] = tuple(xs) if len(xs) > 1 else float(xs[0])
    return found


def beside(figure, y, panel=0):
    return [words.get_text() for words in figure.axes[panel].texts if words.xy[1] == y]


def test_coverage_stands_with_its_interval_beside_yardstick_and_controls():
    figure = coverage([entry("a"), entry("b", values=(0.4,), interval=None)])
    at = rows(figure)
    assert list(at) == ["a", "b", "i.i.d. yardstick", "random real", "k-means centroids", "collapse to mean"]
    assert points(figure, at["a"]) == {"o": 0.3, "bar": (0.2, 0.4)}
    assert points(figure, at["b"]) == {"s": 0.4}
    assert points(figure, at["i.i.d. yardstick"]) == {"o": 0.25, "bar": (0.25, 0.25)}
    assert points(figure, at["random real"]) == {"o": 0.25, "bar": (0.2, 0.3)}
    assert beside(figure, at["a"]) == ["0.300 = 1.20 × i.i.d."]
    assert beside(figure, at["i.i.d. yardstick"]) == ["0.250"]
    assert beside(figure, at["collapse to mean"]) == ["0.500 = 2.00 × i.i.d."]
    ax = figure.axes[0]
    assert (ax.get_title("left"), ax.get_xlabel(), ax.get_xscale()) == ("coverage ↑", "share of real images", "linear")
    assert ax.get_ylim()[0] > ax.get_ylim()[1]
    assert small_print(figure) == (
        "class scope, 10 images per class, against real bars: 95% interval, jackknife over synthetic images, about "
        "these sets ↑ higher is better; hollow, grey: mean over seeds, bar from least to greatest"
    )


def test_entries_have_their_looks_and_controls_run_up_through_them_in_grey():
    figure = coverage([entry("a"), entry("b")])
    colours = {to_hex(line.get_color()).upper() for line in figure.axes[0].lines}
    assert colours == {look(0).colour, look(1).colour, "#666666"}
    upright = [line for line in figure.axes[0].lines if len(set(line.get_xdata())) == 1 and len(line.get_xdata()) == 2]
    upright = [line for line in upright if line.get_ydata()[0] != line.get_ydata()[1]]
    assert [(line.get_xdata()[0], *line.get_ydata()) for line in upright] == [
        (0.25, -0.5, 2), (0.25, -0.5, 3), (0.6, -0.5, 4), (0.5, -0.5, 5),
    ]  # fmt: skip
    assert len({str(line._unscaled_dash_pattern) for line in upright}) == 4


def test_a_far_control_makes_the_axis_logarithmic_with_plain_numbers():
    figure = coverage([entry(values=(0.01,), reference={"kmeans": (0.19,)}, interval=None)])
    ax = figure.axes[0]
    assert (ax.get_xscale(), ax.get_xlabel()) == ("log", "share of real images (log scale)")
    assert ax.xaxis.get_major_formatter()(0.05) == "0.05"
    near = coverage([entry(values=(0.01,), reference={"kmeans": (0.09,)}, interval=None)])
    assert near.axes[0].get_xscale() == "linear"
    zero = coverage([entry(values=(0.01,), reference={"kmeans": (0.19,), "collapse": (0.0,)}, interval=None)])
    assert zero.axes[0].get_xscale() == "linear"


def test_an_interval_that_reaches_below_zero_can_stand_on_a_logarithmic_axis():
    bar = Interval(-0.01, 0.03, 0.95, "t", "these sets")
    figure = coverage([entry(values=(0.01,), reference={"kmeans": (0.19,)}, interval=bar)])
    assert encoded(figure, "png")
    assert 0.001 < figure.axes[0].get_xlim()[0] < 0.01


def test_entries_of_unequal_numbers_of_images_stand_apart_beside_their_own():
    figure = coverage([entry("a"), entry("b", ipc=50, reference={"iid": (0.5,)}), entry("c")])
    labels = [label.get_text() for label in figure.axes[0].get_yticklabels()]
    assert labels == [
        "— 10 images per class —", "a", "c", "i.i.d. yardstick", "random real", "k-means centroids", "collapse to mean",
        "— 50 images per class —", "b", "i.i.d. yardstick", "random real", "k-means centroids", "collapse to mean",
    ]  # fmt: skip
    assert (points(figure, 3)["o"], points(figure, 9)["o"]) == (0.25, 0.5)
    assert points(figure, 10) == {}
    assert points(figure, 8)["s"] == 0.3  # the look of its place among all
    assert beside(figure, 8) == ["0.300 = 0.60 × i.i.d."]
    assert figure.alt == (
        "Coverage at class scope: a, 10 images per class 0.300, b, 50 images per class 0.300, "
        "c, 10 images per class 0.300."
    )


def test_a_missing_value_is_said_in_its_row():
    figure = coverage([entry("a", values=(None,), interval=None), entry("b")])
    assert beside(figure, 0) == ["no value"]
    assert points(figure, 0) == {}
    assert "a no value, b 0.300; beside i.i.d. yardstick 0.250, random real 0.250" in figure.alt


def test_coverage_of_sets_without_labels_is_that_of_the_dataset():
    result = make_result(scores=(make_score(scope="dataset", per_class=()),))
    result = msgspec.structs.replace(result, sets=(msgspec.structs.replace(result.sets[0], per_class=()),))
    figure = coverage([result], "dataset")
    assert small_print(figure).startswith("dataset scope, unlabelled, against real")
    with pytest.raises(ResultError, match="holds no 'coverage' at class scope"):
        coverage([result])


def several(name="entry", **changes):
    cosine = make_score("cosine", (0.8,), ((0.7, 0.8, 0.9),), {"random": (0.85,)}, higher_is_better=False)
    density = make_score("density", (1.5,), ((1.0, 1.5, 2.0),), {"iid": (1.0,)}, higher_is_better=None, interval=None)
    bare = make_score("bare", reference={})
    scored = make_result(name, (make_score(), cosine, density, bare))
    return msgspec.structs.replace(scored, **changes)


def test_controls_have_a_panel_for_each_metric_that_has_some():
    figure = controls([several("a"), several("b")])
    assert [ax.get_title("left") for ax in figure.axes] == ["coverage ↑", "cosine ↓", "density"]
    assert [ax.get_xlabel() for ax in figure.axes][1:] == ["mean cosine of two images", "1 = as real images"]
    assert list(rows(figure)) == ["a", "b", "i.i.d. yardstick", "random real", "collapse to mean"]
    assert points(figure, 0, panel=1) == {"o": 0.8, "bar": (0.2, 0.4)}
    assert points(figure, 3, panel=1)["o"] == 0.85
    assert points(figure, 2, panel=1) == {}
    assert "↑ higher is better, ↓ lower is better;" in small_print(figure)
    assert figure.alt == (
        "a, b beside controls at class scope, by metric: coverage 0.300 (random real 0.250), cosine 0.800 (random real "
        "0.850), density 1.50."
    )


def test_metrics_that_were_asked_for_are_drawn_with_or_without_controls():
    figure = controls([several()], ["bare", "cosine"])
    assert [ax.get_title("left") for ax in figure.axes] == ["bare ↑", "cosine ↓"]
    with pytest.raises(ResultError, match="holds no 'recall' at class scope"):
        controls([several()], ["coverage", "recall"])


def test_the_default_is_what_all_entries_hold():
    only = msgspec.structs.replace(several("b"), scores=several().scores[1:])
    assert [ax.get_title("left") for ax in controls([several("a"), only]).axes] == ["cosine ↓", "density"]


def test_words_keep_the_controls_of_unequal_numbers_of_images_to_the_figure():
    assert controls([entry("a"), entry("b", ipc=50)]).alt == (
        "a, b beside controls at class scope, by metric: coverage 0.300."
    )


def test_what_was_scored_and_what_was_trained_of_the_same_images_is_one_entry():
    trained = make_result("a", (make_score("accuracy/vit", reference={"teacher": (0.9,)}),))
    trained = msgspec.structs.replace(trained, protocol=None, protocol_digest=None, embedder=None, real=None)
    assert list(rows(coverage([entry("a"), trained])))[:2] == ["a", "i.i.d. yardstick"]


@pytest.mark.parametrize("metrics", [None, ["bare"]])
def test_without_controls_there_is_nothing_to_draw(metrics):
    bare = make_result(scores=(make_score("bare", reference={}),))
    with pytest.raises(ResultError, match="entry: no yardstick or control of a common metric at class scope"):
        controls([bare], metrics)


def test_different_procedures_name_their_metrics():
    other = make_score("recall", interval=Interval(0.1, 0.5, 0.9, "t over $5$ classes", "the method"))
    printed = small_print(controls([make_result(scores=(make_score(), other))]))
    assert "bars: 95% interval, jackknife over synthetic images, about these sets: coverage" in printed
    assert r"bars: 90% interval, t over \$5\$ classes, about the method: recall" in printed


def test_any_name_fits_and_words_stay_short():
    held = [entry("_$name$" + "y" * 90 + str(i), ipc=10 + i // 6) for i in range(12)]
    for figure in (coverage(held), controls(held), coverage(held[:6]), controls(held[:6])):
        assert len(figure.alt) < 400
        assert overflow(figure) < 0.01
    labels = [label.get_text() for label in coverage(held[:2]).axes[0].get_yticklabels()]
    assert labels[0] != labels[1]


def test_the_same_results_have_the_same_bytes():
    assert encoded(controls([several()]), "svg") == encoded(controls([several()]), "svg")


def test_what_cannot_be_compared_is_refused():
    for draw in (coverage, controls):
        with pytest.raises(ResultError, match="different real sets"):
            draw([make_result("a"), make_result("b", real_digest="x")])
        with pytest.raises(ResultError, match="no result to draw"):
            draw([])
