"""``divbench squeeze``."""

from pathlib import Path
from typing import Any

import click

from divbench.cli import _options
from divbench.cli._progress import progress_bar


@click.command()
@click.argument("real")
@click.option(
    "-o",
    "--output",
    type=_options.PATH,
    default="teacher.safetensors",
    show_default=True,
    help="File to write; must be new.",
)
@click.option(
    "--like",
    default=None,
    help="Data set whose numbers are used, such as cifar10, or a .toml file.  [default: REAL, if it is a name]",
)
@_options.changes
@click.option("--net", default=None, help="See 'divbench list networks'.  [default: that of the numbers]")
@click.option("--epochs", type=click.IntRange(1), default=None, help="Passes over the images.  [default: as published]")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Of weights, order, augmentation.")
@click.option("--split", default=None, help="Part of REAL to train on.  [default: the first of a named data set]")
@click.option(
    "--test", default=None, help="Data to test on.  [default: the other split of a named data set, else some of REAL]"
)
@_options.data_dir
@_options.download
@_options.device
def squeeze(
    real: str, output: Path, like: str | None, changes: tuple[str, ...], net: str | None,
    epochs: int | None, seed: int, split: str | None, test: str | None, data_dir: Path | None, download: bool,
    device: str | None,
) -> None:  # fmt: skip
    """Train a teacher on REAL data: a folder, file, archive or data set name.

    Interrupted, the same command goes on where it was. Several processes: torchrun -m divbench squeeze ...
    """
    from divbench import parallel
    from divbench.train.recipe import change_training, load_training

    values = _options.parse_changes(changes)
    recipe = change_training(load_training("teachers", like or real), **{"net": net, "epochs": epochs, **values})

    from divbench.embedders import choose_device
    from divbench.generate.squeeze import squeeze as run
    from divbench.images import DATASETS, read_images
    from divbench.progress import no_progress

    first, where = parallel.rank() == 0, choose_device(device)
    truth = read_images(real, split=split, data_dir=data_dir, download=download)
    part = None
    if test is None and real in DATASETS:  # the other split, where there is one
        part = next((name for name in DATASETS[real].splits if name != (split or DATASETS[real].splits[0])), None)
    known = None if test is None and part is None else read_images(test or real, split=part, data_dir=data_dir)
    if first:
        click.echo(f"{truth.name}: {truth.recognised}", err=True)
    _options.warn_of_slow_bfloat16(recipe.precision, where)
    made = run(
        truth,
        recipe,
        output,
        test=known,
        seed=seed,
        device=where,
        progress=progress_bar if first else no_progress,
        report=lambda record: click.echo(_epoch(record), err=True),
    )
    if first:
        right = "not tested" if made.accuracy is None else f"right on {made.accuracy:.1%} of {made.tested_on}"
        click.echo(f"{output}: {recipe.net}, {recipe.epochs} epochs, {right}; sha256 {made.sha256[:16]}")


def _epoch(record: Any) -> str:
    """What a user wants to know of an epoch of training."""
    tested = "" if record.test_accuracy is None else f", test {record.test_accuracy:.1%}"
    spent = "" if record.seconds is None else f", {record.seconds:.1f} s"
    return f"epoch {record.epoch}: loss {record.loss:.4f}, training {record.train_accuracy:.1%}{tested}{spent}"
