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
@_options.embedding
@_options.ipc
@_options.normalized
@_options.per_class
@_options.as_is
@_options.classes
@_options.common_classes
@click.option("--skip-bad", is_flag=True, help="Go on without images that cannot be read, and record them.")
@_options.data_dir_and_default
@_options.download
@click.option("--name", default=None, help="What to call the entry.  [default: from the first SET]")
@click.option("-o", "--output", type=_options.PATH, default=None, help="Write the result here (JSON).")
@_options.format_
def score(
    sets: tuple[str, ...], real: str, split: str | None, protocol: str, embedding: _options.EmbeddingOptions,
    ipc: int | None, normalized: str | None, per_class: int | None, as_is: bool, classes: str | None,
    common_classes: bool, skip_bad: bool, data_dir: Path | None, download: bool, name: str | None,
    output: Path | None, format_: str,
) -> None:  # fmt: skip
    """Score synthetic sets against real data. Several SETs are several seeds of one entry."""
    from divbench import parallel
    from divbench.combine import check_same_sets, with_accuracies
    from divbench.errors import ResultError
    from divbench.evaluate import evaluate
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
        embedding.record(skip_bad),
        name=name or fakes[0].entry,
        ipc=ipc,
        classes=classes,
        common_classes=common_classes,
        cache=embedding.cache(),
        progress=progress_bar if first else no_progress,
    )
    if first:
        click.echo(render(score_table(result), format_), nl=False)
    if before is not None and before.accuracies and output is not None:
        check_same_sets(before, output, result.sets, result.classes)  # they took long and are not written over
        result = with_accuracies(result, before)
    if first and output is not None:
        save_result(result, output)
