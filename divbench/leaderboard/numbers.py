"""Every number of a leaderboard, printed or measured, one to a line: to be sorted and filtered, and as CSV."""

import csv as _csv
import io
from collections.abc import Iterable, Iterator, Sequence

from msgspec import Struct
from msgspec.structs import astuple

from divbench.leaderboard.board import Board
from divbench.leaderboard.entries import Entry
from divbench.leaderboard.facts import Fact
from divbench.leaderboard.measured import groups
from divbench.leaderboard.stated import MARKS, Stated, printed_for
from divbench.results import ACCURACY, Score


class Number(Struct, frozen=True):
    """A printed or measured number.

    Attributes:
        kind: ``printed`` or ``measured``.
        value, std, low, high: fractions, seconds or bare numbers: a printed "2.25 %" is 0.0225.
        printed: as printed, with its unit; of a measured one "".
        scope: of a measured one, ``class`` or ``dataset``.
        n: synthetic sets, of an accuracy its runs; None: not stated.
        yardstick: coverage of as many fresh real images.
        rank, of: among the entries of its table; None where one of them lacks the value, or the metric no direction.
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
    for entries in groups(board):
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
    marks = [one.mark(entry.ipc, entry.protocol) for one in stated if one.ipc in (None, entry.ipc)]
    return Number(
        kind="measured",
        dataset=entry.dataset,
        ipc=entry.ipc,
        method=entry.method,
        quantity=quantity,
        scope=score.scope,
        network=network,
        embedder=(entry.result.embedder or "") if not network else "",
        variant="",
        value=value,
        low=None if score.interval is None else score.interval.low,
        high=None if score.interval is None else score.interval.high,
        n=len(score.values),
        yardstick=score.reference_value("iid"),
        rank=1 + ranked.index(value) if ranked and value is not None else None,
        of=len(ranked) or None,
        protocol=entry.protocol if trained is None else f"{trained.recipe} {trained.digest}",
        where=f"{entry.place}.json",
        gain=", ".join(f"{MARKS[mark]} {mark}" for mark in dict.fromkeys(marks)),
    )


def _ranked(entries: Sequence[Entry]) -> dict[tuple[str, str], list[float]]:
    """Metric and scope -> values, the best first; only where every entry has one, accuracies under one recipe."""
    found: dict[tuple[str, str], list[Score]] = {}
    recipes: dict[str, set[str]] = {}
    for entry in entries:
        for score in entry.result.scores:
            found.setdefault((score.metric, score.scope), []).append(score)
        for one in entry.result.accuracies:
            recipes.setdefault(ACCURACY + one.net, set()).add(one.digest)
    ranked = {}
    for (metric, scope), scores in found.items():
        values = [value for score in scores if (value := score.value) is not None]
        better = scores[0].higher_is_better
        if better is not None and len(values) == len(entries) and len(recipes.get(metric, ())) < 2:
            ranked[metric, scope] = sorted(values, reverse=better)
    return ranked


def _printed(board: Board) -> Iterator[Number]:
    noted: dict[int, list[int]] = {}
    for number, finding in enumerate(board.findings, 1):
        for fact in finding.facts:
            noted.setdefault(id(fact), []).append(number)
    for fact in board.facts:
        if not fact.quantity.startswith("setting: "):
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
                printed=fact.shown,
                where=fact.place,
                gain=_gain(fact, board.stated),
                findings=tuple(noted.get(id(fact), ())),
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
            found = [f"{MARKS[m.verdict.status]} {m.verdict.status} (IPC {m.ipc})" for m in one.measured]
            said += found or [f"{MARKS['not measured']} not measured"]
    return ", ".join(dict.fromkeys(said))


def csv(every: Iterable[Number]) -> str:
    """Numbers as CSV, with every digit."""
    out = io.StringIO()
    writer = _csv.writer(out, lineterminator="\n")
    writer.writerow(Number.__struct_fields__)
    writer.writerows((*astuple(one)[:-1], " ".join(map(str, one.findings))) for one in every)
    return out.getvalue()
