"""Tables of a leaderboard about what is not one measurement: claims, findings, methods."""

from typing import get_args

from divbench.errors import ResultError
from divbench.leaderboard.board import Board
from divbench.leaderboard.rules.draft import Severity
from divbench.leaderboard.stated import MARKS
from divbench.report.render import Cell, Table


def claims_table(board: Board) -> Table:
    """A row for each claim: what the printed numbers say, and the entries."""
    rows: list[list[Cell]] = []
    for one in board.stated:
        before, after = one.claim.claimed or (None, None)
        said = {"holds": "✓ holds", "equal": "✗ equal as printed", "worse": "✗ worse"}[one.printed]
        found = [f"{m.words} at IPC {m.ipc}: {_pair(m.verdict.measured)}" for m in one.measured]
        rows.append(
            [
                f"{one.paper}: {one.claim.source}", one.dataset, one.ipc, board.methods.name(one.candidate),
                one.claim.metric, before, after, said, "; ".join(found) or f"{MARKS['not measured']} not measured",
            ]
        )  # fmt: skip
    columns = ["where", "data set", "IPC", "method", "metric", "without", "with", "as printed", "measured"]
    return Table("Claims", columns, rows)


def _pair(pair: tuple[float | None, float | None]) -> str:
    return " → ".join("–" if value is None else f"{value:.4g}" for value in pair)


def claims_summary(board: Board) -> Table:
    """Counts by file of claims: as printed, and as measured."""
    rows: list[list[Cell]] = []
    for file in dict.fromkeys(one.file for one in board.stated):
        claims = [one for one in board.stated if one.file == file]
        printed = [sum(one.printed == word for one in claims) for word in ("holds", "equal", "worse")]
        marks = [one.verdict.status for claim in claims for one in claim.measured]
        measured = [marks.count(word) for word in ("holds", "inconclusive", "refuted", "error")]
        rows.append([file, len(claims), *printed, *measured, sum(not claim.measured for claim in claims)])
    names = ["claims", "in all", "printed: hold", "equal", "worse"]
    return Table(
        "Claims", [*names, "measured: hold", "inconclusive", "refuted", "error", "not measured"], rows,
        ["measured: one verdict for each number of images per class and protocol"],
    )  # fmt: skip


def audit_table(board: Board, paper: str | None = None, severity: Severity = "info") -> Table:
    """A row for each finding.

    Args:
        board: that was audited.
        paper: its findings alone.
        severity: findings of this severity or worse.

    Raises:
        ResultError: nothing of the paper is printed here.
    """
    papers = [one.paper for one in board.papers]
    if paper is not None and paper not in papers:
        raise ResultError(f"paper {paper!r}: there is none; papers are {', '.join(papers)}")
    levels = get_args(Severity)
    kept = [
        (number, one)
        for number, one in enumerate(board.findings, 1)
        if levels.index(one.severity) <= levels.index(severity)
        and (paper is None or any(fact.paper == paper for fact in one.facts))
    ]
    rows: list[list[Cell]] = [[number, one.severity, one.rule, one.place, one.text] for number, one in kept]
    counts = ", ".join(f"{sum(one.severity == level for _, one in kept)} {level}s" for level in levels)
    return Table(f"{len(rows)} findings: {counts}", ["", "severity", "rule", "where", "what"], rows)


def methods_table(board: Board) -> Table:
    """Names, citations, code, and how many numbers there are of each, plugged into others included."""
    rows: list[list[Cell]] = []
    for key, one in board.methods.known.items():
        held = sum(key in entry.method.split("+") for entry in board.entries)
        printed = sum(key in fact.method.split("+") for fact in board.facts if not fact.is_setting)
        cite = ", ".join(
            part for part in (one.authors, one.title, one.venue, one.arxiv and f"arXiv:{one.arxiv}") if part
        )
        rows.append([one.name, key, one.kind, held, printed, cite or None, one.code or None])
    return Table("Methods", ["method", "key", "kind", "entries", "printed", "source", "code"], rows)
