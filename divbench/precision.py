"""What arithmetic float32 gets, whatever the rest of the program has asked for, and the same bits every time."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch


@contextmanager
def full_float32(device: torch.device, *, tf32: bool = False) -> Iterator[None]:
    """Matrix products and convolutions of float32 are computed in float32 inside: no autocast, TF32 or bfloat16.

    Args:
        device: where autocast is switched off.
        tf32: allow NVIDIA's TF32, 10 bits of mantissa, in convolutions on GPUs after all.
    """
    backends: Any = torch.backends
    knobs = [backends.cuda.matmul, backends.cudnn.conv, backends.mkldnn.matmul, backends.mkldnn.conv]
    before = [(knob, knob.fp32_precision) for knob in knobs]
    try:
        for knob in knobs:
            knob.fp32_precision = "ieee"
        if tf32:
            backends.cudnn.conv.fp32_precision = "tf32"
        with torch.autocast(device.type, enabled=False):
            yield
    finally:
        for knob, value in before:
            knob.fp32_precision = value


def bfloat16_is_slow(device: torch.device) -> bool:
    """Whether bfloat16 is worked out in software, more than ten times slower than float32.

    That is so on CPUs without instructions for it, such as those whose vectors are no wider than AVX2's.
    """
    if device.type != "cpu":
        return False
    return not (torch.backends.mkldnn.is_available() and torch.ops.mkldnn._is_mkldnn_bf16_supported())


def cores() -> int:
    """How many CPU cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@contextmanager
def all_cores(device: torch.device) -> Iterator[None]:
    """On the CPU, as many threads as this process may use cores, whatever torchrun or the environment says.

    Some convolutions sum in an order that depends on the number of threads.
    """
    before = torch.get_num_threads()
    try:
        if device.type == "cpu":
            torch.set_num_threads(cores())
        yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def deterministic() -> Iterator[None]:
    """cuDNN's deterministic algorithms, chosen without trying them out."""
    cudnn = torch.backends.cudnn
    before = cudnn.benchmark, cudnn.deterministic
    cudnn.benchmark, cudnn.deterministic = False, True
    try:
        yield
    finally:
        cudnn.benchmark, cudnn.deterministic = before
