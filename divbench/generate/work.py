"""Unfinished work: which run it belongs to, and the batches that are done."""

import hashlib
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import safetensors
import torch
from torch import Tensor

from divbench.errors import InputError, OutputError
from divbench.files import write_whole
from divbench.generate.batches import Batch
from divbench.generate.job import Job
from divbench.generate.recipe import WORDS, digest, leaves
from divbench.images.manifest import MANIFEST, load_manifest
from divbench.labels.store import label_files
from divbench.origin import Origin
from divbench.storage import Tensors, load_safetensors, safetensors_bytes

Identity = dict[str, Any]
_AT_ONCE = 1000
_NO_MATTER = ("recipe", "real", "teacher", "start")
"""Words in an identity: a digest beside each says what they stand for."""
_WORDS = {
    "recipe_digest": "recipe",
    "real_digest": "set of real images",
    "teacher_sha256": "teacher",
    "start_digest": "set to start from",
}
_OF_RECIPE = ("recipe_digest", "images_digest")


class Account(NamedTuple):
    """What a batch came to: losses [2, terms] or more, seconds, and the peak of memory in bytes, if it is known."""

    losses: Tensor
    seconds: float
    memory: int | None


@dataclass(frozen=True)
class Work:
    """The folder of one run's unfinished work, beside the set that it will become."""

    folder: Path

    def open(self, identity: Identity) -> None:
        """Make the folder, or go on in the one there, if it belongs to the run with this identity.

        Other labels may be asked for than before: those that are there are then removed, the images stay.

        Raises:
            OutputError: it belongs to another run or to nobody, or cannot be written.
        """
        if self._plan.exists():
            known = self._known()
            if differing := [key for key in _differences(identity, known) if key != "recipe_digest"]:
                named = _named(differing, identity, known)
                raise OutputError(
                    f"{self.folder}: holds unfinished work of another run (other: {named}); finish it with its own "
                    "command, remove the folder, or give another -o"
                )
            if known["recipe_digest"] == identity["recipe_digest"]:
                return
            (self.images / "labels.safetensors").unlink(missing_ok=True)
            shutil.rmtree(self.images / "labels", ignore_errors=True)
        elif self.folder.exists() and any(self.folder.iterdir()):
            raise OutputError(f"{self.folder}: is no unfinished work of divbench; remove it, or give another -o")
        try:
            self.folder.mkdir(exist_ok=True)
        except OSError as problem:
            raise OutputError(f"{self.folder}: cannot be made ({problem.strerror or problem})") from problem
        write_whole(self._plan, msgspec.json.format(msgspec.json.encode(identity)))

    def discard(self, identity: Identity) -> None:
        """Remove what is left of the run with this identity; what belongs to others stays."""
        if self._plan.exists() and not _differences(identity, self._known()):
            shutil.rmtree(self.folder, ignore_errors=True)

    @property
    def images(self) -> Path:
        """The folder of the set, once its images are written."""
        return self.folder / "set"

    @property
    def _plan(self) -> Path:
        return self.folder / "plan.json"

    def _known(self) -> Identity:
        try:
            return msgspec.json.decode(self._plan.read_bytes(), type=dict[str, Any])
        except (OSError, msgspec.DecodeError) as problem:
            raise OutputError(f"{self._plan}: cannot be read ({problem}); remove {self.folder}") from problem

    def has(self, batch: Batch) -> bool:
        """Whether the batch is done."""
        return self._file(batch).exists()

    def keep(self, batch: Batch, tensors: dict[str, Tensor], seconds: float, memory: int | None) -> None:
        """Note that a batch is done, what it took, and the peak of memory in bytes."""
        took = {"seconds": f"{seconds:.3f}"} | ({} if memory is None else {"memory": str(memory)})
        write_whole(self._file(batch), safetensors_bytes(tensors, took))

    def load(self, batch: Batch) -> Tensors:
        """What was kept of a batch."""
        return load_safetensors(self._file(batch), OutputError)

    def account(self, batch: Batch) -> Account:
        """What a batch came to, without its images."""
        with safetensors.safe_open(self._file(batch), framework="pt") as file:
            took = file.metadata()
            memory = int(took["memory"]) if "memory" in took else None
            return Account(file.get_tensor("losses"), float(took["seconds"]), memory)

    def keep_last_good(self, batch: Batch, images: Tensor) -> Path:
        """Keep the images of a batch that cannot be finished."""
        path = self._file(batch).with_suffix(".last-good.safetensors")
        write_whole(path, safetensors_bytes({"images": images}, {}))
        return path

    def _file(self, batch: Batch) -> Path:
        return self.folder / f"batch-{batch.number:05d}.safetensors"


def identify(job: Job) -> Identity:
    """What decides the images and labels: two runs with equal identities make the same set."""
    start, teacher = job.options.start, job.teacher
    return {
        "recipe": msgspec.to_builtins(job.recipe),
        "recipe_digest": digest(job.recipe),
        "images_digest": digest(job.recipe, labels=False),
        "layout": job.options.layout,
        "keep_float": job.options.keep_float,
        "device": job.options.device.type,
        "seed": job.options.seed,
        "classes": list(job.real.images.classes),
        "real": job.real.images.name,
        "real_digest": _real_digest(job),
        "teacher": None if teacher is None else teacher.name,
        "teacher_sha256": None if teacher is None else teacher.sha256,
        "start": None if start is None else start.name,
        "start_digest": None if job.start is None else _sha256(job.start),
        "mean": list(job.mean_std[0]),
        "std": list(job.mean_std[1]),
    }


def finished_before(folder: Path, identity: Identity) -> Origin:
    """What made the set in ``folder``; raises `OutputError` where that was not the run with this identity."""
    refusal = f"{folder}: exists already and holds %s; give a new place, or remove it first"
    try:
        manifest = load_manifest(folder / MANIFEST)
    except InputError:
        raise OutputError(refusal % "no set that divbench generated") from None
    if manifest.origin is None:
        raise OutputError(refusal % "no set that divbench generated")
    known = {"classes": [one.name for one in manifest.classes], "images_digest": identity.get("images_digest")}
    theirs = {**msgspec.to_builtins(manifest.origin), **known}  # the recipe's digest covers that of its images
    if differing := _differences(identity, theirs):
        raise OutputError(refusal % f"another set: {manifest.origin} (other: {_named(differing, identity, theirs)})")
    found = sizes(folder)
    if found != manifest.origin.bytes:
        raise OutputError(
            f"{folder}: was changed since it was generated: its files have {found} bytes instead of "
            f"{manifest.origin.bytes}; remove it to generate it again, or give a new place"
        )
    return manifest.origin


def check_same(identity: Identity, before: Origin) -> None:
    """Raise `InputError` where the run with this identity would not make the set that ``before`` made."""
    known = {"classes": identity["classes"], "images_digest": identity["images_digest"]}  # within other digests
    theirs = {**msgspec.to_builtins(before), **known}
    said = [
        f"{_WORDS.get(key, key)} ({identity[key]} instead of {theirs[key]})" for key in _differences(identity, theirs)
    ]
    if said:
        raise InputError(f"this is not what the set was generated from: another {', another '.join(said)}")


def sizes(folder: Path) -> dict[str, int]:
    """Bytes of the image files and of the soft labels of a set."""
    images = [path for path in (folder / "images").rglob("*") if path.is_file()]
    files = {"images": images, "labels": label_files(folder)}
    return {what: sum(path.stat().st_size for path in paths) for what, paths in files.items()}


def _differences(identity: Identity, other: Identity) -> list[str]:
    mine, theirs = _plain(identity), _plain(other)
    return [key for key in mine if key not in _NO_MATTER and mine[key] != theirs.get(key)]


def _named(differing: list[str], identity: Identity, other: Identity) -> str:
    """What differs in words, with the keys of the recipe where its digest does."""
    mine, theirs = (leaves(_plain(one).get("recipe") or {}) for one in (identity, other))
    numbers = [key for key in {**theirs, **mine} if not key.startswith("sources.") and key not in WORDS]
    changed = [key for key in numbers if mine.get(key) != theirs.get(key)]
    return ", ".join([key for key in differing if key not in _OF_RECIPE] + changed)


def _plain(identity: Identity) -> Identity:
    """As it is after being written and read."""
    found: Identity = msgspec.json.decode(msgspec.json.encode(identity))
    return found


def _real_digest(job: Job) -> str | None:
    """SHA-256 of what is used of the real images, in stored order; None where nothing is."""
    stored, recipe = job.real.images.images, job.recipe
    if job.bank is not None:
        return job.bank.digest
    if not job.method.needs_teacher:
        everything = torch.arange(len(stored)).split(_AT_ONCE)
        return _sha256(*(job.real.read(rows) for rows in everything), job.real.images.labels)
    if recipe.start == "real":
        draws = [job.start_rows(label) for label in range(len(job.real.images.classes))]
        return _sha256(*(job.real.read(rows) for rows in draws))
    return None


def _sha256(*tensors: Tensor) -> str:
    found = hashlib.sha256()
    for tensor in tensors:
        found.update(tensor.contiguous().numpy())
    return found.hexdigest()
