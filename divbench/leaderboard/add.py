"""A result becomes an entry: named, without the folders of the machine that made it, at its place."""

import re
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

import msgspec
from msgspec.structs import replace

from divbench.errors import OutputError, ResultError
from divbench.leaderboard.board import load_board
from divbench.leaderboard.changes import Change, changes_between, values_of
from divbench.leaderboard.entries import Entry, entry_of, quarrels
from divbench.results import Result, load_result, save_result


def add(
    path: Path, folder: Path, method: str, *, dataset: str | None = None, note: str = "", overwrite: bool = False
) -> tuple[Entry, list[Change]]:
    """Put a result into a leaderboard.

    Args:
        path: the result's file, of `divbench.score`; accuracies of students may be in it.
        folder: of the leaderboard.
        method: its key: ``sre2l+dire``.
        dataset: key of the data set; default: the name of the real data.
        note: what readers have to know, on one line; kept where an entry is replaced and none is given.
        overwrite: replace the entry that is there.

    Returns:
        The entry, and what it changed of the one that was there.

    Raises:
        ResultError: the result cannot be an entry (see `entry_of`), does not go with those that are there (see
            `quarrels`), or the leaderboard has to be mended first.
        ClaimError: likewise, of a claim file.
        OutputError: there is an entry already, or the file cannot be written.
    """
    board = load_board(folder)
    result = _tidy(load_result(path))
    if dataset is None and result.real is not None:
        dataset = result.real.name
    entry = entry_of(result if not note else replace(result, note=note), dataset or "", method, board.methods)
    target = folder / "results" / f"{entry.place}.json"
    before = [one for one in board.entries if one.place == entry.place]
    if before and not overwrite:
        raise OutputError(f"{target}: is there already; give --replace to change what was published")
    if before and not note:
        kept = replace(entry.result, note=before[0].result.note)
        entry = Entry(entry.dataset, entry.ipc, entry.method, entry.protocol, kept)
    for problem in quarrels([*(one for one in board.entries if one.place != entry.place), entry]):
        raise ResultError(problem)
    target.parent.mkdir(parents=True, exist_ok=True)
    save_result(entry.result, target)
    return entry, changes_between(values_of(before), values_of([entry]))


def _tidy(result: Result) -> Result:
    """The result with names of files instead of their paths, wherever it names some."""
    tidied: Result = msgspec.convert(_without_folders(msgspec.to_builtins(result)), Result)
    return tidied


def _without_folders(part: Any, key: str = "") -> Any:
    if isinstance(part, dict):
        return {name: one if name in _KEPT else _without_folders(one, name) for name, one in part.items()}
    if isinstance(part, list | tuple):
        return [_without_folders(one, key) for one in part]
    if not isinstance(part, str):
        return part
    return _argument(part) if key == "argv" else _PATH.sub(r"\1", part)


def _argument(words: str) -> str:
    """Of a command line: a path is one to its end, spaces and all."""
    option, path = re.fullmatch(r"(-[a-zA-Z](?=[/~])|[\w.-]+=(?:[\w.-]+=)?|)(.*)", words, re.DOTALL).groups()  # type: ignore[union-attr]
    for kind in (PurePosixPath, PureWindowsPath):
        if kind(path).name and (kind(path).is_absolute() or path.startswith(("~", "../", "..\\"))):
            return option + ("divbench" if path.endswith("divbench/__main__.py") else kind(path).name)
    return _PATH.sub(r"\1", words)


_KEPT = {"protocol", "protocol_digest", "embedder", "classes"}
"""Which the digest is of, or which only look like paths."""


_PATH = re.compile(
    r"""(?:(?<![\w.)/\\:~-])|(?<=file://))          # where a path may begin, and an address of the web does not
    (?:~[\w.-]*|[A-Za-z]:|(?:\.\.[/\\])*\.\.)?    # nothing, ~, C: or ../..
    (?:[/\\]+[^/\\\s'",;=]+)+[/\\]+               # folders
    ([^/\\\s'",;=]+)                              # and the name""",
    re.VERBOSE,
)
