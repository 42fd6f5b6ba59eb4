"""A result becomes an entry: named, without the folders of the machine that made it, at its place."""

from pathlib import Path, PurePosixPath, PureWindowsPath

from msgspec.structs import replace

from divbench.errors import OutputError, ResultError
from divbench.leaderboard.changes import Change, changes_between, values_of
from divbench.leaderboard.entries import Entry, entry_of, load_entries, quarrels
from divbench.leaderboard.methods import load_methods
from divbench.results import Environment, Result, load_result, save_result


def add(
    path: Path, folder: Path, method: str, *, dataset: str | None = None, note: str = "", overwrite: bool = False
) -> tuple[Entry, list[Change]]:
    """Put a result into a leaderboard.

    Args:
        path: the result's file, of `divbench.score`; accuracies of students may be in it.
        folder: of the leaderboard.
        method: its key: ``sre2l+dire``.
        dataset: key of the data set; default: the name of the real data.
        note: what readers have to know; kept where an entry is replaced and none is given.
        overwrite: replace the entry that is there.

    Returns:
        The entry, and what it changed of the one that was there.

    Raises:
        ResultError: the result cannot be an entry (see `entry_of`), or does not compare with those of its table.
        OutputError: there is an entry already, or the file cannot be written.
    """
    methods = load_methods(folder / "methods.toml")
    result = load_result(path)
    if dataset is None and result.real is not None:
        dataset = result.real.name
    entry = entry_of(_tidy(result), dataset or "", method, methods)
    target = folder / "results" / f"{entry.place}.json"
    entries, problems = load_entries(folder / "results", methods)
    if problems and not (overwrite and all(problem.startswith(str(target)) for problem in problems)):
        raise ResultError("\n".join(["the leaderboard has to be mended first:", *problems]))
    before = next((one for one in entries if one.place == entry.place), None)
    if target.exists() and not overwrite:
        raise OutputError(f"{target}: is there already; give --replace to change what was published")
    note = note or ("" if before is None else before.result.note)
    entry = Entry(entry.dataset, entry.ipc, entry.method, entry.protocol, replace(entry.result, note=note))
    others = [one for one in entries if one.place != entry.place]
    for problem in quarrels([*others, entry]):
        raise ResultError(f"{problem}; score against the same real images, all of them, or give another --dataset")
    target.parent.mkdir(parents=True, exist_ok=True)
    save_result(entry.result, target)
    return entry, changes_between(values_of([] if before is None else [before]), values_of([entry]))


def _tidy(result: Result) -> Result:
    """Command lines with names of files instead of their paths."""
    trained = tuple(replace(one, environment=_without_folders(one.environment)) for one in result.accuracies)
    return replace(result, environment=_without_folders(result.environment), accuracies=trained)


def _without_folders(environment: Environment) -> Environment:
    first, *others = environment.argv or ("",)
    program = "divbench" if first.endswith("__main__.py") else _name(first)
    return replace(environment, argv=(program, *map(_name, others)) if environment.argv else ())


def _name(argument: str) -> str:
    """The last part of an absolute path, on any system; anything else as it is."""
    option, equals, value = argument.partition("=") if argument.startswith("--") else ("", "", argument)
    for kind in (PurePosixPath, PureWindowsPath):
        if kind(value).is_absolute() and kind(value).name:
            return f"{option}{equals}{kind(value).name}"
    return argument
