import math
from dataclasses import replace

import pytest
import torch
from torchmetrics.functional.pairwise import pairwise_cosine_similarity, pairwise_euclidean_distance

from divbench.errors import RecipeError
from divbench.generate.terms import TERMS, resolve_terms
from divbench.generate.terms.classification import cross_entropy
from divbench.generate.terms.dire import (
    cosine_distribution_matching,
    cosine_diversity,
    euclidean_distribution_matching,
    pair_distances,
)
from divbench.generate.terms.dire_released import (
    released_cosine_diversity,
    released_cosine_matching,
    released_euclidean_matching,
)
from divbench.generate.terms.moments import mean_matching
from divbench.generate.terms.normalisation import bn_matching
from divbench.generate.terms.open_questions import coreset_distribution_matching, dpp_diversity
from divbench.generate.view import unit_rows
from tests.generate.views import a_view, norm_inputs


def by_class(view):
    return view.features.view(view.classes, -1, view.features.shape[1])


def cosine(a, b):
    return float(a @ b / (a.norm() * b.norm()))


@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_the_cosine_terms_are_sums_over_pairs(reduction):
    view, real = a_view()
    own = matching = 0.0
    for fake, rows in zip(by_class(view), real, strict=True):
        pairs = [cosine(a, b) for i, a in enumerate(fake) for j, b in enumerate(fake) if i != j]
        across = [1 - cosine(a, b) for a in fake for b in rows]
        own += sum(pairs) / (len(pairs) if reduction == "mean" else 1)
        matching += sum(across) / (len(across) if reduction == "mean" else 1)
    assert cosine_diversity(view, reduction).item() == pytest.approx(own, rel=1e-12)
    assert cosine_distribution_matching(view, reduction).item() == pytest.approx(matching, rel=1e-12)


@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_the_euclidean_term_is_a_sum_over_pairs(reduction):
    view, real = a_view()
    expected = 0.0
    for fake, rows in zip(by_class(view), real, strict=True):
        distances = [float((a - b).norm()) for a in fake for b in rows]
        expected += sum(distances) / (len(distances) if reduction == "mean" else 1)
    assert euclidean_distribution_matching(view, reduction).item() == pytest.approx(expected, rel=1e-12)


def test_all_three_agree_with_torchmetrics():
    """At the shape and in the type that they run in: 10 images and 500 real ones of 512 positive features."""
    g = torch.Generator().manual_seed(0)
    view, real = a_view(5, 10, (500, 480, 500, 450, 3), 512, torch.float32)
    view = replace(view, features=torch.rand(50, 512, generator=g) + 0.5)
    own = matching = distance = 0.0
    for fake, rows in zip(by_class(view).double(), real, strict=True):
        k = len(fake)
        own += pairwise_cosine_similarity(fake).sum().item() / (k * (k - 1))
        matching += (1 - pairwise_cosine_similarity(fake, rows.double())).mean().item()
        distance += pairwise_euclidean_distance(fake, rows.double()).mean().item()
    assert cosine_diversity(view).item() == pytest.approx(own, rel=1e-6)
    assert cosine_distribution_matching(view).item() == pytest.approx(matching, rel=1e-6)
    assert euclidean_distribution_matching(view).item() == pytest.approx(distance, rel=1e-6)


def test_the_released_terms_are_the_released_lines():
    """utils_regularized.py 143-171 of DIL-IITH/DiRe, whose torchmetrics calls are repeated here."""
    view, real = a_view()
    a = b = c = 0.0
    for fake, rows in zip(by_class(view), real, strict=True):
        a += pairwise_cosine_similarity(fake, zero_diagonal=True).abs().mean().item()
        b += pairwise_euclidean_distance(fake, rows, zero_diagonal=True).mean().item()
        c += (1 - pairwise_cosine_similarity(fake, rows, zero_diagonal=True)).abs().mean().item()
    assert released_cosine_diversity(view).item() == pytest.approx(a, rel=1e-12)
    assert released_euclidean_matching(view).item() == pytest.approx(b, rel=1e-9)
    assert released_cosine_matching(view).item() == pytest.approx(c, rel=1e-12)


def test_zeroing_a_rectangular_diagonal_hides_pairs():
    """The trap in the released code: K of the K N pairs count as equal, which matters where N is small."""
    for n, hidden in ((4, 0.25), (400, 0.0025)):
        view, real = a_view(1, 4, (n,))
        whole = euclidean_distribution_matching(view).item()
        diagonal = sum(float((view.features[i] - real[0][i]).norm()) for i in range(4)) / (4 * n)
        assert released_euclidean_matching(view).item() == pytest.approx(whole - diagonal)
        assert diagonal / whole == pytest.approx(hidden, rel=0.3)


def test_equal_images_cost_most_and_opposite_ones_least():
    row = torch.randn(1, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    assert cosine_diversity(a_view(1, 2, (3,), features=row.repeat(2, 1))[0]).item() == pytest.approx(1)
    assert cosine_diversity(a_view(1, 2, (3,), features=torch.cat([row, -row]))[0]).item() == pytest.approx(-1)


def test_bn_matching_against_a_layer_by_hand():
    norms = norm_inputs(3, 5)
    (m0, v0, sm0, sv0), (m1, v1, sm1, sv1) = norms
    expected = 10 * ((m0 - sm0).norm() + 2 * (v0 - sv0).norm()) + (m1 - sm1).norm() + 2 * (v1 - sv1).norm()
    view, _ = a_view(norms=norms)
    assert bn_matching(view, first=10, variance=2).item() == pytest.approx(expected.item())
    assert bn_matching(a_view(norms=norms[:1])[0], first=1).item() == pytest.approx(
        ((m0 - sm0).norm() + (v0 - sv0).norm()).item()
    )


def test_cross_entropy_is_a_mean_in_nats():
    view, _ = a_view()
    expected = -sum(math.log(p[c]) for p, c in zip(view.logits.softmax(1).tolist(), view.labels, strict=True)) / 12
    assert cross_entropy(view).item() == pytest.approx(expected)


def test_mean_matching_is_the_squared_distance_of_means():
    view, real = a_view()
    expected = sum(float((f.mean(0) - r.mean(0)).square().sum()) for f, r in zip(by_class(view), real, strict=True))
    assert mean_matching(view).item() == pytest.approx(expected)


def test_dpp_is_a_log_determinant():
    view, _ = a_view()
    expected = 0.0
    for fake in by_class(view):
        unit = fake / fake.norm(dim=1, keepdim=True)
        gram = (unit @ unit.T + 0.1 * torch.eye(4, dtype=torch.float64)) / 1.1
        expected -= torch.linalg.slogdet(gram).logabsdet.item() / 4
    assert dpp_diversity(view, ridge=0.1).item() == pytest.approx(expected)
    square = a_view(1, 2, (3,), dim=2, features=torch.eye(2, dtype=torch.float64))[0]
    assert dpp_diversity(square).item() == pytest.approx(0, abs=1e-12)


def test_dpp_sees_dependence_that_pairs_do_not():
    """Three images at 120 degrees have the smallest cosines, but one is a combination of the others."""
    angles = torch.tensor([0.0, 2.0, 4.0], dtype=torch.float64) * math.pi / 3
    flat = torch.stack([angles.cos(), angles.sin(), 0 * angles], 1)
    whole = torch.eye(3, dtype=torch.float64)
    views = [a_view(1, 3, (3,), dim=3, features=rows)[0] for rows in (flat, whole)]
    assert cosine_diversity(views[0]) < cosine_diversity(views[1])
    assert dpp_diversity(views[0]) > dpp_diversity(views[1])


def test_a_coreset_of_all_images_is_all_images():
    view, _ = a_view(dtype=torch.float32)
    whole = euclidean_distribution_matching(view)
    assert coreset_distribution_matching(view, size=7).item() == pytest.approx(whole.item(), rel=1e-6)
    assert coreset_distribution_matching(view, size=3).item() == pytest.approx(whole.item(), rel=0.2)


@pytest.mark.parametrize("name", sorted(set(TERMS)))
def test_gradients_in_float64(name):
    view, _ = a_view(2, 3, (5, 4), 4)
    known = TERMS[name]
    settings = {"size": 2} if name.startswith("coreset") else {}

    def loss(features, logits, mean, variance):
        norms = (view_norms[0]._replace(mean=mean, variance=variance), view_norms[1])
        return known.function(replace(view, features=features, logits=logits, norms=norms), **settings)

    view_norms = norm_inputs(3, 3)
    inputs = [view.features, view.logits, view_norms[0].mean, view_norms[0].variance]
    leaves = tuple(value.clone().requires_grad_() for value in inputs)
    assert torch.autograd.gradcheck(loss, leaves)
    grads = torch.autograd.grad(loss(*leaves), leaves, allow_unused=True)
    assert any(g.abs().sum() > 0 for g in grads if g is not None)


@pytest.mark.parametrize("name", sorted(set(TERMS)))
def test_gradients_are_finite_where_images_coincide(name):
    """With each other, with a real image, and with zero; batch statistics equal to the stored ones."""
    view, real = a_view(2, 3, (5, 4), 4, torch.float32)
    features = torch.stack([real[0][0], real[0][0], torch.zeros(4), real[1][1], real[1][1], real[1][2]])
    norm = norm_inputs(3, dtype=torch.float32)[0]
    mean = norm.stored_mean.clone().requires_grad_()
    leaf = features.clone().requires_grad_()
    norms = (norm._replace(mean=mean, variance=norm.stored_variance + 0 * mean),)
    loss = TERMS[name].function(replace(view, features=leaf, norms=norms, logits=leaf[:, :2]))
    assert loss.isfinite()
    grads = torch.autograd.grad(loss, (leaf, mean), allow_unused=True)
    assert all(g is None or g.isfinite().all() for g in grads)


def test_distances_below_rounding_are_zero_and_others_exact():
    g = torch.Generator().manual_seed(0)
    b = torch.randn(1, 6, 64, generator=g)
    a = torch.cat([b[:, :2], b[:, :2] + 1e-2], 1)
    found = pair_distances(a, b)
    assert found[0, 0, 0] == 0
    exact = (a.double()[:, :, None] - b.double()[:, None]).norm(dim=-1)
    # Rounding of the squares, 2^-24 of about 128, weighs most where the distance is smallest, 0.08.
    torch.testing.assert_close(found.double(), exact, rtol=1e-6, atol=2e-4)


def test_padding_of_smaller_classes_counts_for_nothing():
    view, real = a_view(dtype=torch.float32)
    for name in ("cosine_distribution_matching", "euclidean_distribution_matching", "released_cosine_matching"):
        alone = 0.0
        for c, rows in enumerate(real):
            one, _ = a_view(1, 4, (1,), dtype=torch.float32, features=by_class(view)[c])
            one = replace(one, real=type(one.real)(rows[None], torch.tensor([float(len(rows))])))
            alone += TERMS[name].function(one).item()
        assert TERMS[name].function(view).item() == pytest.approx(alone, rel=1e-5)


def test_unit_rows_keep_zero():
    rows = unit_rows(torch.tensor([[3.0, 4.0], [0.0, 0.0]]))
    assert rows.tolist() == [[pytest.approx(0.6), pytest.approx(0.8)], [0.0, 0.0]]


def test_every_term_says_its_source_and_what_it_is():
    for name, known in TERMS.items():
        assert known.cite, name
        assert known.summary.endswith("."), name


def test_recipes_name_terms_and_their_settings():
    found = resolve_terms({"cross_entropy": {"weight": 2}, "bn_matching": {"weight": 0, "first": 3}})
    assert [(w.term.name, w.weight, w.begin) for w in found] == [("cross_entropy", 2.0, 0.0)]
    with pytest.raises(RecipeError, match="did you mean 'cosine_diversity'"):
        resolve_terms({"cosine_diversty": {"weight": 1.0}})
    with pytest.raises(RecipeError, match=r"term 'bn_matching' has no setting 'frist'; settings: weight, begin, first"):
        resolve_terms({"bn_matching": {"weight": 1.0, "frist": 3}})
    with pytest.raises(RecipeError, match="first is a number, got 'ten'"):
        resolve_terms({"bn_matching": {"weight": 1.0, "first": "ten"}})
    with pytest.raises(RecipeError, match="begin = 1.5"):
        resolve_terms({"bn_matching": {"weight": 1.0, "begin": 1.5}})
    with pytest.raises(RecipeError, match="nothing to optimise"):
        resolve_terms({"bn_matching": {"weight": 0.0}})
    with pytest.raises(RecipeError, match="expected mean or sum"):
        cosine_diversity(a_view()[0], "max")
