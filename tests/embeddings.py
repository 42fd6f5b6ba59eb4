"""Embeddings made of numbers, for tests of everything after the network."""

import torch

from divbench.embedders.embed import Embeddings


def make_embeddings(features, labels, name="set", classes=None, hashes=None, thumbnails=None, **changes):
    """Embeddings whose images are all different, unless ``hashes`` or ``thumbnails`` say otherwise."""
    labels = torch.as_tensor(labels)
    count = len(labels)
    g = torch.Generator().manual_seed(sum(name.encode()))
    unlike = torch.randint(0, 256, (count, 64), generator=g, dtype=torch.uint8)
    fields = {
        "features": features.float(),
        "labels": labels,
        "classes": classes or tuple(f"c{i}" for i in range(int(labels.max()) + 1)),
        "source": f"{name} {float(features.sum())} {labels.tolist()}",
        "embedder": "numbers",
        "name": name,
        "hashes": unlike[:, :16] if hashes is None else hashes,
        "thumbnails": unlike[:, 16:] if thumbnails is None else thumbnails,
    }
    return Embeddings(**{**fields, **changes})


def gaussian_classes(per_class, classes=3, width=6, seed=0, spread=1.0, name="set", apart=3.0):
    """Gaussian classes at fixed means."""
    means = torch.randn(classes, width, generator=torch.Generator().manual_seed(99)) * apart + 2
    noise = torch.randn(classes * per_class, width, generator=torch.Generator().manual_seed(seed))
    labels = torch.arange(classes).repeat_interleave(per_class)
    return make_embeddings(means[labels] + spread * noise, labels, name)
