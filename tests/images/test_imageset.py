import itertools

import pytest
import torch

from divbench.errors import InputError
from divbench.images import ImageSet, read_images
from divbench.images.imageset import Picture


class Source:
    """Ten images whose pixels are their index."""

    def __init__(self, digest):
        self.digest = digest

    def __len__(self):
        return 10

    def read(self, index):
        return Picture(torch.full((3, 2, 2), index, dtype=torch.uint8))

    def name_of(self, index):
        return f"image {index}"

    def fingerprint(self):
        return self.digest


def a_set(digest="abc"):
    return ImageSet(Source(digest), torch.arange(10) % 2, ("a", "b"), "set")


def rows(*numbers):
    return torch.tensor(numbers)


def test_every_selection_has_a_fingerprint_of_its_own():
    whole = a_set()
    parts = [whole.select(r) for r in (rows(0, 1), rows(1, 0), rows(0), rows(0, 1, 2), rows(1, 2), torch.arange(10))]
    parts.append(parts[0].select(rows(1)))
    prints = [part.images.fingerprint() for part in (whole, *parts)]
    assert all(one != two for one, two in itertools.combinations(prints, 2))
    assert a_set().select(rows(0, 1)).images.fingerprint() == prints[1]
    assert a_set("xyz").select(rows(0, 1)).images.fingerprint() != prints[1]
    assert a_set(None).select(rows(0, 1)).images.fingerprint() is None


def test_selections_of_files_differ_too(sre2l, monkeypatch):
    monkeypatch.setattr("divbench.images.files._SETTLED_NS", 0)  # else fresh files have no fingerprint
    images = read_images(sre2l)
    prints = {images.images.fingerprint(), *(images.select(rows(n)).images.fingerprint() for n in range(6))}
    assert len(prints - {None}) == 7


def test_a_selection_reads_and_names_its_own_rows():
    part = a_set().select(rows(7, 2)).select(rows(1, 0))
    assert part.labels.tolist() == [0, 1]
    assert part.pixels()[:, 0, 0, 0].tolist() == [2, 7]
    assert [part.name_of(n) for n in range(2)] == ["image 2", "image 7"]
    assert len(part) == 2


def test_two_classes_of_one_name_are_refused():
    with pytest.raises(InputError, match="two classes are called 'crane'"):
        ImageSet(torch.zeros(1, 3, 2, 2, dtype=torch.uint8), rows(0), ("crane", "dog", "crane"), "set")
