"""Spectra sum to one, and carry the Vendi Score of the tables."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from divbench.controls import random_rows
from divbench.errors import InputError
from divbench.figures.maps import tsne
from divbench.figures.neighbours import by_coverage, nearest_real
from divbench.figures.spectra import spectrum
from divbench.metrics.vendi import spectrum as eigenvalues
from divbench.metrics.vendi import vendi
from tests.embeddings import gaussian_classes, make_embeddings


def test_eigenvalues_sum_to_one_and_fall():
    values = eigenvalues(torch.randn(7, 20, generator=torch.Generator().manual_seed(0)))
    assert values.sum() == pytest.approx(1)
    assert values.tolist() == sorted(values.tolist(), reverse=True)
    assert eigenvalues(torch.eye(4)).tolist() == pytest.approx([0.25] * 4)
    assert eigenvalues(torch.ones(5, 3)).tolist() == pytest.approx([1, 0, 0], abs=1e-12)


def test_lines_are_the_mean_spectra_and_say_the_mean_vendi_score():
    fake, real = gaussian_classes(5, name="a", seed=2), gaussian_classes(40, seed=1, name="real")
    figure = spectrum([fake], real)
    lines = {line.get_label(): np.asarray(line.get_ydata()) for line in figure.axes[0].lines}
    classes = [fake.features[fake.labels == c] for c in range(3)]
    expected = torch.stack([eigenvalues(rows) for rows in classes]).mean(0)
    mean = sum(vendi(rows) for rows in classes) / 3
    assert lines[f"a (Vendi {mean:.2f})"] == pytest.approx(expected.numpy())
    assert [label.split(" (")[0] for label in lines] == ["a", "random real"]
    one = spectrum([fake], label=1)
    assert f"Vendi Score {vendi(classes[1]):.2f}" in one.alt
    assert "class c1" in one.alt


def test_unequal_numbers_of_images_do_not_compare():
    few, many = gaussian_classes(5, name="a"), gaussian_classes(6, name="b")
    with pytest.raises(InputError, match="unequal images per class do not compare"):
        spectrum([few, many])
    uneven = make_embeddings(torch.randn(5, 6), [0, 0, 0, 1, 1], "u")
    with pytest.raises(InputError, match="u: has unequal images per class"):
        spectrum([uneven])
    with pytest.raises(InputError, match="class 3: there are 3 classes"):
        spectrum([few], label=3)
    with pytest.raises(InputError, match="no set was given"):
        spectrum([])


def test_real_images_that_are_too_few_are_left_out():
    real = gaussian_classes(4, name="real")
    assert len(spectrum([gaussian_classes(5, name="a")], real).axes[0].lines) == 1


def test_an_unlabelled_set_has_one_spectrum():
    flat = replace(make_embeddings(torch.randn(6, 8), [0] * 6, "flat"), labelled=False, classes=("all",))
    figure = spectrum([flat])
    assert len(figure.axes[0].lines[0].get_ydata()) == 6
    assert "the whole set" in figure.alt


def test_an_unlabelled_set_is_compared_with_all_real_images_and_has_no_class():
    real = gaussian_classes(40, seed=1, name="real")
    flat = replace(gaussian_classes(6, name="flat"), labelled=False)
    random = spectrum([flat], real).axes[0].lines[1]
    everything = torch.stack([eigenvalues(random_rows(real.features, 18, seed)) for seed in range(5)]).mean(0)
    assert np.asarray(random.get_ydata()) == pytest.approx(everything.numpy())
    for draw in (
        lambda: spectrum([flat], real, label=0),
        lambda: tsne(real, [flat], label=0, perplexity=5),
        lambda: by_coverage(real, flat, 0),
        lambda: nearest_real(real, flat, 0),
    ):
        with pytest.raises(InputError, match="flat: has no class labels"):
            draw()
