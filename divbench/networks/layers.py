"""Layers of networks: building without weights, and the layer whose input is the embedding."""

from collections.abc import Callable
from typing import TypeVar

import torch
from torch import Tensor, nn
from torch.func import functional_call

from divbench.errors import WeightsError

Built = TypeVar("Built")


def build_weightless(build: Callable[[], Built]) -> Built:
    """What ``build`` makes, on the meta device, where tensors have shapes but no values and take no time.

    Networks whose construction computes with the values of tensors are built for real.
    """
    try:
        with torch.device("meta"):
            return build()
    except RuntimeError:
        return build()


def cut_classifier(network: nn.Module, size: int) -> str:
    """Replace the last linear or convolutional layer that runs by the identity, so that the network gives its input.

    Args:
        network: a classifier of [B, 3, size, size] images; changed in place. It is traced once on the meta device.
        size: side of the images in pixels.

    Returns:
        The name of the layer that was replaced.

    Raises:
        WeightsError: no such layer runs.
    """
    last = last_layer(network, size)
    replace_module(network, last, nn.Identity())
    return last


def last_layer(network: nn.Module, size: int) -> str:
    """Name of the last linear or convolutional layer that runs; arguments and errors as `cut_classifier`."""
    ran = trace(network, size)
    if not ran:
        raise WeightsError(f"{type(network).__name__}: runs no linear or convolutional layer, so it has no classifier")
    return ran[-1]


def trace(network: nn.Module, size: int) -> list[str]:
    """Names of the linear and convolutional layers in the order in which they run on an image [1, 3, size, size].

    Everything happens on the meta device in evaluation mode; the network is left as it was. What it raises is what
    comes out.
    """
    ran: list[str] = []
    layers = [(name, layer) for name, layer in network.named_modules() if isinstance(layer, nn.Linear | nn.Conv2d)]
    hooks = [layer.register_forward_hook(lambda *_, name=name: ran.append(name)) for name, layer in layers]
    values = (*network.named_parameters(), *network.named_buffers())
    modes = {module: module.training for module in network.modules()}
    try:
        with torch.no_grad():
            weightless = {name: value.to("meta") for name, value in values}
            functional_call(network.eval(), weightless, torch.empty(1, 3, size, size, device="meta"))
    finally:
        for module, training in modes.items():
            module.training = training
        for hook in hooks:
            hook.remove()
    return ran


def exact_classifier(network: nn.Module, name: str) -> None:
    """Let one layer compute in float32 whatever autocast is on; changed in place, the names of weights are not.

    Rounded logits tie: to eight bits, the greatest two of ten classes in one image of two hundred.

    Args:
        network: any.
        name: of its last layer, see `last_layer`.
    """
    layer = network.get_submodule(name)
    plain = layer.forward

    def forward(rows: Tensor) -> Tensor:
        with torch.autocast(rows.device.type, enabled=False):
            logits: Tensor = plain(rows.float())
        return logits

    layer.forward = forward


def replace_module(network: nn.Module, name: str, module: nn.Module) -> None:
    """Put ``module`` where ``network`` has the one with the dotted ``name``."""
    parent, _, child = name.rpartition(".")
    setattr(network.get_submodule(parent), child, module)
