"""Every set of an entry by itself, and the commands behind its numbers. No torch in here."""

import shlex
from collections.abc import Sequence
from pathlib import PurePath

from divbench.comparison import check_comparable, values_of_sets
from divbench.protocol import Scope
from divbench.report.footnotes import protocol_notes, recipe_notes
from divbench.report.parts import by_metric, chosen, heading, narrowed, set_names, span
from divbench.report.render import Cell, Table
from divbench.results import Environment, Result

_DIGITS = 12


def sets_table(results: Sequence[Result], scope: Scope = "class", metrics: Sequence[str] | None = None) -> Table:
    """Each set of each entry in a row, with the beginning of its digest; below, what made, scored and trained on it.

    Args:
        results: of one protocol, real set and recipe.
        scope: of the scores.
        metrics: as for `divbench.report.tables.compare_table`; an accuracy is the mean over the students of a set.

    Raises:
        ResultError: protocols, real sets, recipes or classes differ, or no result has the scope or one of the metrics.
    """
    shown = chosen(results, scope, metrics)
    results = narrowed(results, shown)
    check_comparable(results)
    rows: list[list[Cell]] = []
    notes = protocol_notes(results) + recipe_notes(results)
    for result in results:
        held = {key: values_of_sets(result, score) for key, score in by_metric(result).items()}
        for place, (name, record) in enumerate(zip(set_names(result), result.sets, strict=True)):
            row: list[Cell] = [result.name, name, span(result.ipc), record.digest[:_DIGITS]]
            rows.append(row + [held[score.metric][place] if score.metric in held else None for score in shown])
            notes.append(f"{result.name}, {name}: {record.origin or f'read as {record.recognised}'}")
        for what, where in made(result):
            code = f" by code {where.commit:.12}" if where.commit else ""
            notes += [f"{result.name}, {what}{code}: {command(where)}"] if where.argv else []
    if any(record.origin for result in results for record in result.sets):
        notes.append("'divbench regenerate RESULT.json --seed N' makes the images of a seed again")
    columns = ["entry", "set", "IPC", "digest", *map(heading, shown)]
    return Table(f"{scope} scope, set by set", columns, rows, notes)


def made(result: Result) -> list[tuple[str, Environment]]:
    """Where the sets were scored and where students were trained, oldest first, each with what was done."""
    scored = [("scored", result.environment)] if result.protocol is not None else []
    return scored + [(f"trained {one.net}", where) for one in result.accuracies for where in one.environments]


def command(where: Environment) -> str:
    """The command as it was typed, without the folder of the program, which may also have been ``-m divbench``."""
    return shlex.join([PurePath(where.argv[0]).name.replace("__main__.py", "divbench"), *where.argv[1:]])
