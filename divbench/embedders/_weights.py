"""Weight files of embedders: their digest, and the normalisation and input size that travel with them."""

import hashlib
import json
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from divbench.constants import MeanStd, parse_mean_std
from divbench.errors import InputError, WeightsError
from divbench.networks import read_state_dict

_ROUNDING = 1e-3


class WeightsFile(NamedTuple):
    """A weight file that has been read: its digest, tensors, and what else it or the JSON beside it says."""

    path: Path
    sha256: str
    state: dict[str, Tensor]
    metadata: Mapping[str, Any]


def read_weights(path: Path) -> WeightsFile:
    """Read a weight file and the JSON file of the same name beside it; what the weight file says goes first."""
    state, metadata = read_state_dict(path)
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return WeightsFile(path, digest, state, {**_beside(path), **metadata})


def _beside(path: Path) -> dict[str, Any]:
    beside = path.with_suffix(".json")
    if not beside.is_file():
        return {}
    try:
        found = json.loads(beside.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise WeightsError(f"{beside}: not valid JSON ({error}); mend or remove it") from error
    return found if isinstance(found, dict) else {}


def mean_std_of(weights: WeightsFile, stated: str | None, known: MeanStd | None = None) -> MeanStd:
    """The normalisation that the weights were trained with.

    Args:
        weights: a file that may say ``mean`` and ``std``: three numbers each, or such numbers as text.
        stated: what the user says; see `parse_mean_std`.
        known: what is known from elsewhere, as for public weights.

    Raises:
        WeightsError: nothing says it, or two sources contradict each other by more than rounding.
    """
    travelling = _travelling(weights) or known
    if stated is None:
        if travelling is None:
            raise WeightsError(
                f"{weights.path}: does not say how images are normalised, and neither does "
                f"{weights.path.with_suffix('.json').name} beside it; give --mean-std, for instance cifar10 or imagenet"
            )
        return travelling
    said = parse_mean_std(stated)
    pairs = zip((*said[0], *said[1]), (*travelling[0], *travelling[1]), strict=True) if travelling else ()
    if any(abs(a - b) > _ROUNDING for a, b in pairs):
        raise WeightsError(
            f"{weights.path}: was trained with mean and std {_text(travelling)}, but --mean-std {stated} says "
            f"{_text(said)}; leave the option out, or mend what the weights say"
        )
    return travelling or said


def _travelling(weights: WeightsFile) -> MeanStd | None:
    said = [weights.metadata.get(key) for key in ("mean", "std")]
    if said == [None, None]:
        return None
    try:
        return parse_mean_std(",".join(_numbers(value) for value in said))
    except (InputError, TypeError, ValueError, RuntimeError) as error:
        raise WeightsError(f"{weights.path}: says mean {said[0]!r} and std {said[1]!r}; {error}") from error


def _numbers(value: Any) -> str:
    if isinstance(value, str):
        return value.strip("[]() ")
    return ",".join(repr(float(number)) for number in torch.as_tensor(value).flatten())


def _text(mean_std: MeanStd | None) -> str:
    return "; ".join(",".join(f"{number:g}" for number in numbers) for numbers in mean_std or ())


def input_size_of(weights: WeightsFile) -> int | None:
    """The input side in pixels that the weights say as ``input_size``: a number, or a shape that ends in it."""
    said = weights.metadata.get("input_size")
    if said is None:
        return None
    try:
        size = int(said[-1] if isinstance(said, list | tuple) else said)
    except (TypeError, ValueError, IndexError) as error:
        raise WeightsError(f"{weights.path}: says input_size {said!r}; expected a number of pixels") from error
    return size


def downloaded(what: str, download: Callable[[], str]) -> Path:
    """The file that ``download`` fetches, or finds where an earlier download left it.

    Raises:
        WeightsError: it could not be fetched; says how to give the file by hand.
    """
    try:
        return Path(download())
    except Exception as error:  # every library reports a lost connection in its own way
        reason = str(error).strip().partition("\n")[0] or type(error).__name__
        raise WeightsError(
            f"{what}: the weights could not be downloaded ({reason:.200}); fetch them on a machine that can, "
            f"and give the file with --weights"
        ) from error


def from_url(url: str) -> str:
    """Download into torch.hub's folder, unless the file is there already; returns its path."""
    folder = Path(torch.hub.get_dir()) / "checkpoints"
    target = folder / url.rpartition("/")[2]
    if not target.exists():
        folder.mkdir(parents=True, exist_ok=True)
        named = target.stem.rpartition("-")[2]
        torch.hub.download_url_to_file(url, str(target), hash_prefix=named if len(named) == 8 else None, progress=False)
    return str(target)


def from_hugging_face(repository: str, *names: str) -> str:
    """The first file of ``names`` that the repository (``owner/name[@revision]``) has; returns its path.

    What an earlier download left is taken without asking the network.
    """
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import EntryNotFoundError, LocalEntryNotFoundError

    name, _, revision = repository.partition("@")
    for file in names:
        with suppress(LocalEntryNotFoundError):
            return hf_hub_download(name, file, revision=revision or None, local_files_only=True)
    for file in names[:-1]:
        try:
            return hf_hub_download(name, file, revision=revision or None)
        except LocalEntryNotFoundError:  # no connection: the other names cannot be had either
            raise
        except EntryNotFoundError:
            continue
    return hf_hub_download(name, names[-1], revision=revision or None)
