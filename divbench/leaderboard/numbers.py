"""Every number of a leaderboard, printed or measured, one to a line: to be sorted and filtered, and as CSV."""

import csv as _csv
import io
from collections.abc import Iterable, Iterator, Sequence

from msgspec import Struct
from msgspec.structs import astuple

from divbench.leaderboard.board import Board
from divbench.leaderboard.entries import Entry
from divbench.leaderboard.facts import Fact
from divbench.leaderboard.measured import groups, takes_part
from divbench.leaderboard.stated import MARKS, Stated, printed_for
from divbench.results import ACCURACY, Score

_OPEN = f"{MARKS['not measured']} not measured"


class Number(Struct, frozen=True):
    """A printed or measured number.

    Attributes:
        kind: ``printed`` or ``measured``.
        value, std, low, high: in ``unit``; a printed "2.25 %" is 0.0225, hours are seconds.
        unit: "" of fractions and bare numbers.
        printed: as printed, with its unit; of a measured one "".
        scope: of a measured one, ``class`` or ``dataset``.
        n: synthetic sets, of an accuracy its runs; None: not stated.
        yardstick: coverage of as many fresh real images.
        rank, of: among the entries of its table but copies of real images; None where one of them lacks the value, or
            the metric no direction, or there is one alone.
        protocol: of a measured one; of an accuracy with its recipe.
        where: table and cell, or the entry's file.
        gain: verdicts on the gain that a paper claims of it.
        findings: numbers of the audit's findings, from 1.
    """

    kind: str
    dataset: str
    ipc: int | None
    method: str
    quantity: str
    scope: str
    network: str
    embedder: str
    variant: str
    value: float | None
    std: float | None = None
    low: float | None = None
    high: float | None = None
    unit: str = ""
    printed: str = ""
    n: int | None = None
    yardstick: float | None = None
    rank: int | None = None
    of: int | None = None
    protocol: str = ""
    where: str = ""
    gain: str = ""
    findings: tuple[int, ...] = ()


def numbers(board: Board) -> list[Number]:
    """All numbers: measured ones by place, then printed ones by paper; settings of methods are left out."""
    return [*_measured(board), *_printed(board)]


def _measured(board: Board) -> Iterator[Number]:
    asked: dict[tuple[str, str, str, str], list[Stated]] = {}
    for one in board.stated:
        asked.setdefault((one.dataset, one.candidate, one.claim.metric, one.claim.scope), []).append(one)
    for entries in groups(board.entries):
        ranked = _ranked(entries)
        for entry in entries:
            for score in entry.result.scores:
                stated = asked.get((entry.dataset, entry.method, score.metric, score.scope), ())
                yield _number(entry, score, ranked.get((score.metric, score.scope), ()), stated)


def _number(entry: Entry, score: Score, ranked: Sequence[float], stated: Sequence[Stated]) -> Number:
    """``ranked``: the values of all entries, the best first; empty: no rank. ``stated``: claims about the number."""
    quantity, _, network = score.metric.partition("/")
    value = score.value
    trained = entry.result.accuracy(network) if network else None
    verdicts = [m for one in stated for m in one.measured if (m.ipc, m.protocol) == (entry.ipc, entry.protocol)]
    asked = any(one.ipc in (None, entry.ipc) for one in stated)
    return Number(
        kind="measured",
        dataset=entry.dataset,
        ipc=entry.ipc,
        method=entry.method,
        quantity=quantity,
        scope=score.scope,
        network=network,
        embedder="" if network or entry.result.protocol is None else entry.result.protocol.embedder,
        variant="",
        value=value,
        low=None if score.interval is None else score.interval.low,
        high=None if score.interval is None else score.interval.high,
        n=len(score.values),
        yardstick=score.reference_value("iid"),
        rank=1 + ranked.index(value) if value in ranked and takes_part(entry) else None,
        of=len(ranked) if value in ranked and takes_part(entry) else None,
        protocol=entry.protocol if trained is None else f"{trained.recipe} {trained.digest}",
        where=f"{entry.place}.json",
        gain=", ".join(dict.fromkeys(m.words for m in verdicts)) or (_OPEN if asked else ""),
    )


def _ranked(entries: Sequence[Entry]) -> dict[tuple[str, str], list[float]]:
    """Metric and scope -> values, the best first; where every entry that takes part has one, under one recipe."""
    rivals = [entry for entry in entries if takes_part(entry)]
    found: dict[tuple[str, str], list[Score]] = {}
    recipes: dict[str, set[str]] = {}
    for entry in rivals:
        for score in entry.result.scores:
            found.setdefault((score.metric, score.scope), []).append(score)
        for one in entry.result.accuracies:
            recipes.setdefault(ACCURACY + one.net, set()).add(one.digest)
    ranked = {}
    for (metric, scope), scores in found.items():
        values = [value for score in scores if (value := score.value) is not None]
        better = scores[0].higher_is_better
        if better is not None and len(values) == len(rivals) > 1 and len(recipes.get(metric, ())) < 2:
            ranked[metric, scope] = sorted(values, reverse=better)
    return ranked


def _printed(board: Board) -> Iterator[Number]:
    for fact in board.facts:
        if not fact.is_setting:
            yield Number(
                kind="printed",
                dataset=fact.dataset,
                ipc=fact.ipc,
                method=fact.method,
                quantity=fact.quantity,
                scope="",
                network=fact.network,
                embedder=fact.embedder,
                variant=fact.variant,
                value=_exact(fact.base),
                std=None if fact.std is None else _exact(fact.std * fact.scale),
                unit=fact.base_unit,
                printed=fact.shown,
                where=fact.place,
                gain=_gain(fact, board.stated),
                findings=tuple(board.found.get(id(fact), ())),
            )


def _exact(value: float) -> float:
    """Without the digits that only the division by 100 has made."""
    return float(f"{value:.12g}")


def _gain(fact: Fact, stated: Sequence[Stated]) -> str:
    """What entries say of the gain that this number is the end of, and the printed numbers where they refute it."""
    said = []
    for one in stated:
        if one.candidate == fact.method and printed_for(fact, one):
            said += [f"✗ {one.printed} as printed"] if one.printed != "holds" else []
            said += [f"{m.words} (IPC {m.ipc})" for m in one.measured] or [_OPEN]
    return ", ".join(dict.fromkeys(said))


def csv(every: Iterable[Number]) -> str:
    """Numbers as CSV, with every digit."""
    out = io.StringIO()
    writer = _csv.writer(out, lineterminator="\n")
    writer.writerow(Number.__struct_fields__)
    writer.writerows((*astuple(one)[:-1], " ".join(map(str, one.findings))) for one in every)
    return out.getvalue()
