"""What printed numbers contradict: mathematics, themselves, each other, our measurements.

Each rule is one function of all facts. A finding is no verdict on a paper: it says which printed numbers cannot be read
as they stand, and why. Printed values are rounded: see `divbench.leaderboard.rules`.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import get_args

from divbench.leaderboard.entries import Entry
from divbench.leaderboard.facts import Fact
from divbench.leaderboard.rules.agreement import (
    identical_across_datasets,
    identical_rows,
    printed_elsewhere,
    printed_twice,
    stated_overhead,
)
from divbench.leaderboard.rules.draft import Draft, Severity
from divbench.leaderboard.rules.gains import more_images_no_better, refuted_improvement, within_deviation
from divbench.leaderboard.rules.mathematics import (
    coverage_against_iid,
    deviation_above_mean,
    factor_of_100,
    out_of_range,
    vendi_against_cosine,
)
from divbench.leaderboard.rules.measured import coverage_against_collapse, refuted_here
from divbench.leaderboard.stated import Stated


@dataclass(frozen=True)
class Finding:
    """What one rule says of some printed numbers; ``facts`` are those it is to be shown next to."""

    rule: str
    severity: Severity
    place: str
    text: str
    facts: tuple[Fact, ...] = ()


@dataclass(frozen=True)
class Rule:
    """A check of all facts at once; ``reference`` says why it is right."""

    name: str
    reference: str
    check: Callable[[Sequence[Fact]], Iterator[Draft]]


@dataclass(frozen=True)
class MeasuredRule:
    """The same, with claims and entries."""

    name: str
    reference: str
    check: Callable[[Sequence[Fact], Sequence[Stated], Sequence[Entry]], Iterator[Draft]]


def audit(facts: Iterable[Fact], stated: Iterable[Stated] = (), entries: Iterable[Entry] = ()) -> list[Finding]:
    """All findings, the severest first, then by rule and by the order of the facts.

    Args:
        facts: printed numbers.
        stated: claims of papers, judged by entries; see `divbench.leaderboard.stated`.
        entries: measured.
    """
    known, measured = list(facts), (list(stated), list(entries))
    checks = [(rule.name, rule.check(known)) for rule in RULES]
    checks += [(rule.name, rule.check(known, *measured)) for rule in MEASURED_RULES]
    found = [
        Finding(name, severity, about[-1].place, text, tuple(about))
        for name, drafts in checks
        for severity, about, text in drafts
    ]
    return sorted(found, key=lambda one: get_args(Severity).index(one.severity))


RULES: tuple[Rule, ...] = (
    Rule("out of range", "definitions of the quantities", out_of_range),
    Rule(
        "Vendi against cosine",
        "Rayleigh quotient of the all-ones vector; Friedman & Dieng 2023, arXiv:2210.02410",
        vendi_against_cosine,
    ),
    Rule(
        "coverage against i.i.d.",
        "expectation of a fresh draw; Naeem et al. 2020, arXiv:2002.09797",
        coverage_against_iid,
    ),
    Rule("printed twice", "DiRe, arXiv:2512.13083, Tables 9 and 17: 6.4 % and 0.45", printed_twice),
    Rule("printed elsewhere", "papers, and the READMEs and code beside them", printed_elsewhere),
    Rule("identical rows", "DiRe, arXiv:2512.13083, Tables 3 and 5: INFER and INFER(D)", identical_rows),
    Rule("identical across data sets", "DiRe, arXiv:2512.13083, Tables 2 and 4", identical_across_datasets),
    Rule("refuted improvement", "DiRe, arXiv:2512.13083: the text says that all improve", refuted_improvement),
    Rule("within deviation", "both deviations as printed, added", within_deviation),
    Rule("factor of 100", "DiRe, arXiv:2512.13083, Table 3: 0.04 %", factor_of_100),
    Rule("more images, no better", "DiRe, arXiv:2512.13083, Table 12", more_images_no_better),
    Rule("stated overhead", "DiRe, arXiv:2512.13083, Section 4.9 against Table 15", stated_overhead),
    Rule("deviation above mean", "WMDD supplement, Table 7", deviation_above_mean),
)
"""Rules about printed numbers alone, in the order of the report."""

MEASURED_RULES: tuple[MeasuredRule, ...] = (
    MeasuredRule("refuted by measurement", "tests of divbench.gains on entries of this leaderboard", refuted_here),
    MeasuredRule(
        "coverage against collapse", "near-copies of each class mean, scored as the entry is", coverage_against_collapse
    ),
)
"""Rules about printed numbers beside measured ones."""
