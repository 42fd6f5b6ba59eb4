"""Several processes started by torchrun share the work; on one process everything here does nothing.

The process group is joined at the first question, unless the caller has already made one.
"""

import atexit
import json
import os
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor


def world() -> int:
    """Number of processes that work together."""
    _join()
    return dist.get_world_size() if _joined() else 1


def rank() -> int:
    """Index of this process, from 0 to ``world() - 1``."""
    _join()
    return dist.get_rank() if _joined() else 0


def local_rank() -> int:
    """Index of this process on its machine."""
    return int(os.environ.get("LOCAL_RANK", "0")) if world() > 1 else 0


def shard(count: int) -> range:
    """The rows out of ``count`` that are this process's part: contiguous, and within one of equal in number."""
    return range(count * rank() // world(), count * (rank() + 1) // world())


def gather_rows(rows: Tensor) -> Tensor:
    """All processes' ``rows`` [n_r, ...] one after another in the order of the ranks, the same on every process.

    Args:
        rows: a CPU tensor; the number of rows may differ, and a process without rows may give any trailing shape.
    """
    if world() == 1:
        return rows
    layouts = gather_json([len(rows), list(rows.shape[1:]), str(rows.dtype).removeprefix("torch.")])
    shape, kind = next((layout[1:] for layout in layouts if layout[0]), layouts[0][1:])
    padded = torch.zeros(max(layout[0] for layout in layouts), *shape, dtype=getattr(torch, kind))
    if len(rows):
        padded[: len(rows)] = rows
    parts = _all_gather(padded)
    return torch.cat([part[: layout[0]] for part, layout in zip(parts, layouts, strict=True)])


def gather_json(value: Any) -> list[Any]:
    """Every process's ``value``, made of JSON types, in the order of the ranks."""
    if world() == 1:
        return [value]
    text = torch.frombuffer(bytearray(json.dumps(value).encode()), dtype=torch.uint8)
    lengths = [int(length) for length in _all_gather(torch.tensor([len(text)]))]
    padded = torch.zeros(max(lengths), dtype=torch.uint8)
    padded[: len(text)] = text
    parts = _all_gather(padded)
    return [json.loads(bytes(part[:length].tolist())) for part, length in zip(parts, lengths, strict=True)]


def agree(flag: bool) -> bool:
    """True where the flag is true on every process, so that all take the same branch."""
    return all(gather_json(flag))


def _joined() -> bool:
    return dist.is_available() and dist.is_initialized()


def _join() -> None:
    if _joined() or int(os.environ.get("WORLD_SIZE", "1")) <= 1 or not dist.is_available():
        return
    backend = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo"
    dist.init_process_group(backend, timeout=timedelta(days=7))  # shares of a long recovery end hours apart
    atexit.register(_leave)


def _leave() -> None:
    if _joined():
        dist.destroy_process_group()


def _all_gather(value: Tensor) -> list[Tensor]:
    sent = value.cuda() if dist.get_backend() == "nccl" else value
    parts = [torch.empty_like(sent) for _ in range(world())]
    dist.all_gather(parts, sent.contiguous())
    return [part.cpu() for part in parts]
