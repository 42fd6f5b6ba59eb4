import pytest
import torch

from divbench.errors import InputError
from divbench.images import ImageSet, match_classes, match_sets, take_per_class

CIFAR = ("airplane", "automobile", "bird")


def a_set(classes, labels=None, labelled=True):
    labels = torch.arange(len(classes)) if labels is None else torch.tensor(labels)
    pixels = torch.arange(len(labels), dtype=torch.uint8).view(-1, 1, 1, 1).expand(-1, 3, 2, 2)
    return ImageSet(pixels, labels, tuple(classes), "fake", labelled=labelled)


def test_equal_names_match_by_name_whatever_their_order():
    match = match_classes(a_set(["bird", "airplane", "automobile"]), CIFAR)
    assert match.how == "name"
    assert match.fake.labels.tolist() == [2, 0, 1]
    assert match.fake.classes == match.classes == CIFAR


def test_numbered_classes_match_by_index_and_say_so():
    for classes in (["new000", "new001", "new002"], ["00000", "00001", "00002"], ["0", "1", "2"]):
        match = match_classes(a_set(classes), CIFAR)
        assert match.how == "index"
        assert "indices into the real set's class order" in match.note
        assert f"{classes[0]} = airplane" in match.note


def test_a_number_is_an_index_even_where_classes_are_missing():
    match = match_classes(a_set(["new000", "new002"]), CIFAR)
    assert match.fake.labels.tolist() == [0, 2]


def test_numbers_meet_numbers_of_another_width():
    match = match_classes(a_set(["new001", "new003"]), ("00001", "00002", "00003"), how="index")
    assert match.fake.labels.tolist() == [0, 2]


def test_too_few_numbers_have_to_be_confirmed():
    fake = a_set(["0", "1"])
    with pytest.raises(InputError, match=r"confirm one of: how='index' matches all: 0 = airplane, 1 = automobile"):
        match_classes(fake, CIFAR)
    assert match_classes(fake, CIFAR, how="index").fake.labels.tolist() == [0, 1]


def test_too_many_numbers_are_an_error_and_common_keeps_the_shared():
    fake = a_set(["0", "1", "2", "3", "4"], [4, 2, 0, 1])
    with pytest.raises(InputError, match=r"how='index' matches 3 of 4"):
        match_classes(fake, CIFAR)
    with pytest.raises(InputError, match="--common-classes"):
        match_classes(fake, CIFAR, how="index")
    match = match_classes(fake, CIFAR, how="index", common=True)
    assert match.fake.labels.tolist() == [2, 0, 1]
    assert match.fake.pixels()[:, 0, 0, 0].tolist() == [1, 2, 3]


def test_other_spellings_have_to_be_confirmed_by_name():
    fake = a_set(["Bird", "Air_Plane", "AUTOMOBILE"])
    with pytest.raises(InputError, match=r"Bird.*airplane.*how='name' matches all: Bird = bird"):
        match_classes(fake, CIFAR)
    assert match_classes(fake, CIFAR, how="name").fake.labels.tolist() == [2, 0, 1]


def test_wordnet_ids_and_names_both_ways():
    wnids, names = ("n01440764", "n01443537", "n02102040"), ["English springer", "tench", "goldfish"]
    with pytest.raises(InputError, match=r"how='wnid' matches all: .*tench = n01440764"):
        match_classes(a_set(names), wnids)
    match = match_classes(a_set(names), wnids, how="wnid")
    assert match.fake.labels.tolist() == [2, 0, 1]
    back = match_classes(a_set(wnids), tuple(names), how="wnid")
    assert back.fake.labels.tolist() == [1, 2, 0]


def test_an_ambiguous_name_is_an_error():
    cranes = ("n02012849", "n03126707")  # a bird and a machine
    with pytest.raises(InputError, match="could be n02012849 or n03126707"):
        match_classes(a_set(["crane"]), cranes, how="wnid")


def test_two_classes_onto_one_are_an_error():
    with pytest.raises(InputError, match="are all 'bird'"):
        match_classes(a_set(["bird", "Bird"]), CIFAR, how="name")


def test_nothing_in_common_is_an_error_with_both_lists():
    with pytest.raises(InputError, match=r"\(truck, ship\) are not the real set's 3 \(airplane.*no mapping"):
        match_classes(a_set(["truck", "ship"]), CIFAR)
    for common in (False, True):
        with pytest.raises(InputError, match="truck"):
            match_classes(a_set(["truck", "ship"]), CIFAR, how="name", common=common)


def test_synthetic_classes_that_the_real_set_lacks():
    fake = a_set(["airplane", "bird", "zebra"])
    with pytest.raises(InputError, match="how='name' matches 2 of 3"):
        match_classes(fake, CIFAR)
    match = match_classes(fake, CIFAR, common=True)
    assert match.classes == ("airplane", "bird")
    assert match.fake.labels.tolist() == [0, 1]
    assert "only the 2 common classes of 3 synthetic and 3 real ones" in match.note
    real = match.restrict(a_set(CIFAR, [2, 1, 0, 2]))
    assert real.classes == ("airplane", "bird")
    assert real.labels.tolist() == [1, 0, 1]
    assert real.pixels()[:, 0, 0, 0].tolist() == [0, 2, 3]


def test_common_classes_keep_the_real_order():
    match = match_classes(a_set(["bird", "zebra", "airplane"]), CIFAR, common=True)
    assert match.classes == ("airplane", "bird")
    assert match.fake.labels.tolist() == [1, 0]


def test_common_classes_are_those_with_real_images():
    """Real tensors may name a class of which they hold no image."""
    real = a_set(CIFAR, [0, 2, 2])
    (fake,), found = match_sets([a_set(["new000", "new001", "new002"])], real, common=True)
    assert fake.classes == found.classes == ("airplane", "bird")
    assert (fake.labels.tolist(), fake.pixels()[:, 0, 0, 0].tolist()) == ([0, 1], [0, 2])
    assert found.labels.tolist() == [0, 1, 1]
    assert fake.notes[-1] == "left out for want of real images: automobile"
    assert match_sets([a_set(CIFAR)], real)[1] is real
    with pytest.raises(InputError, match="holds no images"):
        match_sets([a_set(["airplane", "bird"])], a_set(CIFAR, [1]), common=True)


def test_restrict_changes_nothing_without_common():
    real = a_set(CIFAR)
    assert match_classes(a_set(["bird"]), CIFAR).restrict(real) is real


def test_classes_without_images_cannot_be_wrong():
    match = match_classes(a_set(["airplane", "zebra"], [0, 0]), CIFAR)
    assert match.fake.labels.tolist() == [0, 0]


def test_unlabelled_and_unknown_ways_are_errors():
    with pytest.raises(InputError, match="no class labels"):
        match_classes(a_set(["all"], labelled=False), CIFAR)
    with pytest.raises(InputError, match="choose name, index, wnid"):
        match_classes(a_set(CIFAR), CIFAR, how="guess")


@pytest.mark.parametrize("classes", [["cat", "dog"], ["0", "1"], ["0"], ["new000"]])
@pytest.mark.parametrize("how", [None, "index", "name"])
def test_a_real_set_without_classes_is_told_from_other_names(classes, how):
    with pytest.raises(InputError, match=r"real set has none; give real data with class folders, or a flat synthetic"):
        match_classes(a_set(classes), ("all",), how=how)


def test_a_class_that_is_called_all():
    assert match_classes(a_set(["all"]), ("all",)).fake.labels.tolist() == [0]


def test_take_per_class_takes_the_first_in_stored_order():
    images = a_set(["a", "b"], [1, 0, 1, 0, 1])
    taken = take_per_class(images, 2)
    assert taken.pixels()[:, 0, 0, 0].tolist() == [0, 1, 2, 3]
    assert taken.labels.tolist() == [1, 0, 1, 0]
    with pytest.raises(InputError, match="class 'a' has 2 images, 3 were asked for"):
        take_per_class(images, 3)
    with pytest.raises(InputError, match="at least 1"):
        take_per_class(images, 0)
