"""Tables of results: one entry, several entries, differences between them. No torch in here."""

from collections.abc import Sequence

from divbench.errors import ResultError, shorten
from divbench.protocol import Scope
from divbench.report.render import Cell, Measured, Table
from divbench.results import Result, Score, mean
from divbench.statistics import holm, paired_over_classes

_ARROWS = {True: " ↑", False: " ↓", None: ""}
_CONTROLS = {"random": "random real", "kmeans": "k-means centroids", "collapse": "collapse to mean"}


def score_table(result: Result) -> Table:
    """All scores of one result beside their yardstick and controls."""
    known = [key for key in ("iid", *_CONTROLS) if any(key in s.reference for s in result.scores)]
    titles = {"iid": "i.i.d.", "random": "random", "kmeans": "k-means", "collapse": "collapse"}
    columns = ["metric", "scope", "value", *(["/ i.i.d."] if "iid" in known else []), *(titles[key] for key in known)]
    rows = []
    for score in result.scores:
        row: list[Cell] = [score.metric + _ARROWS[score.higher_is_better], score.scope, _measured(score)]
        if "iid" in known:
            row.append(_ratio(score))
        rows.append(row + [score.reference_value(key) for key in known])
    said = [f"{record.name}: {note}" for record in result.sets for note in record.notes]
    return Table(_headline(result), columns, rows, _notes([result]) + said)


def compare_table(results: Sequence[Result], scope: Scope = "class", mixed: bool = False) -> Table:
    """Entries as rows, metrics as columns, with yardstick and controls as rows of their own.

    Raises:
        ResultError: protocols, real sets or classes differ (unless ``mixed``), or no result has the scope.
    """
    if not mixed:
        check_comparable(results)
    kept = [r for r in results if any(s.scope == scope for s in r.scores)]
    if not kept:
        raise ResultError(f"no result holds scores at {scope} scope")
    metrics = list(dict.fromkeys(s.metric for r in kept for s in r.scores if s.scope == scope))
    arrows = {s.metric: _ARROWS[s.higher_is_better] for r in kept for s in r.scores}
    columns = ["entry", "IPC", "sets"] + (["protocol"] if mixed else [])
    for key in metrics:
        columns += [key + arrows[key], "/ i.i.d."] if key == "coverage" else [key + arrows[key]]
    rows: list[list[Cell]] = [_entry_row(r, metrics, scope, mixed) for r in kept]
    rows += _reference_rows(kept, metrics, scope, mixed)
    notes = _notes(kept)
    if len({r.ipc for r in kept}) > 1:
        notes.insert(
            0, "the entries have unequal images per class: coverage and Vendi grow with them (score with --ipc)"
        )
    return Table(f"{scope} scope, against {kept[0].real.name}" if not mixed else f"{scope} scope", columns, rows, notes)


def differences_table(results: Sequence[Result], scope: Scope = "class") -> Table:
    """Each further entry minus the first, paired over classes, with Holm's p over the metrics of an entry.

    Raises:
        ResultError: fewer than two entries, not comparable, of unequal IPC, or without values of classes.
    """
    check_comparable(results)
    if len(results) < 2 or scope != "class":
        raise ResultError("differences are paired over classes: give two or more results, at class scope")
    unequal = [r.name for r in results if r.ipc != results[0].ipc]
    if unequal:
        raise ResultError(
            f"{shorten(unequal)} and {results[0].name} have unequal images per class, which by itself moves coverage "
            "and Vendi; score all with the same --ipc"
        )
    if any(not _class_scores(r) for r in results) or len(results[0].classes) < 2:
        raise ResultError("differences are paired over classes: every result needs scores of two or more classes")
    first, rows = results[0], []
    metrics = [s.metric for s in first.scores if s.scope == "class"]
    for other in results[1:]:
        pairs = {key: (_class_means(first.score(key)), _class_means(other.score(key))) for key in metrics}
        tests = {
            key: paired_over_classes(a, b, first.protocol.level)
            for key, (a, b) in pairs.items()
            if a and b and len(a) > 1
        }
        adjusted = dict(zip(tests, holm([t.p for t in tests.values()]), strict=True))
        row: list[Cell] = [other.name]
        row += [Measured(t.effect, t.low, t.high, adjusted[key]) if (t := tests.get(key)) else None for key in metrics]
        rows.append(row)
    columns = ["minus " + first.name, *("Δ " + s.metric + _ARROWS[s.higher_is_better] for s in _class_scores(first))]
    single = all(len(r.sets) == 1 for r in results)
    about = (
        "one set each: this speaks about these sets, not about the methods" if single else "per-class means over sets"
    )
    note = (
        f"± {first.protocol.level:.0%} t interval over {len(first.classes)} classes; p: sign-flip test, Holm; {about}"
    )
    return Table(f"differences to {first.name}", columns, rows, [note])


def check_comparable(results: Sequence[Result]) -> None:
    """Raise `ResultError` where two results may not stand in one table."""
    first = results[0]
    for other in results[1:]:
        for what, same, a, b in (
            ("protocols", first.protocol_digest == other.protocol_digest, _protocol(first), _protocol(other)),
            ("real sets", first.real.digest == other.real.digest, first.real.name, other.real.name),
            ("classes", first.classes == other.classes, shorten(first.classes), shorten(other.classes)),
        ):
            if not same:
                raise ResultError(
                    f"{first.name} and {other.name} have different {what} ({a}; {b}) and cannot be compared; "
                    "score both alike, or say --mixed to see them side by side"
                )


def _protocol(result: Result) -> str:
    return f"{result.protocol.name} {result.protocol_digest[:6]}"


def _headline(result: Result) -> str:
    count = len(result.sets)
    images = result.sets[0].count
    ipc = "" if result.ipc is None else f", {len(result.classes)} classes x {_span(result.ipc)}"
    sets = f"{count} sets of {images}" if count > 1 else str(images)
    return f"{result.name}: {sets} images{ipc}, against {result.real.count} of {result.real.name}"


def _notes(results: Sequence[Result]) -> list[str]:
    """How to read the numbers, once; then what to beware of, entry by entry."""
    notes = []
    for text in dict.fromkeys(f"protocol {r.protocol.name} {r.protocol_digest}: {r.embedder}" for r in results):
        notes.append(text)
    about = dict.fromkeys(
        f"± {s.interval.level:.0%}, {s.interval.procedure}: about {s.interval.about}"
        for r in results
        for s in r.scores
        if s.interval
    )
    notes += list(about)
    for r in results:
        prefix = f"{r.name}: " if len(results) > 1 else ""
        notes += [f"{prefix}caution [{c.code}] {c.text}" for c in r.cautions]
    return notes


def _entry_row(result: Result, metrics: list[str], scope: Scope, mixed: bool) -> list[Cell]:
    row: list[Cell] = [result.name, _span(result.ipc), len(result.sets)]
    row += [_protocol(result)] if mixed else []
    held = {s.metric: s for s in result.scores if s.scope == scope}
    for key in metrics:
        score = held.get(key)
        row.append(_measured(score) if score else None)
        if key == "coverage":
            row.append(_ratio(score) if score else None)
    return row


def _reference_rows(results: Sequence[Result], metrics: list[str], scope: Scope, mixed: bool) -> list[list[Cell]]:
    """One row for each yardstick and control, protocol and number of images per class."""
    rows: list[list[Cell]] = []
    groups = {(r.protocol_digest, r.real.digest, r.ipc): r for r in reversed(results)}
    for result in reversed(groups.values()):
        held = {s.metric: s for s in result.scores if s.scope == scope}
        for key, title in {"iid": "i.i.d. yardstick", **_CONTROLS}.items():
            values = {m: s.reference_value(key) for m, s in held.items() if key in s.reference}
            if not values:
                continue
            seeds = max(len(s.reference[key]) for s in held.values() if key in s.reference)
            row: list[Cell] = [f"({title})", _span(result.ipc), seeds if key != "iid" else None]
            row += [_protocol(result)] if mixed else []
            for m in metrics:
                row.append(values.get(m))
                if m == "coverage":
                    iid = held[m].reference_value("iid") if m in held else None
                    value = values.get(m)
                    row.append(value / iid if value is not None and iid else None)
            rows.append(row)
    return rows


def _class_scores(result: Result) -> list[Score]:
    return [s for s in result.scores if s.scope == "class"]


def _class_means(score: Score) -> list[float]:
    """Mean over the sets of each class's value; empty where any is missing."""
    means = [mean(values) for values in zip(*score.per_class, strict=True)]
    return [m for m in means if m is not None] if None not in means else []


def _measured(score: Score) -> Cell:
    if score.value is None or score.interval is None:
        return score.value
    return Measured(score.value, score.interval.low, score.interval.high)


def _ratio(score: Score) -> float | None:
    iid = score.reference_value("iid")
    return score.value / iid if score.value is not None and iid else None


def _span(ipc: tuple[int, int] | None) -> str | int | None:
    if ipc is None:
        return None
    return ipc[0] if ipc[0] == ipc[1] else f"{ipc[0]}-{ipc[1]}"
