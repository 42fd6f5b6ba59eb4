"""Small results made by hand, for tests of everything that only reads them."""

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
