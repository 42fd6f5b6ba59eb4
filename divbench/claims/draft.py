"""A draft of a claim file from two results: what was measured, as claims that hold of it."""

import json
import math
from collections.abc import Sequence

import msgspec

from divbench.claims.claim import Claim, Pin
from divbench.claims.judge import Load, Verdict, judge_claims
from divbench.comparison import class_scores
from divbench.errors import ResultError
from divbench.results import ACCURACY, Result

_METRICS = ("coverage", "vendi", "cosine")
_SHARES = (0.75, 0.5, 0.25)
_WRITTEN = ("id", "baseline", "candidate", "metric", "min_gain", "confidence")


def draft(before: Result, after: Result, baseline: str, candidate: str) -> str:
    """TOML with a claim for each headline metric whose gain is beyond noise, and a comment for each other.

    The thresholds are the greatest of three, two and one quarter of the measured gains, or nothing, at which all claims
    together hold of these very results: room for other machines and seeds.

    Args:
        before, after: the results.
        baseline, candidate: what the file is to call them: paths below its folder of results, without ``.json``.

    Raises:
        ResultError: the results cannot be compared, or hold none of the metrics.
    """
    metrics = _drafted(before, after)
    if not metrics:
        raise ResultError(
            f"{before.name} and {after.name} have none of {', '.join(_METRICS)} or accuracies in common at class scope"
        )
    load = {baseline: before, candidate: after}.__getitem__
    claims = [Claim(f"{candidate}-{metric}".replace("/", "-"), baseline, candidate, metric) for metric in metrics]
    verdicts = judge_claims(claims, load)
    for verdict in verdicts:
        if verdict.status == "error":
            raise ResultError(verdict.text)
    shown = [verdict for verdict in verdicts if verdict.status == "holds"]
    names = [" ".join(result.name.split()) for result in (after, before)]
    lines = [f"# {names[0]} beside {names[1]}, as measured.", ""]
    for verdict in _with_thresholds(shown, load):
        lines += [f"# {verdict.text}", *_written(verdict.about), ""]
    for verdict in (one for one in verdicts if one not in shown):
        lines += [f"# No gain was shown: {verdict.text}", ""]
    return "\n".join(lines)


def _with_thresholds(shown: Sequence[Verdict], load: Load) -> Sequence[Verdict]:
    """The claims that were shown, with the greatest thresholds of `_SHARES` at which they hold together."""
    for share in _SHARES:
        claims = [
            msgspec.structs.replace(one.about, min_gain=_floored(share * one.gain.effect))
            for one in shown
            if isinstance(one.about, Claim) and one.gain is not None
        ]
        again = judge_claims(claims, load)
        if all(one.status == "holds" for one in again):
            return again
    return shown


def _written(claim: Claim | Pin) -> list[str]:
    """The claim in TOML; JSON's strings are TOML's."""
    fields = {key: value for key, value in msgspec.to_builtins(claim).items() if key in _WRITTEN}
    return ["[[claim]]", *(f"{key} = {json.dumps(value, ensure_ascii=False)}" for key, value in fields.items())]


def _drafted(before: Result, after: Result) -> Sequence[str]:
    held = {score.metric for score in class_scores(before)} & {score.metric for score in class_scores(after)}
    return [*(key for key in _METRICS if key in held), *sorted(key for key in held if key.startswith(ACCURACY))]


def _floored(value: float) -> float:
    """Two significant digits of a gain, rounded towards zero."""
    if value <= 0:
        return 0.0
    digits = 1 - math.floor(math.log10(value))
    return math.floor(value * 10.0**digits + 1e-9) / 10.0**digits
