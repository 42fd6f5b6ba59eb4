"""Accuracies in results: as scores, beside diversity, with intervals that say what they are about."""

import dataclasses
import math
from pathlib import Path

import msgspec
import pytest
from msgspec.structs import replace
from scipy.stats import ttest_ind

from divbench.combine import joined, with_accuracies
from divbench.comparison import differences, gain_between, per_set, set_count
from divbench.embedders.embed import embed
from divbench.errors import InputError, ResultError
from divbench.report.tables import accuracy_table, compare_table, differences_table
from divbench.results import Caution, load_result, save_result
from divbench.scoring import score
from divbench.statistics import t_half_width
from divbench.train.measure import Matching, measure_accuracy
from tests.generate.teachers import write_teacher
from tests.train.students import images as clear_images
from tests.train.students import plan, recipe


def images(*args, **values):
    """Images that are hard to tell apart."""
    return clear_images(*args, **{"spread": 250, **values})


TEST = images(10, seed=9, name="tests")
REAL = images(20, seed=2, name="real")


def measure(*sets, what=None, **values):
    few = plan(recipe(epochs=2), runs=3)
    return measure_accuracy([(one, None) for one in sets or [images()]], TEST, what or few, **values)


def scored(one):
    return score(embed(one, "pixels"), embed(REAL, "pixels"), "quick", name=one.name)


@pytest.fixture(scope="module")
def made():
    return measure()


def test_an_accuracy_is_a_score(made):
    runs = made.accuracy("convnet1").own
    whole, inside = (made.score("accuracy/convnet1", scope) for scope in ("dataset", "class"))
    assert whole.values == tuple(run.accuracy for run in runs)
    assert whole.value == pytest.approx(sum(whole.values) / 3)
    assert inside.values == pytest.approx(whole.values), "all classes have as many test images"
    assert inside.per_class == tuple(run.per_class for run in runs)
    assert whole.higher_is_better
    assert (whole.n_real, whole.n_fake) == ((10, 10), (6, 6))
    assert (made.protocol, made.embedder, made.real) == (None, None, None)
    half = t_half_width(whole.values)
    assert (whole.interval.low, whole.interval.high) == pytest.approx((whole.value - half, whole.value + half))
    assert (whole.interval.procedure, whole.interval.about) == ("t over 3 runs", "these sets")
    assert made.accuracy("convnet1").settings["epochs"] == 2
    assert made.accuracy("convnet1").test.digest == embed(TEST, "pixels").source
    assert made.sets[0].digest == embed(images(), "pixels").source


def test_classes_of_unequal_size_count_alike_at_class_scope():
    rows = (TEST.labels > 0) | (TEST.labels.cumsum(0).eq(0) & (TEST.labels == 0))
    uneven = TEST.select(rows.nonzero()[5:, 0])
    found = measure_accuracy([(images(), None)], uneven, plan(recipe(epochs=2)))
    (run,) = found.accuracy("convnet1").runs
    counts = uneven.labels.bincount().tolist()
    assert found.score("accuracy/convnet1", "dataset").value == pytest.approx(
        sum(share * count for share, count in zip(run.per_class, counts, strict=True)) / sum(counts)
    )
    assert found.score("accuracy/convnet1").value == pytest.approx(sum(run.per_class) / 3)


def test_one_run_has_no_interval_and_several_sets_speak_about_the_method():
    alone = measure(what=plan(recipe(epochs=1)))
    assert alone.score("accuracy/convnet1").interval is None
    assert "one run (n = 1) and so no interval: patches convnet1" in accuracy_table(alone).notes[-1]
    several = measure(images(), images(seed=1, name="b"), images(seed=2, name="c"), what=plan(recipe(epochs=1), runs=2))
    found = several.score("accuracy/convnet1", "dataset")
    assert len(found.values) == 6
    means = [sum(found.values[i : i + 2]) / 2 for i in (0, 2, 4)]
    assert found.interval.high - found.interval.low == pytest.approx(2 * t_half_width(means))
    assert (found.interval.procedure, found.interval.about) == ("t over the mean runs of 3 sets", "the method")


def test_results_come_back_from_files_and_edited_ones_are_refused(made, tmp_path):
    path = tmp_path / "r.json"
    save_result(made, path)
    assert load_result(path) == made

    def edited(change):
        plain = msgspec.json.decode(path.read_bytes())
        change(plain)
        (tmp_path / "e.json").write_bytes(msgspec.json.encode(plain))
        return tmp_path / "e.json"

    for change, complaint in (
        (lambda d: d["accuracies"][0]["runs"].pop(), "has 3 values for 2 runs"),
        (lambda d: d["accuracies"][0]["runs"][0].update(accuracy=0.99), "has other values than its runs"),
        (lambda d: d.update(accuracies=[]), "has 3 values for 0 sets"),
        (lambda d: d.update(embedder="x"), "has parts of a protocol only"),
    ):
        with pytest.raises(ResultError, match=complaint):
            load_result(edited(change))


def test_accuracies_join_the_scores_of_the_same_images(made):
    before = scored(images())
    result = measure(before=before, path=Path("r.json"))
    assert result.scores[: len(before.scores)] == before.scores
    assert result.score("accuracy/convnet1") == made.score("accuracy/convnet1")
    more = measure(what=plan(recipe(epochs=2), nets=("convnet2",)), before=result, path=Path("r.json"))
    assert [one.net for one in more.accuracies] == ["convnet1", "convnet2"]
    assert more.score("accuracy/convnet1") == result.score("accuracy/convnet1")
    with pytest.raises(ResultError, match=r"r.json: is the result of other images \(patches\) than patches"):
        measure(images(seed=1), before=before, path=Path("r.json"))
    with pytest.raises(ResultError, match="holds accuracies of convnet1 by another recipe.*give another -o"):
        measure(what=plan(recipe(epochs=3)), before=result, path=Path("r.json"))
    for parts in ([before, made], [made, before]):
        (whole,) = joined(parts)
        assert (whole.scores, whole.protocol) == ((*before.scores, *made.scores), before.protocol)
    assert joined([result, made]) == [result, made], "two accuracies of one network stay apart"


def test_another_set_is_one_more_student_and_leaves_diversity_to_be_measured_anew(made):
    trained, second = [], images(seed=1, name="b")
    before = measure(before=scored(images()), path=Path("r.json"))
    grown = measure(images(), second, before=before, path=Path("r.json"), report=lambda title, run: trained.append(run))
    assert [(run.set, run.seed) for run in trained] == [(1, 0), (1, 1), (1, 2)]
    whole = measure(images(), second, name=before.name)
    assert [replace(run, seconds=0) for run in grown.accuracy("convnet1").runs] == [
        replace(run, seconds=0) for run in whole.accuracy("convnet1").runs
    ]
    assert (grown.name, grown.sets, grown.scores, grown.protocol) == (before.name, whole.sets, whole.scores, None)
    for sets in ([second], [second, images()], [second, images(), images(seed=2)]):
        with pytest.raises(ResultError, match="r.json: is the result of other images .*in the same order"):
            measure(*sets, before=before, path=Path("r.json"))
    with pytest.raises(ResultError, match="is the result of other images"):
        measure(images(), second, before=scored(images()), path=Path("r.json"))
    other = plan(recipe(epochs=2), nets=("convnet2",))
    with pytest.raises(ResultError, match="has students of convnet1 on 1 of these 2 sets.*--net convnet1,convnet2"):
        measure(images(), second, what=other, before=before, path=Path("r.json"))


def test_students_of_some_sets_of_an_entry_join_it():
    sets = [images(), images(seed=1, name="b"), images(seed=2, name="c")]
    whole = measure(*sets, what=plan(recipe(epochs=1)), real=REAL)
    few = plan(recipe(epochs=2), nets=("convnet2",))
    part = measure(sets[2], what=few, before=whole, path=Path("r.json"))
    assert (part.sets, part.score("accuracy/convnet1")) == (whole.sets, whole.score("accuracy/convnet1"))
    alone = measure(sets[2], what=few)
    assert part.score("accuracy/convnet2").values == alone.score("accuracy/convnet2").values
    assert [run.set for run in part.accuracy("convnet2").runs] == [2]
    assert "students of some sets only: patches convnet2 1 of 3" in accuracy_table(part).notes
    trained = []
    more = measure(
        sets[1], sets[0], what=few, before=part, path=Path("r.json"), report=lambda title, run: trained.append(run)
    )
    assert len(trained) == 2
    assert more.accuracy("convnet2").earlier == (part.accuracy("convnet2").environment,), "each with its command"
    full = measure(*sets, what=few)
    assert more.score("accuracy/convnet2") == full.score("accuracy/convnet2")
    assert not any("some sets" in note for note in accuracy_table(more).notes)
    same = measure(*sets, what=few, before=more, path=Path("r.json"))
    assert same.accuracies == more.accuracies, "what trained them, not what found them"
    again = measure(sets[1], what=plan(recipe(epochs=1), runs=2), before=more, path=Path("r.json"))
    assert again.accuracy("convnet1").earlier == (whole.accuracy("convnet1").environment,)
    assert again.accuracy("convnet1").environment != whole.accuracy("convnet1").environment
    assert [(run.set, run.seed) for run in again.accuracy("convnet1").runs] == [
        (0, 0),
        (1, 0),
        (1, 1),
        (2, 0),
        (None, 0),
    ]
    assert again.accuracy("convnet1").real == whole.accuracy("convnet1").real


def test_runs_on_one_set_of_several_speak_about_that_set():
    whole = measure(images(), images(seed=1, name="b"), what=plan(recipe(epochs=1)))
    result = measure(images(), what=plan(recipe(epochs=1), nets=("convnet2",), runs=3), before=whole, path=Path("r"))
    found = per_set(result, result.score("accuracy/convnet2", "dataset"))
    assert (len(found.values), found.interval.about) == (3, "these sets")
    assert [set_count(result, f"accuracy/{net}") for net in ("convnet1", "convnet2")] == [2, 1]
    table = differences_table([result, replace(result, name="other")], ["accuracy/convnet2"])
    assert table.notes[0].startswith(
        "± 95% t interval and p after Welch over the students of these sets, each the mean"
    )
    assert "this speaks about these sets, not about the methods" in table.notes[0]
    classes = result.score("accuracy/convnet2").per_class
    better = replace(
        result,
        scores=tuple(
            replace(
                one, per_class=tuple(tuple(share + 0.1 + i / 100 for i, share in enumerate(run)) for run in classes)
            )
            if one.metric == "accuracy/convnet2" and one.scope == "class"
            else one
            for one in result.scores
        ),
    )
    change = differences(result, better, ["accuracy/convnet2"]).tested["accuracy/convnet2"]
    runs = [[sum(run) / 3 for run in one.score("accuracy/convnet2").per_class] for one in (result, better)]
    assert (change.effect, change.p) == pytest.approx((0.11, float(ttest_ind(*runs, equal_var=False).pvalue)))
    assert (change.about, change.counted) == ("these sets", "3 and 3 runs")
    assert gain_between(result, better, "accuracy/convnet2").p == change.p, "one rule for tables and claims"


def test_tables_show_diversity_and_accuracy_side_by_side(made):
    other = images(seed=4, name="other")
    results = [measure(before=scored(images()), real=REAL), measure(other, before=scored(other))]
    table = compare_table(results)
    at = table.columns.index("accuracy/convnet1 % ↑")
    assert "vendi ↑" in table.columns
    assert [row[0] for row in table.rows[:2]] == ["patches", "other"]
    assert table.rows[0][at].value == pytest.approx(100 * results[0].score("accuracy/convnet1").value)
    yardstick = next(row for row in table.rows if row[0] == "(random real)")
    assert yardstick[at] == pytest.approx(100 * results[0].score("accuracy/convnet1").reference_value("random"))
    assert any("recipe quick, labels hard" in note and "after the last epoch" in note for note in table.notes)
    differences = differences_table(results)
    assert "Δ accuracy/convnet1 % ↑" in differences.columns
    effect = differences.rows[0][differences.columns.index("Δ accuracy/convnet1 % ↑")].value
    assert effect == pytest.approx(
        100 * (results[1].score("accuracy/convnet1").value - results[0].score("accuracy/convnet1").value)
    )


def test_a_table_of_accuracies_has_mean_deviation_and_every_run(made):
    table = accuracy_table(measure(real=REAL))
    (row,) = table.rows
    values = [100 * run.accuracy for run in made.accuracy("convnet1").own]
    mean = sum(values) / 3
    deviation = math.sqrt(sum((value - mean) ** 2 for value in values) / 2)
    assert row[:4] == ["convnet1", 3, pytest.approx(mean), pytest.approx(deviation)]
    assert row[4] == " ".join(f"{value:.2f}" for value in values)
    assert table.columns[-1] == "random real %"


def test_numbers_of_other_recipes_do_not_share_a_table(made):
    other = measure(images(seed=4, name="other"), what=plan(recipe(epochs=3)))
    with pytest.raises(ResultError, match="different recipes, labels or test sets of convnet1"):
        compare_table([made, other])
    assert len(compare_table([made, other], mixed=True).rows) == 2
    fine = measure(images(seed=4, name="other"), what=plan(recipe(epochs=3), nets=("convnet2",)))
    assert len(compare_table([made, fine]).rows) == 2


def test_the_teacher_is_a_yardstick(tmp_path):
    teacher = write_teacher(tmp_path / "t.safetensors", real=clear_images(40, seed=5))
    sets, test = [(clear_images(), None)], clear_images(10, seed=9)
    found = measure_accuracy(sets, test, plan(recipe("sre2l-cifar", epochs=1)), teachers=[teacher])
    (value,) = found.score("accuracy/convnet1", "dataset").reference["teacher"]
    assert value > 0.9
    assert accuracy_table(found).rows[0][-1] == pytest.approx(100 * value)


def join(*sets, nets=("convnet1",), runs=1, **values):
    """As `measure`, where a teacher can tell the test images."""
    few = plan(recipe(epochs=1), nets=nets, runs=runs)
    return measure_accuracy(
        [(one, None) for one in sets or [clear_images()]],
        clear_images(10, seed=9),
        few,
        path=Path("r.json"),
        **values,
    )


@pytest.fixture(scope="module")
def told(tmp_path_factory):
    """A result with both yardsticks and a note."""
    teacher = write_teacher(tmp_path_factory.mktemp("teacher") / "t.safetensors", real=clear_images(40, seed=5))
    return replace(join(teachers=[teacher], real=REAL), note="of a friend")


def test_what_a_result_says_stays_where_students_join_it(told):
    second = clear_images(seed=1, name="b")
    grown = join(clear_images(), second, before=told)
    assert grown.note == "of a friend"
    more = join(second, runs=2, before=grown)
    assert [(run.set, run.seed) for run in more.accuracy("convnet1").runs] == [(0, 0), (1, 0), (1, 1), (None, 0)]
    assert more.accuracy("convnet1").notes == ("batch 128 -> 18, the whole set, as published loaders do",)
    for result in (grown, more, join(before=told)):
        for scope in ("class", "dataset"):
            held = told.score("accuracy/convnet1", scope).reference
            assert result.score("accuracy/convnet1", scope).reference == held
            assert set(held) == {"random", "teacher"}


def test_real_images_are_those_of_one_network(told):
    both = join(nets=("convnet1", "convnet2"), before=told)
    assert both.accuracy("convnet1").real == told.accuracy("convnet1").real
    assert both.accuracy("convnet2").real is None, "no student of it saw any"
    other = join(nets=("convnet2",), real=images(20, seed=7), before=both)
    assert other.accuracy("convnet2").real not in (None, told.accuracy("convnet1").real)
    assert other.accuracy("convnet1") == told.accuracy("convnet1")


def test_a_name_that_is_given_is_the_name(told):
    renamed = join(name="mine", before=told)
    assert renamed == replace(told, name="mine")
    assert join(before=renamed).name == "mine"


def test_some_images_and_classes_alone():
    found = measure(matching=Matching(ipc=2))
    assert found.sets[0].per_class == (2, 2, 2)
    two = images(classes=("bee", "cow"))
    common = measure(two, matching=Matching(common=True))
    assert common.classes == ("bee", "cow")
    assert common.accuracy("convnet1").test.count == 20


def test_other_real_images_are_another_yardstick():
    before = measure(real=REAL)
    again = measure(before=before, path=Path("r.json"))
    assert again.accuracy("convnet1").real == before.accuracy("convnet1").real
    assert len(again.score("accuracy/convnet1").reference["random"]) == 3
    with pytest.raises(ResultError, match=r"r.json: holds a yardstick of other real images"):
        measure(real=images(20, seed=7), before=before, path=Path("r.json"))
    with pytest.raises(InputError, match="is both tested on and the yardstick's training data"):
        measure(real=TEST)


def test_another_test_set_is_another_number(made):
    other = measure_accuracy([(images(), None)], images(10, seed=11), plan(recipe(epochs=2), runs=3))
    assert other.accuracy("convnet1").digest != made.accuracy("convnet1").digest


def test_test_images_among_those_trained_on_are_told():
    """Exactly or up to a few grey levels; a student that has seen the answers says nothing."""
    leaky = images(name="leaky")
    pixels = leaky.images.clone()
    pixels[:2] = TEST.images[:2]
    pixels[2] = TEST.images[2] ^ 1
    leaky = dataclasses.replace(leaky, images=pixels)
    result = measure(leaky, what=plan(recipe(epochs=1)))
    said = [
        ("test-copies", "leaky: 2 of 18 images are exact copies of images of tests"),
        ("near-test-copies", "leaky: 1 of 18 images look like a copy of one of tests"),
    ]
    assert [(one.code, one.text.split(", ")[0]) for one in result.cautions] == said
    assert sum("caution [" in note for note in accuracy_table(result).notes) == 2
    before = scored(leaky)
    whole = measure(leaky, what=plan(recipe(epochs=1)), before=before, path=Path("r.json"))
    assert whole.cautions == (*before.cautions, *result.cautions)
    again = measure(leaky, what=plan(recipe(epochs=1), runs=2), before=whole, path=Path("r.json"))
    assert again.cautions == whole.cautions, "once"
    earlier = replace(again, cautions=(Caution("collapse", "of other scores"), *again.cautions), note="of a friend")
    rescored = with_accuracies(before, earlier)
    assert (rescored.cautions, rescored.note) == (whole.cautions, "of a friend"), "cautions of scores are those of now"
    assert measure(what=plan(recipe(epochs=1))).cautions == ()


def test_seeds_of_one_entry_have_equal_sizes():
    with pytest.raises(InputError, match=r"b holds 21 images and patches 18, .*\(--ipc\)"):
        measure(images(), images(7, seed=1, name="b"), what=plan(recipe(epochs=1)))
