"""``divbench score``."""

from contextlib import suppress
from pathlib import Path

import click

from divbench.cli import _options
from divbench.cli._progress import progress_bar


@click.command()
@click.argument("sets", nargs=-1, required=True, metavar="SET...")
@_options.real
@click.option(
    "--split", default=None, help="Part of the real data, such as train.  [default: the first of a named data set]"
)
@click.option(
    "-p", "--protocol", default="paper-resnet18", show_default=True, help="Protocol, or a .toml file with one."
)
@click.option("-e", "--embedder", default=None, help="Embedder.  [default: the protocol's]")
@click.option("--weights", type=_options.PATH, default=None, help="The embedder's weights.  [default: its public ones]")
@click.option(
    "--mean-std",
    default=None,
    help="The embedder's normalisation, if its weights do not say: cifar10, imagenet, none or m,m,m,s,s,s.",
)
@click.option(
    "--input-size",
    type=click.IntRange(1),
    default=None,
    help="The embedder's input size in pixels.  [default: its own, else the real images']",
)
@click.option(
    "--precision",
    type=click.Choice(["float32", "bfloat16"]),
    default="float32",
    show_default=True,
    help="bfloat16 is faster where the hardware has it, and rounds features.",
)
@_options.ipc
@_options.normalized
@_options.per_class
@_options.as_is
@_options.classes
@_options.common_classes
@click.option("--skip-bad", is_flag=True, help="Go on without images that cannot be read, and record them.")
@_options.data_dir_and_default
@_options.download
@_options.device
@click.option(
    "--batch-size", type=click.IntRange(1), default=128, show_default=True, help="Images in the network at a time."
)
@click.option("--no-cache", is_flag=True, help="Neither use nor keep embeddings and radii of earlier runs.")
@click.option("--name", default=None, help="What to call the entry.  [default: from the first SET]")
@click.option("-o", "--output", type=_options.PATH, default=None, help="Write the result here (JSON).")
@_options.format_
def score(
    sets: tuple[str, ...], real: str, split: str | None, protocol: str, embedder: str | None, weights: Path | None,
    mean_std: str | None, input_size: int | None, precision: str, ipc: int | None, normalized: str | None,
    per_class: int | None, as_is: bool, classes: str | None, common_classes: bool, skip_bad: bool,
    data_dir: Path | None, download: bool, device: str | None, batch_size: int, no_cache: bool, name: str | None,
    output: Path | None, format_: str,
) -> None:  # fmt: skip
    """Score synthetic sets against real data. Several SETs are several seeds of one entry."""
    from divbench import parallel
    from divbench.cache import Cache
    from divbench.combine import check_same_sets, with_accuracies
    from divbench.errors import ResultError
    from divbench.evaluate import Embedding, evaluate
    from divbench.images import read_images
    from divbench.progress import no_progress
    from divbench.protocol import load_protocol
    from divbench.report.render import render
    from divbench.report.tables import score_table
    from divbench.results import load_result, save_result

    if output is not None:
        _options.check_result_file(output)
    before = None
    if output is not None and output.exists():
        with suppress(ResultError):  # of another version, or no result: it is written over
            before = load_result(output)
    rules = load_protocol(protocol)
    truth = read_images(real, split=split, data_dir=data_dir, download=download)
    fakes = _options.read_sets(
        sets, normalized=normalized, as_is=as_is, per_class=per_class, data_dir=data_dir, download=download
    )
    first = parallel.rank() == 0  # under torchrun one process speaks and writes
    for images in (truth, *fakes) if first else ():
        click.echo(f"{images.name}: {images.recognised}", err=True)
    result = evaluate(
        fakes,
        truth,
        rules,
        Embedding(embedder, weights, mean_std, input_size, precision, device, batch_size, skip_bad),
        name=name or fakes[0].name.partition("#")[0],
        ipc=ipc,
        classes=classes,
        common_classes=common_classes,
        cache=None if no_cache else Cache(),
        progress=progress_bar if first else no_progress,
    )
    if first:
        click.echo(render(score_table(result), format_), nl=False)
    if before is not None and before.accuracies and output is not None:
        check_same_sets(before, output, result.sets, result.classes)  # they took long and are not written over
        result = with_accuracies(result, before)
    if first and output is not None:
        save_result(result, output)
