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
    for entry in entries:
        score = next((s for s in entry.result.scores if (s.metric, s.scope) == ("coverage", "class")), None)
        value, collapse = (None, None) if score is None else (score.value, score.reference_value("collapse"))
        about = [f for f in printed.get((entry.dataset, entry.method), ()) if f.ipc in (None, entry.ipc)]
        if about and value is not None and collapse is not None and value <= collapse:
            yield (
                "info",
                about,
                f"{entry.place}: coverage {value:.4g}, and near-copies of the class means reach {collapse:.4g}: at "
                f"IPC {entry.ipc} coverage is no evidence of diversity",
            )
