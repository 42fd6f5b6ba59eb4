"""What has to be said below a table of results for its numbers to be read rightly."""

from collections.abc import Sequence

from divbench.comparison import Differences, set_count
from divbench.errors import shorten
from divbench.gains import Over
from divbench.report.parts import is_accuracy, span
from divbench.results import ACCURACY, Result
from divbench.statistics import fewest_classes


def bold_note(where: str) -> str:
    """What bold means, where the best value of each ``where`` is bold."""
    return f"bold: the best value of a {where}, whether or not the difference is beyond noise"


def change_notes(found: Sequence[Differences], level: float) -> list[str]:
    """How the differences between entries were tested, and which could not be."""
    changes = [(metric, one) for pair in found for metric, one in pair.tested.items()]
    untested = [f"no test of {reason}" for reason in dict.fromkeys(text for pair in found for text in pair.untested)]
    if not changes:
        return untested
    classes, accuracies = changes[0][1].classes, any(is_accuracy(metric) for metric, _ in changes)
    welch, means = f"± {level:.0%} t interval and p after Welch over the", f"each the mean of its {classes} classes"
    how: dict[Over, str] = {
        "sets": f"{welch} sets, {means}",
        "runs": f"{welch} students of these sets, {means}",
        "classes": f"± {level:.0%} t interval over {classes} classes; p: sign-flip test",
        "intervals": f"± {level:.0%} and p of both entries' own intervals put together",
    }
    where: dict[Over, str] = {
        "sets": "both have several sets" + (" (of an accuracy: with students)" if accuracies else ""),
        "runs": "both have several students",
        "classes": f"there are {fewest_classes(level)} classes or more",
    }
    kinds = [kind for kind in how if any(one.over == kind for _, one in changes)]
    said = how[kinds[0]]
    if len(kinds) > 1:
        parts = [f"where {where[kind]}: {how[kind]}" for kind in kinds[:-1]]
        said = "; ".join([*parts, f"else: {how[kinds[-1]]}"])
    if kinds == ["sets"]:
        about = "several sets each: this speaks about the methods on these classes"
    elif "sets" in kinds:
        about = "only the first speaks about the methods"
    else:
        about = "this speaks about these sets, not about the methods"
    said += f", Holm over the metrics that are shown of two entries; {about}"
    said += "; accuracies in percentage points" if accuracies else ""
    single = list(dict.fromkeys(metric for metric, one in changes if one.single_student))
    alone = f"one student alone (n = 1) of an entry, whose seed is in no ± and p: {shorten(single)}"
    return [said, *([alone] if single else []), *untested]


def protocol_notes(results: Sequence[Result]) -> list[str]:
    """What scores were made by."""
    held = [f"protocol {r.protocol.name} {r.protocol_digest}: {r.embedder}" for r in results if r.protocol is not None]
    return list(dict.fromkeys(held))


def recipe_notes(results: Sequence[Result]) -> list[str]:
    """How students were trained, once for each recipe, and what that means for their accuracies."""
    nets: dict[str, list[str]] = {}
    for one in (one for r in results for one in r.accuracies):
        changes = f"; {', '.join(one.notes)}" if one.notes else ""
        said = f"recipe {one.recipe}, labels {one.labels}{changes}; tested on {one.test.count} of {one.test.name}"
        nets.setdefault(said, []).append(f"{one.net} {one.digest}")
    notes = [f"students {', '.join(dict.fromkeys(held))}: {said}, after the last epoch" for said, held in nets.items()]
    uneven = {one.test.name for r in results for one in r.accuracies if len(set(one.test.per_class)) > 1}
    return notes + [
        f"{name} has more images of some classes: accuracy is the mean over classes at class scope, the share of all "
        "images at dataset scope"
        for name in sorted(uneven)
    ]


def student_notes(results: Sequence[Result]) -> list[str]:
    """Where there was one student alone, and where not all sets have students."""
    students = [(f"{r.name} {one.net}", r, one) for r in results for one in r.accuracies]
    single = [said for said, _, one in students if len(one.own) == 1]
    counts = [(said, set_count(r, ACCURACY + one.net), len(r.sets)) for said, r, one in students]
    some = [f"{said} {trained} of {sets}" for said, trained, sets in counts if trained < sets]
    found = {"one run (n = 1) and so no interval": single, "students of some sets only": some}
    return [f"{what}: {shorten(which)}" for what, which in found.items() if which]


def interval_notes(results: Sequence[Result]) -> list[str]:
    """What the intervals are about and which procedure made them."""
    about = [
        f"± {s.interval.level:.0%}, {s.interval.procedure}: about {s.interval.about}"
        for r in results
        for s in r.scores
        if s.interval
    ]
    return list(dict.fromkeys(about))


def caution_notes(results: Sequence[Result]) -> list[str]:
    """What to beware of, entry by entry; once, where sets of one name have it in common."""
    several = len({r.ipc for r in results}) > 1
    names = [f"{r.name}, IPC {span(r.ipc)}: " if several else f"{r.name}: " for r in results]
    said = [
        f"{name if len(results) > 1 else ''}caution [{c.code}] {c.text}"
        for name, r in zip(names, results, strict=True)
        for c in r.cautions
    ]
    return list(dict.fromkeys(said))


def notes(results: Sequence[Result]) -> list[str]:
    """How to read the numbers, once; then what to beware of."""
    parts = (protocol_notes, recipe_notes, student_notes, interval_notes, caution_notes)
    return [note for part in parts for note in part(results)]
