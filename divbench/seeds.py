"""Random numbers that depend on what they are for and on nothing else."""

import hashlib

import torch


def seed_of(*parts: object) -> int:
    """A seed below 2^63 made of ``parts``, such as the user's seed, a word and an index."""
    text = "\x1f".join(map(str, parts))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8]) % 2**63


def seeded(*parts: object) -> torch.Generator:
    """A CPU generator seeded by `seed_of`."""
    return torch.Generator().manual_seed(seed_of(*parts))
