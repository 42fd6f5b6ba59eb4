"""Options and arguments that several commands share, so that each is declared and explained once."""

import functools
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    import torch

    from divbench.cache import Cache
    from divbench.evaluate import Embedding
    from divbench.images import ImageSet

FORMATS = ("table", "json", "csv", "markdown", "latex", "html")
PATH = click.Path(path_type=Path)

format_ = click.option(
    "--format", "format_", type=click.Choice(FORMATS), default="table", show_default=True, help="How to print it."
)
device = click.option("--device", default=None, help="Where to compute.  [default: cuda if there is one, else cpu]")
changes = click.option(
    "--set", "changes", multiple=True, metavar="KEY=VALUE", help="Change a number, such as batch=16."
)

# Data sets.
_DATA_DIR = "Folder of the named data sets."
real = click.option("--real", required=True, help="Real data: a folder, file, archive or data set name.")
data_dir = click.option("--data-dir", type=PATH, default=None, help=_DATA_DIR)
data_dir_and_default = click.option(
    "--data-dir", type=PATH, default=None, help=f"{_DATA_DIR}  [default: $DIVBENCH_DATA, else the user's cache]"
)
download = click.option("--download", is_flag=True, help="Fetch a named data set that is not there.")

# How the SETs are read.
ipc = click.option(
    "--ipc",
    type=click.IntRange(1),
    default=None,
    help="Take the first N images of each class of the sets.  [default: all]",
)
normalized = click.option(
    "--normalized",
    default=None,
    help="How float tensors of the sets were normalised: cifar10, cifar10-dc, cifar100, imagenet, none or m,m,m,s,s,s.",
)
per_class = click.option(
    "--per-class",
    type=click.IntRange(1),
    default=None,
    help="The sets are tensors without labels: N images of each class, class after class.",
)
as_is = click.option("--as-is", is_flag=True, help="Read tensors that look ZCA-whitened all the same, clipped.")
classes = click.option(
    "--classes",
    type=click.Choice(["index", "name", "wnid"]),
    default=None,
    help="How the sets name the real classes, if that is not plain.",
)
common_classes = click.option("--common-classes", is_flag=True, help="Leave out classes that only one side has.")

# The embedder, and how it is run.
_EMBEDDING = (
    click.option("-e", "--embedder", default=None, help="Embedder.  [default: the protocol's, else resnet18]"),
    click.option("--weights", type=PATH, default=None, help="The embedder's weights.  [default: its public ones]"),
    click.option(
        "--mean-std",
        default=None,
        help="The embedder's normalisation, if its weights do not say: cifar10, imagenet, none or m,m,m,s,s,s.",
    ),
    click.option(
        "--input-size",
        type=click.IntRange(1),
        default=None,
        help="The embedder's input size in pixels.  [default: its own, else the real images']",
    ),
    click.option(
        "--precision",
        type=click.Choice(["float32", "bfloat16"]),
        default="float32",
        show_default=True,
        help="bfloat16 is faster where the hardware has it, and rounds features.",
    ),
    device,
    click.option(
        "--batch-size",
        type=click.IntRange(1),
        default=128,
        show_default=True,
        help="Images in the network at a time.",
    ),
    click.option("--no-cache", is_flag=True, help="Neither use nor keep embeddings and radii of earlier runs."),
)


@dataclass(frozen=True)
class EmbeddingOptions:
    """What the options of `embedding` were given."""

    embedder: str | None
    weights: Path | None
    mean_std: str | None
    input_size: int | None
    precision: str
    device: str | None
    batch_size: int
    no_cache: bool

    def record(self, skip_bad: bool = False) -> "Embedding":
        """The same for `divbench.evaluate`."""
        from divbench.embedders import choose_device
        from divbench.evaluate import Embedding

        warn_of_slow_bfloat16(self.precision, choose_device(self.device), "interrupt it and leave --precision out")
        return Embedding(
            self.embedder, self.weights, self.mean_std, self.input_size, self.precision, self.device, self.batch_size,
            skip_bad,
        )  # fmt: skip

    def cache(self) -> "Cache | None":
        """The cache, or none where none is wanted."""
        from divbench.cache import Cache

        return None if self.no_cache else Cache()


def embedding(command: Callable[..., Any]) -> Callable[..., Any]:
    """The options of an embedder, given to ``command`` as one argument ``embedding``."""

    @functools.wraps(command)
    def with_embedding(**values: Any) -> Any:
        own = {key: values.pop(key) for key in EmbeddingOptions.__annotations__}
        return command(embedding=EmbeddingOptions(**own), **values)

    for option in reversed(_EMBEDDING):
        with_embedding = option(with_embedding)
    return with_embedding


def read_sets(
    sources: Iterable[str],
    *,
    normalized: str | None,
    as_is: bool,
    per_class: int | None,
    data_dir: Path | None,
    download: bool,
) -> "list[ImageSet]":
    """Every repeat (seed) that the SETs hold, in their order."""
    from divbench.images import read_repeats

    return [
        images
        for source in sources
        for images in read_repeats(
            source, normalized=normalized, as_is=as_is, per_class=per_class, data_dir=data_dir, download=download
        )
    ]


def check_result_file(output: Path) -> None:
    """Raise where no result can or should be written: asked before long work."""
    from divbench.files import check_writable

    if output.suffix in (".csv", ".md", ".tex", ".html"):
        raise click.UsageError(f"-o keeps the result, as JSON and not {output.suffix}: print tables with --format")
    check_writable(output)


def parse_changes(changes: Iterable[str]) -> dict[str, Any]:
    """Name -> value of what ``--set KEY=VALUE`` gave; the last of a name wins."""
    from divbench.settings import parse_value

    values: dict[str, Any] = {}
    for change in changes:
        key, equals, text = change.partition("=")
        if not equals:
            raise click.UsageError(f"--set {change}: expected key=value, such as batch=16")
        values[key] = parse_value(text)
    return values


def warn_of_slow_bfloat16(
    precision: str, device: "torch.device", remedy: str = "interrupt it and add --set precision=float32"
) -> None:
    """Say before long work in ``precision`` that ``device`` does it in software, and what to do about it."""
    from divbench import parallel
    from divbench.precision import bfloat16_is_slow

    if precision == "bfloat16" and parallel.rank() == 0 and bfloat16_is_slow(device):
        click.echo(
            "caution: this CPU has no instructions for bfloat16 and works it out in software, more than ten times "
            f"slower than float32; {remedy}",
            err=True,
        )
