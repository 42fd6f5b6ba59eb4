"""The families of embedders, and how one is made from its name."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from divbench.embedders._record import Embedder
from divbench.registry import Registry


class Request(NamedTuple):
    """What a user asked a family for: ``family:argument`` and the options that some families use."""

    family: str
    argument: str
    weights: Path | None
    mean_std: str | None


Family = Callable[[Request], Embedder]

EMBEDDERS: Registry[Family] = Registry("embedder", "divbench.embedders")


def family(name: str) -> Callable[[Family], Family]:
    """Register a family of embedders; the first line of its docstring describes it in lists."""

    def register(make: Family) -> Family:
        EMBEDDERS.add(name, make)
        return make

    return register


def load_embedder(
    name: str,
    *,
    weights: Path | None = None,
    mean_std: str | None = None,
    input_size: int | None = None,
    precision: str = "float32",
) -> Embedder:
    """The embedder called ``name``.

    Args:
        name: a family, with an argument after a colon where it needs one: ``"resnet18"``, ``"clip"``,
            ``"clip:ViT-L-14/openai"``, ``"timm:convnext_atto"``, ``"torchvision:resnet50"``, ``"pixels"``.
        weights: local weights; without them the family's public ones are downloaded, or found where a download left
            them. They are read without executing code.
        mean_std: how pixels are normalised, where that does not travel with the weights: see `parse_mean_std`.
        input_size: side in pixels, if another than the network's own.
        precision: ``"float32"`` or ``"bfloat16"``.

    Raises:
        ProtocolError: the name or a setting is unknown.
        WeightsError: the weights cannot be had, do not fit, or their normalisation is unknown or contradicted.
    """
    kind, _, argument = name.partition(":")
    path = None if weights is None else Path(weights)
    embedder = replace(EMBEDDERS[kind](Request(kind, argument, path, mean_std)), precision=precision)
    return embedder if input_size is None else embedder.at_size(input_size)
