"""Protocols: everything that changes a number, as data with a digest. No torch in here.

Numbers may be compared only where the digests agree. The digest covers the settings and the resolved embedder
(network, weights, layer, preprocessing), not the protocol's name.
"""

import hashlib
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Literal

import msgspec
from msgspec import Struct

from divbench.errors import ProtocolError

Scope = Literal["class", "dataset"]
DEFINITIONS = 1
"""Raised whenever a change of code changes the value of any metric, yardstick or control."""


class Controls(Struct, frozen=True, forbid_unknown_fields=True):
    """How many seeds of each control are scored beside a candidate, at the same number of images per class."""

    random: int = 5
    kmeans: int = 1
    collapse: int = 1


class Protocol(Struct, frozen=True, forbid_unknown_fields=True):
    """How sets are scored.

    Attributes:
        name: what to call it; not part of the digest.
        description: one sentence; not part of the digest.
        embedder: the default embedder's name; the result records the resolved one.
        metrics: metric name -> settings; those not named have the metric's defaults.
        scopes: ``class``: the mean over classes of the metric inside each class; ``dataset``: all rows at once.
        real_per_class: score against this many real images of each class, drawn with ``seed``; None: all of them.
            Coverage depends on it strongly.
        controls: seeds of each control.
        seed: of the real subset and the controls.
        level: of the intervals.
    """

    name: str
    description: str
    embedder: str
    metrics: dict[str, dict[str, bool | int | float]]
    scopes: tuple[Scope, ...] = ("class", "dataset")
    real_per_class: int | None = None
    controls: Controls = Controls()
    seed: int = 0
    level: float = 0.95

    def __post_init__(self) -> None:
        if not self.metrics or not self.scopes:
            raise ValueError("a protocol needs at least one metric and one scope")
        if not 0.5 <= self.level < 1:
            raise ValueError(f"level is a confidence level from 0.5 to below 1, got {self.level}")
        if len(set(self.scopes)) != len(self.scopes):
            raise ValueError(f"scopes names one twice: {self.scopes}")
        if min(self.controls.random, self.controls.kmeans, self.controls.collapse) < 0:
            raise ValueError("numbers of control seeds are >= 0")
        if self.seed < 0:
            raise ValueError(f"seed is >= 0, got {self.seed}")
        if self.real_per_class is not None and self.real_per_class < 1:
            raise ValueError(f"real_per_class is >= 1, got {self.real_per_class}")


def protocol_digest(protocol: Protocol, embedder: str) -> str:
    """First 16 hex digits of the SHA-256 of the settings, the resolved embedder and the metrics' definitions."""
    settings = msgspec.structs.asdict(protocol)
    for key in ("name", "description", "embedder"):
        del settings[key]
    settings["scopes"] = sorted(settings["scopes"])
    text = msgspec.json.encode([DEFINITIONS, embedder, settings], order="deterministic")
    return hashlib.sha256(text).hexdigest()[:16]


def protocol_names() -> list[str]:
    """Names of the protocols that come with divbench."""
    return sorted(entry.name[:-5] for entry in _shipped().iterdir() if entry.name.endswith(".toml"))


def load_protocol(name: str) -> Protocol:
    """The shipped protocol ``name``, or the one in the file ``name`` (anything that ends in .toml).

    Raises:
        ProtocolError: no such protocol, or a file with unknown keys or wrong values.
    """
    if name.endswith(".toml"):
        source = Path(name)
        where = name
    else:
        if name not in protocol_names():
            known = ", ".join(protocol_names())
            raise ProtocolError(f"unknown protocol {name!r}; known: {known}, or a path that ends in .toml")
        source = _shipped() / f"{name}.toml"  # type: ignore[assignment]
        where = f"protocol {name}"
    try:
        return msgspec.toml.decode(source.read_bytes(), type=Protocol)
    except OSError as error:
        raise ProtocolError(f"{where}: cannot be read ({error.strerror or error})") from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ProtocolError(f"{where}: {error}") from error


def _shipped() -> Traversable:
    return resources.files("divbench") / "protocols"
