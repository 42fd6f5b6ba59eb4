"""``divbench train``."""

from pathlib import Path
from typing import Any

import click

from divbench.cli import _options
from divbench.cli._progress import progress_bar


@click.command()
@click.argument("sets", nargs=-1, required=True, metavar="SET...")
@click.option("--test", required=True, help="Real images to test on: a folder, file, archive or data set name.")
@click.option("--split", default=None, help="Part of the test data.  [default: the last of a named data set]")
@click.option(
    "--recipe",
    default="quick",
    show_default=True,
    help="How to train: see 'divbench list students', or a .toml file with one.",
)
@click.option(
    "--net", default=None, help="Networks, comma-separated: see 'divbench list networks'.  [default: the recipe's]"
)
@click.option(
    "--teacher",
    "teachers",
    type=_options.PATH,
    multiple=True,
    help="Trained network that gives soft labels, if the recipe asks one. Given more than once: their mean.",
)
@click.option("--teacher-net", default=None, help="The teachers' network, if their files do not say: resnet18, ...")
@click.option("--mean-std", default=None, help="Normalisation, if the teachers' files do not say: see 'score'.")
@click.option("--labels", type=_options.PATH, default=None, help="Folder of stored soft labels.  [default: the SET]")
@click.option("--runs", type=click.IntRange(1), default=1, show_default=True, help="Students of each network and SET.")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Of the first run; others count up.")
@click.option("--epochs", type=click.IntRange(1), default=None, help="Passes over the images.  [default: the recipe's]")
@_options.changes
@click.option(
    "--yardsticks", is_flag=True, help="Train on random real images, too, as many as there are in the first SET."
)
@click.option("--real", default=None, help="Real training data for the yardstick.  [default: TEST]")
@click.option(
    "--real-split", default=None, help="Part of it.  [default: train of TEST, or the first of a named data set]"
)
@_options.ipc
@_options.normalized
@_options.per_class
@_options.as_is
@_options.classes
@_options.common_classes
@_options.data_dir_and_default
@_options.download
@_options.device
@click.option("--name", default=None, help="What to call the entry.  [default: as in -o, or from the first SET]")
@click.option(
    "-o",
    "--output",
    type=_options.PATH,
    default=None,
    help="Write the result here (JSON); into the result of 'score' for the same SETs, if that is there.",
)
@_options.format_
def train(
    sets: tuple[str, ...], test: str, split: str | None, recipe: str, net: str | None, teachers: tuple[Path, ...],
    teacher_net: str | None, mean_std: str | None, labels: Path | None, runs: int, seed: int, epochs: int | None,
    changes: tuple[str, ...], yardsticks: bool, real: str | None, real_split: str | None, ipc: int | None,
    normalized: str | None, per_class: int | None, as_is: bool, classes: str | None, common_classes: bool,
    data_dir: Path | None, download: bool, device: str | None, name: str | None, output: Path | None, format_: str,
) -> None:  # fmt: skip
    """Train students on synthetic sets and test them on real images. Several SETs are several seeds of one entry.

    With -o, an interrupted command goes on where it was. Several processes: torchrun -m divbench train ...
    """
    from divbench import parallel
    from divbench.train.recipe import change_training, load_training

    changed = {"epochs": epochs, **_options.parse_changes(changes)}
    rules = change_training(load_training("students", recipe), **changed)
    if real is not None and not yardsticks:
        raise click.UsageError("--real is for the yardstick: add --yardsticks, or leave it out")
    if teachers and rules.labels.kind in ("hard", "fkd") and not yardsticks:
        raise click.UsageError(
            f"--teacher: the recipe has {rules.labels.kind} labels and asks none; leave it out, add --yardsticks to "
            "test it as a ceiling, choose another --recipe, or add --set labels.kind=online --set loss.kind=kl"
        )
    if (mean_std or teacher_net) and not teachers:
        raise click.UsageError("--mean-std and --teacher-net say what teachers are; for students: --set mean_std=...")

    from divbench.embedders import choose_device
    from divbench.images import DATASETS, read_images
    from divbench.progress import no_progress
    from divbench.report.render import render
    from divbench.report.tables import accuracy_table
    from divbench.results import load_result, save_result
    from divbench.teacher import load_teacher
    from divbench.train.measure import Matching, measure_accuracy
    from divbench.train.train import Plan

    if output is not None:
        _options.check_result_file(output)
    plan = Plan(
        name=recipe,
        recipe=rules,
        nets=tuple(net.split(",")) if net else (rules.net,),
        runs=runs,
        seed=seed,
        device=choose_device(device),
        labels=labels,
        kept=None if output is None else output.with_name(f"{output.name}.unfinished"),
    )
    part = split or (DATASETS[test].splits[-1] if test in DATASETS else None)
    tests = read_images(test, split=part, data_dir=data_dir, download=download)
    read = []
    for source in sets:
        repeats = _options.read_sets(
            [source], normalized=normalized, as_is=as_is, per_class=per_class, data_dir=data_dir, download=download
        )
        read += [(images, Path(source) if Path(source).is_dir() else None) for images in repeats]
    if yardsticks:
        part = real_split or (None if real else "train")
        truth = read_images(real or test, split=part, data_dir=data_dir, download=download)
    first = parallel.rank() == 0
    for images in (tests, *(images for images, _ in read), *([truth] if yardsticks else [])) if first else ():
        click.echo(f"{images.name}: {images.recognised}", err=True)
    _options.warn_of_slow_bfloat16(rules.precision, plan.device)
    before = load_result(output) if output is not None and output.exists() else None
    result = measure_accuracy(
        read,
        tests,
        plan,
        name=name,
        matching=Matching(ipc, classes, common_classes),
        teachers=[load_teacher(path, net=teacher_net, mean_std=mean_std) for path in teachers],
        real=truth if yardsticks else None,
        before=before,
        path=output,
        progress=progress_bar if first else no_progress,
        report=lambda title, done: click.echo(f"{title}: {_said(done)}", err=True),
    )
    if first:
        click.echo(render(accuracy_table(result), format_), nl=False)
        if before is not None and before.protocol is not None and result.protocol is None:
            click.echo(
                f"{output}: its diversity was that of {len(before.sets)} of these {len(result.sets)} sets and is left "
                f"out; measure that of all with 'divbench score' and -o {output}",
                err=True,
            )
        if output is not None:
            save_result(result, output)
    plan.forget()


def _said(run: Any) -> str:
    """What a user wants to know of a student."""
    last = run.curve[-1]
    best = f" (best on test {run.best_on_test:.2%} after {run.best_epoch})" if run.best_epoch < last.epoch else ""
    return f"{run.accuracy:.2%} after {last.epoch} epochs{best}, loss {last.loss:.4g}, {run.seconds:.0f} s"
