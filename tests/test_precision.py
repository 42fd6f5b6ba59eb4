"""Which arithmetic a machine does fast."""

import time

import torch

from divbench.precision import bfloat16_is_slow

CPU = torch.device("cpu")


def test_a_gpu_has_bfloat16():
    assert not bfloat16_is_slow(torch.device("cuda"))


def test_a_cpu_library_without_convolutions_of_its_own_does_it_in_software(monkeypatch):
    monkeypatch.setattr(torch.backends.mkldnn, "is_available", lambda: False)
    assert bfloat16_is_slow(CPU)


def test_what_is_said_of_this_cpu_is_what_a_clock_says():
    images, weight = torch.randn(8, 64, 32, 32), torch.randn(64, 64, 3, 3)
    seconds = {}
    for kind in (torch.float32, torch.bfloat16):
        given = images.to(kind), weight.to(kind)
        spent = []
        for _ in range(5):
            begin = time.perf_counter()
            torch.conv2d(*given)
            spent.append(time.perf_counter() - begin)
        seconds[kind] = min(spent)
    assert bfloat16_is_slow(CPU) == (seconds[torch.bfloat16] > 5 * seconds[torch.float32])
