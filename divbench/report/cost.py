"""What it cost to generate sets: time, memory, bytes. No torch in here."""

from collections.abc import Iterable, Sequence
from statistics import fmean

from divbench.combine import joined
from divbench.comparison import before_and_after
from divbench.errors import ResultError, shorten
from divbench.origin import Origin
from divbench.report.parts import span
from divbench.report.render import Cell, Table
from divbench.results import Result

_GIB = 2**30


def cost_table(results: Sequence[Result]) -> Table:
    """Seconds, peak memory and bytes of the entries that divbench generated, means over an entry's sets.

    An entry such as SRe2L+DiRe is set beside SRe2L where both were made on one kind of device.

    Raises:
        ResultError: no entry says how it was generated.
    """
    entries = joined(results)
    made = {id(result): origins for result in entries if (origins := origins_of(result))}
    if not made:
        raise ResultError(f"nothing says how the sets of {shorten([r.name for r in entries])} were generated")
    before = {id(after): id(one) for one, after in before_and_after(entries) if id(one) in made}
    rows = []
    for result in (one for one in entries if id(one) in made):
        own, base = made[id(result)], made.get(before.get(id(result), 0), [])
        alike = base if {one.device for one in base} == {one.device for one in own} else []
        seconds, memory = [_seconds(one) for one in own], [one.peak_memory for one in own]
        row: list[Cell] = [
            result.name,
            span(result.ipc),
            len(own),
            _values(one.recipe.get("iterations") for one in own),
        ]
        row += [fmean(seconds), " ".join(f"{value:.0f}" for value in seconds)]
        row += [fmean(seconds) / fmean(map(_seconds, alike)) if alike else None]
        row += [_gib(memory), _ratio(_gib(memory), _gib([one.peak_memory for one in alike]))]
        row += [fmean(sum(one.bytes.values()) for one in own) / 2**20, _values(one.device for one in own)]
        rows.append(row)
    columns = [
        "entry", "IPC", "sets", "iterations", "seconds per set ↓", "each set", "/ without", "peak memory GiB ↓",
        "/ without", "MiB on disk", "device",
    ]  # fmt: skip
    notes = [
        "seconds: wall time of recovery and labels, whatever else the machine did meanwhile; they compare where sets "
        "were made on one machine in one go",
        "/ without: over the entry without the addition; peak memory: of the GPU, or of the whole process on the CPU",
    ]
    return Table("what the sets cost", columns, rows, notes)


def origins_of(result: Result) -> list[Origin]:
    """How the sets of an entry were generated; empty unless all of them say so."""
    found = [one.origin for one in result.sets if one.origin is not None]
    return found if len(found) == len(result.sets) else []


def _seconds(origin: Origin) -> float:
    return sum(origin.seconds.values())


def _gib(counts: Sequence[int | None]) -> float | None:
    known = [count for count in counts if count is not None]
    return fmean(known) / _GIB if known and len(known) == len(counts) else None


def _ratio(value: float | None, base: float | None) -> float | None:
    return value / base if value is not None and base else None


def _values(found: Iterable[object]) -> str:
    return ", ".join(dict.fromkeys(map(str, found)))
