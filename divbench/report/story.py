"""What results say, in words: verdicts, what cannot be concluded, and how it was measured. No torch in here.

The four parts follow Zhao et al., "Position: Measure Dataset Diversity, Don't Just Claim It", ICML 2024.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from scipy.stats import kendalltau

from divbench.errors import shorten
from divbench.protocol import Scope
from divbench.report.render import Table
from divbench.report.verdicts import CONCEPTS, Verdict, against_controls, held, pairs_to_tell, scope_of, verdict
from divbench.results import ACCURACY, Result


@dataclass(frozen=True)
class Story:
    """All that a page says about results besides tables and pictures."""

    verdicts: tuple[Verdict, ...]
    controls: Table | None
    limits: tuple[str, ...]
    conceptualise: tuple[str, ...]
    operationalise: tuple[str, ...]
    reliability: tuple[str, ...]
    validity: tuple[str, ...]


def tell(results: Sequence[Result], pairs: Sequence[tuple[Result, Result]] | None = None) -> Story:
    """The story of comparable results.

    Args:
        results: of one protocol, one for each entry.
        pairs: before and after; default: those whose names say so, else each entry beside the first.
    """
    chosen = pairs_to_tell(results) if pairs is None else list(pairs)
    verdicts = tuple(verdict(before, after) for before, after in chosen)
    return Story(
        verdicts=verdicts,
        controls=against_controls(results),
        limits=tuple(_limits(results, verdicts)),
        conceptualise=tuple(f"{one.title}: {one.meaning}." for one in CONCEPTS),
        operationalise=tuple(_operationalise(results)),
        reliability=tuple(_reliability(results, verdicts)),
        validity=tuple(_validity(results)),
    )


def _limits(results: Sequence[Result], verdicts: Sequence[Verdict]) -> list[str]:
    """What cannot be concluded, most weighty first."""
    said = [f"{v.after} and {v.before}: {v.problem}." for v in verdicts if v.problem]
    said += dict.fromkeys(f"Not tested: {why}." for v in verdicts for why in v.untested)
    for scope, flat in _flat(results).items():
        if flat:
            said.append(
                f"Coverage of {shorten(flat)} at {scope} scope does not beat near-copies of the class mean: it is no "
                "evidence of diversity."
            )
    judged = [r.name for r in results if any(c.code == "own-judge" for c in r.cautions)]
    if judged:
        said.append(
            f"{shorten(judged)}: optimised for the very network whose features are scored. A gain may be one in its "
            "eyes alone; score with a network that the images have never met."
        )
    single = [r.name for r in results if len(r.sets) == 1]
    if single:
        said.append(
            f"One set each of {shorten(single)}: what is said holds for these sets. A statement about the methods "
            "needs several sets (seeds) of each."
        )
    lone = [f"{r.name} ({one.net})" for r in results for one in r.accuracies if len(one.own) == 1]
    if lone:
        said.append(f"One student alone (n = 1) of {shorten(lone)}: nothing says how much of its accuracy is its seed.")
    if len({r.sizes for r in results}) > 1:
        said.append("Images per class are unequal. Coverage and the Vendi Score grow with them.")
    return said + _limits_of_tests(results, verdicts)


def _limits_of_tests(results: Sequence[Result], verdicts: Sequence[Verdict]) -> list[str]:
    said = []
    findings = [one for v in verdicts for a in v.answers for one in a.findings if one.deciding]
    family = max((sum(f.deciding for a in v.answers for f in a.findings) for v in verdicts), default=0)
    count = len(results[0].classes)
    least = min(1.0, family * 2 / 2**count)
    if any(one.gain.over == "classes" for one in findings) and least > 1 - results[0].level:
        said.append(
            f"With {count} classes and {family} metrics no test over classes can reach an adjusted p < {least:.2g}."
        )
    if any(a.status == "open" for v in verdicts for a in v.answers):
        said.append("“No difference shown” is no proof of equality: a small difference may hide in the noise.")
    if findings:
        said.append(
            "p-values are adjusted (Holm) over the deciding metrics of a pair (vendi, coverage, precision, accuracies) "
            "and not over the pairs; intervals (±) are not adjusted."
        )
    if not any(r.accuracies for r in results):
        said.append("No student was trained: whether diversity helps training is not measured here.")
    if any(r.protocol is not None for r in results):
        said.append("All scores are in the eyes of one embedder. Another may see other differences.")
    return said


def _flat(results: Sequence[Result]) -> dict[Scope, list[str]]:
    """Scope -> entries whose coverage near-copies of the class mean reach as well."""
    found: dict[Scope, list[str]] = {}
    for result in results:
        for score in (one for one in result.scores if one.metric == "coverage"):
            collapse = score.reference_value("collapse")
            if collapse is not None and score.value is not None and score.value <= collapse:
                found.setdefault(score.scope, []).append(result.name)
    return found


def _operationalise(results: Sequence[Result]) -> list[str]:
    said = []
    scored = next((r for r in results if r.protocol is not None), None)
    if scored is not None and scored.protocol is not None and scored.real is not None:
        rules = scored.protocol
        said.append(f"Protocol {rules.name} ({scored.protocol_digest}): {rules.description}")
        said.append(f"Embedder: {_brief(scored.embedder or '')}.")
        said.append(f"Real data: {scored.real.count} images of {scored.real.name}, {len(scored.classes)} classes.")
        metrics = [f"{key} ({_settings(values)})" if values else key for key, values in rules.metrics.items()]
        said.append(f"Metrics: {', '.join(metrics)}; scopes: {', '.join(rules.scopes)}.")
        controls = rules.controls
        said.append(
            f"Controls: {controls.random} random real subsets, {controls.kmeans} k-means, {controls.collapse} collapse "
            f"to the class mean, each of as many images per class as the entry; seed {rules.seed}."
        )
    trained = {
        f"Students {one.net}: recipe {one.recipe} ({one.digest}), labels {one.labels}, tested on {one.test.count} "
        f"images of {one.test.name} after the last epoch."
        for r in results
        for one in r.accuracies
    }
    return said + sorted(trained)


def _brief(embedder: str) -> str:
    """An embedder's id with the first digits of its long hashes."""
    return re.sub(r"([0-9a-f]{12})[0-9a-f]{20,}", r"\1…", embedder)


def _settings(values: dict[str, bool | int | float]) -> str:
    return ", ".join(f"{key} {value}" for key, value in values.items())


def _reliability(results: Sequence[Result], verdicts: Sequence[Verdict]) -> list[str]:
    level = results[0].level
    procedures = dict.fromkeys(s.interval.procedure for r in results for s in r.scores if s.interval)
    said = [f"± of an entry are {level:.0%} intervals: {'; '.join(procedures)}."] if procedures else []
    tests = dict.fromkeys(one.gain.procedure for v in verdicts for a in v.answers for one in a.findings)
    if tests:
        said.append(f"Differences: {'; '.join(tests)}.")
    said.append("Sets: " + ", ".join(f"{r.name} {len(r.sets)}" for r in results) + ".")
    runs = [f"{r.name} {one.net} {len(one.own)}" for r in results for one in r.accuracies]
    if runs:
        said.append(f"Students, each of another seed: {', '.join(runs)}.")
    return said


def _validity(results: Sequence[Result]) -> list[str]:
    """Whether the metrics measure what is meant: do they agree, do they see through controls, does training agree."""
    said = []
    for one, other, what in (
        ("vendi", "cosine", "Convergent: the order of the entries by Vendi Score and by cosine similarity"),
        ("vendi", "coverage", "Convergent: their order by Vendi Score and by coverage"),
    ):
        agreement = _agreement(results, one, other)
        if agreement is not None:
            said.append(f"{what} {agreement}")
    flat = _flat(results)
    for scope in dict.fromkeys(s.scope for r in results for s in r.scores):
        tested = [r for r in results if (s := held(r, "coverage", scope)) is not None and "collapse" in s.reference]
        if tested:
            said.append(
                f"Discriminant: {len(flat.get(scope, []))} of {len(tested)} entries have coverage at {scope} scope "
                "that near-copies of the class mean reach as well."
            )
    for net in dict.fromkeys(one.net for r in results for one in r.accuracies):
        agreement = _agreement(results, "vendi", ACCURACY + net)
        if agreement is not None:
            said.append(f"Predictive: their order by Vendi Score and by accuracy of {net} {agreement}")
    cautions = [(r.name, c.text) for r in results for c in r.cautions if c.code not in ("collapse", "own-judge")]
    told = [text if text.startswith(f"{name}:") else f"{name}: {text}" for name, text in cautions]
    return said + list(dict.fromkeys(told))


def _agreement(results: Sequence[Result], one: str, other: str) -> str | None:
    """Kendall's tau over the entries, signed so that 1 means that both call the same entries better."""
    scope = scope_of(results)
    if scope is None:
        return None
    pairs = [(held(r, one, scope), held(r, other, scope)) for r in results]
    both = [(a, b) for a, b in pairs if a and b and a.value is not None and b.value is not None]
    if len(both) < 3 or len({r.sizes for r in results}) > 1:  # the number of images would order them by itself
        return None
    sign = 1 if both[0][0].higher_is_better == both[0][1].higher_is_better else -1
    tau = float(kendalltau([a.value for a, _ in both], [b.value for _, b in both]).statistic)
    if tau != tau:  # all equal
        return None
    return f"agree to Kendall's tau {sign * tau:+.2f} ({len(both)} entries; 1: the same order; seen, not tested)."
