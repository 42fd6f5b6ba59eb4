"""The file of an unfinished training run: what is needed to go on, and what tells it from other runs."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import safetensors.torch
from msgspec import Struct
from torch import Tensor

from divbench import parallel
from divbench.errors import OutputError, shorten
from divbench.files import write_whole
from divbench.results import EpochRecord
from divbench.settings import leaves
from divbench.storage import load_safetensors
from divbench.train.recipe import what_counts

Facts = dict[str, Any]
_LONG = ("classes", "data", "test")  # differences in them are named, not shown


class Found(Struct, frozen=True):
    """How far an earlier run has come; the same on every process."""

    epoch: int = 0
    step: int = 0
    sums: tuple[float, float] = (0.0, 0.0)
    seconds: float = 0.0
    curve: tuple[EpochRecord, ...] = ()


@dataclass(frozen=True)
class Unfinished:
    """A file that the first process alone reads and writes; without a path nothing is kept."""

    path: Path | None

    def look(self, identity: Facts) -> Found | None:
        """What an earlier run has left, or None; raises `OutputError` where it is another run."""
        return msgspec.convert(first_alone(lambda: msgspec.to_builtins(self._look(identity))), Found | None)

    def _look(self, identity: Facts) -> Found | None:
        if self.path is None or not self.path.exists():
            return None
        said = header_of(self.path)
        if differing := differences(identity, said):
            raise OutputError(
                f"{self.path}: holds unfinished work of another run ({differing}); finish it with its own command, "
                "remove it, or give another -o"
            )
        return msgspec.convert(said["progress"], Found)

    def keep(self, tensors: dict[str, Tensor], progress: Found, identity: Facts) -> None:
        """Write what is needed to go on from here."""
        if self.path is None:
            return
        facts = {**identity, "progress": msgspec.to_builtins(progress)}
        header = {key: msgspec.json.encode(value).decode() for key, value in facts.items()}
        plain = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
        write_whole(self.path, safetensors.torch.save(plain, metadata=header))

    def load(self) -> dict[str, Tensor]:
        """What `keep` wrote; nothing where there is no path."""
        return {} if self.path is None else load_safetensors(self.path, OutputError).tensors

    def forget(self) -> None:
        """Remove the file."""
        if self.path is not None:
            self.path.unlink(missing_ok=True)


def first_alone(task: Callable[[], Any]) -> Any:
    """What ``task``, done by the first process, gives (JSON types), on every process; all raise its `OutputError`."""
    value, problem = None, None
    if parallel.rank() == 0:
        try:
            value = task()
        except OutputError as error:
            problem = str(error)
    value, problem = parallel.gather_json([value, problem])[0]
    if problem is not None:
        raise OutputError(problem)
    return value


def header_of(path: Path) -> Facts:
    """What the header of a file says, as far as it is JSON; raises `OutputError` where it is no safetensors file."""
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            texts = file.metadata() or {}
    except (safetensors.SafetensorError, OSError) as error:
        raise OutputError(f"{path}: exists and is no file that divbench wrote ({error}); move it away") from error
    said = {}
    for key, text in texts.items():
        try:
            said[key] = msgspec.json.decode(text)
        except msgspec.DecodeError:
            said[key] = text
    return said


def differences(identity: Facts, said: Facts) -> str:
    """What a file says otherwise of the run that made it; empty where it is the same run."""
    if missing := [key for key in identity if key not in said]:
        return f"its header does not say {shorten(missing)}"
    theirs = {**{key: said[key] for key in identity}, "recipe": what_counts(said["recipe"])}
    ours, theirs = leaves(identity), leaves(theirs)
    return shorten(
        [
            f"other {key}" if key in _LONG else f"{key} {theirs.get(key)}, not {ours.get(key)}"
            for key in dict.fromkeys((*ours, *theirs))
            if ours.get(key) != theirs.get(key)
        ]
    )
