"""score(): every number is the plain definition's, at both scopes, with its references and interval."""

import dataclasses
import gc
import weakref

import msgspec
import pytest
import torch

from divbench import scoring, uncertainty
from divbench.cache import Cache
from divbench.errors import InputError, ProtocolError
from divbench.metrics import METRICS, _neighbours
from divbench.metrics.balls import coverage, iid_coverage
from divbench.metrics.vendi import vendi
from divbench.protocol import Controls, load_protocol, protocol_digest
from divbench.results import load_result, save_result
from divbench.scoring import score
from tests.embeddings import gaussian_classes, make_embeddings

QUICK = load_protocol("quick")
REAL = gaussian_classes(60, seed=1, name="real")
FAKE = gaussian_classes(10, seed=2)


def only(*names, **changes):
    return msgspec.structs.replace(QUICK, **{"metrics": {name: QUICK.metrics[name] for name in names}, **changes})


def test_every_metric_at_both_scopes_is_the_plain_function():
    result = score(FAKE, REAL, QUICK)
    assert len(result.scores) == 2 * len(METRICS.items())
    for name, metric in METRICS.items():
        by_class = [metric(REAL.features[REAL.labels == c], FAKE.features[FAKE.labels == c]) for c in range(3)]
        assert result.score(name).per_class == (tuple(by_class),)
        assert result.score(name).values == (pytest.approx(sum(by_class) / 3, rel=1e-14),)
        assert result.score(name, "dataset").values == (metric(REAL.features, FAKE.features),)
        assert result.score(name, "dataset").per_class == ()


def test_settings_of_the_protocol_reach_the_metric():
    result = score(FAKE, REAL, only("coverage", metrics={"coverage": {"k": 3, "closed": True}, "vendi": {"q": 2}}))
    assert result.score("coverage", "dataset").value == coverage(REAL.features, FAKE.features, 3, True)
    assert result.score("vendi", "dataset").value == vendi(FAKE.features, 2)
    assert result.protocol.metrics["coverage"] == {"k": 3, "closed": True}


def test_defaults_are_written_out_and_belong_to_the_digest():
    result = score(FAKE, REAL, only("coverage", metrics={"coverage": {}}))
    assert result.protocol.metrics == {"coverage": {"k": 5, "closed": False}}
    assert result.protocol_digest == protocol_digest(result.protocol, "numbers")
    explicit = score(FAKE, REAL, only("coverage", metrics={"coverage": {"k": 5}}))
    assert explicit.protocol_digest == result.protocol_digest


def test_yardstick_and_controls_at_the_same_number_of_images():
    result = score(FAKE, REAL, only("coverage", "vendi"))
    found = result.score("coverage")
    assert found.reference["iid"] == (pytest.approx(iid_coverage(60, 10)),)
    assert result.score("coverage", "dataset").reference["iid"] == (pytest.approx(iid_coverage(180, 30)),)
    assert {key: len(values) for key, values in found.reference.items()} == {
        "iid": 1, "random": 5, "kmeans": 1, "collapse": 1,
    }  # fmt: skip
    assert found.n_real == (60, 60)
    assert found.n_fake == (10, 10)
    assert "iid" not in result.score("vendi").reference
    assert result.score("vendi").reference_value("collapse") < 1.01
    assert 0 < result.score("coverage").reference_value("random") < 1


def test_same_input_same_numbers():
    first, second = score(FAKE, REAL, QUICK), score(FAKE, REAL, QUICK)
    assert first.scores == second.scores
    assert msgspec.json.encode(first.protocol) == msgspec.json.encode(second.protocol)


def test_one_set_has_a_jackknife_interval_about_these_sets():
    found = score(FAKE, REAL, only("coverage")).score("coverage")
    assert found.interval.about == "these sets"
    assert found.interval.procedure == "jackknife over synthetic images"
    assert found.interval.low < found.value < found.interval.high


def test_several_sets_have_an_interval_about_the_method():
    fakes = [gaussian_classes(10, seed=s, name=f"s{s}") for s in (2, 3, 4)]
    result = score(fakes, REAL, only("coverage"), name="three")
    found = result.score("coverage")
    assert result.name == "three"
    assert len(found.values) == len(found.per_class) == len(result.sets) == 3
    assert found.values[1] == score(fakes[1], REAL, only("coverage")).score("coverage").value
    assert found.interval.about == "the method"
    assert found.interval.procedure == "t over 3 sets"


def test_few_images_per_class_have_an_interval_over_many_classes_or_none():
    for classes, procedure in ((8, "t over 8 classes"), (3, None)):
        real, fake = gaussian_classes(20, classes, seed=1, name="real"), gaussian_classes(1, classes, seed=2)
        found = score(fake, real, only("coverage")).score("coverage")
        assert (found.interval and found.interval.procedure) == procedure


def test_one_image_per_class_has_no_pairs():
    result = score(gaussian_classes(1, seed=2), REAL, only("cosine", "vendi"))
    assert result.score("cosine").values == (None,)
    assert result.score("cosine").per_class == ((None, None, None),)
    assert result.score("vendi").values == (1.0,)
    assert result.score("cosine", "dataset").value is not None


def test_a_missing_class_is_uncovered_and_leaves_other_means_undefined():
    keep = FAKE.labels != 1
    fake = make_embeddings(FAKE.features[keep], FAKE.labels[keep], "two", classes=REAL.classes)
    result = score(fake, REAL, only("coverage", "vendi"))
    assert result.score("coverage").per_class[0][1] == 0.0
    expected = 2 / 3 * iid_coverage(60, 10)
    assert result.score("coverage").reference_value("iid") == pytest.approx(expected)
    assert result.score("coverage").value is not None
    assert result.score("vendi").per_class[0][1] is None
    assert result.score("vendi").value is None
    assert "classes-missing" in {c.code for c in result.cautions}


@pytest.mark.parametrize("n_real", [1, 3, 5])
def test_a_missing_class_of_few_real_images_is_uncovered_too(n_real):
    """With k real images or fewer there are no balls, and none are needed."""
    few = REAL.select(torch.cat([torch.arange(n_real), torch.arange(60, 180)]))
    found = score(FAKE.select((FAKE.labels != 0).nonzero()[:, 0]), few, only("coverage")).score("coverage")
    assert found.per_class[0][0] == 0.0
    assert found.reference_value("iid") == pytest.approx(2 / 3 * iid_coverage(60, 10))


def test_unlabelled_sets_have_dataset_scope_only():
    fake = dataclasses.replace(FAKE, labels=torch.zeros_like(FAKE.labels), classes=("all",), labelled=False)
    result = score(fake, REAL, only("coverage"))
    assert [s.scope for s in result.scores] == ["dataset"]
    assert result.scores[0].value == coverage(REAL.features, FAKE.features)
    assert result.ipc is None
    assert result.scores[0].reference_value("kmeans") is not None


def test_real_subset_is_drawn_once_with_the_seed_and_changes_the_digest():
    result = score(FAKE, REAL, only("coverage", real_per_class=30))
    assert result.real.count == 90
    assert result.score("coverage").n_real == (30, 30)
    assert result.protocol_digest != score(FAKE, REAL, only("coverage")).protocol_digest
    assert result.real.digest == score(FAKE, REAL, only("coverage", real_per_class=30)).real.digest


def test_controls_that_drew_an_all_zero_real_row_have_no_cosine():
    """The fault is not the candidate's, whose own values stand; its own all-zero rows are refused."""
    real = make_embeddings(REAL.features * (torch.arange(180) % 60 >= 30)[:, None], REAL.labels, "real")
    result = score(FAKE, real, only("cosine", "coverage"))
    found = result.score("cosine")
    assert found.value == score(FAKE, REAL, only("cosine")).score("cosine").value
    assert found.reference_value("random") is None
    assert found.reference_value("collapse") is not None
    assert result.score("coverage").reference_value("random") is not None
    (caution,) = [c for c in result.cautions if c.code == "zero-rows"]
    assert "real: 90 of 180 embeddings are all zero" in caution.text
    with pytest.raises(InputError, match="class c0: 10 of 10 embeddings are all zero"):
        score(make_embeddings(FAKE.features * (FAKE.labels > 0)[:, None], FAKE.labels), REAL, only("cosine"))


def test_no_controls_where_there_are_too_few_real_images():
    result = score(gaussian_classes(80, seed=2), REAL, only("coverage"))
    assert set(result.score("coverage").reference) == {"iid"}
    assert set(score(FAKE, REAL, only("coverage", controls=Controls(0, 0, 0))).score("coverage").reference) == {"iid"}


def test_large_sets_are_left_out_in_groups_that_hold_every_class(monkeypatch):
    """Twenty groups estimate the variance that leaving out each of 240 rows gives; groups of one class would not."""
    fake = gaussian_classes(80, seed=2, apart=6)
    monkeypatch.setattr(uncertainty, "_LEAVE_ONE_OUT", 1000)
    whole = score(fake, REAL, only("vendi", scopes=("dataset",))).score("vendi", "dataset").interval
    monkeypatch.setattr(uncertainty, "_LEAVE_ONE_OUT", 100)
    grouped = score(fake, REAL, only("vendi", scopes=("dataset",))).score("vendi", "dataset").interval
    assert 0.2 < (grouped.high - grouped.low) / (whole.high - whole.low) < 1.5


def test_the_order_of_classes_does_not_decide_which_rows_are_left_out_together(monkeypatch):
    monkeypatch.setattr(uncertainty, "_LEAVE_ONE_OUT", 100)
    fake = gaussian_classes(80, seed=2, apart=6)
    mixed = fake.select(
        torch.randperm(3, generator=torch.Generator().manual_seed(0)).repeat(80) * 80 + torch.arange(240) // 3
    )
    one, other = (score(s, REAL, only("vendi")).score("vendi", "dataset").interval for s in (fake, mixed))
    assert (one.low, one.high) == pytest.approx((other.low, other.high), rel=1e-9)


def test_the_level_of_the_protocol_sets_the_width():
    wide, narrow = (
        score(FAKE, REAL, only("coverage", level=level)).score("coverage").interval for level in (0.99, 0.5)
    )
    assert (wide.level, narrow.level) == (0.99, 0.5)
    assert wide.high - wide.low > 3 * (narrow.high - narrow.low)


def test_no_interval_where_no_image_makes_a_difference():
    """Precision 1 with and without every image: a width of zero would pretend to be certain."""
    centres = torch.stack([REAL.features[REAL.labels == c].mean(0) for c in range(3)])
    fake = make_embeddings(centres[FAKE.labels] + 1e-3 * FAKE.features, FAKE.labels)
    found = score(fake, REAL, only("precision")).score("precision")
    assert found.value == 1
    assert found.interval is None


def test_no_interval_of_the_width_of_rounding():
    """Three times 0.1 has a mean and a standard deviation that are off by an ulp."""
    assert uncertainty.interval((0.1, 0.1, 0.1), (0.1,), [[]], 0.95) is None
    assert uncertainty.interval((0.7,), [0.7] * 6, [[]], 0.95) is None
    assert uncertainty.interval((0.0,), [0.0] * 6, [[]], 0.95) is None
    assert uncertainty.interval((0.1, 0.1, 0.1 + 1e-9), (0.1,), [[]], 0.95) is not None


def test_recall_has_no_jackknife_interval():
    """Leaving an image out enlarges the balls of its neighbours: measured, the jackknife is three times too wide."""
    assert score(FAKE, REAL, only("recall")).score("recall").interval is None
    real, fake = gaussian_classes(20, 8, seed=1, name="real"), gaussian_classes(8, 8, seed=2)
    assert score(fake, real, only("recall")).score("recall").interval.procedure == "t over 8 classes"


def test_seeds_of_unequal_size_have_no_common_yardstick():
    with pytest.raises(InputError, match=r"b holds 24 images and set 30.*--ipc"):
        score([FAKE, gaussian_classes(8, seed=3, name="b")], REAL, only("coverage"))


def test_the_same_set_twice_is_no_second_seed():
    with pytest.raises(InputError, match="copy and set are the same images"):
        score([FAKE, dataclasses.replace(FAKE, name="copy")], REAL, only("coverage"))


def test_radii_of_large_real_sets_are_kept(tmp_path, monkeypatch):
    monkeypatch.setattr(scoring, "_CACHED_RADII", 100)
    cache = Cache(tmp_path)
    first = score(FAKE, REAL, only("coverage"), cache=cache)
    assert cache.info().files == 1  # the dataset's; the classes are smaller
    original = _neighbours._radii

    def small_only(rows, k):
        assert len(rows) < 100, "computed again"
        return original(rows, k)

    monkeypatch.setattr(_neighbours, "_radii", small_only)
    real = dataclasses.replace(REAL, features=REAL.features.clone())
    assert score(FAKE, real, only("coverage"), cache=cache).scores == first.scores


def test_radii_are_computed_once_for_any_number_of_seeds(monkeypatch):
    calls = []
    original = _neighbours._radii
    monkeypatch.setattr(_neighbours, "_radii", lambda rows, k: calls.append(len(rows)) or original(rows, k))
    fakes = [gaussian_classes(10, seed=s, name=f"s{s}") for s in range(10)]
    score(fakes, REAL, only("coverage", "density", "precision"))
    assert sorted(calls) == [60, 60, 60, 180]


@pytest.mark.slow
def test_nothing_measured_is_held_afterwards():
    real = dataclasses.replace(REAL, features=REAL.features.clone())
    gone = weakref.ref(real.features)
    score(FAKE, real, QUICK)
    del real
    gc.collect()
    assert gone() is None


def test_the_seed_chooses_the_real_subset():
    digests = {score(FAKE, REAL, only("coverage", real_per_class=30, seed=seed)).real.digest for seed in (0, 1)}
    assert len(digests) == 2


def test_equal_settings_have_one_digest():
    written = [{}, {"q": 1}, {"q": 1.0}]
    digests = {score(FAKE, REAL, only("vendi", metrics={"vendi": s})).protocol_digest for s in written}
    turned = only("vendi", scopes=("dataset", "class"))
    assert digests == {score(FAKE, REAL, turned).protocol_digest}


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"k": 2.5}, "k is a whole number, got 2.5"),
        ({"k": True}, "k is a whole number, got True"),
        ({"k": 0}, "k = 0 is out of range"),
        ({"closed": 3}, "closed is true or false, got 3"),
    ],
)
def test_settings_of_the_wrong_kind_are_refused(settings, message):
    with pytest.raises(ProtocolError, match=message):
        score(FAKE, REAL, only("coverage", metrics={"coverage": settings}))


def test_orders_that_no_file_can_hold_are_refused():
    with pytest.raises(ProtocolError, match="q = inf is out of range"):
        score(FAKE, REAL, only("vendi", metrics={"vendi": {"q": float("inf")}}))


def test_unlabelled_sets_need_a_protocol_with_dataset_scope():
    bare = dataclasses.replace(FAKE, labelled=False)
    with pytest.raises(InputError, match="protocol quick scores inside classes only"):
        score(bare, REAL, only("coverage", scopes=("class",)))


def test_progress_names_the_units():
    seen = []
    score(FAKE, REAL, only("coverage"), progress=seen.append)
    assert seen == ["class c0", "class c1", "class c2", "all classes"]


def test_results_survive_their_file(tmp_path):
    result = score([FAKE, gaussian_classes(10, seed=5, name="b")], REAL, QUICK)
    save_result(result, tmp_path / "r.json")
    assert load_result(tmp_path / "r.json") == result


@pytest.mark.parametrize(
    ("fake", "message"),
    [
        (dataclasses.replace(FAKE, embedder="other"), "set was embedded by other, the real set real by numbers"),
        (dataclasses.replace(FAKE, features=FAKE.features[:, :4]), "embeddings have 4 columns, those of real 6"),
        (dataclasses.replace(FAKE, classes=("x", "y", "z")), "its classes are not those of real"),
        ([], "no synthetic set was given"),
    ],
)
def test_what_cannot_be_compared_is_refused(fake, message):
    with pytest.raises(InputError, match=message):
        score(fake, REAL, only("coverage"))


def test_labelled_and_unlabelled_seeds_do_not_mix():
    bare = dataclasses.replace(FAKE, labelled=False, source="bare")
    with pytest.raises(InputError, match="score them separately"):
        score([FAKE, bare], REAL, only("coverage"))


def test_a_class_with_too_few_real_images_for_k():
    with pytest.raises(InputError, match="class c0: k = 5 neighbours .* there are 4; give more"):
        score(FAKE, gaussian_classes(4, seed=1, name="real"), only("coverage"))


def test_a_class_without_real_images():
    """It would lower every mean over classes, whatever the candidate does."""
    real = REAL.select((REAL.labels != 1).nonzero()[:, 0])
    for fake in (FAKE, FAKE.select((FAKE.labels != 1).nonzero()[:, 0])):
        with pytest.raises(InputError, match=r"real: has no image of 1 of 3 classes \(c1\).*--common-classes"):
            score(fake, real, only("vendi"))
    bare = dataclasses.replace(FAKE, labels=torch.zeros_like(FAKE.labels), classes=("all",), labelled=False)
    assert score(bare, real, only("vendi")).scores


def test_unknown_metrics_and_settings():
    with pytest.raises(ProtocolError, match="unknown metric 'coverge'; did you mean 'coverage'"):
        score(FAKE, REAL, only("coverage", metrics={"coverge": {}}))
    with pytest.raises(ProtocolError, match="metric 'coverage' has no setting 'kk'; settings: k, closed"):
        score(FAKE, REAL, only("coverage", metrics={"coverage": {"kk": 3}}))


def test_any_seed_will_do():
    """scikit-learn takes those below 2^32 alone; those of controls grow with the number of classes, too."""
    protocol = only("vendi", seed=2**40, controls=Controls(1, 1, 1))
    assert set(score(FAKE, REAL, protocol).score("vendi").reference) == {"random", "kmeans", "collapse"}
