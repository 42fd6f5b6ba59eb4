"""divbench: measure, compare and test the diversity of distilled image data sets.

    real = divbench.embed(divbench.read_images("cifar10"), "resnet18")
    fake = divbench.embed(divbench.read_images("my_set/"), "resnet18")
    result = divbench.score(fake, real, "paper-resnet18")
    divbench.save_result(result, "my_set.json")

Names are loaded when they are first used: ``import divbench`` imports no torch.
"""

import importlib
from typing import Any

__version__ = "0.1.0"

_HOME = {
    "Cache": "divbench.cache",
    "DivbenchError": "divbench.errors",
    "Embeddings": "divbench.embedders.embed",
    "ImageSet": "divbench.images",
    "Protocol": "divbench.protocol",
    "Result": "divbench.results",
    "embed": "divbench.embedders.embed",
    "frame": "divbench.report.frame",
    "load_embedder": "divbench.embedders",
    "load_protocol": "divbench.protocol",
    "load_result": "divbench.results",
    "match_classes": "divbench.images",
    "measure_accuracy": "divbench.train.measure",
    "read_images": "divbench.images",
    "save_result": "divbench.results",
    "score": "divbench.scoring",
    "write_images": "divbench.images",
}

__all__ = ["__version__", *_HOME]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'divbench' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
