"""Tables of results: one entry, several entries, differences between them. No torch in here."""

from collections.abc import Sequence
from statistics import fmean, stdev

from divbench.combine import joined
from divbench.comparison import check_comparable, class_scores, differences, protocol_of
from divbench.errors import ResultError, shorten
from divbench.protocol import Scope
from divbench.report.render import Cell, Measured, Table
from divbench.results import ACCURACY, Result, Score

_ARROWS = {True: " ↑", False: " ↓", None: ""}
_CONTROLS = {
    "random": "random real",
    "kmeans": "k-means centroids",
    "collapse": "collapse to mean",
    "teacher": "teacher",
}


def score_table(result: Result) -> Table:
    """All scores of one result beside their yardstick and controls."""
    known = [key for key in ("iid", *_CONTROLS) if any(key in s.reference for s in result.scores)]
    titles = {"iid": "i.i.d.", "random": "random", "kmeans": "k-means", "collapse": "collapse", "teacher": "teacher"}
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
    results = joined(results)
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
    real = next((r.real.name for r in kept if r.real is not None), None)
    title = f"{scope} scope" if mixed or real is None else f"{scope} scope, against {real}"
    return Table(title, columns, rows, notes)


def accuracy_table(result: Result) -> Table:
    """The students of one result in percent: mean and standard deviation over runs, each run, and yardsticks."""
    known = [key for key in ("random", "teacher") if any(key in s.reference for s in result.scores if _is_accuracy(s))]
    several = len(result.sets) > 1
    columns = ["network", *(["set"] if several else []), "runs", "accuracy % ↑", "std over runs", "each run"]
    columns += [f"{_CONTROLS[key]} %" for key in known]
    rows: list[list[Cell]] = []
    for one in result.accuracies:
        score = result.score(ACCURACY + one.net, "dataset")
        references = [score.reference_value(key) for key in known]
        for index, record in enumerate(result.sets):
            values = [100 * run.accuracy for run in one.own if run.set == index]
            if values:
                spread = stdev(values) if len(values) > 1 else None
                row: list[Cell] = [one.net, *([record.name] if several else []), len(values), fmean(values), spread]
                row.append(" ".join(f"{value:.2f}" for value in values))
                rows.append(row + [None if found is None else 100 * found for found in references])
    return Table(_headline(result), columns, rows, _training_notes([result]))


def _is_accuracy(score: Score) -> bool:
    return score.metric.startswith(ACCURACY)


def differences_table(results: Sequence[Result], scope: Scope = "class") -> Table:
    """Each further entry minus the first, paired over classes, with Holm's p over the metrics of an entry.

    Raises:
        ResultError: fewer than two entries, not comparable, of unequal IPC, or without values of classes.
    """
    results = joined(results)
    if len(results) < 2 or scope != "class":
        raise ResultError("differences are paired over classes: give two or more results, at class scope")
    check_comparable(results)
    first, others = results[0], results[1:]
    held = [{s.metric for s in class_scores(r)} for r in results]
    metrics = [s.metric for s in class_scores(first) if all(s.metric in some for some in held)]
    rows: list[list[Cell]] = []
    for other in others:
        tests = differences(first, other, metrics)
        row: list[Cell] = [other.name]
        row += [Measured(t.effect, t.low, t.high, t.p) if (t := tests.get(key)) else None for key in metrics]
        rows.append(row)
    arrows = {s.metric: _ARROWS[s.higher_is_better] for s in first.scores}
    columns = ["minus " + first.name, *("Δ " + key + arrows[key] for key in metrics)]
    single = all(len(r.sets) == 1 for r in results)
    about = (
        "one set each: this speaks about these sets, not about the methods" if single else "per-class means over sets"
    )
    note = f"± {first.level:.0%} t interval over {len(first.classes)} classes; p: sign-flip test, Holm; {about}"
    return Table(f"differences to {first.name}", columns, rows, [note])


def _headline(result: Result) -> str:
    count = len(result.sets)
    images = result.sets[0].count
    ipc = "" if result.ipc is None else f", {len(result.classes)} classes x {_span(result.ipc)}"
    sets = f"{count} sets of {images}" if count > 1 else str(images)
    real = "" if result.real is None else f", against {result.real.count} of {result.real.name}"
    return f"{result.name}: {sets} images{ipc}{real}"


def _notes(results: Sequence[Result]) -> list[str]:
    """How to read the numbers, once; then what to beware of, entry by entry."""
    notes = list(
        dict.fromkeys(
            f"protocol {r.protocol.name} {r.protocol_digest}: {r.embedder}" for r in results if r.protocol is not None
        )
    )
    notes += _training_notes(results)
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


def _training_notes(results: Sequence[Result]) -> list[str]:
    """How students were trained, once for each recipe, and where they had one run alone."""
    nets: dict[str, list[str]] = {}
    for one in (one for r in results for one in r.accuracies):
        changes = f"; {', '.join(one.notes)}" if one.notes else ""
        said = f"recipe {one.recipe}, labels {one.labels}{changes}; tested on {one.test.count} of {one.test.name}"
        nets.setdefault(said, []).append(f"{one.net} {one.digest}")
    notes = [f"students {', '.join(dict.fromkeys(held))}: {said}, after the last epoch" for said, held in nets.items()]
    uneven = {one.test.name for r in results for one in r.accuracies if len(set(one.test.per_class)) > 1}
    notes += [
        f"{name} has more images of some classes: accuracy is the mean over classes at class scope, the share of all "
        "images at dataset scope"
        for name in sorted(uneven)
    ]
    single = [f"{r.name} {one.net}" for r in results for one in r.accuracies if len(one.own) == 1]
    return notes + ([f"one run (n = 1) and so no interval: {shorten(single)}"] if single else [])


def _entry_row(result: Result, metrics: list[str], scope: Scope, mixed: bool) -> list[Cell]:
    row: list[Cell] = [result.name, _span(result.ipc), len(result.sets)]
    row += [protocol_of(result)] if mixed else []
    held = {s.metric: s for s in result.scores if s.scope == scope}
    for key in metrics:
        score = held.get(key)
        row.append(_measured(score) if score else None)
        if key == "coverage":
            row.append(_ratio(score) if score else None)
    return row


def _reference_rows(results: Sequence[Result], metrics: list[str], scope: Scope, mixed: bool) -> list[list[Cell]]:
    """One row for each yardstick and control and number of images per class; where protocols are mixed, for each."""
    groups: dict[object, list[Result]] = {}
    for result in results:
        real = None if result.real is None else result.real.digest
        rules = (result.protocol_digest, real, *(one.digest for one in result.accuracies)) if mixed else ()
        groups.setdefault((rules, result.ipc), []).append(result)
    rows: list[list[Cell]] = []
    for group in groups.values():
        for key, title in {"iid": "i.i.d. yardstick", **_CONTROLS}.items():
            held: dict[str, Score] = {}
            for score in (s for r in group for s in r.scores if s.scope == scope and key in s.reference):
                held.setdefault(score.metric, score)
            if not held:
                continue
            seeds = max(len(s.reference[key]) for s in held.values())
            ipc = None if key == "teacher" else _span(group[0].ipc)
            row: list[Cell] = [f"({title})", ipc, seeds if key not in ("iid", "teacher") else None]
            row += [protocol_of(group[0])] if mixed else []
            for m in metrics:
                value = held[m].reference_value(key) if m in held else None
                row.append(value)
                if m == "coverage":
                    iid = held[m].reference_value("iid") if m in held else None
                    row.append(value / iid if value is not None and iid else None)
            rows.append(row)
    return rows


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
