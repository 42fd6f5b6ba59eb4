"""Verdicts as people and machines read them: table, Markdown, JSON, GitHub annotations, JUnit XML."""

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import msgspec

from divbench.claims.claim import Claim
from divbench.claims.judge import Status, Verdict, worst
from divbench.report.render import Cell, Measured, Table, render

SIGNS: dict[Status, str] = {"holds": "✓", "inconclusive": "?", "refuted": "✗", "error": "!"}
_LEVELS: dict[Status, str] = {"holds": "notice", "inconclusive": "warning", "refuted": "error", "error": "error"}


def written(verdicts: Sequence[Verdict], format: str) -> str:
    """The verdicts in one of `divbench.claims.FORMATS`, ending in a newline."""
    if format == "json":
        return json.dumps([_plain(verdict) for verdict in verdicts], indent=1, ensure_ascii=False) + "\n"
    if format == "github":
        return "".join(map(_annotation, verdicts))
    return render(verdict_table(verdicts), format)


def verdict_table(verdicts: Sequence[Verdict]) -> Table:
    """A row for each verdict; what is behind it in the notes."""
    columns = ["claim", "verdict", "metric", "claimed", "measured", "gain", "at least"]
    rows = [_row(verdict) for verdict in verdicts]
    counts = Counter(verdict.status for verdict in verdicts)
    said = ", ".join(f"{counts[status]} {status}" for status in SIGNS if counts[status])
    notes = [f"{verdict.about.id}: {verdict.text}" for verdict in verdicts]
    return Table(f"{len(verdicts)} claims: {said}", columns, rows, notes)


def junit(verdicts: Sequence[Verdict], accept_inconclusive: bool = False) -> bytes:
    """The verdicts as JUnit XML: refuted and inconclusive claims are failures, wrong questions errors."""
    root = ElementTree.Element("testsuites")
    for path, held in _by_file(verdicts).items():
        suite = ElementTree.SubElement(root, "testsuite", name=path, tests=str(len(held)))
        for verdict in held:
            case = ElementTree.SubElement(suite, "testcase", classname=path, name=_printable(verdict.about.id))
            kind = {"refuted": "failure", "inconclusive": "failure", "error": "error"}.get(verdict.status)
            if verdict.status == "inconclusive" and accept_inconclusive:
                kind = "skipped"
            if kind is not None:
                ElementTree.SubElement(case, kind, message=_printable(f"{verdict.status}: {verdict.text}"))
        for name, kind in (("failures", "failure"), ("errors", "error"), ("skipped", "skipped")):
            suite.set(name, str(len(suite.findall(f"testcase/{kind}"))))
    ElementTree.indent(root)
    return ElementTree.tostring(root, encoding="utf-8", xml_declaration=True) + b"\n"


def _printable(text: str) -> str:
    """Without control characters, which no XML may hold."""
    return "".join(c if c.isprintable() else " " for c in text)


def _by_file(verdicts: Sequence[Verdict]) -> dict[str, list[Verdict]]:
    files: dict[str, list[Verdict]] = {}
    for verdict in verdicts:
        files.setdefault(str(verdict.path or "claims"), []).append(verdict)
    return files


def _row(verdict: Verdict) -> list[Cell]:
    one, gain = verdict.about, verdict.gain
    claimed, least = None, None
    if isinstance(one, Claim):
        claimed = None if one.claimed is None else f"{one.claimed[0]:g} → {one.claimed[1]:g}"
        least = one.min_gain if gain is not None else None
    before, after = verdict.measured
    measured = None if after is None else f"{'–' if before is None else f'{before:.4g}'} → {after:.4g}"
    cell = None if gain is None else Measured(gain.effect, gain.low, gain.high, verdict.p)
    return [one.id, f"{SIGNS[verdict.status]} {verdict.status}", one.metric, claimed, measured, cell, least]


def _plain(verdict: Verdict) -> dict[str, Any]:
    """Everything that is known, for machines."""
    found = {
        "id": verdict.about.id,
        "status": verdict.status,
        "text": verdict.text,
        "about": msgspec.to_builtins(verdict.about),
        "measured": list(verdict.measured),
        "gain": None if verdict.gain is None else msgspec.to_builtins(verdict.gain),
        "p": verdict.p,
        "path": None if verdict.path is None else str(verdict.path),
        "line": verdict.line,
    }
    if verdict.composite is not None:
        found["conditions"] = [msgspec.to_builtins(one) for one in verdict.composite.conditions]
        found["gains"] = {key: msgspec.to_builtins(gain) for key, gain in verdict.composite.gains.items()}
    return found


def _annotation(verdict: Verdict) -> str:
    place = [] if verdict.path is None else [f"file={_property(str(verdict.path))}", f"line={verdict.line}"]
    title = f"title={_property(f'{verdict.about.id} {verdict.status}')}"
    return f"::{_LEVELS[verdict.status]} {','.join([*place, title])}::{_data(verdict.text)}\n"


def _data(text: str) -> str:
    """Escaped as workflow commands want it."""
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")


def summary(verdicts: Sequence[Verdict]) -> str:
    """Markdown for the page of a job."""
    return f"## Claims: {worst(verdicts)}\n\n{render(verdict_table(verdicts), 'markdown')}"


def append_summary(verdicts: Sequence[Verdict], path: Path) -> None:
    """Add `summary` to the file that a job's page is made of."""
    with path.open("a", encoding="utf-8") as file:
        file.write(summary(verdicts) + "\n")
