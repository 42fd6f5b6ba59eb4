"""All that a leaderboard is made of, read once.

methods.toml, reported/*.toml -> facts ----+
results/**/*.json             -> entries --+-> claims, judged -> findings -> Board
claims/*.claims.toml          -> claims ---+
"""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from divbench.errors import ResultError
from divbench.leaderboard.audit import Finding, audit
from divbench.leaderboard.entries import Entry, load_entries
from divbench.leaderboard.facts import Fact, facts
from divbench.leaderboard.methods import Methods, load_methods
from divbench.leaderboard.reported import Paper, load_reported
from divbench.leaderboard.rules.draft import Severity
from divbench.leaderboard.stated import Stated, load_stated


@dataclass(frozen=True)
class Board:
    """Everything below one folder.

    Attributes:
        methods: by key.
        papers, facts: printed numbers, by paper, and flat with the keys of methods.
        entries: measured, by data set, images per class, method and protocol.
        stated: claims of papers, judged.
    """

    folder: Path
    methods: Methods
    papers: tuple[Paper, ...]
    facts: tuple[Fact, ...]
    entries: tuple[Entry, ...]
    stated: tuple[Stated, ...]

    @cached_property
    def findings(self) -> tuple[Finding, ...]:
        """Of the audit."""
        return tuple(audit(self.facts, self.stated, self.entries))

    @cached_property
    def found(self) -> dict[int, list[int]]:
        """``id`` of each fact -> numbers of the findings about it, from 1."""
        return self._found(("error", "warning", "info"))

    @cached_property
    def grave(self) -> dict[int, list[int]]:
        """Likewise, of errors and warnings alone."""
        return self._found(("error", "warning"))

    def _found(self, severities: tuple[Severity, ...]) -> dict[int, list[int]]:
        numbers: dict[int, list[int]] = {}
        for number, finding in enumerate(self.findings, 1):
            for fact in finding.facts if finding.severity in severities else ():
                numbers.setdefault(id(fact), []).append(number)
        return numbers


def load_board(folder: Path) -> Board:
    """Read a leaderboard.

    Raises:
        ResultError: a file is missing, cannot be read, or contradicts itself or another; all that is wrong with entries
            is named at once.
        ClaimError: likewise, of a claim file.
    """
    if not folder.is_dir():
        raise ResultError(f"{folder}: there is no such folder; give the folder of a leaderboard: --folder leaderboards")
    methods = load_methods(folder / "methods.toml")
    papers = load_reported(folder / "reported")
    entries, problems = load_entries(folder / "results", methods)
    if problems:
        raise ResultError("\n".join(problems))
    printed = list(facts(papers, methods.aliases))
    stated = load_stated(sorted((folder / "claims").glob("*.claims.toml")), printed, entries, methods)
    return Board(folder, methods, tuple(papers), tuple(printed), tuple(entries), tuple(stated))
