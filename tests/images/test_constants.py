import pytest
from hypothesis import given
from hypothesis import strategies as st

from divbench.constants import MEAN_STD, parse_mean_std
from divbench.errors import InputError


def test_every_name_is_three_means_and_three_deviations_in_range():
    for name, (mean, std) in MEAN_STD.items():
        assert len(mean) == len(std) == 3, name
        assert all(0 <= m <= 1 for m in mean), name
        assert all(0 < s <= 1 for s in std), name


@given(st.lists(st.floats(0.01, 1), min_size=6, max_size=6))
def test_numbers_are_read_in_order(numbers):
    assert parse_mean_std(",".join(map(repr, numbers))) == (tuple(numbers[:3]), tuple(numbers[3:]))


@pytest.mark.parametrize("text", ["cifar", "", "1,2,3", "0,0,0,1,1,0", "0,0,0,1,1,nan", "0,0,0,1,1,x", "-1,0,0,1,1,1"])
def test_anything_else_is_an_error_that_lists_the_names(text):
    with pytest.raises(InputError, match="cifar10-dc"):
        parse_mean_std(text)
