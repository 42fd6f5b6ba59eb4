"""The command line: a few lines for each command, heavy imports inside them, and the only place that prints."""

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from divbench import __version__
from divbench.errors import DivbenchError

_LINE_EVERY = 30.0
_WEAK = 0.5  # accuracy of a teacher below which a caution is printed
FORMATS = ("table", "json", "csv", "markdown", "latex", "html")


class _Group(click.Group):
    """Answers what a user can mend with one line and exit status 2, and an interrupt with 130."""

    def main(self, *args: Any, **kwargs: Any) -> Any:
        # Threads that wait by spinning make everything ten times as slow where other programs want the cores, too.
        os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
        kwargs["standalone_mode"] = False
        try:
            return super().main(*args, **kwargs)
        except click.exceptions.NoArgsIsHelpError as error:
            click.echo(error.format_message(), err=True)
        except click.ClickException as error:
            path = error.ctx.command_path if isinstance(error, click.UsageError) and error.ctx else "divbench"
            click.echo(f"{path}: {error.format_message()} (see '{path} --help')", err=True)
        except DivbenchError as error:
            click.echo(f"divbench: {error}", err=True)
        except (click.Abort, KeyboardInterrupt):
            click.echo(
                "divbench: interrupted; nothing is half-written, and the same command uses what is done", err=True
            )
            sys.exit(130)
        except BrokenPipeError:  # the reader of our output, such as 'head', has seen enough
            sys.stderr.close()
            sys.exit(141)
        except OSError as error:
            click.echo(f"divbench: {error}", err=True)
        sys.exit(2)


@click.group(cls=_Group, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120})
@click.version_option(__version__, prog_name="divbench")
def main() -> None:
    """Measure, compare and test the diversity of distilled image data sets."""


def _format_option(command: Callable[..., None]) -> Callable[..., None]:
    return click.option(
        "--format", "format_", type=click.Choice(FORMATS), default="table", show_default=True, help="How to print it."
    )(command)


_EXISTING = click.Path(path_type=Path)


@main.command()
@click.argument("sets", nargs=-1, required=True, metavar="SET...")
@click.option("--real", required=True, help="Real data: a folder, file, archive or data set name.")
@click.option(
    "--split", default=None, help="Part of the real data, such as train.  [default: the first of a named data set]"
)
@click.option(
    "-p", "--protocol", default="paper-resnet18", show_default=True, help="Protocol, or a .toml file with one."
)
@click.option("-e", "--embedder", default=None, help="Embedder.  [default: the protocol's]")
@click.option("--weights", type=_EXISTING, default=None, help="The embedder's weights.  [default: its public ones]")
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
@click.option(
    "--ipc",
    type=click.IntRange(1),
    default=None,
    help="Take the first N images of each class of the sets.  [default: all]",
)
@click.option(
    "--normalized",
    default=None,
    help="How float tensors of the sets were normalised: cifar10, cifar10-dc, cifar100, imagenet, none or m,m,m,s,s,s.",
)
@click.option(
    "--per-class",
    type=click.IntRange(1),
    default=None,
    help="The sets are tensors without labels: N images of each class, class after class.",
)
@click.option("--as-is", is_flag=True, help="Read tensors that look ZCA-whitened all the same, clipped.")
@click.option(
    "--classes",
    type=click.Choice(["index", "name", "wnid"]),
    default=None,
    help="How the sets name the real classes, if that is not plain.",
)
@click.option("--common-classes", is_flag=True, help="Leave out classes that only one side has.")
@click.option("--skip-bad", is_flag=True, help="Go on without images that cannot be read, and record them.")
@click.option(
    "--data-dir",
    type=_EXISTING,
    default=None,
    help="Folder of the named data sets.  [default: $DIVBENCH_DATA, else the user's cache]",
)
@click.option("--download", is_flag=True, help="Fetch a named data set that is not there.")
@click.option("--device", default=None, help="Where to compute.  [default: cuda if there is one, else cpu]")
@click.option(
    "--batch-size", type=click.IntRange(1), default=128, show_default=True, help="Images in the network at a time."
)
@click.option("--no-cache", is_flag=True, help="Neither use nor keep embeddings and radii of earlier runs.")
@click.option("--name", default=None, help="What to call the entry.  [default: from the first SET]")
@click.option("-o", "--output", type=_EXISTING, default=None, help="Write the result here (JSON).")
@_format_option
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
    from divbench.evaluate import Embedding, evaluate
    from divbench.files import check_writable
    from divbench.images import read_images, read_repeats
    from divbench.progress import no_progress
    from divbench.protocol import load_protocol
    from divbench.report.render import render
    from divbench.report.tables import score_table
    from divbench.results import save_result

    if output is not None:
        if output.suffix in (".csv", ".md", ".tex", ".html"):
            raise click.UsageError(f"-o keeps the result, as JSON and not {output.suffix}: print tables with --format")
        check_writable(output)
    rules = load_protocol(protocol)
    truth = read_images(real, split=split, data_dir=data_dir, download=download)
    fakes = [
        images
        for source in sets
        for images in read_repeats(
            source, normalized=normalized, as_is=as_is, per_class=per_class, data_dir=data_dir, download=download
        )
    ]
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
        progress=_progress if first else no_progress,
    )
    if first:
        click.echo(render(score_table(result), format_), nl=False)
        if output is not None:
            save_result(result, output)


@main.command()
@click.argument("results", nargs=-1, required=True, type=_EXISTING, metavar="RESULT.json...")
@click.option(
    "--scope",
    type=click.Choice(["class", "dataset"]),
    default="class",
    show_default=True,
    help="Mean over classes of the metric inside each, or all images at once.",
)
@click.option(
    "--differences", is_flag=True, help="Show each entry minus the first, paired over classes, with p-values."
)
@click.option(
    "--mixed", is_flag=True, help="Show results of different protocols or real sets in one table all the same."
)
@click.option("-o", "--output", type=_EXISTING, default=None, help="Write the table here.  [default: print it]")
@_format_option
def compare(
    results: tuple[Path, ...], scope: str, differences: bool, mixed: bool, output: Path | None, format_: str
) -> None:
    """Put results into one table, with yardsticks and controls."""
    from divbench.files import write_whole
    from divbench.report.render import render
    from divbench.report.tables import compare_table, differences_table
    from divbench.results import load_result

    if differences and (mixed or scope != "class"):
        raise click.UsageError("--differences pairs the classes of comparable results: leave out --mixed and --scope")
    entries = [load_result(path) for path in results]
    table = differences_table(entries, scope) if differences else compare_table(entries, scope, mixed)  # type: ignore[arg-type]
    text = render(table, format_)
    if output is not None:
        write_whole(output, text.encode())
    else:
        click.echo(text, nl=False)


@main.command("list")
@click.argument(
    "what",
    type=click.Choice(["metrics", "embedders", "protocols", "readers", "datasets", "recipes", "terms", "methods"]),
)
@_format_option
def list_(what: str, format_: str) -> None:
    """List what divbench knows."""
    from divbench import listing
    from divbench.report.render import render

    click.echo(render(getattr(listing, what)(), format_), nl=False)


@main.command()
@click.argument("real")
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    default="teacher.safetensors",
    show_default=True,
    help="File to write; must be new.",
)
@click.option(
    "--like",
    default=None,
    help="Data set whose numbers are used, such as cifar10, or a .toml file.  [default: REAL, if it is a name]",
)
@click.option("--set", "changes", multiple=True, metavar="KEY=VALUE", help="Change a number, such as batch=16.")
@click.option("--net", default=None, help="resnet18, or torchvision:NAME.  [default: that of the numbers]")
@click.option("--epochs", type=click.IntRange(1), default=None, help="Passes over the images.  [default: as published]")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Of weights, order, augmentation.")
@click.option("--split", default=None, help="Part of REAL to train on.  [default: the first of a named data set]")
@click.option(
    "--test", default=None, help="Data to test on.  [default: the other split of a named data set, else some of REAL]"
)
@click.option("--data-dir", type=_EXISTING, default=None, help="Folder of the named data sets.")
@click.option("--download", is_flag=True, help="Fetch a named data set that is not there.")
@click.option("--device", default=None, help="Where to compute.  [default: cuda if there is one, else cpu]")
def squeeze(
    real: str, output: Path, like: str | None, changes: tuple[str, ...], net: str | None,
    epochs: int | None, seed: int, split: str | None, test: str | None, data_dir: Path | None, download: bool,
    device: str | None,
) -> None:  # fmt: skip
    """Train a teacher on REAL data: a folder, file, archive or data set name.

    Interrupted, the same command goes on where it was. Several processes: torchrun -m divbench squeeze ...
    """
    from divbench import parallel
    from divbench.settings import parse_value
    from divbench.train.recipe import change_squeeze, load_squeeze

    if wrong := [change for change in changes if "=" not in change]:
        raise click.UsageError(f"--set {wrong[0]}: expected key=value, such as batch=16")
    values = {key: parse_value(text) for key, _, text in (change.partition("=") for change in changes)}
    recipe = change_squeeze(load_squeeze(like or real), **{"net": net, "epochs": epochs, **values})

    from divbench.embedders import choose_device
    from divbench.generate.squeeze import squeeze as run
    from divbench.images import DATASETS, read_images
    from divbench.progress import no_progress

    first = parallel.rank() == 0
    truth = read_images(real, split=split, data_dir=data_dir, download=download)
    part = None
    if test is None and real in DATASETS:  # the other split, where there is one
        part = next((name for name in DATASETS[real].splits if name != (split or DATASETS[real].splits[0])), None)
    known = None if test is None and part is None else read_images(test or real, split=part, data_dir=data_dir)
    if first:
        click.echo(f"{truth.name}: {truth.recognised}", err=True)
    made = run(
        truth,
        recipe,
        output,
        test=known,
        seed=seed,
        device=choose_device(device),
        progress=_progress if first else no_progress,
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


@main.command()
@click.argument("recipe")
@click.option("--real", required=True, help="Real data: a folder, file, archive or data set name.")
@click.option("--split", default=None, help="Part of the real data.  [default: the first of a named data set]")
@click.option("--teacher", type=_EXISTING, default=None, help="Trained network, such as 'divbench squeeze' writes.")
@click.option(
    "--net", default=None, help="The teacher's network, if its file does not say: resnet18, torchvision:NAME."
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
@click.option("--data-dir", type=_EXISTING, default=None, help="Folder of the named data sets.")
@click.option("--download", is_flag=True, help="Fetch a named data set that is not there.")
@click.option("--device", default=None, help="Where to compute.  [default: cuda if there is one, else cpu]")
@click.option("--no-cache", is_flag=True, help="Neither use nor keep features of real images of earlier runs.")
@click.option("-o", "--output", type=click.Path(path_type=Path), required=True, help="Folder to write; must be new.")
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
    there = output.exists()
    made = run(rules, truth, output, teacher=taught, options=options, progress=_progress if first else no_progress)
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
    return f"{output}: {made}\n{known}weighted losses: {losses}\n{seconds}; {sizes}"


@main.group()
def cache() -> None:
    """Embeddings and radii kept from earlier runs."""


@cache.command()
def info() -> None:
    """Say where the cache is and how much it holds."""
    from divbench.cache import Cache

    held = Cache().info()
    click.echo(f"{held.folder}: {held.files} files, {held.bytes / 2**20:.1f} MiB")


@cache.command()
def clear() -> None:
    """Remove everything that the cache holds."""
    from divbench.cache import Cache

    removed = Cache().clear()
    click.echo(f"{removed.folder}: removed {removed.files} files, {removed.bytes / 2**20:.1f} MiB")


@main.command()
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    default="divbench-demo",
    show_default=True,
    help="Folder for the networks, images, results and pictures.",
)
def demo(output: Path) -> None:
    """Distil digits without and with DiRe and score both, offline, in a few minutes on two cores."""
    from divbench import parallel
    from divbench.demo import demo as run
    from divbench.progress import no_progress
    from divbench.report.render import render
    from divbench.report.tables import compare_table, differences_table

    first = parallel.rank() == 0
    say: Callable[[str], object] = (lambda text: click.echo(text, err=True)) if first else (lambda text: None)
    made = run(output, say=say, progress=_progress if first else no_progress)
    if first:
        click.echo(render(compare_table(made.results), "table"))
        click.echo(render(differences_table(made.results), "table"))
        click.echo(f"{output}: networks, images (*.png show them) and results (*.json)")


class _Lines:
    """Where a bar goes that no terminal shows: whole lines on standard error, which a log file can hold."""

    def write(self, text: str) -> None:
        if text.strip():
            click.echo(text.strip(), err=True)

    def flush(self) -> None:
        pass


@contextmanager
def _progress(title: str, total: int) -> Iterator[Callable[..., None]]:
    """A bar on a terminal's standard error; elsewhere a line each half minute of what takes longer than that."""
    from tqdm import tqdm

    seen = sys.stderr.isatty()
    every = 0.1 if seen else _LINE_EVERY
    with tqdm(
        total=total,
        desc=title,
        leave=False,
        unit="",
        mininterval=every,
        maxinterval=10 * every,
        miniters=1,
        delay=0 if seen else every,
        dynamic_ncols=seen,
        file=sys.stderr if seen else _Lines(),
    ) as bar:

        def advance(done: int, text: str = "", /) -> None:
            bar.set_postfix_str(text, refresh=False)
            bar.update(done)

        yield advance
