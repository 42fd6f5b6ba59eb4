"""The teacher: a trained network with the classes and the normalisation that it was trained with."""

import hashlib
import json
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from divbench.constants import MeanStd
from divbench.embedders import Embedder, load_embedder
from divbench.embedders._weights import input_size_of, mean_std_of, read_weights
from divbench.errors import InputError, WeightsError, shorten
from divbench.files import write_whole
from divbench.images import ImageSet, match_classes
from divbench.networks import build_classifier, build_weightless, describe, last_layer, load_state
from divbench.storage import safetensors_bytes

LABELLED_AT_ONCE = 256
"""Images that a teacher looks at together where there is no batch, or where it changes nothing."""


@dataclass(frozen=True)
class Teacher:
    """A classifier, not yet on any device.

    Attributes:
        name: file name, for messages.
        net: architecture, as `divbench.networks.build_classifier` takes it.
        state: its parameters and buffers by name.
        classes: class names in the order of its outputs; None where its file does not say.
        outputs: number of classes.
        classifier: name of the last layer, whose input is the embedding.
        mean_std: mean and standard deviation per channel of pixels in [0, 1] that it was trained with.
        size: side of the images in pixels that it was trained on; None: not said.
        sha256: of its file.
        path: its file.
    """

    name: str
    net: str
    state: dict[str, Tensor] = field(repr=False)
    classes: tuple[str, ...] | None
    outputs: int
    classifier: str
    mean_std: MeanStd
    size: int | None
    sha256: str
    path: Path

    def network(self) -> nn.Module:
        """A new copy in evaluation mode, float32, on the CPU, its parameters frozen."""
        network = build_classifier(self.net, self.outputs, small_stem=_small_stem(self.state))
        load_state(network, self.state, f"{self.path}, as {self.net}")
        return network.eval().requires_grad_(False)

    def embedder(self) -> Embedder:
        """What gives the input of its last layer as features."""
        stated = ",".join(repr(number) for numbers in self.mean_std for number in numbers)
        return load_embedder(self.net, weights=self.path, mean_std=stated, input_size=self.size)

    def check_fits(self, real: ImageSet) -> None:
        """Raise `InputError` where the classes of ``real`` are not those of the teacher, in its order."""
        if self.outputs != len(real.classes):
            raise InputError(
                f"teacher {self.name} knows {self.outputs} classes, but {real.name} has {len(real.classes)}; "
                "give a teacher that was trained on this data (divbench squeeze)"
            )
        if self.classes is not None and self.classes != real.classes:
            wrong = [f"{a!r} for {b!r}" for a, b in zip(self.classes, real.classes, strict=True) if a != b]
            try:
                order = match_classes(real, self.classes).fake.labels.equal(real.labels)
            except InputError:
                order = False
            if not order:
                raise InputError(
                    f"teacher {self.name} orders or names its classes otherwise than {real.name}: {shorten(wrong)}; "
                    "rename the class folders, or give a teacher that was trained on this data"
                )


def _small_stem(state: dict[str, Tensor]) -> bool:
    stem = state.get("conv1.weight")
    return stem is not None and tuple(stem.shape[2:]) == (3, 3)


def load_teacher(path: Path, *, net: str | None = None, mean_std: str | None = None) -> Teacher:
    """Read a teacher from weights in any form that embedders take, without running code that is in the file.

    Args:
        path: what `squeeze` wrote, or a state dict of a classifier.
        net: its architecture, where the file does not say; default ``resnet18``.
        mean_std: its normalisation, where the file does not say; see `parse_mean_std`.

    Raises:
        WeightsError: the file cannot be read, does not fit, or does not say how images are normalised.
    """
    weights = read_weights(Path(path))
    said = weights.metadata.get("net")
    if net is not None and said is not None and net != said:
        raise WeightsError(f"{path}: is a {said}, but --net {net} was given; leave the option out")
    net = net or (str(said) if said is not None else "resnet18")
    small = _small_stem(weights.state)
    last = last_layer(build_weightless(lambda: build_classifier(net, 1000, small_stem=small)), 32 if small else 224)
    weight = weights.state.get(f"{last}.weight")
    if weight is None or weight.ndim != 2:
        raise WeightsError(
            f"{path}: has no {last}.weight, which a {net} needs to classify; give --net, or other weights. "
            f"{describe(weights.state)}"
        )
    teacher = Teacher(
        name=Path(path).name,
        net=net,
        state=weights.state,
        classes=_classes(weights.metadata.get("classes"), len(weight), Path(path)),
        outputs=len(weight),
        classifier=last,
        mean_std=mean_std_of(weights, mean_std),
        size=input_size_of(weights),
        sha256=weights.sha256,
        path=Path(path),
    )
    teacher.network()
    return teacher


def _classes(said: object, outputs: int, path: Path) -> tuple[str, ...] | None:
    if isinstance(said, str):
        try:
            said = json.loads(said)
        except ValueError:
            said = None
    if not isinstance(said, list | tuple) or not all(isinstance(name, str) for name in said):
        return None
    if len(said) != outputs:
        raise WeightsError(f"{path}: names {len(said)} classes, but has {outputs} outputs; mend what names them")
    return tuple(said)


def save_teacher(network: nn.Module, path: Path, facts: dict[str, object]) -> str:
    """Write weights as safetensors whose header holds ``facts`` (net, classes, mean, std, ...); returns the SHA-256.

    Raises:
        OutputError: the file cannot be written; an existing one is then unharmed.
    """
    state = {name: value.detach().cpu() for name, value in network.state_dict().items()}
    header = {
        key: value if isinstance(value, str) else msgspec.json.encode(value).decode() for key, value in facts.items()
    }
    data = safetensors_bytes(state, header)
    write_whole(path, data)
    return hashlib.sha256(data).hexdigest()


class Labeller:
    """A teacher on its device, asked for logits.

    Args:
        mode: with ``train``, BatchNorm uses the statistics of the batch and keeps none; all else, such as dropout, is
            as in evaluation.
    """

    def __init__(self, teacher: Teacher, mode: str, device: torch.device) -> None:
        self.device, self.by_batch = device, mode == "train"
        self.network: nn.Module = teacher.network().to(device)
        for module in self.network.modules():
            if self.by_batch and isinstance(module, _BatchNorm):
                module.train()
                module.track_running_stats = False
        self.mean, self.std = (torch.tensor(numbers, device=device).view(1, -1, 1, 1) for numbers in teacher.mean_std)

    def __call__(self, images: Tensor) -> Tensor:
        """[B, C] float32 logits of images [B, 3, S, S] in [0, 255]."""
        parts = (images,) if self.by_batch else images.split(LABELLED_AT_ONCE)
        return torch.cat([self.network((part.float() / 255 - self.mean) / self.std) for part in parts])
