"""``divbench plot``: one figure, of results or of images."""

import functools
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from divbench.cli import _options
from divbench.cli._progress import progress_bar

if TYPE_CHECKING:
    from divbench.embedders.embed import Embeddings
    from divbench.figures.canvas import Picture
    from divbench.images import ImageSet
    from divbench.results import Result

_results = click.argument("results", nargs=-1, required=True, type=_options.PATH, metavar="RESULT.json...")
_sets = click.argument("sets", nargs=-1, required=True, metavar="SET...")
_one_set = click.argument("sets", nargs=1, metavar="SET")
_split = click.option("--split", default=None, help="Part of the real data, such as train.")
_class = click.option("--class", "class_", default=None, help="Name of one class.  [default: all]")
_one_class = click.option("--class", "class_", default=None, help="Name of the class.  [default: the first]")
_k = click.option("-k", type=click.IntRange(1), default=5, show_default=True, help="Neighbours that set a radius.")
_scope = click.option(
    "--scope", type=click.Choice(["class", "dataset"]), default="class", show_default=True, help="As in 'compare'."
)
_net = click.option("--net", default=None, help="The students' network.  [default: the only one]")
_names = click.option("--names", default=None, help="What to call the SETs, comma-separated.")


def _figure(command: Callable[..., "Picture"]) -> Callable[..., None]:
    """Options of every figure, and the file that it goes into."""

    @click.option("-o", "--output", type=_options.PATH, required=True, help="FIGURE.png, .svg or .pdf.")
    @click.option("--font", default=None, help="Font family.  [default: DejaVu Sans, which comes with matplotlib]")
    @functools.wraps(command)
    def drawn(output: Path, font: str | None, **values: Any) -> None:
        from divbench.figures.canvas import check_figure_file, save

        check_figure_file(output)
        picture = command(**values)
        save(picture, output, font)
        click.echo(f"{output}: {picture.alt}", err=True)

    return drawn


def _reading(command: Callable[..., Any]) -> Callable[..., Any]:
    """How SETs and real data are read; given to ``command`` as one function ``read(sets, real, split)``."""

    @_options.ipc
    @_options.normalized
    @_options.per_class
    @_options.as_is
    @_options.classes
    @_options.data_dir_and_default
    @_options.download
    @functools.wraps(command)
    def with_reading(
        ipc: int | None, normalized: str | None, per_class: int | None, as_is: bool, classes: str | None,
        data_dir: Path | None, download: bool, **values: Any,
    ) -> Any:  # fmt: skip
        def read(
            sets: tuple[str, ...], real: str | None, split: str | None, names: str | None
        ) -> "tuple[ImageSet | None, list[ImageSet]]":
            from divbench.images import match_sets, read_images, take_per_class

            fakes = _options.read_sets(
                sets, normalized=normalized, as_is=as_is, per_class=per_class, data_dir=data_dir, download=download
            )
            truth = None
            if real is not None:
                truth = read_images(real, split=split, data_dir=data_dir, download=download)
                fakes, truth = match_sets(fakes, truth, classes)
            fakes = [take_per_class(fake, ipc) for fake in fakes] if ipc is not None else fakes
            return truth, _named(fakes, names)

        return command(read=read, **values)

    return with_reading


def _named(fakes: "list[ImageSet]", names: str | None) -> "list[ImageSet]":
    from dataclasses import replace

    if names is None:
        return fakes
    given = names.split(",")
    if len(given) != len(fakes):
        raise click.UsageError(f"--names: {len(given)} names ({names}) for {len(fakes)} sets")
    return [replace(fake, name=name) for fake, name in zip(fakes, given, strict=True)]


def _embedded(embedding: _options.EmbeddingOptions, real: "ImageSet", fakes: "list[ImageSet]") -> "list[Embeddings]":
    """Of the real images, and then of each set."""
    from divbench.evaluate import embed_sets, embedder_for

    record = embedding.record()
    embedder = embedder_for("resnet18", record, real)
    return embed_sets([real, *fakes], embedder, record, cache=embedding.cache(), progress=progress_bar)


def _label(name: str | None, classes: tuple[str, ...]) -> int | None:
    if name is None:
        return None
    if name not in classes:
        from divbench.errors import shorten

        raise click.UsageError(f"--class {name}: there is no such class; there are {shorten(classes)}")
    return classes.index(name)


def _load(paths: tuple[Path, ...]) -> "list[Result]":
    from divbench.results import load_result

    return [load_result(path) for path in paths]


@click.group()
def plot() -> None:
    """Draw one figure of results or of images, as PNG, SVG or PDF."""


@plot.command()
@_results
@click.option("--metric", default="vendi", show_default=True, help="Any of class scope, such as accuracy/resnet18.")
@click.option("--style", type=click.Choice(["bars", "curves"]), default=None, help="[default: by number of classes]")
@_figure
def classes(results: tuple[Path, ...], metric: str, style: Any) -> "Picture":
    """A metric class by class, before and after: bars, or sorted curves of many classes."""
    from divbench.figures.per_class import classes as draw

    return draw(_load(results), metric, style=style)


@plot.command()
@_results
@_scope
@_figure
def coverage(results: tuple[Path, ...], scope: Any) -> "Picture":
    """Coverage beside its i.i.d. yardstick and the controls."""
    from divbench.figures.references import coverage as draw

    return draw(_load(results), scope)


@plot.command()
@_results
@click.option("--metrics", default=None, help="Comma-separated.  [default: all]")
@_scope
@_figure
def controls(results: tuple[Path, ...], metrics: str | None, scope: Any) -> "Picture":
    """Every metric beside its controls."""
    from divbench.figures.references import controls as draw

    return draw(_load(results), None if metrics is None else metrics.split(","), scope)


@plot.command()
@_results
@_net
@_figure
def curves(results: tuple[Path, ...], net: str | None) -> "Picture":
    """Learning curves of students."""
    from divbench.figures.training import curves as draw

    return draw(_load(results), net)


@plot.command()
@_results
@_net
@_figure
def seeds(results: tuple[Path, ...], net: str | None) -> "Picture":
    """The accuracy of every student, seed by seed."""
    from divbench.figures.training import seeds as draw

    return draw(_load(results), net)


@plot.command()
@_sets
@_options.real
@_split
@_class
@click.option("--perplexity", type=float, default=30.0, show_default=True, help="About how many neighbours count.")
@click.option("--points", type=click.IntRange(1), default=1000, show_default=True, help="Real images shown at most.")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Of the real images shown.")
@_names
@_options.embedding
@_reading
@_figure
def tsne(
    sets: tuple[str, ...], real: str, split: str | None, class_: str | None, perplexity: float, points: int,
    seed: int, names: str | None, embedding: _options.EmbeddingOptions, read: Callable[..., Any],
) -> "Picture":  # fmt: skip
    """One joint t-SNE of real images and all SETs."""
    from divbench.figures.maps import tsne as draw

    truth, fakes = read(sets, real, split, names)
    label = _label(class_, truth.classes)
    first, *others = _embedded(embedding, truth, fakes)
    return draw(first, others, label=label, perplexity=perplexity, real_points=points, seed=seed)


@plot.command()
@_sets
@_options.real
@_split
@_class
@_names
@_options.embedding
@_reading
@_figure
def spectrum(
    sets: tuple[str, ...], real: str, split: str | None, class_: str | None, names: str | None,
    embedding: _options.EmbeddingOptions, read: Callable[..., Any],
) -> "Picture":  # fmt: skip
    """Eigenvalue spectra, whose entropy the Vendi Score is."""
    from divbench.figures.spectra import spectrum as draw

    truth, fakes = read(sets, real, split, names)
    label = _label(class_, truth.classes)
    first, *others = _embedded(embedding, truth, fakes)
    return draw(others, first, label=label)


@plot.command()
@_sets
@click.option("--real", default=None, help="Real data, shown above the SETs.")
@_split
@click.option("--class", "wanted", multiple=True, metavar="NAME", help="A class; repeat it.  [default: the first ten]")
@click.option("--images", type=click.IntRange(1), default=10, show_default=True, help="Images of each class and SET.")
@_names
@_reading
@_figure
def grid(
    sets: tuple[str, ...], real: str | None, split: str | None, wanted: tuple[str, ...], images: int,
    names: str | None, read: Callable[..., Any],
) -> "Picture":  # fmt: skip
    """Images class by class, each SET above the next: before above after."""
    from divbench.figures.grids import grid as draw

    truth, fakes = read(sets, real, split, names)
    labels = [label for name in wanted if (label := _label(name, fakes[0].classes)) is not None]
    return draw([*([] if truth is None else [truth]), *fakes], labels=labels or None, per_class=images)


@plot.command()
@_one_set
@_options.real
@_split
@_one_class
@_k
@click.option("--images", type=click.IntRange(1, 50), default=8, show_default=True, help="Images in each row.")
@_names
@_options.embedding
@_reading
@_figure
def covered(
    sets: str, real: str, split: str | None, class_: str | None, k: int, images: int, names: str | None,
    embedding: _options.EmbeddingOptions, read: Callable[..., Any],
) -> "Picture":  # fmt: skip
    """The most and the least covered real images of a class."""
    from divbench.figures.neighbours import covered as draw

    truth, fakes = read((sets,), real, split, names)
    label = _label(class_, truth.classes) or 0
    first, second, *_ = _embedded(embedding, truth, fakes)
    return draw(first, second, truth, label=label, k=k, count=images)


@plot.command()
@_one_set
@_options.real
@_split
@_one_class
@click.option("--images", type=click.IntRange(1, 50), default=5, show_default=True, help="Synthetic images shown.")
@click.option("--neighbours", type=click.IntRange(1, 20), default=3, show_default=True, help="Real images beside each.")
@_names
@_options.embedding
@_reading
@_figure
def nearest(
    sets: str, real: str, split: str | None, class_: str | None, images: int, neighbours: int, names: str | None,
    embedding: _options.EmbeddingOptions, read: Callable[..., Any],
) -> "Picture":  # fmt: skip
    """Synthetic images of a class, each beside its nearest real ones."""
    from divbench.figures.neighbours import nearest as draw

    truth, fakes = read((sets,), real, split, names)
    label = _label(class_, truth.classes) or 0
    first, second, *_ = _embedded(embedding, truth, fakes)
    return draw(first, second, truth, fakes[0], label=label, count=images, neighbours=neighbours)
