"""True float32, whatever the rest of the program has asked for."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch


@contextmanager
def full_float32(device: torch.device) -> Iterator[None]:
    """Matrix products and convolutions of float32 are computed in float32 inside: no autocast, TF32 or bfloat16."""
    backends: Any = torch.backends
    knobs = [backends.cuda.matmul, backends.cudnn.conv, backends.mkldnn.matmul, backends.mkldnn.conv]
    before = [knob.fp32_precision for knob in knobs]
    try:
        for knob in knobs:
            knob.fp32_precision = "ieee"
        with torch.autocast(device.type, enabled=False):
            yield
    finally:
        for knob, value in zip(knobs, before, strict=True):
            knob.fp32_precision = value
