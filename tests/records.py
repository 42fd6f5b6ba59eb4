"""Small results made by hand, for tests of everything that only reads them."""

import msgspec

from divbench.origin import Origin
from divbench.protocol import Protocol, protocol_digest
from divbench.results import SCHEMA, Caution, Environment, Interval, Result, Score, SetRecord

PROTOCOL = Protocol("hand", "By hand.", "pixels", {"coverage": {"k": 5}, "vendi": {"q": 1.0}})
CLASSES = ("cat", "dog & co", "<b>")


def make_score(metric="coverage", values=(0.3,), per_class=((0.2, 0.3, 0.4),), reference=None, **changes):
    fields = {
        "metric": metric,
        "scope": "class",
        "higher_is_better": True,
        "values": values,
        "per_class": per_class,
        "n_real": (100, 100),
        "n_fake": (10, 10),
        "reference": {"iid": (0.25,), "random": (0.2, 0.3), "collapse": (0.5,)} if reference is None else reference,
        "interval": Interval(0.2, 0.4, 0.95, "jackknife over synthetic images", "these sets"),
    }
    return Score(**{**fields, **changes})


def make_origin(**changes):
    recipe = {"name": "sre2l+dire", "dataset": "digits", "terms": {"cosine_diversity": {"weight": 0.5}}}
    fields = {
        "recipe": recipe, "recipe_digest": "0123456789abcdef", "seed": 0, "ipc": 10, "changed": (),
        "layout": "divbench", "keep_float": False, "real": "digits", "real_digest": None, "teacher": "t.safetensors",
        "teacher_sha256": "ab12" * 16, "start": None, "start_digest": None, "mean": (0.5,) * 3, "std": (0.25,) * 3,
        "teacher_accuracy": 0.9, "losses": {}, "seconds": {"recover": 1.0}, "bytes": {}, "device": "cpu",
        "versions": {"commit": "c0ffee" * 6},
    }  # fmt: skip
    return Origin(**{**fields, **changes})


def uneven(result, counts):
    """The result with so many images of each class."""
    sets = tuple(msgspec.structs.replace(one, count=sum(counts), per_class=counts) for one in result.sets)
    return msgspec.structs.replace(result, sets=sets)


def make_result(name="entry", scores=None, ipc=10, protocol=PROTOCOL, real_digest="r" * 64, cautions=(), sets=1):
    record = SetRecord(name, "by hand", "f" * 64, 3 * ipc, (ipc,) * 3)
    vendi = make_score("vendi", (2.0,), ((1.5, 2.0, 2.5),), {"random": (2.2, 2.4)}, interval=None)
    return Result(
        schema=SCHEMA,
        name=name,
        protocol=protocol,
        protocol_digest=protocol_digest(protocol, "pixels id"),
        embedder="pixels id",
        classes=CLASSES,
        real=SetRecord("real", "by hand", real_digest, 300, (100,) * 3),
        sets=(record,) * sets,
        scores=(make_score(), vendi) if scores is None else scores,
        cautions=tuple(Caution(code, f"about {code}") for code in cautions),
        environment=Environment("0", "3", "2", "cpu", "Linux x86_64", "2026-01-01T00:00:00+00:00", 1.0),
    )


def twinned(result):
    """The result over twice as many classes, each beside a twin: enough of them for a test over classes."""

    def record(one):
        return msgspec.structs.replace(one, count=2 * one.count, per_class=2 * one.per_class)

    return msgspec.structs.replace(
        result,
        classes=result.classes + tuple(f"{name} 2" for name in result.classes),
        real=None if result.real is None else record(result.real),
        sets=tuple(map(record, result.sets)),
        scores=tuple(
            msgspec.structs.replace(one, per_class=tuple(2 * row for row in one.per_class)) for one in result.scores
        ),
        accuracies=tuple(msgspec.structs.replace(one, test=record(one.test)) for one in result.accuracies),
    )
