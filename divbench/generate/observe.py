"""A frozen network made fast to look through: logits, features and BatchNorm inputs in one pass, with gradients.

The released code of the SRe2L family reads BatchNorm inputs in hooks, in float32 and with three passes over every
activation. Here each BatchNorm layer is replaced by one function that normalises, takes both statistics and has the
gradient of all three in closed form; convolutions run in bfloat16 where the recipe says so, and statistics, pooling,
features and logits in float32. Sums do not depend on the number of threads.
"""

from typing import Any, Literal

import torch
from torch import Tensor, nn

from divbench.generate.view import NormInput
from divbench.networks import replace_module

Precision = Literal["float32", "tf32", "bfloat16"]
_BLOCK = 2**22
"""Elements whose statistics are taken at a time on the CPU: larger temporaries cost more page faults than sums."""


class Observer:
    """Looks through a network at images.

    Args:
        network: in evaluation mode with frozen parameters; changed in place.
        classifier: name of its last layer, whose input are the features.
        precision: of the convolutions.
        device: where to compute.
        norms: whether to take the statistics of BatchNorm inputs.
    """

    def __init__(
        self, network: nn.Module, classifier: str, precision: Precision, device: torch.device, *, norms: bool
    ) -> None:
        self.bfloat16, self.device = precision == "bfloat16", device
        self._seen: list[NormInput] = []
        self._head = _Head(network.get_submodule(classifier))
        replace_module(network, classifier, self._head)
        for name, module in list(network.named_modules()):
            if norms and isinstance(module, nn.BatchNorm2d):
                replace_module(network, name, _ObservedNorm(module, self._seen))
            elif isinstance(module, nn.AdaptiveAvgPool2d):
                replace_module(network, name, _Pool(module))
            elif self.bfloat16 and isinstance(module, nn.Conv2d):
                module.to(torch.bfloat16)
        self.network = network.to(device).to(memory_format=torch.channels_last)

    def __call__(self, images: Tensor) -> tuple[Tensor, Tensor, list[NormInput]]:
        """Logits [B, classes], features [B, D] (float32) and BatchNorm inputs of normalised images [B, 3, H, W]."""
        self._seen.clear()
        with torch.autocast(self.device.type, torch.bfloat16, self.bfloat16):
            logits = self.network(images.contiguous(memory_format=torch.channels_last))
        return logits, self._head.seen, list(self._seen)


class _Head(nn.Module):
    """The last layer, in float32; remembers what it was given."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer
        self.seen = torch.empty(0)

    def forward(self, features: Tensor) -> Tensor:
        self.seen = features.float()
        with torch.autocast(features.device.type, enabled=False):
            result: Tensor = self.layer(self.seen)
        return result


class _Pool(nn.Module):
    """Pooling in float32: a mean over positions keeps digits that bfloat16 has not."""

    def __init__(self, pool: nn.Module) -> None:
        super().__init__()
        self.pool = pool

    def forward(self, images: Tensor) -> Tensor:
        result: Tensor = self.pool(images.float())
        return result


class _ObservedNorm(nn.Module):
    """BatchNorm with its stored statistics, which notes those of what it is given."""

    weight: Tensor
    bias: Tensor
    mean: Tensor
    variance: Tensor

    def __init__(self, norm: nn.BatchNorm2d, seen: list[NormInput]) -> None:
        super().__init__()
        assert norm.running_mean is not None
        assert norm.running_var is not None
        self.eps, self._seen = norm.eps, seen
        ones = torch.ones_like(norm.running_mean)
        self.register_buffer("weight", ones if norm.weight is None else norm.weight.detach())
        self.register_buffer("bias", torch.zeros_like(ones) if norm.bias is None else norm.bias.detach())
        self.register_buffer("mean", norm.running_mean.detach())
        self.register_buffer("variance", norm.running_var.detach())

    def forward(self, images: Tensor) -> Tensor:
        output, mean, variance = _NormWithStatistics.apply(
            images, self.weight, self.bias, self.mean, self.variance, self.eps
        )
        self._seen.append(NormInput(mean, variance, self.mean, self.variance))
        return output


class _NormWithStatistics(torch.autograd.Function):
    """x -> (x normalised by given statistics, mean of x, biased variance of x), the latter over all but channels.

    With n elements in a channel, mean m and the output's factor s, the gradient is
    ``s * gy + (gm + 2 gv (x - m)) / n``: one affine function of x for each channel, beside the output's own part.
    """

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, stored_mean: Tensor, stored_variance: Tensor, eps: float
    ) -> tuple[Tensor, Tensor, Tensor]:
        mean, variance = _statistics(x, stored_mean)
        output = torch.native_batch_norm(x, weight, bias, stored_mean, stored_variance, False, 0.0, eps)[0]
        ctx.save_for_backward(x, weight * (stored_variance + eps).rsqrt(), mean)
        return output, mean, variance

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        of_output, of_mean, of_variance = gradients
        x, factor, mean = ctx.saved_tensors
        count = x.numel() // x.shape[1]
        slope = 2 * of_variance / count
        offset = of_mean / count - slope * mean
        slope, offset, factor = (v.to(x.dtype).view(1, -1, 1, 1) for v in (slope, offset, factor))
        return torch.addcmul(offset, x, slope).addcmul_(of_output, factor), None, None, None, None, None


def _statistics(x: Tensor, near: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and biased variance [C] of [B, C, H, W] in the type of ``near``, which is close to the mean.

    Sums run over positions of an image and then over images, so that they do not depend on the number of threads.
    """
    images = x.permute(0, 2, 3, 1)
    step = max(1, _BLOCK // images[0].numel()) if x.device.type == "cpu" else len(images)
    first, second = torch.zeros_like(near), torch.zeros_like(near)
    for block in images.split(step):
        shifted = block - near
        first += shifted.sum((1, 2)).sum(0)
        second += shifted.square_().sum((1, 2)).sum(0)
    count = x.numel() // x.shape[1]
    shift = first / count
    return near + shift, (second / count - shift.square()).clamp_min(0)
