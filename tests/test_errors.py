from divbench.errors import shorten


def test_long_lists_are_cut_and_say_how_many_there_are():
    assert shorten([]) == ""
    assert shorten(("a", "b"), 2) == "a, b"
    assert shorten(["a", "b", "c"], 2) == "a, b, ... (3 in all)"
