"""divbench demo: the whole way on scikit-learn's digits, offline: teachers, two distilled sets, students, one table."""

import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import torch

from divbench import parallel
from divbench.combine import load_same, with_accuracies
from divbench.embedders import choose_device
from divbench.errors import OutputError, ResultError
from divbench.evaluate import Embedding, evaluate
from divbench.figures.canvas import save
from divbench.figures.grids import grid
from divbench.files import write_whole
from divbench.generate.generate import generate
from divbench.generate.job import Options
from divbench.generate.recipe import load_recipe
from divbench.generate.squeeze import squeeze
from divbench.images import read_images
from divbench.present import present
from divbench.progress import Progress, no_progress
from divbench.protocol import load_protocol
from divbench.report.config import EmbedderSource, ReportConfig, SetSource
from divbench.results import Result, save_result
from divbench.teacher import load_teacher
from divbench.train.measure import measure_accuracy
from divbench.train.recipe import load_training
from divbench.train.train import Plan

RECIPES = ("sre2l", "sre2l+dire")
STUDENTS, RUNS = "convnet3", 3
SECONDS = {"teacher": 25, "judge": 25, "sre2l": 25, "sre2l+dire": 25, "scores": 10, "students": 40, "page": 10}
"""What each part takes on two cores, roughly."""


PAGE = ReportConfig(
    results=tuple(f"{name}.json" for name in RECIPES),
    title="divbench demo: scikit-learn's digits, distilled without and with DiRe",
    note=(
        "Ten images of each digit, recovered from a ResNet-18 by SRe2L and by SRe2L+DiRe, which differ in three "
        "weights. They are judged by a second ResNet-18 that they have never met, and by students of another "
        "architecture on digits that were used for nothing else."
    ),
    sets=tuple(SetSource(name) for name in RECIPES),
    real="digits",
    embedder=EmbedderSource(weights="judge.safetensors"),
)
"""What the page is made of; reports/demo.toml says the same to `divbench report`."""


@dataclass(frozen=True)
class Demo:
    """What a demo left: the results in the order of `RECIPES`, and the folder with everything else."""

    results: list[Result]
    folder: Path


def demo(folder: Path, *, say: Callable[[str], object] = lambda text: None, progress: Progress = no_progress) -> Demo:
    """Squeeze, distil without and with DiRe, score both and train students on them; nothing is fetched from anywhere.

    Two ResNet-18 are trained that differ in their seeds. One is the teacher that the images are optimised for. The
    other one, which they have never seen, is the judge whose features are scored: so a gain is not just a gain in the
    eyes of the network that was asked for it. The students are others again, and are tested on images that were used
    for nothing else.

    Args:
        folder: where everything is written; a second call finds what is there and goes on.
        say: called with a line of text before each part.
        progress: shows each part.

    Raises:
        OutputError: the folder holds other things of the same names, or cannot be written.
    """
    began = time.perf_counter()
    device = choose_device(None)

    def tell(part: str, text: str) -> None:
        parts = list(SECONDS)
        left = sum(SECONDS[p] for p in parts[parts.index(part) :])
        say(f"[{time.perf_counter() - began:3.0f} s, about {left} s left] {text}")

    _make(folder)
    digits, test = read_images("digits"), read_images("digits", split="test")
    training = load_training("teachers", "digits")
    for seed, name in enumerate(("teacher", "judge")):
        tell(name, f"train the {name}, a ResNet-18 for 8x8 digits, {training.epochs} epochs")
        squeeze(
            digits, training, folder / f"{name}.safetensors", test=test, seed=seed, device=device, progress=progress
        )
    teacher = load_teacher(folder / "teacher.safetensors")
    for name in RECIPES:
        recipe = load_recipe(name, "digits")
        tell(name, f"{name}: recover {recipe.ipc} images per class in {recipe.iterations} steps")
        generate(recipe, digits, folder / name, teacher=teacher, options=Options(device=device), progress=progress)
    tell("scores", "score both in the eyes of the judge, beside controls")
    results = []
    for name in RECIPES:
        judge = Embedding("resnet18", weights=folder / "judge.safetensors", device=str(device))
        images = read_images(folder / name)
        results.append(evaluate([images], digits, load_protocol("paper-resnet18"), judge, progress=progress))
    tell("students", f"train {RUNS} students on each, {STUDENTS}, and test them on digits that nobody has seen")
    for position, name in enumerate(RECIPES):
        plan = Plan("quick", load_training("students", "quick"), (STUDENTS,), RUNS, 0, device)
        path, sets = folder / f"{name}.json", [(read_images(folder / name), None)]
        with suppress(ResultError):  # of an earlier demo, if it made the same images
            results[position] = with_accuracies(results[position], load_same(path, results[position]))
        truth = digits if position == 0 else None  # one yardstick is enough
        results[position] = measure_accuracy(
            sets, test, plan, real=truth, before=results[position], path=path, progress=progress
        )
        if parallel.rank() == 0:
            save_result(results[position], path)
    tell("page", "put all of it on one page")
    parallel.agree(True)  # the results are written
    page = _page(folder, device, progress)
    if parallel.rank() == 0:
        write_whole(folder / "report.html", page.encode())
        save(grid([digits, *(read_images(folder / name) for name in RECIPES)]), folder / "images.png")
    return Demo(results, folder)


def _page(folder: Path, device: torch.device, progress: Progress) -> str:
    """What `divbench report` makes of the folder."""
    return present(PAGE, folder, device=str(device), progress=progress)


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as problem:
        raise OutputError(f"{folder}: cannot be made ({problem.strerror or problem}); give another place") from problem
