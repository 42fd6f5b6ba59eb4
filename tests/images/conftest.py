from pathlib import Path

import numpy as np
import pytest
from PIL import Image


@pytest.fixture
def png():
    """Write one small image whose pixels follow from ``value``."""

    def write(path: Path, value: int = 0, size: tuple[int, int] = (8, 8), **save) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        pixels = np.random.default_rng(value).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
        Image.fromarray(pixels).save(path, **save)
        return path

    return write


@pytest.fixture
def sre2l(tmp_path, png):
    """`new000/class000_id000.png`, ...: three classes of two images."""
    for label in range(3):
        for index in range(2):
            png(tmp_path / "set" / f"new{label:03d}" / f"class{label:03d}_id{index:03d}.png", 10 * label + index)
    return tmp_path / "set"
