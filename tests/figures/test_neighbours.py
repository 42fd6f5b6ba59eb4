"""Who covers whom is what coverage counts; the nearest are the nearest."""

import pytest
import torch

from divbench.errors import InputError
from divbench.figures.neighbours import by_coverage, covered, nearest, nearest_real
from divbench.metrics import METRICS, radii
from tests.embeddings import gaussian_classes
from tests.figures.test_grids import make_images


@pytest.fixture(scope="module")
def real():
    return gaussian_classes(60, seed=1, name="real")


@pytest.fixture(scope="module")
def fake():
    return gaussian_classes(4, seed=2, name="fake")


@pytest.mark.parametrize("k", [1, 5])
def test_below_one_is_what_coverage_counts(real, fake, k):
    found = by_coverage(real, fake, 1, k)
    rows = real.features[real.labels == 1]
    share = METRICS["coverage"](rows, fake.features[fake.labels == 1], k=k)
    assert float((found.values < 1).double().mean()) == share
    assert found.values.tolist() == sorted(found.values.tolist())
    assert sorted(found.rows.tolist()) == (real.labels == 1).nonzero()[:, 0].tolist()
    row, value = int(found.rows[0]), float(found.values[0])
    distance = (fake.features[fake.labels == 1].double() - real.features[row].double()).norm(dim=1).min()
    radius = radii(rows, k)[row - 60].sqrt()
    assert value == pytest.approx(float(distance / radius))
    known = by_coverage(real, fake, 1, k, radii(rows, k))
    assert torch.equal(known.values, found.values)


def test_the_nearest_real_images_of_the_class(real, fake):
    found = nearest_real(real, fake, 2, count=3)
    assert len(found) == 4
    rows = (real.labels == 2).nonzero()[:, 0]
    distances = (real.features[rows].double() - fake.features[fake.labels == 2][1].double()).norm(dim=1)
    order = distances.argsort()[:3]
    assert found[1].rows.tolist() == rows[order].tolist()
    assert found[1].values.tolist() == pytest.approx(distances[order].tolist())


def test_the_figures_show_these_images(real, fake):
    pictures = make_images("real", classes=real.classes, per_class=60)
    synthetic = make_images("fake", classes=real.classes, per_class=4, seed=1)
    figure = covered(real, fake, pictures, label=1, k=3, count=5)
    found = by_coverage(real, fake, 1, 3)
    titles = [ax.get_title("center") for ax in figure.axes]
    assert titles == [f"{v:.2f}" for v in [*found.values[:5].tolist(), *found.values[-5:].tolist()]]
    first = figure.axes[0].images[0].get_array()
    assert torch.equal(torch.as_tensor(first), pictures.images[found.rows[0]].permute(1, 2, 0))
    figure = nearest(real, fake, pictures, synthetic, label=1, count=2, neighbours=3)
    shown = [torch.as_tensor(ax.images[0].get_array()) for ax in figure.axes]
    rows = nearest_real(real, fake, 1, 3)
    assert len(shown) == 8
    assert torch.equal(shown[4], synthetic.images[5].permute(1, 2, 0))
    assert torch.equal(shown[6], pictures.images[rows[1].rows[1]].permute(1, 2, 0))


def test_pictures_that_are_not_those_of_the_embeddings(real, fake):
    few = make_images("real", classes=real.classes, per_class=5)
    with pytest.raises(InputError, match="real: 180 embeddings and 15 pictures"):
        covered(real, fake, few, label=0)
    with pytest.raises(InputError, match="k = 60 neighbours need more rows"):
        by_coverage(real, fake, 0, 60)
