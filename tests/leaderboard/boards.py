"""Leaderboards made by hand in a folder of their own, and a great one to measure speed on."""

import hashlib
import shutil
from dataclasses import dataclass
from itertools import islice, product
from pathlib import Path

import msgspec
import numpy as np
from msgspec.structs import replace

import divbench
from divbench.leaderboard.entries import Entry, entry_of
from divbench.leaderboard.methods import load_methods
from divbench.protocol import Protocol, protocol_digest
from divbench.results import Interval, Result, SetRecord, save_result
from tests.records import PROTOCOL, make_result, make_score
from tests.report.stories import with_students

OURS = Path(divbench.__file__).parents[1] / "leaderboards"
CLASSES = tuple(f"class {i}" for i in range(10))
OTHER = Protocol("other one", "Another.", "pixels", {"coverage": {"k": 3}, "vendi": {"q": 1.0}})
METHODS = """
random = { name = "Random real", kind = "selected" }
a = { name = "Aa", kind = "optimised", title = "On A", authors = "Ann & Bob", venue = "ICML", arxiv = "2001.00001" }
b = { name = "Bb", kind = "optimised", aliases = ["B (old)"], code = "https://example.org/b" }
x = { name = "Xx", kind = "addition" }
"""
PAPER = """
paper = "p"
title = "On X"
[[table]]
id = "Table 1"
caption = "diversity"
dataset = "cifar10"
down = "method"
across = "quantity"
columns = ["coverage", "cosine", "vendi"]
units = { coverage = "%" }
[table.rows]
Aa = { coverage = 2.25, cosine = 0.90, vendi = 1.50 }
"Aa + Xx" = { coverage = 3.50, cosine = 0.95, vendi = 1.60 }
Bb = { coverage = 2.43, vendi = 1.20 }
"Bb + Xx" = { coverage = 2.84, vendi = 1.20 }
[[table]]
id = "Table 2"
caption = "accuracy"
dataset = "cifar10"
network = "ConvNet"
quantity = "accuracy"
unit = "%"
down = "method"
across = "ipc"
columns = ["10", "50"]
[table.rows]
Aa = { 10 = [27.2, 0.4], 50 = 47.5 }
"Aa + Xx" = { 10 = [37.4, 1.1], 50 = 46.0 }
[[settings]]
id = "Table 9"
caption = "lambda"
method = "Xx"
values = { lambda = 3 }
"""
SECOND = """
paper = "q"
title = "On B"
[[table]]
id = "Table 1"
caption = "accuracy"
dataset = "cifar10"
network = "ConvNet"
quantity = "accuracy"
unit = "%"
down = "method"
across = "ipc"
columns = ["10"]
[table.rows]
Aa = { 10 = 27.0 }
Bb = { 10 = 33.10 }
"""


def claim(name, metric, before, after, *, base="a", top="a+x", place="cifar10", table=1, more=""):
    """A table of a claim file."""
    return (
        f'[[claim]]\nid = "{name}"\nbaseline = "{place}/{base}"\ncandidate = "{place}/{top}"\nmetric = "{metric}"\n'
        f'claimed = [{before}, {after}]\nsource = "Table {table}"\n{more}\n'
    )


CLAIMS = (
    claim("coverage", "coverage", 0.0225, 0.035) + claim("cosine", "cosine", 0.90, 0.95)
    + claim("vendi", "vendi", 1.5, 1.6) + claim("b", "vendi", 1.2, 1.2, base="b", top="b+x")
)  # fmt: skip
STUDENTS = claim("acc-10", "accuracy/convnet3", 0.272, 0.374, place="cifar10/ipc10", table=2)


def digest(*of):
    """Of a set that does not exist."""
    return hashlib.sha256(repr(of).encode()).hexdigest()


def scored(name="mine", ipc=10, *, noise=0.0, protocol=PROTOCOL, dataset="cifar10", real="", students=None, note="",
           **levels):  # fmt: skip
    """A result with 10 classes: coverage, vendi and cosine at the given means; None leaves one out.

    ``real`` makes the real images others than those of the data set's other results. ``noise`` goes up and down from
    class to class, so that a gain far smaller than it is not told from none.
    """
    wave = np.resize([1.0, -1.0, -1.0, 1.0, 0.0], len(CLASSES))
    spread = np.linspace(-0.1, 0.1, len(CLASSES))
    references = {"coverage": {"iid": (0.2,), "random": (0.18, 0.2), "collapse": (0.1,)}, "vendi": {"random": (2.5,)}}
    found = []
    for metric, level in ({"coverage": 0.1, "vendi": 2.0, "cosine": 0.8} | levels).items():
        if level is None:
            continue
        values = tuple((level + level * spread + noise * wave).tolist())
        mean = sum(values) / len(values)
        interval = Interval(mean - 0.02, mean + 0.02, 0.95, "jackknife over synthetic images", "these sets")
        common = {"higher_is_better": metric != "cosine", "reference": references.get(metric, {}), "interval": interval}
        found.append(make_score(metric, (mean,), (values,), **common))
        found.append(make_score(metric, (mean,), (), scope="dataset", **common))
    result = replace(
        make_result(name, tuple(found), ipc, protocol),
        classes=CLASSES,
        sets=(SetRecord(name, "by hand", digest(name, dataset, ipc), 10 * ipc, (ipc,) * 10),),
        real=SetRecord(dataset, "by hand", digest(dataset, real), 1000, (100,) * 10),
        note=note,
    )
    return result if students is None else with_students(result, students)


def recipe(result, name, digest):
    """The same with students of another recipe."""
    return replace(result, accuracies=tuple(replace(one, recipe=name, digest=digest) for one in result.accuracies))


def make_board(folder, entries=(), *, claims=CLAIMS, students=STUDENTS):
    """A folder with methods, two papers, claims, and entries given as (method, result)."""
    files = {"methods.toml": METHODS, "reported/p.toml": PAPER, "reported/q.toml": SECOND}
    files |= {"claims/p.claims.toml": claims, "claims/p.accuracy.claims.toml": students}
    for name, text in files.items():
        if text:
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
    for method, result in entries:
        put(folder, method, result)
    return folder


def put(folder, method, result):
    """Write an entry of images of its own without asking anybody; returns its file."""
    dataset = result.real.name
    sets = [replace(one, digest=digest(method, dataset, one.count, i)) for i, one in enumerate(result.sets)]
    entry = entry_of(replace(result, sets=tuple(sets)), dataset, method, load_methods(folder / "methods.toml"))
    path = folder / "results" / f"{entry.place}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    save_result(entry.result, path)
    return path


def gaining():
    """A, and A with X: coverage holds, vendi is inconclusive, cosine refuted."""
    return [("a", scored(coverage=0.1)), ("a+x", scored(coverage=0.12, vendi=2.001, cosine=0.85, noise=0.01))]


def three():
    """A and A with X, with students, and random images without students and without a cosine."""
    (_, _), (_, second) = gaining()
    return [
        ("a", scored(students=(0.5, 0.52, 0.54))), ("a+x", with_students(second, (0.6, 0.62, 0.64))),
        ("random", scored(coverage=0.11, cosine=None, note="drawn with seed 0")),
    ]  # fmt: skip


# --- a great one


@dataclass(frozen=True)
class Crowd:
    """What a great leaderboard is made of."""

    count: int = 1000
    ipcs: tuple[int, ...] = (1, 10, 50)
    hosts: tuple[str, ...] = ("random", "kmeans", "dc", "mtt", "dm", "sre2l", "cda", "g-vbsm", "dwa", "infer",
                              "infer-d", "delt", "edc", "rded")  # fmt: skip


SIZES = {"cifar10": 10, "cifar100": 100, "imagenet-100": 100, "imagenette": 10, "objects-100": 100, "svhn": 10}
"""Classes of each data set."""


def make_crowd(folder, crowd=Crowd()):
    """The methods, papers and claims of this repository with ``count`` entries, each of 20 scores of up to 100 classes.

    Six data sets, three numbers of images per class, two protocols, 14 methods without and with DiRe.
    """
    for name in ("reported", "claims"):
        shutil.copytree(OURS / name, folder / name)
    shutil.copy(OURS / "methods.toml", folder)
    methods = load_methods(folder / "methods.toml")
    rng = np.random.default_rng(0)
    keys = [key for host in crowd.hosts for key in (host, f"{host}+dire")]
    places = product(SIZES, crowd.ipcs, (_PAPER, replace(_PAPER, name="paper-clip", seed=1)), keys)
    for dataset, ipc, protocol, key in islice(places, crowd.count):
        entry: Entry = entry_of(_crowded(rng, dataset, ipc, protocol, key), dataset, key, methods)
        path = folder / "results" / f"{entry.place}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(msgspec.json.format(msgspec.json.encode(entry.result), indent=1) + b"\n")
    return folder


_HIGHER = {"coverage": True, "density": None, "precision": True, "recall": True, "vendi": True, "rke": True,
           "rke_unbiased": True, "cosine": False, "prototype_distance": True}  # fmt: skip
_PAPER = Protocol("paper-resnet18", "As printed.", "resnet18", {name: {} for name in _HIGHER})
_EMBEDDER = "v1; network=resnet18 small-stem; weights=sha256:" + "3a" * 32 + "; layer=input of fc; size=32; float32"


def _crowded(rng, dataset, ipc, protocol, key) -> Result:
    count = SIZES[dataset]
    scores = []
    for metric, higher in _HIGHER.items():
        values = tuple(rng.uniform(0.1, 0.9, count).tolist())
        for scope, rows in (("class", (values,)), ("dataset", ())):
            mean = sum(values) / count
            around = Interval(mean - 0.01, mean + 0.01, 0.95, "jackknife over synthetic images", "these sets")
            references = {"random": tuple(rng.uniform(0.1, 0.9, 5).tolist()), "kmeans": (0.3,), "collapse": (0.2,)}
            if metric in ("coverage", "density"):
                references["iid"] = (0.4,)
            scores.append(
                make_score(metric, (mean,), rows, references, scope=scope, higher_is_better=higher, interval=around)
            )
    base = make_result(key, tuple(scores), ipc, protocol, "r" * 64, ("collapse",))
    result = replace(
        base, classes=tuple(f"{dataset} class {i}" for i in range(count)),
        sets=(SetRecord(key, "by hand", digest(key, dataset, ipc), count * ipc, (ipc,) * count),),
        real=SetRecord(dataset, "by hand", digest(dataset), count * 500, (500,) * count),
        embedder=_EMBEDDER, protocol_digest=protocol_digest(protocol, _EMBEDDER),
    )  # fmt: skip
    return with_students(result, tuple(rng.uniform(0.2, 0.6, 3).tolist()), "resnet18")
