"""Verdicts: what measured results say of claims and pins."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from divbench.claims.claim import DIVERSITY, Claim, ClaimFile, Pin
from divbench.claims.composite import Composite, measure_diversity
from divbench.combine import relevant
from divbench.comparison import check_comparable, check_equal_sizes, gain_between, set_count
from divbench.errors import ClaimError, DivbenchError
from divbench.gains import Gain
from divbench.results import Result, load_result
from divbench.statistics import holm

Status = Literal["holds", "inconclusive", "refuted", "error"]
EXIT: dict[Status, int] = {"holds": 0, "inconclusive": 3, "refuted": 1, "error": 2}
_WORST: tuple[Status, ...] = ("error", "refuted", "inconclusive", "holds")
Load = Callable[[str], Result]


@dataclass(frozen=True)
class Verdict:
    """What is known of one claim or pin.

    Attributes:
        about: the claim, or the pin.
        status: ``holds``; ``inconclusive``: not told from noise; ``refuted``; ``error``: the question was wrong.
        text: the answer in a sentence, with its numbers.
        measured: values of baseline and candidate; of a pin, what is pinned and what was found.
        gain: effect, interval and test; None where there is none.
        p: of the test, after Holm's adjustment over the family.
        composite: of a claim about ``diversity``.
        path, line: where it stands.
    """

    about: Claim | Pin
    status: Status
    text: str
    measured: tuple[float | None, float | None] = (None, None)
    gain: Gain | None = None
    p: float | None = None
    composite: Composite | None = None
    path: Path | None = None
    line: int | None = None


def unread(path: Path, problem: str) -> Verdict:
    """The verdict on a claim file that cannot be read."""
    return Verdict(Claim(path.name, "", "", "–"), "error", problem, path=path, line=1)


def worst(verdicts: Sequence[Verdict]) -> Status:
    """The worst status: errors, then refuted claims, then inconclusive ones."""
    held = {verdict.status for verdict in verdicts}
    return next((status for status in _WORST if status in held), "error")


def results_in(folder: Path) -> Load:
    """What loads a result by its name below ``folder``, each once."""
    known: dict[str, Result] = {}

    def load(name: str) -> Result:
        if name not in known:
            path = folder / f"{name}.json"
            if not path.exists():
                raise ClaimError(
                    f"{path}: is not there; {name!r} is the name of a result file below the folder of --results, "
                    "without .json"
                )
            known[name] = load_result(path)
        return known[name]

    return load


def judge(file: ClaimFile, load: Load) -> list[Verdict]:
    """Verdicts on the claims of a file, in its order; p-values are adjusted over the claims of a family.

    Args:
        file: of `load_claims`.
        load: gives the result of a name; see `results_in`.
    """
    found = judge_claims(file.claims, load)
    return [replace(verdict, path=file.path, line=file.lines[verdict.about.id]) for verdict in found]


def judge_claims(claims: Sequence[Claim], load: Load) -> list[Verdict]:
    """As `judge`, of claims that stand in no file."""
    measured = [_measure(claim, load) for claim in claims]
    families: dict[str, list[int]] = {}
    for i, (claim, verdict) in enumerate(zip(claims, measured, strict=True)):
        if verdict.gain is not None:
            families.setdefault(claim.group, []).append(i)
    for members in families.values():
        adjusted = holm([gain.p for i in members if (gain := measured[i].gain) is not None])
        for i, p in zip(members, adjusted, strict=True):
            measured[i] = _decide(claims[i], measured[i], p, len(members))
    return measured


def _measure(claim: Claim, load: Load) -> Verdict:
    """A claim with its gain, not decided yet; an error where it cannot be measured, a verdict where it is composite."""
    try:
        before, after = (relevant(load(name), claim.metric) for name in (claim.baseline, claim.candidate))
        _check(claim, before, after)
        if claim.metric == DIVERSITY:
            return _of_composite(claim, measure_diversity(before, after, claim.confidence))
        gain = gain_between(before, after, claim.metric, claim.scope, margin=claim.min_gain, level=claim.confidence)
    except DivbenchError as problem:
        return Verdict(claim, "error", str(problem))
    return Verdict(claim, "inconclusive", "", (gain.before, gain.after), gain)


def _check(claim: Claim, before: Result, after: Result) -> None:
    check_comparable([before, after])
    check_equal_sizes(before, after)
    for name, result in ((claim.baseline, before), (claim.candidate, after)):
        wrong = next((caution for caution in result.cautions if caution.code == "label-order"), None)
        if wrong is not None and claim.scope == "class":
            raise ClaimError(f"{wrong.text} Scores inside classes mean nothing if so; mend the labels of {name}")
        if (count := set_count(result, claim.metric)) < claim.seeds:
            students, more = (" with students", "train students on") if count < len(result.sets) else ("", "score")
            raise ClaimError(
                f"seeds = {claim.seeds}, but {name} has {count} set(s){students}; {more} more seeds together"
            )


def _decide(claim: Claim, verdict: Verdict, p: float, members: int) -> Verdict:
    gain = verdict.gain
    assert gain is not None
    beyond = p <= 1 - claim.confidence and not gain.single_student
    status: Status = "inconclusive" if not beyond else "holds" if gain.effect > claim.min_gain else "refuted"
    over = f" over at least {claim.min_gain:g}" if claim.min_gain else ""
    adjusted = f", Holm over {members} claims" if members > 1 else ""
    interval = f"{gain.effect:+.3g} [{gain.low:.3g}, {gain.high:.3g}]"
    text = (
        f"{claim.metric} {gain.before:.4g} → {gain.after:.4g}: gain {interval}{over}, p {p:.2g} ({gain.procedure}"
        f"{adjusted}; {gain.counted}: about {gain.about})"
    )
    least = members * 2 / 2**gain.classes if gain.over == "classes" else 0.0
    if least > 1 - claim.confidence:
        text += f"; {members} claims of one family cannot reach p < {least:.2g} over {gain.classes} classes: split it"
    if gain.single_student:
        text += (
            "; one student alone on a side, whose seed no test over classes takes into account: train more runs or "
            "sets (seeds)"
        )
    return replace(verdict, status=status, text=text, p=p)


def _of_composite(claim: Claim, found: Composite) -> Verdict:
    status: Status = {"yes": "holds", "open": "inconclusive", "no": "refuted"}[found.answer]  # type: ignore[assignment]
    gain = found.gains["coverage"]
    text = "; ".join(f"{one.text}: {one.answer}" for one in found.conditions)
    text += f" ({gain.procedure}; about {gain.about})"
    return Verdict(claim, status, text, composite=found)
