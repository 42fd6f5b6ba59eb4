"""Soft labels: what one epoch of them is, and the files beside a set that hold them.

A set has ``labels.safetensors`` (kind ``static``: one row of logits per image) or ``labels/epoch_0000.safetensors`` and
so on (kind ``fkd``: every augmented image of every epoch). Each file says in its header what it belongs to.
"""

import hashlib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import msgspec
import safetensors
import torch
from torch import Tensor

from divbench.errors import InputError, OutputError, shorten
from divbench.files import write_whole
from divbench.storage import load_safetensors, safetensors_bytes

Mix = Literal["cutmix", "mixup", "none"]
_STATIC, _FKD = "labels.safetensors", "labels"
_TENSORS = {
    "ids": torch.int64,
    "crops": torch.float32,
    "flips": torch.bool,
    "partners": torch.int64,
    "share": torch.float32,
    "boxes": torch.int32,
    "logits": torch.float16,
}


@dataclass(frozen=True, eq=False)
class SoftLabels:
    """One epoch of labels: which images a student sees in which order, how they are augmented, and their logits.

    Rows are in the order of the student's batches: batch b has the rows from ``b * batch`` on.

    Attributes:
        ids: [n] int64, which image of the set, all different. Images are numbered from 0 in the order of the set:
            classes in label order, the images of a class in order of id.
        crops: [n, 4] float32, top, left, height and width of what is cut out, in fractions of the image.
        flips: [n] bool, whether the cut is mirrored left to right.
        partners: [n] int64, which image is mixed in, one of the same batch; the image itself: none.
        share: [batches] float32 in [0, 1], the part of the image itself in ``mixup``. In ``cutmix`` the number from
            which the box was drawn: the box is clipped at the border, so its area is at most 1 - share.
        boxes: [batches, 4] int32 (x1, y1, x2, y2): in ``cutmix`` ``images[:, :, x1:x2, y1:y2]`` are the partner's.
        logits: [n, C] float16, of the mixed images; files of other programs may hold float32.
        batch: images in a batch; the last one may be smaller.
        mix: how partners are mixed in.
        weights: [n] float32, how much an image counts, where the labels say so (WMDD).
    """

    ids: Tensor
    crops: Tensor
    flips: Tensor
    partners: Tensor
    share: Tensor
    boxes: Tensor
    logits: Tensor
    batch: int
    mix: Mix
    weights: Tensor | None = None

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def batches(self) -> int:
        """Number of batches."""
        return -(-len(self.ids) // self.batch)

    def part(self, number: int) -> "SoftLabels":
        """The labels of batch ``number`` alone."""
        one = slice(number, number + 1)
        rows = slice(number * self.batch, (number + 1) * self.batch)
        return replace(self.rows(rows), share=self.share[one], boxes=self.boxes[one])

    def rows(self, wanted: Tensor | slice) -> "SoftLabels":
        """Some rows; what there is per batch stays as it is."""
        return replace(
            self,
            ids=self.ids[wanted],
            crops=self.crops[wanted],
            flips=self.flips[wanted],
            partners=self.partners[wanted],
            logits=self.logits[wanted],
            weights=None if self.weights is None else self.weights[wanted],
        )

    def to(self, device: torch.device) -> "SoftLabels":
        """The labels with all that there is per image on ``device``; what there is per batch stays with the host."""
        return replace(
            self,
            ids=self.ids.to(device),
            crops=self.crops.to(device),
            flips=self.flips.to(device),
            partners=self.partners.to(device),
            logits=self.logits.to(device),
            weights=None if self.weights is None else self.weights.to(device),
        )


def agreement(soft: SoftLabels, labels: Tensor) -> float:
    """Share of rows whose likeliest class is that of the image or of its partner; near chance where the order is wrong.

    Args:
        soft: any epoch.
        labels: [N] int64, the class of every image of the set.

    Returns:
        A number in [0, 1]. By chance it is about 1 / C, and 2 / C where images are mixed.
    """
    found = soft.logits.argmax(1)
    return float(((found == labels[soft.ids]) | (found == labels[soft.partners])).double().mean())


def check_labels(soft: SoftLabels, samples: int, where: str) -> None:
    """Raise `InputError` that names ``where`` unless the labels make sense for a set of ``samples`` images."""
    n, batches = len(soft.ids), soft.batches
    shapes = {"ids": (n,), "crops": (n, 4), "flips": (n,), "partners": (n,), "share": (batches,), "boxes": (batches, 4)}
    if soft.weights is not None:
        shapes["weights"] = (n,)
    for name, shape in shapes.items():
        if tuple(getattr(soft, name).shape) != shape:
            raise InputError(
                f"{where}: {name} are {list(getattr(soft, name).shape)}, expected {list(shape)} for {n} images in "
                f"{batches} batches; make or fetch the labels again"
            )
    if soft.logits.ndim != 2 or len(soft.logits) != n or not soft.logits.is_floating_point():
        raise InputError(f"{where}: logits are {soft.logits.dtype} {list(soft.logits.shape)}, expected [{n}, classes]")
    if n == 0 or int(soft.ids.min()) < 0 or int(soft.ids.max()) >= samples or len(soft.ids.unique()) < n:
        raise InputError(
            f"{where}: the images of an epoch must be different ones out of {samples}, which they are not; are these "
            "the labels of this set?"
        )
    row_of = torch.full((samples,), -1)
    row_of[soft.ids] = torch.arange(n)
    inside = (soft.partners >= 0) & (soft.partners < samples)
    partner_rows = torch.where(inside, row_of[soft.partners.clamp(0, samples - 1)], -1)
    top, left, height, width = soft.crops.unbind(1)
    slack = 1e-5  # fractions are rounded to float32
    problems = {
        "a partner is in another batch": (partner_rows // soft.batch != torch.arange(n) // soft.batch).any(),
        "a crop reaches out of its image": ~((top >= 0) & (left >= 0) & (height > 0) & (width > 0)).all()
        | ~((top + height <= 1 + slack) & (left + width <= 1 + slack)).all(),
        "a mixing share is not in [0, 1]": ~((soft.share >= 0) & (soft.share <= 1)).all(),
        "a box ends before it begins": ((soft.boxes[:, :2] < 0) | (soft.boxes[:, 2:] < soft.boxes[:, :2])).any(),
        "logits are NaN or infinite": ~soft.logits.isfinite().all(),
        "a weight is NaN or infinite": soft.weights is not None and ~soft.weights.isfinite().all(),
    }
    for problem, found in problems.items():
        if found:
            raise InputError(f"{where}: {problem}; make or fetch the labels again")


class Header(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """What a file of labels says of itself; equal headers stand for the same labels.

    Attributes:
        format: of the file.
        kind: see the module.
        teacher: SHA-256 of the teacher's file.
        mode: BatchNorm with stored statistics (``eval``) or those of the batch (``train``).
        images: SHA-256 of the pixels, see `digest_of`.
        seed: of all that is random.
        samples, classes, size: number of images, of classes, and side of the images in pixels.
        epochs, batch, crop, mix, alpha: of kind ``fkd``; see `divbench.generate.recipe.Fkd`.
        epoch: which one a file of kind ``fkd`` holds.
    """

    format: Literal["divbench-labels-1"]
    kind: Literal["static", "fkd"]
    teacher: str
    mode: Literal["eval", "train"]
    images: str
    seed: int
    samples: int
    classes: int
    size: int
    epochs: int = 0
    batch: int = 0
    crop: float = 1.0
    mix: Mix = "none"
    alpha: float = 0.0
    epoch: int = -1


@dataclass(frozen=True)
class LabelStore:
    """The labels in the folder of a set; nothing but a header is in memory. Made by `read_labels`.

    Attributes:
        folder: of the set.
        header: of all files.
        kind: ``static`` or ``fkd``.
        samples, classes: number of images and of classes.
        epochs: how many have labels of their own; 0 of kind ``static``.
        batch: images in a batch of the student; 0 of kind ``static``.
    """

    folder: Path
    header: Header
    kind: Literal["static", "fkd"]
    samples: int
    classes: int
    epochs: int
    batch: int

    def static(self) -> Tensor:
        """[N, C] float32: the logits of each image as it is. Raises `InputError` of kind ``fkd`` or where damaged."""
        if self.kind != "static":
            raise InputError(f"{self.folder}: labels are of kind 'fkd', one for every augmented image; read an epoch")
        path = self.folder / _STATIC
        logits = _tensors(path, self.header, {"logits": torch.float32})["logits"]
        if tuple(logits.shape) != (self.samples, self.classes) or not bool(logits.isfinite().all()):
            raise InputError(f"{path}: logits must be [{self.samples}, {self.classes}], and finite; label again")
        return logits

    def epoch(self, number: int) -> SoftLabels:
        """One epoch, read from its file alone. Raises `InputError` of kind ``static`` or where damaged."""
        if self.kind != "fkd":
            raise InputError(f"{self.folder}: labels are of kind 'static', the same in every epoch; read them at once")
        if not 0 <= number < self.epochs:
            raise InputError(f"{self.folder}: has labels of epochs 0 to {self.epochs - 1}, not of {number}")
        path = _epoch_file(self.folder, number)
        found = _tensors(path, msgspec.structs.replace(self.header, epoch=number), _TENSORS)
        soft = SoftLabels(**found, batch=self.batch, mix=self.header.mix)
        if tuple(soft.logits.shape) != (self.samples, self.classes):
            raise InputError(
                f"{path}: logits are {list(soft.logits.shape)}, expected [{self.samples}, {self.classes}]; label again"
            )
        check_labels(soft, self.samples, str(path))
        return soft

    def check_fits(self, images: Tensor) -> None:
        """Raise `InputError` where these are not labels of ``images``, [N, 3, S, S] uint8 in the order of the set."""
        if len(images) != self.samples:
            raise InputError(f"{self.folder}: has labels for {self.samples} images, but there are {len(images)}")
        if digest_of(images) != self.header.images:
            raise InputError(
                f"{self.folder}: the images are others than those that were labelled; label them again, or fetch both"
            )


def read_labels(folder: Path) -> LabelStore:
    """The soft labels beside a set, of either kind.

    Args:
        folder: of the set.

    Raises:
        InputError: there are none, or both kinds; a file is damaged; epochs are missing.
    """
    static, first = folder / _STATIC, _epoch_file(folder, 0)
    if static.exists() and first.exists():
        raise InputError(f"{folder}: holds both {_STATIC} and {_FKD}/; keep the labels that are meant")
    if static.exists():
        return _store(folder, _checked_header(static, "static"))
    if not first.exists():
        raise InputError(
            f"{folder}: has no soft labels: neither {_STATIC} nor {_FKD}/{first.name}; generate the set with a recipe "
            "that writes some (labels.kind static or fkd), or train with hard labels"
        )
    header = msgspec.structs.replace(_checked_header(first, "fkd"), epoch=-1)
    missing = [str(e) for e in range(header.epochs) if not _epoch_file(folder, e).exists()]
    if missing:
        raise InputError(
            f"{folder / _FKD}: of {header.epochs} epochs these are missing: {shorten(missing)}; finish labelling with "
            "the command that began it, or fetch them again"
        )
    return _store(folder, header)


def label_files(folder: Path) -> list[Path]:
    """The files of soft labels beside a set, of either kind; none where it has none."""
    return [path for path in (folder / _STATIC, *sorted((folder / _FKD).glob("*.safetensors"))) if path.exists()]


def _store(folder: Path, header: Header) -> LabelStore:
    return LabelStore(folder, header, header.kind, header.samples, header.classes, header.epochs, header.batch)


def is_labelled(folder: Path, header: Header) -> bool:
    """Whether the file that ``header`` is of is there, whole; for kind ``fkd`` the header names the epoch.

    Raises:
        OutputError: a whole file is there, but of other images, of another teacher or of other settings.
    """
    path = _file_of(folder, header)
    try:
        there = _header(path)
    except InputError:
        return False
    if there != header:
        differing = [f for f in header.__struct_fields__ if getattr(there, f) != getattr(header, f)]
        old = path if header.kind == "static" else path.parent
        raise OutputError(
            f"{path}: holds labels of another run (other: {', '.join(differing)}); remove {old}, or give another folder"
        )
    return True


def write_static(folder: Path, header: Header, logits: Tensor) -> None:
    """Write the logits [N, C] of each image as it is; raises `OutputError`."""
    _write(_file_of(folder, header), header, {"logits": logits.float()})


def write_epoch(folder: Path, header: Header, soft: SoftLabels) -> None:
    """Write the labels of the epoch that ``header`` names; raises `OutputError`."""
    _write(_file_of(folder, header), header, {name: getattr(soft, name) for name in _TENSORS})


def digest_of(images: Tensor) -> str:
    """SHA-256 of shape and values of ``images``, uint8."""
    found = hashlib.sha256(str(tuple(images.shape)).encode())
    for part in images.split(4096):
        found.update(part.cpu().contiguous().numpy())
    return found.hexdigest()


def _epoch_file(folder: Path, epoch: int) -> Path:
    return folder / _FKD / f"epoch_{epoch:04d}.safetensors"


def _file_of(folder: Path, header: Header) -> Path:
    return folder / _STATIC if header.kind == "static" else _epoch_file(folder, header.epoch)


def _write(path: Path, header: Header, tensors: dict[str, Tensor]) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as problem:
        raise OutputError(f"{path.parent}: cannot be made ({problem.strerror or problem})") from problem
    said = {key: str(value) for key, value in msgspec.to_builtins(header).items()}
    write_whole(path, safetensors_bytes(tensors, said))


def _header(path: Path) -> Header:
    """The header of a whole file, its tensors unread."""
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            said = file.metadata() or {}
    except (safetensors.SafetensorError, OSError) as problem:
        raise InputError(f"{path}: not a readable safetensors file ({problem}); label or fetch it again") from problem
    return _parsed(path, said)


def _checked_header(path: Path, kind: str) -> Header:
    header = _header(path)
    counts = [header.samples, header.classes, header.size]
    counts += [header.epochs, header.batch, header.epoch + 1] if kind == "fkd" else []
    if header.kind != kind or min(counts) < 1:
        raise InputError(f"{path}: its header does not describe labels of kind {kind!r} ({header}); fetch it again")
    return header


def _parsed(path: Path, said: dict[str, str]) -> Header:
    try:
        return msgspec.convert(said, Header, strict=False)
    except msgspec.ValidationError as problem:
        raise InputError(
            f"{path}: does not hold labels that this divbench wrote ({problem}); expected format 'divbench-labels-1'"
        ) from problem


def _tensors(path: Path, header: Header, wanted: dict[str, torch.dtype]) -> dict[str, Tensor]:
    """The tensors of a file that must have this header, with the dtypes that belong to them."""
    found = load_safetensors(path, InputError)
    if (there := _parsed(path, found.metadata)) != header:
        raise InputError(f"{path}: is of other labels than its neighbours: {there}, expected {header}; fetch it again")
    kinds = {name: tensor.dtype for name, tensor in found.tensors.items()}
    if kinds != wanted:
        raise InputError(f"{path}: holds {kinds}, expected {wanted}; label or fetch it again")
    return found.tensors
