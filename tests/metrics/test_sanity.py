"""What each metric can and cannot see, as a table that is checked.

Scenes after the sanity checks for generative metrics of the position paper of ICML 2025 (arXiv:2505.22450): one thing
is wrong with the synthetic rows and the metric moves up ("+"), down ("-") or stays ("0", within a tenth of its value).

Worth knowing: coverage does not see that the spread shrank, density and precision reward it; the measures of the cosine
kernel see a shift only because it moves rows away from the origin; an invented mode counts as diversity for them.
"""

import pytest
import torch

from divbench.metrics import METRICS

N, M, D = 600, 300, 8
METRIC_NAMES = ("coverage", "density", "precision", "recall", "vendi", "rke_unbiased", "cosine", "prototype_distance")
SEEN = {
    # scene             coverage density precision recall vendi rke_unbiased cosine prototype_distance
    "same law":           "0        0       0        0      0        0         0          0",
    "mean shift":         "-        -       -        -      -        -         +          -",
    "scale down":         "0        +       0        -      -        -         +          -",
    "mode dropped":       "-        0       0        -      -        -         +          -",
    "mode invented":      "-        -       -        0      +        +         -          +",
    "collapse":           "-        +       0        -      -        -         +          -",
    "a few outliers":     "0        0       0        0      0        0         0          0",
}  # fmt: skip


def law(n, seed, modes=(0, 1), spread=1.0):
    """Gaussian modes in D dimensions, far from the origin as features are, and apart from each other."""
    g = torch.Generator().manual_seed(seed)
    centres = 1 + 4 * torch.eye(D)
    which = torch.tensor(modes)[torch.randint(len(modes), (n,), generator=g)]
    return centres[which] + spread * torch.randn(n, D, generator=g)


def scenes(seed):
    same = law(M, seed)
    outliers = same.clone()
    outliers[:3] = 30 * torch.randn(3, D, generator=torch.Generator().manual_seed(seed)).abs()
    return {
        "same law": law(M, seed + 100),
        "mean shift": same + 2.0,
        "scale down": law(M, seed, spread=0.6),
        "mode dropped": law(M, seed, modes=(0,)),
        "mode invented": law(M, seed, modes=(0, 1, 2)),
        "collapse": same.mean(0) + 0.05 * (same - same.mean(0)),
        "a few outliers": outliers,
    }


@pytest.fixture(scope="module")
def values():
    """Mean over five seeds of every metric in every scene, beside its value for a set of the same law."""
    table = {}
    for seed in range(5):
        real = law(N, 1000 + seed)
        for scene, fake in {"": law(M, seed), **scenes(seed)}.items():
            for name in METRIC_NAMES:
                table.setdefault((scene, name), []).append(METRICS[name](real, fake))
    return {key: sum(v) / len(v) for key, v in table.items()}


@pytest.mark.parametrize("scene", SEEN)
def test_what_is_seen(scene, values):
    found = []
    for name in METRIC_NAMES:
        before, after = values["", name], values[scene, name]
        change = (after - before) / abs(before)
        found.append("0" if abs(change) < 0.1 else "+" if change > 0 else "-")
    assert dict(zip(METRIC_NAMES, found, strict=True)) == dict(zip(METRIC_NAMES, SEEN[scene].split(), strict=True))
