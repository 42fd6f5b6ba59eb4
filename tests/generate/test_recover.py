import msgspec
import pytest
import torch

from divbench.errors import RecipeError, RecoveryError
from divbench.generate.batches import check_pairs, plan_batches
from divbench.generate.recipe import Adam, Sgd, load_recipe
from divbench.generate.recover import Pieces, learning_rate, recover
from divbench.generate.terms import resolve_terms
from tests.generate.views import a_view

RECIPE = load_recipe("digits/sre2l")


def quiet(done, losses):
    pass


def pieces_of(start, look=None):
    """Images are a parameter [4, 3, 2, 2]; their first values are the logits."""
    images = start.clone().requires_grad_()

    def see(images, labels, step):
        view, _ = a_view(2, 2, (3, 3), dtype=torch.float32, features=images.flatten(1))
        view = type(view)(images, labels, 2, images[:, :2, 0, 0], view.features, (), view.real)
        return {"method": view, "teacher": view}

    def project():
        images.clamp_(-3, 3)

    labels = torch.tensor([0, 0, 1, 1])
    return Pieces([images], lambda step: (images, labels), look or see, project)


def run(pieces, terms=None, report=quiet, **changes):
    recipe = msgspec.structs.replace(RECIPE, **{"iterations": 50, **changes})
    return recover(pieces, resolve_terms(terms or {"cross_entropy": {"weight": 2.0}}), recipe, report)


def noise(seed=0):
    return torch.randn(4, 3, 2, 2, generator=torch.Generator().manual_seed(seed))


def test_the_loss_goes_down_and_the_range_holds():
    found = run(pieces_of(noise()))
    assert found.losses.shape == (50, 1)
    assert found.losses[-1] < 0.2 * found.losses[0]
    assert found.images.abs().max() <= 3


def test_it_is_adam_with_half_a_cosine():
    start, settings = noise(), RECIPE.optimizer
    images = start.clone().requires_grad_()
    adam = torch.optim.Adam([images], lr=settings.lr, betas=settings.betas)
    cosine = torch.optim.lr_scheduler.CosineAnnealingLR(adam, T_max=50)
    for _ in range(50):
        adam.zero_grad()
        (2 * torch.nn.functional.cross_entropy(images[:, :2, 0, 0], torch.tensor([0, 0, 1, 1]))).backward()
        adam.step()
        cosine.step()
        images.data.clamp_(-3, 3)
    torch.testing.assert_close(run(pieces_of(start)).images, images.detach(), rtol=1e-4, atol=1e-5)
    assert learning_rate(Sgd(lr=2.0, momentum=0.5, schedule="constant"), 7, 10) == 2.0
    assert learning_rate(Adam(lr=2.0, betas=(0.5, 0.9), schedule="cosine"), 5, 10) == pytest.approx(1.0)


def test_a_term_may_begin_late():
    terms = {"cross_entropy": {"weight": 1.0}, "cosine_diversity": {"weight": 1.0, "begin": 0.5}}
    losses = run(pieces_of(noise()), terms).losses
    assert (losses[:25, 0] == 0).all()
    assert (losses[25:, 0] != 0).all()


def test_progress_tells_every_step_once_and_the_parts():
    said = []
    run(pieces_of(noise()), report=lambda done, losses: said.append((done, losses)))
    assert sum(done for done, _ in said) == 50
    assert set(said[-1][1]) == {"cross_entropy"}


@pytest.mark.parametrize("where", [0, 33])
def test_a_loss_that_is_no_number_stops_it_and_names_step_and_term(where):
    pieces = pieces_of(noise())

    def look(images, labels, step):
        views = pieces.look(images, labels, step)
        if step == where:
            view = views["method"]
            object.__setattr__(view, "logits", view.logits * float("nan"))
        return views

    broken = Pieces(pieces.parameters, pieces.render, look, pieces.project)
    terms = {"cosine_diversity": {"weight": 1.0}, "cross_entropy": {"weight": 1.0}}
    with pytest.raises(RecoveryError, match=f"step {where}: cross_entropy is NaN") as caught:
        run(broken, terms)
    assert caught.value.step == where
    assert caught.value.images.isfinite().all()
    expected = noise() if where == 0 else None
    assert expected is None or torch.equal(caught.value.images, expected)


def test_a_gradient_that_is_no_number_is_found_though_the_loss_was_one():
    pieces = pieces_of(noise())

    def look(images, labels, step):
        # sqrt has an infinite gradient at zero.
        return pieces.look(images + (0 * images).abs().sqrt(), labels, step)

    with pytest.raises(RecoveryError, match="NaN or infinite") as caught:
        run(Pieces(pieces.parameters, pieces.render, look, pieces.project))
    assert torch.equal(caught.value.images, noise())


def test_batches_are_class_grouped_and_cover_the_set():
    recipe = msgspec.structs.replace(
        RECIPE, ipc=25, batch=msgspec.structs.replace(RECIPE.batch, classes=4, per_class=10)
    )
    batches = plan_batches(recipe, 10)
    assert [b.number for b in batches] == list(range(9))
    assert batches[0].labels.tolist() == [c for c in range(4) for _ in range(10)]
    seen = [(c, i) for b in batches for c in b.classes for i in b.ids]
    assert sorted(seen) == [(c, i) for c in range(10) for i in range(25)]


@pytest.mark.parametrize(("ipc", "per_class"), [(1, 10), (10, 1), (21, 10)])
def test_diversity_of_single_images_is_refused(ipc, per_class):
    recipe = msgspec.structs.replace(RECIPE, ipc=ipc, batch=msgspec.structs.replace(RECIPE.batch, per_class=per_class))
    batches = plan_batches(recipe, 10)
    check_pairs(batches, resolve_terms({"cross_entropy": {"weight": 1.0}}))
    with pytest.raises(
        RecipeError, match=r"cosine_diversity compares images of one class.*one image of each.*batch\.per_class"
    ):
        check_pairs(batches, resolve_terms({"cosine_diversity": {"weight": 1.0}}))
