"""``divbench report``."""

from pathlib import Path

import click
from click.core import ParameterSource

from divbench.cli import _options
from divbench.cli._progress import progress_bar

_BESIDE_CONFIG = ("config", "output", "data_dir", "download", "device", "batch_size", "no_cache")


@click.command()
@click.argument("results", nargs=-1, type=_options.PATH, metavar="[RESULT.json...]")
@click.option(
    "--config", type=_options.PATH, default=None, help="A .toml file that says all of this, to make it again."
)
@click.option("--sets", multiple=True, metavar="SET", help="Images of an entry; repeat it for each. Found by content.")
@click.option("--real", default=None, help="Real data, for maps, spectra and neighbours: as for 'score'.")
@click.option("--split", default=None, help="Part of the real data, such as train.")
@click.option("--title", default="", help="Heading of the page.  [default: the entries]")
@click.option("--note", default="", help="A paragraph below it.")
@click.option(
    "--pair",
    "pairs",
    nargs=2,
    multiple=True,
    metavar="BEFORE AFTER",
    help="Entries to judge against each other.  [default: X and X+..., else the first and each other]",
)
@click.option("--net", default=None, help="Show students of these networks alone, comma-separated.  [default: all]")
@click.option("--perplexity", type=float, default=30.0, show_default=True, help="Of the t-SNE.")
@_options.embedding
@_options.normalized
@_options.per_class
@_options.as_is
@_options.classes
@_options.data_dir_and_default
@_options.download
@click.option(
    "-o", "--output", type=_options.PATH, default=None, help="The page.  [default: report.html; FILE.html of FILE.toml]"
)
@click.pass_context
def report(
    context: click.Context, results: tuple[Path, ...], config: Path | None, sets: tuple[str, ...], real: str | None,
    split: str | None, title: str, note: str, pairs: tuple[tuple[str, str], ...], net: str | None, perplexity: float,
    embedding: _options.EmbeddingOptions, normalized: str | None, per_class: int | None, as_is: bool,
    classes: str | None, data_dir: Path | None, download: bool, output: Path | None,
) -> None:  # fmt: skip
    """Tell what results say on one page: verdict, tables, figures, images, provenance; one HTML file."""
    from divbench.files import check_writable, write_whole
    from divbench.report.config import EmbedderSource, Map, ReportConfig, SetSource, load_config

    given = [key for key in context.params if context.get_parameter_source(key) is ParameterSource.COMMANDLINE]
    if config is not None:
        also = [key for key in given if key not in _BESIDE_CONFIG]
        if also:
            raise click.UsageError(f"--config says what the page is made of: leave out {', '.join(also)}")
        made_of, base = load_config(config), config.parent
    elif not results:
        raise click.UsageError("give result files (RESULT.json ...), or --config FILE.toml")
    else:
        base = Path()
        weights = None if embedding.weights is None else str(embedding.weights)
        made_of = ReportConfig(
            results=tuple(map(str, results)),
            title=title,
            note=note,
            pairs=pairs,
            nets=tuple(net.split(",")) if net else (),
            sets=tuple(SetSource(source, normalized, per_class, as_is) for source in sets),
            classes=classes,
            real=real,
            split=split,
            embedder=EmbedderSource(
                embedding.embedder, weights, embedding.mean_std, embedding.input_size, embedding.precision
            ),
            tsne=Map(perplexity=perplexity),
        )
    target = output or (Path("report.html") if config is None else config.with_suffix(".html"))
    check_writable(target)
    inputs = [config, *(base / one for one in (*made_of.results, *made_of.cost))]
    if any(one is not None and one.resolve() == target.resolve() for one in inputs):
        raise click.UsageError(f"-o {target}: is what the page is made of; give another file")

    from divbench.present import present

    text = present(
        made_of,
        base,
        device=embedding.device,
        batch_size=embedding.batch_size,
        data_dir=data_dir,
        download=download,
        cache=embedding.cache(),
        progress=progress_bar,
    )
    write_whole(target, text.encode())
    click.echo(f"{target}: {len(text.encode()) / 1e6:.2f} MB; open it in a browser", err=True)
