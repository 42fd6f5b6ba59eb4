"""The t-SNE: one joint fit, the same bytes again, and a perplexity that fits."""

from dataclasses import replace

import numpy as np
import pytest

from divbench.errors import InputError
from divbench.figures.canvas import encoded
from divbench.figures.maps import tsne
from tests.embeddings import gaussian_classes


@pytest.fixture(scope="module")
def real():
    return gaussian_classes(40, classes=3, seed=1, name="real")


def points(ax):
    """Positions of real and synthetic images in a panel."""
    return [np.asarray(drawn.get_offsets()) for drawn in ax.collections]


def test_one_fit_puts_the_same_real_images_behind_every_set(real):
    figure = tsne(real, [gaussian_classes(5, name="a", seed=2), gaussian_classes(6, name="b", seed=3)], perplexity=10)
    (first, a), (second, b) = (points(ax) for ax in figure.axes)
    assert np.array_equal(first, second)
    assert (len(first), len(a), len(b)) == (120, 15, 18)
    assert [ax.get_title("left") for ax in figure.axes] == ["a (15)", "b (18)"]
    assert "120 of 120 real images in grey; perplexity 10, PCA start, seed 0" in figure.alt


def test_synthetic_images_lie_among_the_real_ones_of_their_class(real):
    fake = gaussian_classes(8, name="a", seed=4)
    behind, front = points(tsne(real, [fake], perplexity=10).axes[0])
    nearest = np.linalg.norm(front[:, None] - behind[None], axis=2).argmin(1)
    assert (real.labels.numpy()[nearest] == fake.labels.numpy()).mean() > 0.9


def test_the_same_input_gives_the_same_bytes(real):
    fake = gaussian_classes(5, name="a", seed=2)
    one, two = (encoded(tsne(real, [fake], perplexity=8), "svg") for _ in range(2))
    assert one == two


def test_one_class_and_a_sample_of_the_real_images(real):
    figure = tsne(real, [gaussian_classes(9, name="a", seed=2)], label=1, perplexity=5, real_points=20)
    behind, front = points(figure.axes[0])
    assert (len(behind), len(front)) == (20, 9)
    assert "class c1" in figure.alt
    other = tsne(real, [gaussian_classes(9, name="a", seed=2)], label=1, perplexity=5, real_points=20, seed=1)
    assert not np.array_equal(points(other.axes[0])[0], behind)


@pytest.mark.parametrize("perplexity", [0.5, 46, 1000])
def test_a_perplexity_that_does_not_fit(real, perplexity):
    with pytest.raises(InputError, match=rf"perplexity {perplexity:g} is too .* for 135 images: .* at most 44; lower"):
        tsne(real, [gaussian_classes(5, name="a", seed=2)], perplexity=perplexity)


def test_sets_that_do_not_belong_together(real):
    fake = gaussian_classes(5, name="a", seed=2)
    with pytest.raises(InputError, match="real and a were embedded by different embedders"):
        tsne(real, [replace(fake, embedder="other")], perplexity=5)
    with pytest.raises(InputError, match="real and a have different classes"):
        tsne(real, [replace(fake, classes=("x", "y", "z"))], perplexity=5)
    with pytest.raises(InputError, match="a: has no image of class c2"):
        tsne(real, [fake.select((fake.labels < 2).nonzero()[:, 0])], label=2, perplexity=5)
