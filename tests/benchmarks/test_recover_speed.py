"""Recovery beside the public formulation, and what DiRe adds to it, at the CIFAR-100 shape of the paper.

50 classes x 10 images of 32 pixels in a batch, 500 real images per class, ResNet-18 with the small-image stem.
Run with: pytest -m benchmark -s tests/benchmarks/test_recover_speed.py
"""

import copy
import resource
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torchmetrics.functional.pairwise import pairwise_cosine_similarity, pairwise_euclidean_distance

from divbench.embedders import choose_device
from divbench.generate.observe import Observer
from divbench.generate.terms import resolve_terms
from divbench.generate.view import RealFeatures, View
from divbench.networks import resnet18
from divbench.precision import deterministic, full_float32

CLASSES, EACH, REAL, OUTPUTS, STEPS = 50, 10, 500, 100, 12
DEVICE = choose_device(None)
PLAIN = {"cross_entropy": {"weight": 1.0}, "bn_matching": {"weight": 0.01}}
COSINES = {"cosine_diversity": {"weight": 0.1}, "cosine_distribution_matching": {"weight": 0.1}}
EUCLIDEAN = {"euclidean_distribution_matching": {"weight": 0.001}}


@dataclass
class Scene:
    network: nn.Module
    start: Tensor
    labels: Tensor
    real: RealFeatures


@pytest.fixture(scope="module")
def scene() -> Scene:
    torch.manual_seed(0)
    network = resnet18(OUTPUTS, small_stem=True)
    with torch.no_grad():  # BatchNorm statistics of noise, so that nothing explodes
        for _ in range(20):
            network(torch.randn(64, 3, 32, 32))
    network = network.eval().requires_grad_(False).to(DEVICE)
    g = torch.Generator().manual_seed(0)
    rows = torch.rand(CLASSES, REAL, 512, generator=g).to(DEVICE)
    return Scene(
        network,
        torch.randn(CLASSES * EACH, 3, 32, 32, generator=g).to(DEVICE),
        torch.arange(CLASSES).repeat_interleave(EACH).to(DEVICE),
        RealFeatures(rows, torch.full((CLASSES,), float(REAL), device=DEVICE)),
    )


class Stepper:
    """One optimisation of the images, a step at a time."""

    def __init__(self, scene: Scene, loss: Callable[[Tensor], Tensor]) -> None:
        self.images, self.loss = scene.start.clone().requires_grad_(), loss
        self.adam = torch.optim.Adam([self.images], lr=0.25, betas=(0.5, 0.9))
        self.times: list[float] = []
        self.value = float("nan")

    def step(self) -> None:
        began = time.perf_counter()
        self.adam.zero_grad(set_to_none=True)
        loss = self.loss(self.images)
        loss.backward()
        self.adam.step()
        with torch.no_grad():
            self.images.clamp_(-2, 2)
        if DEVICE.type == "cuda":
            torch.cuda.synchronize()
        self.times.append(time.perf_counter() - began)
        self.value = float(loss.detach())

    @property
    def seconds(self) -> float:
        return statistics.median(self.times[1:])


def ours(scene: Scene, terms: dict) -> Stepper:
    weighted = resolve_terms(terms)
    observer = Observer(copy.deepcopy(scene.network), "fc", "bfloat16", DEVICE, norms=True)

    def loss(images: Tensor) -> Tensor:
        logits, features, norms = observer(images)
        view = View(images, scene.labels, CLASSES, logits, features, norms, scene.real)
        return torch.stack([w.weight * w(view) for w in weighted]).sum()

    return Stepper(scene, loss)


class Hook:
    """Takes BatchNorm inputs as the public code does."""

    def __init__(self, module: nn.BatchNorm2d) -> None:
        self.distance = torch.empty(0)
        module.register_forward_hook(self)

    def __call__(self, module: nn.BatchNorm2d, inputs: tuple[Tensor], output: Tensor) -> None:
        x, channels = inputs[0], inputs[0].shape[1]
        mean = x.mean([0, 2, 3])
        variance = x.permute(1, 0, 2, 3).contiguous().view([channels, -1]).var(1, unbiased=False)
        self.distance = torch.norm(module.running_var - variance, 2) + torch.norm(module.running_mean - mean, 2)


def public(scene: Scene, *, dire: bool = False) -> Stepper:
    """Float32, contiguous, a hook for each layer; DiRe with torchmetrics, class by class."""
    network = copy.deepcopy(scene.network)
    hooks = [Hook(module) for module in network.modules() if isinstance(module, nn.BatchNorm2d)]
    seen: list[Tensor] = []
    network.avgpool.register_forward_hook(lambda module, inputs, output: seen.append(output.flatten(1)))
    return Stepper(scene, public_loss(scene, network, hooks, seen, dire))


def public_loss(scene: Scene, network: nn.Module, hooks: list[Hook], seen: list[Tensor], dire: bool):
    def loss(images: Tensor) -> Tensor:
        seen.clear()
        total = cross_entropy(network(images), scene.labels)
        total = total + 0.01 * sum(h.distance * (10 if i == 0 else 1) for i, h in enumerate(hooks))
        return total + torchmetrics_dire(scene, seen[0]) if dire else total

    return loss


def torchmetrics_dire(scene: Scene, features: Tensor) -> Tensor:
    total = torch.zeros((), device=DEVICE)
    for c in range(CLASSES):
        fake, real = features[c * EACH : (c + 1) * EACH], scene.real.rows[c]
        total = total + 0.1 * pairwise_cosine_similarity(fake, zero_diagonal=True).abs().mean()
        total = total + 0.1 * (1 - pairwise_cosine_similarity(fake, real)).abs().mean()
        total = total + 0.001 * pairwise_euclidean_distance(fake, real).mean()
    return total


def peak() -> str:
    if DEVICE.type == "cuda":
        return f"{torch.cuda.max_memory_allocated() / 2**20:.0f} MiB on the GPU"
    return f"{resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10:.0f} MiB of the process"


@pytest.mark.benchmark
def test_dire_is_almost_free(scene: Scene):
    kinds = {"SRe2L": PLAIN, "+ CD + CDM": PLAIN | COSINES, "+ CD + CDM + EDM": PLAIN | COSINES | EUCLIDEAN}
    steppers = {name: ours(scene, terms) for name, terms in kinds.items()}
    with full_float32(DEVICE), deterministic():
        for _ in range(STEPS):  # in turn, so that a machine that gets slower does so for all
            for stepper in steppers.values():
                stepper.step()
        alone = dire_alone(scene)
    base = steppers["SRe2L"].seconds
    print(f"\n{DEVICE}, {CLASSES} classes x {EACH}, {REAL} real each; peak memory {peak()}")
    for name, stepper in steppers.items():
        paired = [a / b - 1 for a, b in zip(stepper.times[1:], steppers["SRe2L"].times[1:], strict=True)]
        print(f"{name:18} {stepper.seconds * 1e3:8.1f} ms a step, {statistics.median(paired):+.2%}")
    for name, seconds in alone.items():
        print(f"{name:18} {seconds * 1e3:8.2f} ms alone, {seconds / base:+.2%} of a step")
    assert alone["+ CD + CDM"] < 0.02 * base
    assert alone["+ CD + CDM + EDM"] < 0.04 * base
    assert alone["torchmetrics"] > alone["+ CD + CDM + EDM"]


def dire_alone(scene: Scene) -> dict[str, float]:
    """Seconds of forward and backward of the terms alone, which on a noisy machine says more than a difference."""
    features = torch.rand(CLASSES * EACH, 512, device=DEVICE)

    def view(rows: Tensor) -> View:
        return View(rows, scene.labels, CLASSES, rows, rows, (), scene.real)

    def terms(given: dict) -> Callable[[Tensor], Tensor]:
        weighted = resolve_terms(given)

        def loss(rows: Tensor) -> Tensor:
            seen = view(rows)
            return torch.stack([w.weight * w(seen) for w in weighted]).sum()

        return loss

    kinds = {
        "+ CD + CDM": terms(COSINES),
        "+ CD + CDM + EDM": terms(COSINES | EUCLIDEAN),
        "torchmetrics": lambda rows: torchmetrics_dire(scene, rows),
    }
    found = {}
    for name, loss in kinds.items():
        times = []
        for _ in range(8):
            rows = features.clone().requires_grad_()
            began = time.perf_counter()
            loss(rows).backward()
            if DEVICE.type == "cuda":
                torch.cuda.synchronize()
            times.append(time.perf_counter() - began)
        found[name] = statistics.median(times[1:])
    return found


@pytest.mark.benchmark
def test_recovery_is_twice_as_fast_as_the_public_formulation(scene: Scene):
    mine = ours(scene, PLAIN)
    with full_float32(DEVICE), deterministic():
        for _ in range(STEPS):
            mine.step()
        memory = peak()
        theirs = public(scene)
        for _ in range(STEPS):
            theirs.step()
    ratio = theirs.seconds / mine.seconds
    print(
        f"\n{DEVICE}: {1 / mine.seconds:.3f} steps/s beside {1 / theirs.seconds:.3f}, {ratio:.1f} x; "
        f"peak memory {memory} beside {peak()}; loss after {STEPS} steps {mine.value:.3f} beside {theirs.value:.3f}"
    )
    assert ratio >= 2
    assert mine.value == pytest.approx(theirs.value, rel=0.05)
