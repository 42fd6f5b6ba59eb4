"""``divbench regenerate``."""

import sys
from pathlib import Path

import click

from divbench.cli import _options
from divbench.cli._progress import progress_bar


@click.command()
@click.argument("record", type=_options.PATH)
@_options.real
@click.option("--split", default=None, help="Part of the real data.  [default: the first of a named data set]")
@click.option("--teacher", type=_options.PATH, default=None, help="The network that the set was distilled from.")
@click.option("--net", default=None, help="The teacher's network, if its file does not say.")
@click.option("--seed", type=click.IntRange(0), default=None, help="Which set, where RECORD holds several.")
@click.option("--start", type=str, default=None, help="The set that it started from, where it started from one.")
@click.option("--normalized", default=None, help="How float tensors of that set were normalised: see 'score'.")
@_options.classes
@_options.data_dir
@_options.download
@click.option("--no-cache", is_flag=True, help="Neither use nor keep features of real images of earlier runs.")
@click.option("-o", "--output", type=_options.PATH, required=True, help="Folder to write; must be new.")
def regenerate(
    record: Path, real: str, split: str | None, teacher: Path | None, net: str | None, seed: int | None,
    start: str | None, normalized: str | None, classes: str | None, data_dir: Path | None, download: bool,
    no_cache: bool, output: Path,
) -> None:  # fmt: skip
    """Generate a set again from RECORD, and say whether it is the same.

    RECORD is a result file ('divbench score', an entry of a leaderboard), which holds the whole recipe of a set that
    divbench generated, or the folder of such a set. Recipe, seed and layout are taken from there. Exit status: 0, the
    images and their classes are the same to the last bit; 1, they are not, as is to be expected of other processors
    and versions of torch, whose rounding is another. Soft labels are compared, too, where RECORD is a folder: a result
    file holds no digest of them.
    """
    from divbench import parallel
    from divbench.cache import Cache
    from divbench.embedders import choose_device
    from divbench.errors import shorten
    from divbench.generate.job import Options
    from divbench.generate.regenerate import check_new, choose, generated_sets
    from divbench.generate.regenerate import regenerate as run
    from divbench.images import read_images
    from divbench.progress import no_progress
    from divbench.provenance import code_version
    from divbench.teacher import load_teacher

    check_new(output)  # before real data are fetched or read
    before = choose(generated_sets(record), seed, record)
    origin = before.origin
    first = parallel.rank() == 0
    if first:
        click.echo(f"{before.record.name}: {origin}", err=True)
    precision, device = origin.recipe.get("precision", ""), choose_device(origin.device)
    _options.warn_of_slow_bfloat16(precision, device, "regenerate it where there are some")
    options = Options(
        start=None if start is None else read_images(start, normalized=normalized, data_dir=data_dir),
        cache=None if no_cache else Cache(),
    )
    normalised = ",".join(map(repr, (*origin.mean, *origin.std)))
    made = run(
        before,
        read_images(real, split=split, data_dir=data_dir, download=download),
        output,
        teacher=None if teacher is None else load_teacher(teacher, net=net, mean_std=normalised),
        how=classes,
        options=options,
        progress=progress_bar if first else no_progress,
    )
    if not first:
        return
    if made.same:
        labels = "labels" if made.other_labels is not None else "classes"
        click.echo(f"{output}: the same images and {labels}, digest {made.found}")
        if made.other_labels is None:
            click.echo(f"{record}: holds no digest of soft labels, which were not compared; give the folder of the set")
        return
    commit, dirty = code_version()
    here = f"{commit or 'unknown'}{' with changes' if dirty else ''}"
    differing = (
        f"soft labels: {shorten(made.other_labels)}"
        if made.other_labels and made.found == made.expected
        else f"images or classes: digest {made.found}, not {made.expected}"
    )
    click.echo(
        f"{output}: other {differing}. They were made by code "
        f"{origin.versions.get('commit')}, torch {origin.versions.get('torch')} on {origin.versions.get('platform')}; "
        f"here is code {here}"
    )
    sys.exit(1)
