"""Speed and memory of the metrics beside prdc 0.2 and vendi-score 0.0.3, in one run, at d = 512.

    pytest -m benchmark -s tests/benchmarks/test_metric_speed.py

Each measurement is a process of its own, so that peak memory means something. Ratios are asserted; absolute times are
printed for the record.
"""

import json
import subprocess
import sys

import pytest

pytestmark = pytest.mark.benchmark

PRELUDE = """
import contextlib, io, json, os, resource, time
import torch

def rows(n, seed):  # like penultimate features: non-negative, correlated
    g = torch.Generator().manual_seed(seed)
    mix = torch.randn(64, 512, generator=torch.Generator().manual_seed(9))
    return (torch.randn(n, 64, generator=g) @ mix + torch.randn(n, 512, generator=g)).relu()

def resident():
    return int(open("/proc/self/statm").read().split()[1]) * os.sysconf("SC_PAGE_SIZE")

def measure(work):
    before, started = resident(), time.perf_counter()
    with contextlib.redirect_stdout(io.StringIO()):
        value = work()
    seconds = time.perf_counter() - started
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(json.dumps({"value": value, "seconds": seconds, "mib": max(0, peak - before) / 2**20}))
"""


def measured(code):
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", PRELUDE + code], capture_output=True, text=True, check=True
    )
    return json.loads(done.stdout.splitlines()[-1])


def report(title, **results):
    print(f"\n{title}")
    for name, r in results.items():
        print(f"  {name:22s} {r['seconds']:8.2f} s  {r['mib']:8.0f} MiB extra")


def test_coverage_of_20_000_beside_prdc():
    ours = measured("""
from divbench.metrics.balls import coverage
real, fake = rows(20_000, 0), rows(20_000, 1)
measure(lambda: coverage(real, fake, 5))
""")
    theirs = measured("""
from prdc import compute_prdc
real, fake = rows(20_000, 0).double().numpy(), rows(20_000, 1).double().numpy()
measure(lambda: float(compute_prdc(real, fake, 5)["coverage"]))
""")
    report("coverage, N = M = 20 000", divbench=ours, prdc=theirs)
    print(f"  {theirs['seconds'] / ours['seconds']:.1f} x faster, {ours['mib'] / theirs['mib']:.3f} of the memory")
    assert ours["value"] == theirs["value"]
    assert theirs["seconds"] > 5 * ours["seconds"]
    assert ours["mib"] < theirs["mib"] / 10


def test_coverage_of_50_000_by_5_000_cold_and_with_cached_radii():
    cold = measured("""
from divbench.metrics.balls import coverage
real, fake = rows(50_000, 0), rows(5_000, 1)
measure(lambda: coverage(real, fake, 5))
""")
    warm = measured("""
from divbench.metrics._neighbours import Memory, radii, remembering
from divbench.metrics.balls import coverage
real, fake = rows(50_000, 0), rows(5_000, 1)
known = radii(real, 5)
with remembering(Memory(keep=lambda rows, k, compute: known)):
    measure(lambda: coverage(real, fake, 5))
""")
    report("coverage, 50 000 x 5 000", cold=cold, cached_radii=warm)
    print(f"  {cold['seconds'] / warm['seconds']:.1f} x faster with cached radii")
    assert cold["value"] == warm["value"]
    assert cold["mib"] < 1024
    assert cold["seconds"] > 6 * warm["seconds"]


def test_vendi_of_10_000_beside_vendi_score():
    ours = measured("""
from divbench.metrics.vendi import vendi
x = rows(10_000, 0)
vendi(x[:600])
measure(lambda: vendi(x))
""")
    theirs = measured("""
from vendi_score import vendi
x = rows(10_000, 0).double().numpy()
measure(lambda: float(vendi.score_X(x)))
""")
    report("Vendi Score, n = 10 000", divbench=ours, vendi_score=theirs)
    print(f"  {theirs['seconds'] / ours['seconds']:.0f} x faster")
    assert ours["value"] == pytest.approx(theirs["value"], rel=1e-9)
    assert theirs["seconds"] > 300 * ours["seconds"]


def test_vendi_of_100_classes_with_full_jackknife():
    ours = measured("""
from divbench.metrics import METRICS
x = rows(5_000, 0).split(50)
vendi = METRICS["vendi"]
vendi.left_out(x[0], x[0])
measure(lambda: sum(vendi(c, c) + float(vendi.left_out(c, c).mean()) for c in x))
""")
    report("Vendi Score, 100 classes x 50, full jackknife", divbench=ours)
    assert ours["seconds"] < 2
