"""The files of squeezing: the teacher, and what is needed to go on with an unfinished one."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import msgspec
import safetensors.torch
from msgspec import Struct
from torch import Tensor

from divbench import parallel
from divbench.errors import OutputError, shorten
from divbench.files import write_whole
from divbench.settings import leaves
from divbench.storage import load_safetensors
from divbench.train.recipe import what_counts

IDENTITY = ("recipe", "seed", "classes", "data", "test", "processes", "threads", "device")
"""What decides the weights: in the header of the teacher and of unfinished work."""

Facts = dict[str, Any]
Before = Literal["nothing", "unfinished", "finished"]


class EpochRecord(Struct, frozen=True, omit_defaults=True):
    """What an epoch of training has come to.

    Attributes:
        epoch: from 1 on.
        loss: mean over the augmented training images, as they went by.
        train_accuracy: of the same.
        test_accuracy: of the network after the epoch; None: there is nothing to test on.
        seconds: that the epoch took with its test; None where the teacher's file was read, which does not say it.
    """

    epoch: int
    loss: float
    train_accuracy: float
    test_accuracy: float | None = None
    seconds: float | None = None


class Found(Struct, frozen=True):
    """What an earlier run has left; the same on every process."""

    kind: Before = "nothing"
    epoch: int = 0
    step: int = 0
    sums: tuple[float, float] = (0.0, 0.0)
    seconds: float = 0.0
    curve: tuple[EpochRecord, ...] = ()
    sha256: str = ""


@dataclass(frozen=True)
class Files:
    """The teacher's file and that of unfinished work, which the first process alone reads and writes."""

    teacher: Path
    unfinished: Path

    def look(self, identity: Facts) -> Found:
        """What there is; raises `OutputError` where it is of another run."""
        return msgspec.convert(first_alone(lambda: msgspec.to_builtins(self._look(identity))), Found)

    def _look(self, identity: Facts) -> Found:
        if self.teacher.exists():
            said = header_of(self.teacher)
            if differing := differences(identity, said):
                raise OutputError(f"{self.teacher}: exists and was made otherwise ({differing}); give another -o")
            curve = msgspec.convert(said["curve"], tuple[EpochRecord, ...])
            return Found("finished", curve=curve, sha256=hashlib.sha256(self.teacher.read_bytes()).hexdigest())
        if not self.unfinished.exists():
            return Found()
        said = header_of(self.unfinished)
        if differing := differences(identity, said):
            raise OutputError(
                f"{self.unfinished}: holds unfinished work of another run ({differing}); finish it with its own "
                "command, remove it, or give another -o"
            )
        return msgspec.convert(said["progress"], Found)

    def keep(self, tensors: dict[str, Tensor], progress: Found, identity: Facts) -> None:
        """Write what is needed to go on from here."""
        facts = {**identity, "progress": msgspec.to_builtins(progress)}
        header = {key: msgspec.json.encode(value).decode() for key, value in facts.items()}
        plain = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
        write_whole(self.unfinished, safetensors.torch.save(plain, metadata=header))

    def load(self) -> dict[str, Tensor]:
        """What `keep` wrote."""
        return load_safetensors(self.unfinished, OutputError).tensors

    def forget(self) -> None:
        """Remove the unfinished work."""
        self.unfinished.unlink(missing_ok=True)


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
        raise OutputError(
            f"{path}: exists and is no file that divbench squeeze wrote ({error}); move it away"
        ) from error
    said = {}
    for key, text in texts.items():
        try:
            said[key] = msgspec.json.decode(text)
        except msgspec.DecodeError:
            said[key] = text
    return said


def differences(identity: Facts, said: Facts) -> str:
    """What a file says otherwise of the run that made it; empty where it is the same run."""
    if missing := [key for key in IDENTITY if key not in said]:
        return f"its header does not say {shorten(missing)}"
    theirs = {**{key: said[key] for key in IDENTITY}, "recipe": what_counts(said["recipe"])}
    ours, theirs = leaves(msgspec.to_builtins(identity)), leaves(theirs)
    long = ("classes", "data", "test")
    return shorten(
        [
            f"other {key}" if key in long else f"{key} {theirs.get(key)}, not {ours.get(key)}"
            for key in dict.fromkeys((*ours, *theirs))
            if ours.get(key) != theirs.get(key)
        ]
    )
