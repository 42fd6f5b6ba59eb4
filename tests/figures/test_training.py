"""Curves and dots hold every run."""

import numpy as np
import pytest

from divbench.errors import ResultError
from divbench.figures.canvas import encoded, look
from divbench.figures.training import curves, seeds
from divbench.results import SCHEMA, Accuracy, Environment, EpochRecord, Interval, Result, Run, Score, SetRecord
from tests.figures.drawn import legend, overflow, small_print

HERE = Environment("0", "3", "2", "cpu", "Linux x86_64", "2026-01-01T00:00:00+00:00", 1.0)
RISING = ((10, 0.1), (20, 0.2), (30, 0.3))


def run(points=RISING, seed=0, number=0):
    curve = tuple(EpochRecord(epoch, 1.0, 0.5, accuracy) for epoch, accuracy in points)
    final = points[-1][1]
    return Run(number, seed, final, (final,) * 3, final, points[-1][0], curve, 1.0)


def student(*runs, net="convnet3", digest="d", recipe="quick"):
    test = SetRecord("digits", "by hand", "t" * 64, 300, (100,) * 3)
    return Accuracy(net, recipe, {}, "hard", digest, test, None, (), runs, HERE)


def entry(name="entry", accuracies=(), reference=None, interval=None, ipc=10):
    scores = tuple(
        Score(
            metric="accuracy/" + one.net,
            scope="dataset",
            higher_is_better=True,
            values=tuple(run.accuracy for run in one.own),
            per_class=(),
            n_real=(100, 100),
            n_fake=(10, 10),
            reference=reference or {},
            interval=interval,
        )
        for one in accuracies
    )
    record = SetRecord(name, "by hand", name, 3 * ipc, (ipc,) * 3)
    return Result(SCHEMA, name, None, None, None, ("a", "b", "c"), None, (record,), scores, (), HERE, accuracies)


def risen(by, epochs=(10, 20, 30)):
    return tuple((epoch, accuracy + by) for epoch, (_, accuracy) in zip(epochs, RISING, strict=True))


def lines(figure, panel=0):
    """(x, y, width, colour) of what has points."""
    return [
        (list(line.get_xdata()), pytest.approx(list(line.get_ydata())), line.get_linewidth(), line.get_color())
        for line in figure.axes[panel].lines
        if len(line.get_xdata())
    ]


def test_runs_are_thin_and_their_mean_is_bold():
    figure = curves([entry(accuracies=(student(run(), run(risen(0.1)), run(risen(0.5))),))])
    colour = look(0).colour
    assert lines(figure) == [
        ([10, 20, 30], [10, 20, 30], 0.7, colour),
        ([10, 20, 30], [20, 30, 40], 0.7, colour),
        ([10, 20, 30], [60, 70, 80], 0.7, colour),
        ([10, 20, 30], [30, 40, 50], 2.0, colour),
    ]
    assert [line.get_marker() for line in figure.axes[0].lines[:4]] == ["", "", "", look(0).marker]
    ax = figure.axes[0]
    assert (ax.get_title("left"), ax.get_xlabel(), ax.get_ylabel()) == ("convnet3", "epoch", "test accuracy, % ↑")
    assert legend(figure) == ["entry"]
    assert small_print(figure) == (
        "10 images per class recipe quick, labels hard, tested on 300 of digits "
        "↑ higher is better; thin: each run, bold: mean of runs tested after the same epochs"
    )
    assert figure.alt == "Learning curves, final % of the test images. convnet3: entry 50.0."


def test_runs_of_other_epochs_have_no_mean():
    figure = curves([entry(accuracies=(student(run(), run(risen(0.2, (5, 15, 25)))),))])
    assert [(x, width) for x, _, width, _ in lines(figure)] == [([10, 20, 30], 1.5), ([5, 15, 25], 1.5)]


def test_epochs_without_a_test_are_passed_over():
    figure = curves([entry(accuracies=(student(run(((1, 0.0), (2, None), (3, 0.3)))),))])
    assert lines(figure)[0][:2] == ([1, 3], [0, 30])


def test_random_real_images_are_grey_and_dashed_and_the_teacher_is_level():
    one = student(run(), run(risen(0.1), number=None), run(risen(0.3), number=None))
    figure = curves([entry(accuracies=(one,), reference={"random": (0.4, 0.6), "teacher": (0.62,)})])
    grey = [line for line in figure.axes[0].lines if line.get_color() == "#666666" and len(line.get_xdata())]
    assert [list(line.get_ydata()) for line in grey[:3]] == [
        pytest.approx([20, 30, 40]), pytest.approx([40, 50, 60]), pytest.approx([30, 40, 50]),
    ]  # fmt: skip
    assert [line.get_linestyle() for line in grey] == ["--"] * 3 + ["-"]
    assert grey[3].get_ydata() == pytest.approx([62, 62])
    assert [words.get_text() for words in figure.axes[0].texts] == ["teacher 62.0 %"]
    assert legend(figure) == ["entry", "random real"]
    assert figure.alt.endswith("entry 30.0; beside random real 50.0, teacher 62.0.")


def test_a_teacher_far_above_is_said_and_does_not_flatten_the_curves():
    figure = curves([entry(accuracies=(student(run()),), reference={"teacher": (0.95,)})])
    assert [words.get_text() for words in figure.axes[0].texts] == ["↑ teacher 95.0 %"]
    assert figure.axes[0].get_ylim()[1] < 40
    dots = seeds([entry(accuracies=(student(run()),), reference={"teacher": (0.95,)})])
    assert dots.axes[0].get_xlim()[1] < 40
    assert [words.get_text() for words in dots.axes[0].texts] == ["30.0, n = 1", "→", "95.0"]


def test_what_has_one_run_or_no_curve_is_said():
    held = [
        entry("one", (student(run()),)),
        entry("none", (student(run(((30, 0.3),))),)),
        entry("untrained"),
    ]
    figure = curves(held)
    assert small_print(figure).endswith("n = 1: one no curve: none, untrained")
    assert legend(figure) == ["one"]
    assert figure.alt == "Learning curves, final % of the test images. convnet3: one 30.0, none 30.0."
    with pytest.raises(ResultError, match="none: every run was tested only once, which is no curve; .*test_every"):
        curves(held[1:2])


def test_every_network_has_a_panel_unless_one_was_asked_for():
    held = [
        entry("a", (student(run()), student(run(risen(0.1)), net="vit"), student(run(((9, 0.1),)), net="vgg16"))),
        entry("b", (student(run(risen(0.2)), net="vit"),)),
    ]
    figure = curves(held)
    assert [ax.get_title("left") for ax in figure.axes] == ["convnet3", "vit"]
    assert [y for _, y, _, _ in lines(figure, 1)] == [[20, 30, 40], [30, 40, 50]]
    assert [colour for *_, colour in lines(figure, 1)] == [look(0).colour, look(1).colour]
    assert legend(figure) == ["a", "b"]
    assert [ax.get_title("left") for ax in curves(held, "vit").axes] == ["vit"]
    titles = [ax.get_title("left") for ax in seeds(held).axes]
    assert titles == ["convnet3 ↑", "vit ↑", "vgg16 ↑"]
    assert seeds(held).alt.endswith("(3 networks in all.)")
    assert [ax.get_title("left") for ax in seeds(held, "vit").axes] == ["vit ↑"]


def test_seeds_show_every_run_the_mean_and_its_interval():
    bar = Interval(0.1, 0.7, 0.95, "t over 2 runs", "these sets")
    runs = student(run(), run(risen(0.2)), run(risen(0.4), number=None))
    figure = seeds(
        [entry("two", (runs,), {"random": (0.6, 0.8)}, bar), entry("one", (student(run()),)), entry("untrained")]
    )
    ax = figure.axes[0]
    assert [label.get_text() for label in ax.get_yticklabels()] == ["two", "one", "untrained", "random real"]
    drawn = {
        (line.get_marker(), tuple(np.ravel(line.get_xdata()).round(9)), tuple(np.ravel(line.get_ydata())))
        for line in ax.lines
    }
    assert drawn >= {
        ("|", (10.0, 70.0), (0, 0)),
        ("o", (40.0,), (0,)),
        ("o", (30.0, 50.0), (0.3, 0.3)),
        ("s", (30.0,), (1,)),
        ("None", (60.0, 80.0), (3, 3)),
        ("o", (70.0,), (3,)),
    }
    assert len(drawn) == 7
    words = {words.xy[1]: words.get_text() for words in ax.texts}
    assert words == {0: "40.0 ± 30.0, n = 2", 1: "30.0, n = 1", 2: "no value", 3: "70.0, n = 2"}
    assert ax.get_xlabel() == "accuracy, % of test images"
    assert "bars: 95% interval, t over 2 runs, about these sets" in small_print(figure)
    assert "small marks: each run" in small_print(figure)
    assert figure.alt == (
        "Accuracy of every run, final % of the test images. convnet3: two 40.0, one 30.0; beside random real 70.0."
    )


@pytest.mark.parametrize("draw", [curves, seeds])
def test_what_cannot_be_drawn_is_refused(draw):
    with pytest.raises(ResultError, match="a, b: no students were trained; 'divbench train' adds accuracies"):
        draw([entry("a"), entry("b")])
    with pytest.raises(ResultError, match="there are no students of vit, but of convnet3"):
        draw([entry("a", (student(run()),))], "vit")
    with pytest.raises(ResultError, match="different recipes, labels or test sets of convnet3"):
        draw([entry("a", (student(run()),)), entry("b", (student(run(), digest="e"),))])
    with pytest.raises(ResultError, match="no result to draw"):
        draw([])


@pytest.mark.parametrize("draw", [curves, seeds])
def test_any_name_fits_words_stay_short_and_bytes_the_same(draw):
    nets = [f"timm:$_{'n' * 60}{i}" for i in range(3)]
    held = [
        entry(
            "_$name$" + "y" * 90 + str(i),
            tuple(student(run(), run(), net=net, recipe="$r" * 200) for net in nets),
            {"random": (0.6, 0.8), "teacher": (0.9,)},
            ipc=10 + i // 6,
        )
        for i in range(12)
    ]
    for some in (held, held[:6]):
        figure = draw(some)
        assert len(figure.alt) < 400
        assert overflow(figure) < 0.01
    assert encoded(draw(held[:2]), "svg") == encoded(draw(held[:2]), "svg")
