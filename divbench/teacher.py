"""The teacher: a trained network with the classes and the normalisation that it was trained with."""

import hashlib
import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from divbench.constants import MeanStd
from divbench.embedders import Embedder, Geometry, load_embedder
from divbench.embedders._weights import input_size_of, mean_std_of, read_weights
from divbench.errors import InputError, WeightsError, shorten
from divbench.files import write_whole
from divbench.images import ImageSet, match_classes
from divbench.networks import (
    SMALL,
    build_classifier,
    build_weightless,
    describe,
    exact_classifier,
    last_layer,
    load_state,
    replace_module,
)
from divbench.storage import safetensors_bytes

LABELLED_AT_ONCE = 256
"""Images that a teacher looks at together where there is no batch, or where it changes nothing."""
_USUAL, _USUAL_SMALL = 224, 32  # sides in pixels of images, where nothing says them
_ONE_SIZE = ("convnet", "vit", "timm:")  # the weights of these may belong to one size of images


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
        network = build_classifier(self.net, self.outputs, _side(self.net, self.state, self.size))
        load_state(network, self.state, f"{self.path}, as {self.net}")
        return network.eval().requires_grad_(False)

    def embedder(self) -> Embedder:
        """What gives the input of its last layer as features."""
        if self.net != "resnet18" and not self.net.startswith("torchvision:"):
            return self._own_embedder()
        stated = ",".join(repr(number) for numbers in self.mean_std for number in numbers)
        return load_embedder(self.net, weights=self.path, mean_std=stated, input_size=self.size)

    def _own_embedder(self) -> Embedder:
        """Of networks that are no family of embedders; the geometry and size are those of training."""
        geometry = Geometry() if self.size is None else Geometry().at_size(self.size)
        fixed = self.net.startswith(_ONE_SIZE)
        network, weights, layer = f"{self.net} classifier", f"sha256:{self.sha256}", f"input of {self.classifier}"
        return Embedder(network, weights, layer, self.mean_std, geometry, self._body, resizable=not fixed)

    def _body(self) -> nn.Module:
        network = self.network()
        replace_module(network, self.classifier, nn.Identity())
        return network

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


def _side(net: str, state: dict[str, Tensor], said: int | None) -> int:
    """Side in pixels of the images that the network is to be built for.

    Strides cannot be seen in weights, but the first convolution of a ResNet can: it decides between the versions.
    """
    stem = state.get("conv1.weight") if net.startswith("resnet") else None
    if stem is None:
        return said or _USUAL
    small = tuple(stem.shape[2:]) == (3, 3)
    if said is not None and small == (said < SMALL):
        return said
    return _USUAL_SMALL if small else _USUAL


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
    size = input_size_of(weights)
    side = _side(net, weights.state, size)
    last = last_layer(build_weightless(lambda: build_classifier(net, 1000, side)), side)
    weight = weights.state.get(f"{last}.weight")
    if weight is None or weight.ndim != 2:
        raise WeightsError(
            f"{path}: has no {last}.weight, which a {net} needs to classify; say which network it is (--net; "
            f"of 'divbench train' --teacher-net), or give other weights. "
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
        size=size,
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
        exact_classifier(self.network, teacher.classifier)
        for module in self.network.modules():
            if self.by_batch and isinstance(module, _BatchNorm):
                module.train()
                module.track_running_stats = False
        self.mean, self.std = (torch.tensor(numbers, device=device).view(1, -1, 1, 1) for numbers in teacher.mean_std)

    def __call__(self, images: Tensor) -> Tensor:
        """[B, C] float32 logits of images [B, 3, S, S] in [0, 255]."""
        parts = (images,) if self.by_batch else images.split(LABELLED_AT_ONCE)
        return torch.cat([self.network((part.float() / 255 - self.mean) / self.std) for part in parts])


def label_as_they_are(
    order: Tensor, batches: Callable[[Iterable[Tensor]], Iterable[Tensor]], logits: Callable[[Tensor], Tensor]
) -> Tensor:
    """[N, C] on the CPU: what teachers say of N images as they are, at most `LABELLED_AT_ONCE` together.

    Of two images or more none is looked at alone, since by batch statistics (``train``) it would have its own.

    Args:
        order: [N] int64, the order in which images are looked at. By batch statistics it has to be random: batches in
            the order of a set have few classes.
        batches: pixels [b, 3, S, S] in [0, 255] of the images in each of the [b] int64 that it is given.
        logits: [b, C] of pixels.
    """
    parts = order.tensor_split(-(-len(order) // LABELLED_AT_ONCE))
    found = torch.cat([logits(pixels) for pixels in batches(parts)]).cpu()
    return found[order.argsort()]
