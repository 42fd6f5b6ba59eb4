"""Claim files: TOML that people write. Read strictly: nothing passes for nothing."""

import math
import posixpath
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec
from msgspec import Struct

from divbench.errors import ClaimError
from divbench.protocol import Scope
from divbench.results import ACCURACY

DIVERSITY = "diversity"
"""The metric of a claim about diversity as a whole: see `divbench.claims.composite`."""


class Claim(Struct, frozen=True, forbid_unknown_fields=True):
    """A stated gain of one entry over another.

    Attributes:
        id: its name in messages; each stands once in a file.
        baseline, candidate: result files below the folder of results, without ``.json``.
        metric: any metric of the results, or ``diversity``.
        scope: ``class`` or ``dataset``.
        min_gain: least gain, in the metric's units, >= 0; positive always means more diverse. 0: any gain.
        confidence: 1 minus the level of the test.
        claimed: both values as printed, shown beside the measured ones.
        source: where they were printed.
        family: claims of one family share the chance of a false alarm (Holm); default: those of the same two entries.
            Claims of ``diversity`` stand apart: all of their conditions have to hold.
        seeds: how many sets each side must have at least; a claim about a method needs several.
    """

    id: str
    baseline: str
    candidate: str
    metric: str
    scope: Scope = "class"
    min_gain: float = 0.0
    confidence: float = 0.95
    claimed: tuple[float, float] | None = None
    source: str = ""
    family: str = ""
    seeds: int = 1

    @property
    def group(self) -> str:
        """The family, by name or by the two entries."""
        return self.family or " | ".join(map(posixpath.normpath, (self.baseline, self.candidate)))


class Pin(Struct, frozen=True, forbid_unknown_fields=True):
    """A measured value that is not to move unseen; the value stands in the machine's file beside.

    Attributes:
        id: its name in messages; each stands once in a file.
        result: result file below the folder of results, without ``.json``.
        metric, scope: of the score whose mean is pinned.
        tolerance: how far it may move, in the metric's units.
    """

    id: str
    result: str
    metric: str
    tolerance: float
    scope: Scope = "class"


class _File(Struct, frozen=True, forbid_unknown_fields=True):
    claim: tuple[Claim, ...] = ()
    pin: tuple[Pin, ...] = ()


@dataclass(frozen=True)
class ClaimFile:
    """What a claim file holds, and on which line each entry begins."""

    path: Path
    claims: tuple[Claim, ...]
    pins: tuple[Pin, ...]
    lines: dict[str, int]


def load_claims(path: Path) -> ClaimFile:
    """Read a claim file.

    Raises:
        ClaimError: it cannot be read, states nothing, has unknown or missing keys or values out of range, names a claim
            twice, or contradicts itself; the message says on which line.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ClaimError(f"{path}: cannot be read ({getattr(error, 'strerror', None) or error})") from error
    starts = {kind: _starts(text, kind) for kind in ("claim", "pin")}
    try:
        found = msgspec.toml.decode(text, type=_File)
    except msgspec.ValidationError as error:
        raise ClaimError(f"{_where(path, str(error), starts)}: {error}") from error
    except (msgspec.DecodeError, ValueError, RecursionError) as error:
        raise ClaimError(f"{path}: is no TOML: {error}") from error
    if not found.claim and not found.pin:
        raise ClaimError(f"{path}: states no claim, so nothing was checked; add a [[claim]] or a [[pin]]")
    if (len(starts["claim"]), len(starts["pin"])) != (len(found.claim), len(found.pin)):
        raise ClaimError(f"{path}: write each claim as a table that begins with a line [[claim]], a pin with [[pin]]")
    places: list[tuple[Claim | Pin, int]] = [*zip(found.claim, starts["claim"], strict=True)]
    places += zip(found.pin, starts["pin"], strict=True)
    lines: dict[str, int] = {}
    for one, line in places:
        if one.id in lines:
            raise ClaimError(f"{path}, line {line}: id {one.id!r} stands on line {lines[one.id]} already; rename one")
        lines[one.id] = line
        for problem in problems_of(one):
            raise ClaimError(f"{path}, line {line}: {one.id}: {problem}")
    for first, second, why in _contradictions(found.claim):
        raise ClaimError(f"{path}, line {lines[second.id]}: {second.id} {why} {first.id} (line {lines[first.id]})")
    return ClaimFile(path, found.claim, found.pin, lines)


def _starts(text: str, kind: str) -> list[int]:
    """On which lines the tables of a kind begin."""
    heading = re.compile(rf"\s*\[\[\s*{kind}\s*\]\]")
    return [number for number, line in enumerate(text.splitlines(), 1) if heading.match(line)]


def _where(path: Path, message: str, starts: dict[str, list[int]]) -> str:
    """The file, and the line of the entry that a message of msgspec is about."""
    match = re.search(r"`?\$\.(claim|pin)\[(\d+)\]", message)
    if match is None:
        return str(path)
    lines, index = starts[match[1]], int(match[2])
    return f"{path}, line {lines[index]}" if index < len(lines) else str(path)


def problems_of(one: Claim | Pin) -> Iterator[str]:
    """What is out of range."""
    if not one.id or not one.id.isprintable():
        yield f"id is a name on one line, got {one.id!r}"
    if isinstance(one, Pin):
        if not 0 <= one.tolerance < math.inf:
            yield f"tolerance is a number >= 0, got {one.tolerance}"
        return
    if posixpath.normpath(one.baseline) == posixpath.normpath(one.candidate):
        yield f"baseline and candidate are both {one.baseline!r}"
    if not 0 <= one.min_gain < math.inf:
        yield f"min_gain is a finite number >= 0, got {one.min_gain}; what is a loss is no gain"
    if one.metric.startswith(ACCURACY) and one.min_gain > 1:
        yield f"min_gain of an accuracy is a share of the test images, at most 1, got {one.min_gain}; a point is 0.01"
    if not 0.5 <= one.confidence < 1:
        yield f"confidence is from 0.5 to below 1, got {one.confidence}"
    if one.claimed is not None and not all(map(math.isfinite, one.claimed)):
        yield f"claimed holds two finite numbers, got {list(one.claimed)}"
    if one.seeds < 1:
        yield f"seeds is >= 1, got {one.seeds}"
    if one.metric == DIVERSITY and (one.min_gain != 0 or one.scope != "class"):
        yield "diversity is judged as a whole, at class scope: leave out min_gain and scope"


def _contradictions(claims: tuple[Claim, ...]) -> Iterator[tuple[Claim, Claim, str]]:
    """Two claims that say the same, or of which, with those between them, at most all but one can hold."""
    known: dict[tuple[str, str], list[tuple[str, str, Claim]]] = {}
    for second in claims:
        edges = known.setdefault((second.metric, second.scope), [])
        low, high = (posixpath.normpath(name) for name in (second.baseline, second.candidate))
        for first in (claim for start, end, claim in edges if (start, end) == (low, high)):
            yield first, second, "says of the same entries and metric what is said by"
        for first in (claim for _, end, claim in edges if end == low and _leads(edges, high, low)):
            yield first, second, "cannot hold together with"
        edges.append((low, high, second))


def _leads(edges: Sequence[tuple[str, str, Claim]], start: str, goal: str) -> bool:
    """Whether claimed gains lead from ``start`` to ``goal``."""
    seen, waiting = {start}, [start]
    while waiting:
        here = waiting.pop()
        fresh = {end for begin, end, _ in edges if begin == here} - seen
        seen |= fresh
        waiting += fresh
    return goal in seen
