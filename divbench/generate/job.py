"""A job: recipe, real data and teacher that were found to fit together, before the first step is made."""

from dataclasses import dataclass, field

import msgspec
import torch
from torch import Tensor, nn

from divbench.cache import Cache
from divbench.constants import MEAN_STD, MeanStd, parse_mean_std
from divbench.embedders import choose_device
from divbench.errors import InputError, RecipeError
from divbench.generate.batches import Batch, check_pairs, plan_batches
from divbench.generate.methods import METHODS, Method
from divbench.generate.real import FeatureBank, RealImages, accuracy, feature_bank, image_size
from divbench.generate.recipe import Fkd, Recipe, Static
from divbench.generate.relabel import check_settings
from divbench.generate.terms import Weighted, resolve_terms
from divbench.images import ImageSet, match_classes, take_per_class
from divbench.images.writer import FolderLayout
from divbench.progress import Progress
from divbench.seeds import seeded
from divbench.teacher import Teacher

_BETTER_THAN_CHANCE = 0.05
"""Share of the way from chance to always that a teacher must have come to count as knowing the data."""


@dataclass(frozen=True)
class Options:
    """How to generate, beside the recipe.

    Attributes:
        seed: of all that is random.
        start: the set whose images a recipe with ``start = "stored"`` begins with.
        mean_std: normalisation of the images where there is no teacher; see `parse_mean_std`.
        layout: of the folder; see `write_images`.
        keep_float: keep the images before rounding as well, in ``master.safetensors``.
        device: where to compute; default: the GPU of this process if there is one, else the CPU.
        cache: where teacher features of real images are kept between runs.
    """

    seed: int = 0
    start: ImageSet | None = None
    mean_std: str | None = None
    layout: FolderLayout = "divbench"
    keep_float: bool = False
    device: torch.device = field(default_factory=lambda: choose_device(None))
    cache: Cache | None = None


@dataclass(frozen=True, eq=False)
class Job:
    """All that is known before the first step.

    Attributes:
        recipe, options: what was asked for.
        method, terms: of the recipe; terms without weight are left out.
        real: the real images.
        teacher: None where nothing needs it.
        mean_std: normalisation of the images, per channel.
        batches: of the whole set, whichever process does them.
        bank: teacher features of the real images; None where no term asks for them.
        start: [C, ipc, 3, S, S] uint8, stored images to start from; None for other starts.
        accuracy: share of a sample of real images that the teacher classifies rightly.
    """

    recipe: Recipe
    options: Options
    method: Method
    terms: list[Weighted]
    real: RealImages
    teacher: Teacher | None
    mean_std: MeanStd
    batches: list[Batch]
    bank: FeatureBank | None
    start: Tensor | None
    accuracy: float | None

    def start_rows(self, label: int) -> Tensor:
        """[ipc] int64: the real images that a class starts with, chosen at once so that no two batches share one."""
        if self.recipe.start == "kmeans" and self.bank is not None:
            return self.bank.central(self.real.rows(label), self.recipe.ipc, self.options.seed)
        return self.real.draw(label, self.recipe.ipc, seeded(self.options.seed, "start", "class", label))


def prepare(recipe: Recipe, real: ImageSet, teacher: Teacher | None, options: Options, progress: Progress) -> Job:
    """Check that recipe, real data and teacher fit together, and embed the real images where terms ask for them.

    Raises:
        RecipeError: the recipe contradicts itself.
        InputError: something does not fit, or a teacher is missing.
    """
    method, terms = METHODS[str(recipe.method["name"])], resolve_terms(recipe.terms)
    recipe = _resolved(recipe, method, terms)
    _check_served(method, terms)
    if not real.labelled:
        raise InputError(f"{real.name}: has no classes; give real data with class folders")
    batches = plan_batches(recipe, len(real.classes))
    check_pairs(batches, terms)
    if isinstance(recipe.labels, Static | Fkd):
        check_settings(recipe.labels, recipe.ipc * len(real.classes))
    used = _teacher(recipe, method, terms, teacher)
    images = RealImages(real, image_size(real, used))
    images.check_enough(recipe.ipc if recipe.start in ("real", "kmeans") else 1, f"start = {recipe.start!r}")
    share = None if used is None else _check_teacher(used, images, options)
    if used is not None and any("norms" in w.term.needs for w in terms) and not _has_norms(used):
        raise InputError(f"teacher {used.name} is a {used.net} without BatchNorm; set terms.bn_matching.weight=0")
    start = _stored_start(recipe, real, images.size, options)
    bank = None
    if used is not None and (recipe.start == "kmeans" or _ask_real(method, terms)):
        with progress(f"features of {real.name}", len(real)) as advance:
            bank = feature_bank(images, used, recipe.real, device=options.device, cache=options.cache, progress=advance)
    mean_std = _mean_std(recipe, used, options)
    return Job(recipe, options, method, terms, images, used, mean_std, batches, bank, start, share)


def _resolved(recipe: Recipe, method: Method, terms: list[Weighted]) -> Recipe:
    """The recipe with the defaults of its method and terms written out, so that it says all there is to know."""
    used = {w.term.name: {"weight": w.weight, "begin": w.begin, **w.settings} for w in terms}
    settings = {"name": method.name, **method.resolve(recipe)}
    return msgspec.structs.replace(recipe, terms={**recipe.terms, **used}, method=settings)


def _check_served(method: Method, terms: list[Weighted]) -> None:
    """Raise `RecipeError` where a term needs what the networks of the method do not show."""
    for w in terms:
        lacking = (w.term.needs & {"logits", "norms"}) - method.shows if w.term.sees == "method" else set()
        if lacking:
            raise RecipeError(
                f"term {w.term.name!r} needs {' and '.join(sorted(lacking))}, which the networks of method "
                f"{method.name!r} do not have; set terms.{w.term.name}.weight=0"
            )


def _has_norms(teacher: Teacher) -> bool:
    return any(isinstance(module, nn.BatchNorm2d) for module in teacher.network().modules())


def _ask_real(method: Method, terms: list[Weighted]) -> bool:
    """Whether a term compares with features of the real images in the teacher's eyes."""
    return any("real" in w.term.needs and (method.needs_teacher or w.term.sees == "teacher") for w in terms)


def _teacher(recipe: Recipe, method: Method, terms: list[Weighted], given: Teacher | None) -> Teacher | None:
    """The given teacher where something needs it."""
    asking = [f"method {method.name!r}"] if method.needs_teacher else []
    asking += [f"term {w.term.name!r}" for w in terms if w.term.sees == "teacher"]
    asking += ["start = 'kmeans'"] if recipe.start == "kmeans" else []
    asking += ["soft labels"] if isinstance(recipe.labels, Static | Fkd) else []
    if asking and given is None:
        raise InputError(f"{', '.join(asking)} needs a teacher; give --teacher FILE, which 'divbench squeeze' makes")
    return given if asking else None


def _check_teacher(teacher: Teacher, images: RealImages, options: Options) -> float:
    """The teacher's accuracy on a sample of the real images; raises `InputError` where it does not know them."""
    teacher.check_fits(images.images)
    share = accuracy(images, teacher, options.device, options.seed)
    chance = 1 / teacher.outputs
    if share < chance + _BETTER_THAN_CHANCE * (1 - chance):
        raise InputError(
            f"teacher {teacher.name} classifies {share:.1%} of a sample of {images.images.name} rightly, little better "
            f"than chance ({chance:.1%}): its classes are in another order, its mean and std are wrong, "
            "or it was trained on other data"
        )
    return share


def _mean_std(recipe: Recipe, teacher: Teacher | None, options: Options) -> MeanStd:
    if teacher is not None:
        return teacher.mean_std
    if options.mean_std is not None:
        return parse_mean_std(options.mean_std)
    return MEAN_STD.get(
        {"imagenette": "imagenet", "digits": "none"}.get(recipe.dataset, recipe.dataset), MEAN_STD["none"]
    )


def _stored_start(recipe: Recipe, real: ImageSet, size: int, options: Options) -> Tensor | None:
    """[C, ipc, 3, S, S] uint8."""
    if (recipe.start == "stored") != (options.start is not None):
        raise RecipeError(
            "the recipe has start = 'stored', so it needs a set to start from (--start SET)"
            if recipe.start == "stored"
            else f"a set to start from was given, but the recipe has start = {recipe.start!r}; add --set start=stored"
        )
    if options.start is None:
        return None
    matched = match_classes(options.start, real.classes).fake
    taken = take_per_class(matched, recipe.ipc)
    order = taken.labels.argsort(stable=True)
    pixels = taken.pixels()[order]
    if tuple(pixels.shape[2:]) != (size, size):
        raise InputError(
            f"{options.start.name}: images have {pixels.shape[3]} x {pixels.shape[2]} pixels, but {size} x {size} are "
            "distilled; resize them"
        )
    return pixels.unflatten(0, (-1, recipe.ipc))
