"""Printed values beside entries of this leaderboard."""

from collections.abc import Iterator, Sequence

from divbench.leaderboard.entries import Entry
from divbench.leaderboard.facts import Fact
from divbench.leaderboard.rules.draft import Draft
from divbench.leaderboard.stated import Stated, printed_for


def refuted_here(facts: Sequence[Fact], stated: Sequence[Stated], entries: Sequence[Entry]) -> Iterator[Draft]:
    """A gain that a paper claims and measurement refutes: under its own protocol, so that both may be right."""
    for one in stated:
        for found in (found for found in one.measured if found.verdict.status == "refuted"):
            about = [fact for fact in facts if printed_for(fact, one)]
            where = f"measured at IPC {found.ipc} under {found.protocol}"
            yield "info", about, f"{one.claim.id}: {where}: {found.verdict.text}"


def coverage_against_collapse(
    facts: Sequence[Fact], stated: Sequence[Stated], entries: Sequence[Entry]
) -> Iterator[Draft]:
    """Printed coverage of a method whose measured coverage near-copies of the class means surpass."""
    printed: dict[tuple[str, str], list[Fact]] = {}
    for fact in facts:
        if fact.quantity == "coverage":
            printed.setdefault((fact.dataset, fact.method), []).append(fact)
    measured: dict[Fact, list[str]] = {}
    for entry in entries:
        score = next((s for s in entry.result.scores if (s.metric, s.scope) == ("coverage", "class")), None)
        value, collapse = (None, None) if score is None else (score.value, score.reference_value("collapse"))
        if value is not None and collapse is not None and value <= collapse:
            for fact in printed.get((entry.dataset, entry.method), ()):
                if fact.ipc in (None, entry.ipc):
                    said = f"{value:.4g} beside {collapse:.4g} at IPC {entry.ipc} under {entry.protocol}"
                    measured.setdefault(fact, []).append(said)
    for fact, said_ in measured.items():
        text = (
            "coverage measured here does not beat near-copies of the class means, so it is no evidence of diversity: "
        )
        yield "info", [fact], text + "; ".join(said_)
