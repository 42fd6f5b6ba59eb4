"""The page: one self-contained HTML file that tells what results say. No torch in here.

results (+ gallery) -> story, tables, figures -> template -> text
"""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from divbench.combine import joined
from divbench.comparison import by_ipc, check_comparable
from divbench.errors import ResultError
from divbench.report._page_figures import embedded, page_figures
from divbench.report._page_tables import class_tables, page_tables
from divbench.report.cells import page_table
from divbench.report.filled import filled
from divbench.report.gallery import NO_GALLERY, Gallery
from divbench.report.parts import span
from divbench.report.sets import command, made
from divbench.report.story import Story, tell
from divbench.report.verdicts import pairs_to_tell
from divbench.results import Result

SIGNS = {"more": "▲", "less": "▼", "mixed": "◆", "open": "○", "unmeasured": "–"}
MANY_CLASSES = 40
"""From here on the tables of classes show both ends and a search."""


@dataclass(frozen=True)
class Wording:
    """What the author of a report says."""

    title: str = ""
    note: str = ""
    pairs: Sequence[tuple[str, str]] = field(default=())


_NO_WORDS = Wording()


def page(
    results: Sequence[Result],
    gallery: Gallery = NO_GALLERY,
    wording: Wording = _NO_WORDS,
    cost: Sequence[Result] = (),
) -> str:
    """The report as HTML; the same text for the same input.

    Args:
        results: entries of one protocol; parts of one entry (scores, accuracies) are joined.
        gallery: figures and pictures made from images, see `divbench.exhibits`.
        wording: title, note, and which entries are before and after; default: those whose names say so.
        cost: of a run that was made to measure what it costs to generate sets; see `cost_table`.

    Raises:
        ResultError: no results, not comparable, two of one name, or a pair that names no entry.
    """
    whole = joined(results)
    results = checked(results)
    pairs = named_pairs(results, wording.pairs) if wording.pairs else pairs_to_tell(results)
    story = tell(results, pairs)
    many = len(results[0].classes) if len(results[0].classes) > MANY_CLASSES else 0
    return filled(
        "report/page.html.j2",
        ["report/page.css"],
        ["report/page.js"],
        title=wording.title or _title(results),
        what=_what(results),
        note=[part for part in re.split(r"\n\s*\n", wording.note.strip()) if part],
        signs=SIGNS,
        story=story,
        controls=None if story.controls is None else page_table(story.controls),
        measurement=_measurement(story),
        tables=page_tables(whole, results, cost),
        per_class=[(f"class-{i}", table) for i, table in enumerate(class_tables(results, pairs, bool(many)))],
        many=many,
        figures=[embedded(one) for one in (*page_figures(results), *gallery.figures)],
        classes=gallery.classes,
        gallery_notes=gallery.notes,
        provenance=[_provenance(result) for result in results],
    )


def checked(results: Sequence[Result]) -> list[Result]:
    """The entries, joined; those of one name and several numbers of images per class are named apart.

    Raises:
        ResultError: there are none, two cannot be told apart, or they do not compare. Recipes of students may change
            with the images per class, as those of papers do.
    """
    if not results:
        raise ResultError("a report needs at least one result")
    found = joined(results)
    check_comparable([msgspec.structs.replace(result, accuracies=()) for result in found])
    for group in by_ipc(found):
        try:
            check_comparable(group)
        except ResultError as problem:
            raise ResultError(
                f"{problem}, or name the networks to show (--net; nets = [...] in a report file)"
            ) from None
    named = Counter((result.name, result.ipc) for result in found)
    for (name, _), times in named.items():
        if times > 1:
            raise ResultError(
                f"two results are called {name!r}, which a page could not tell apart; give one another --name"
            )
    if len({result.name for result in found}) == len(found):
        return found
    return [msgspec.structs.replace(result, name=f"IPC {span(result.ipc)} {result.name}") for result in found]


def named_pairs(results: Sequence[Result], names: Sequence[tuple[str, str]]) -> list[tuple[Result, Result]]:
    """Before and after by their names; raises `ResultError` for one that there is not."""
    known = {result.name: result for result in results}
    for name in (name for pair in names for name in pair):
        if name not in known:
            raise ResultError(f"pairs: there is no entry {name!r}; the entries are {', '.join(known)}")
    doubled = next((pair for pair in names if pair[0] == pair[1] or list(names).count(pair) > 1), None)
    if doubled is not None:
        raise ResultError(
            f"pairs: {doubled[0]!r} and {doubled[1]!r} are one entry, or stand twice; name each pair once"
        )
    return [(known[before], known[after]) for before, after in names]


def _title(results: Sequence[Result]) -> str:
    names = [result.name for result in results]
    return "Diversity of " + (", ".join(names[:-1]) + " and " + names[-1] if len(names) > 1 else names[0])


def _what(results: Sequence[Result]) -> str:
    first = results[0]
    ipc = sorted({one for r in results if r.ipc for one in r.ipc})
    per_class = f", {' to '.join(map(str, dict.fromkeys((ipc[0], ipc[-1]))))} images per class" if ipc else ""
    real = next((f", against {r.real.count} images of {r.real.name}" for r in results if r.real is not None), "")
    entries = "one entry" if len(results) == 1 else f"{len(results)} entries"
    return f"{entries}, {len(first.classes)} classes{per_class}{real}"


def _measurement(story: Story) -> list[tuple[str, str, Sequence[str]]]:
    return [
        ("Conceptualise", "What is meant by diversity?", story.conceptualise),
        ("Operationalise", "How was it turned into numbers?", story.operationalise),
        ("Reliability", "Would the same numbers come again?", story.reliability),
        ("Validity", "Do the numbers measure what is meant?", story.validity),
    ]


def _provenance(result: Result) -> dict[str, Any]:
    facts: list[tuple[str, str]] = []
    if result.protocol is not None and result.real is not None:
        facts.append(("protocol", f"{result.protocol.name}, digest {result.protocol_digest}"))
        facts.append(("real images", f"{result.real.name}, {result.real.count}, digest {result.real.digest}"))
    for record in result.sets:
        facts.append(("set", f"{record.name}, {record.count} images, digest {record.digest}"))
        facts.append(("read as", record.recognised))
        facts += [("note", note) for note in record.said]
    for what, where in made(result):
        commit = f", commit {where.commit:.12}{' with changes' if where.dirty else ''}" if where.commit else ""
        facts.append(
            (
                what,
                f"{where.date}, {where.seconds:.0f} s on {where.device} ({where.platform}); divbench {where.divbench}"
                f"{commit}, Python {where.python}, torch {where.torch}",
            )
        )
        if where.argv:
            facts.append(("command", command(where)))
    return {"name": result.name, "facts": facts}
