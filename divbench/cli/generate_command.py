"""``divbench generate``."""

from pathlib import Path
from typing import Any

import click

from divbench.cli import _options
from divbench.cli._progress import progress_bar

_WEAK = 0.5  # accuracy of a teacher below which a caution is printed


@click.command()
@click.argument("recipe")
@_options.real
@click.option("--split", default=None, help="Part of the real data.  [default: the first of a named data set]")
@click.option("--teacher", type=_options.PATH, default=None, help="Trained network, such as 'divbench squeeze' writes.")
@click.option(
    "--net", default=None, help="The teacher's network, if its file does not say: see 'divbench list networks'."
)
@click.option("--mean-std", default=None, help="Normalisation, if the teacher's file does not say: see 'score'.")
@click.option("--ipc", type=click.IntRange(1), default=None, help="Images per class.  [default: the recipe's]")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Of all that is random.")
@click.option(
    "--set",
    "changes",
    multiple=True,
    metavar="KEY=VALUE",
    help="Change a value of the recipe, such as terms.cosine_diversity.weight=0. May be repeated.",
)
@click.option("--start", type=str, default=None, help="Set to start from, with --set start=stored.")
@click.option(
    "--normalized", default=None, help="How float tensors of the set to start from were normalised: see 'score'."
)
@click.option(
    "--layout",
    type=click.Choice(["divbench", "sre2l"]),
    default="divbench",
    show_default=True,
    help="sre2l: images/new000/class000_id000, for other people's tools.",
)
@click.option("--float", "keep_float", is_flag=True, help="Keep the images before rounding, too.")
@_options.data_dir
@_options.download
@_options.device
@click.option("--no-cache", is_flag=True, help="Neither use nor keep features of real images of earlier runs.")
@click.option("-o", "--output", type=_options.PATH, required=True, help="Folder to write; must be new.")
def generate(
    recipe: str, real: str, split: str | None, teacher: Path | None, net: str | None, mean_std: str | None,
    ipc: int | None, seed: int, changes: tuple[str, ...], start: str | None, normalized: str | None, layout: str,
    keep_float: bool, data_dir: Path | None, download: bool, device: str | None, no_cache: bool, output: Path,
) -> None:  # fmt: skip
    """Distil REAL data by RECIPE: sre2l+dire, cifar10/cda, a .toml file, ... (see 'divbench list recipes').

    Interrupted, the same command goes on where it was. Several processes: torchrun -m divbench generate ...
    """
    from divbench import parallel
    from divbench.generate.recipe import change, load_recipe

    if ipc is not None and any(change.startswith("ipc=") for change in changes):
        raise click.UsageError("--ipc and --set ipc=... say the same thing; give one of them")
    changes += () if ipc is None else (f"ipc={ipc}",)
    rules = change(load_recipe(recipe, real if "/" not in recipe else None), changes)

    from divbench.cache import Cache
    from divbench.embedders import choose_device
    from divbench.generate.generate import generate as run
    from divbench.generate.job import Options
    from divbench.images import read_images
    from divbench.progress import no_progress
    from divbench.teacher import load_teacher

    first = parallel.rank() == 0
    truth = read_images(real, split=split, data_dir=data_dir, download=download)
    options = Options(
        seed=seed,
        start=None if start is None else read_images(start, normalized=normalized, data_dir=data_dir),
        mean_std=mean_std,
        layout=layout,  # type: ignore[arg-type]
        keep_float=keep_float,
        device=choose_device(device),
        cache=None if no_cache else Cache(),
    )
    taught = None if teacher is None else load_teacher(teacher, net=net, mean_std=mean_std)
    if first:
        click.echo(f"{truth.name}: {truth.recognised}", err=True)
    _options.warn_of_slow_bfloat16(rules.precision, options.device)
    there = output.exists()
    made = run(rules, truth, output, teacher=taught, options=options, progress=progress_bar if first else no_progress)
    if first:
        if there:
            click.echo(f"{output}: is complete already; nothing was done", err=True)
        if taught is not None and made.teacher_sha256 is None:
            click.echo(f"{teacher}: was not used, since neither the method nor a term needs a teacher", err=True)
        click.echo(_summary(made, output))


def _summary(made: Any, output: Path) -> str:
    """What a user wants to know of a set that was made."""
    losses = ", ".join(f"{name} {first:.4g} -> {last:.4g}" for name, (first, last) in made.losses.items())
    sizes = ", ".join(f"{what} {count / 2**20:.2f} MiB" for what, count in made.bytes.items() if count)
    seconds = ", ".join(f"{what} {spent:.1f} s" for what, spent in made.seconds.items())
    known = "" if made.teacher_accuracy is None else f"teacher: right on {made.teacher_accuracy:.1%} of real images\n"
    if made.teacher_accuracy is not None and made.teacher_accuracy < _WEAK:
        known += "caution: images are no better than what their teacher knows; train it longer\n"
    known += f"weighted losses: {losses}\n" if losses else ""
    return f"{output}: {made}\n{known}{seconds}; {sizes}"
