"""The network's side of embedding: batches of pixels in, rows of features out."""

import torch
from torch import Tensor

from divbench import parallel
from divbench.embedders._record import Embedder
from divbench.errors import ProtocolError
from divbench.precision import deterministic, full_float32

_CPU_PASS = 32


class Forward:
    """A loaded embedder on its device; every pass has the same number of images, whatever the set.

    So the features of an image depend neither on the images around it nor, on the CPU, on ``batch_size``: there each
    pass takes 32 images, because another number can change the last bit of a convolution. On a GPU a pass takes
    ``batch_size`` images.
    """

    def __init__(self, embedder: Embedder, batch_size: int, device: torch.device) -> None:
        self.device = device
        self.each = _CPU_PASS if self.device.type == "cpu" else batch_size
        self.bfloat16 = embedder.precision == "bfloat16"
        self.network = embedder.load().to(self.device).to(memory_format=torch.channels_last)
        mean, std = (torch.tensor(numbers).view(1, -1, 1, 1) for numbers in embedder.mean_std)
        self.mean, self.std = mean.to(self.device), std.to(self.device)

    def __call__(self, pixels: list[Tensor]) -> Tensor:
        """Features [B, D] float32, still on the device, of B uint8 images [3, S, S] of one size."""
        missing = -len(pixels) % self.each
        batch = torch.stack(pixels + [pixels[0]] * missing)
        if self.device.type == "cuda":
            batch = batch.pin_memory()
        batch = batch.to(self.device, non_blocking=True).contiguous(memory_format=torch.channels_last)
        half = torch.autocast(self.device.type, torch.bfloat16, self.bfloat16)
        with torch.inference_mode(), full_float32(self.device), deterministic(), half:
            passes = [self.network(self._normalised(part)).flatten(1).float() for part in batch.split(self.each)]
            return torch.cat(passes)[: len(pixels)]

    def _normalised(self, pixels: Tensor) -> Tensor:
        return pixels.float().div_(255).sub_(self.mean).div_(self.std)


def choose_device(name: str | None) -> torch.device:
    """The named device, where ``cuda`` is this process's GPU; by default that GPU if there is one, else the CPU.

    Raises:
        ProtocolError: there is no such device.
    """
    if name is None:
        name = "cuda" if torch.cuda.is_available() else "cpu"
    own = f"cuda:{parallel.local_rank() % max(torch.cuda.device_count(), 1)}" if name == "cuda" else name
    try:
        return torch.empty(0, device=own).device
    except (RuntimeError, AssertionError) as error:  # torch asserts where it was built without CUDA
        reason = str(error).partition("\n")[0]
        raise ProtocolError(f"device {name!r} cannot be used ({reason:.200}); leave it out, or give cpu") from error
