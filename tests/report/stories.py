"""Results of known differences, for tests of what is told of them."""

import msgspec

from divbench.results import ACCURACY, SCHEMA, Accuracy, EpochRecord, Interval, Result, Run, Score, SetRecord
from tests.records import make_result

CLASSES = tuple(f"class {i}" for i in range(10))


def entry(name="before", ipc=10, classes=CLASSES, accuracy=None, cautions=(), digest=None, **levels):
    """An entry whose metrics have the given mean and a little noise over classes; coverage, vendi, cosine, recall."""
    metrics = {"coverage": 0.3, "vendi": 2.0, "cosine": 0.8, "recall": 0.9, "precision": 0.9, **levels}
    scores = [make_score(key, mean, len(classes), ipc, name) for key, mean in metrics.items() if mean is not None]
    base = make_result(name, ipc=ipc, cautions=cautions)
    record = SetRecord(
        name, "by hand", digest or (name.encode().hex() * 64)[:64], ipc * len(classes), (ipc,) * len(classes)
    )
    result = msgspec.structs.replace(
        base, schema=SCHEMA, classes=classes, sets=(record,), scores=tuple(scores),
        real=SetRecord("real", "by hand", "r" * 64, 100 * len(classes), (100,) * len(classes)),
    )  # fmt: skip
    return result if accuracy is None else with_students(result, accuracy)


def make_score(metric, mean, count, ipc, name):
    noise = [0.01 * mean * ((7 * i + len(name)) % 5 - 2) for i in range(count)]
    values = tuple(mean + one - sum(noise) / count for one in noise)
    value = sum(values) / count
    references = {
        "coverage": {"iid": (0.25,), "random": (0.24, 0.26), "collapse": (0.4,)},
        "vendi": {"random": (2.5,), "collapse": (1.0,)},
        "cosine": {"random": (0.7,), "collapse": (1.0,)},
    }
    return Score(
        metric=metric, scope="class", higher_is_better=metric != "cosine", values=(value,), per_class=(values,),
        n_real=(100, 100), n_fake=(ipc, ipc), reference=references.get(metric, {}),
        interval=Interval(value - 0.02, value + 0.02, 0.95, "jackknife over synthetic images", "these sets"),
    )  # fmt: skip


def with_students(result: Result, values, net="convnet3"):
    """With a student of each accuracy in ``values``."""
    runs = tuple(
        Run(0, seed, value, (value,) * len(result.classes), value, 2,
            (EpochRecord(1, 1.0, 0.5, value / 2), EpochRecord(2, 0.5, 0.9, value)), 1.0)
        for seed, value in enumerate(values)
    )  # fmt: skip
    test = SetRecord("test", "by hand", "t" * 64, 1000, (1000 // len(result.classes),) * len(result.classes))
    trained = Accuracy(net, "quick", {}, "hard", "d" * 16, test, None, (), runs, result.environment)
    mean = sum(values) / len(values)
    interval = Interval(mean - 0.01, mean + 0.01, 0.95, f"t over {len(values)} runs", "these sets")
    common = {"metric": ACCURACY + net, "higher_is_better": True, "n_real": (1000, 1000), "n_fake": (10, 10),
              "values": tuple(values), "interval": interval if len(values) > 1 else None}  # fmt: skip
    scores = (
        Score(scope="class", per_class=tuple(run.per_class for run in runs), reference={}, **common),
        Score(scope="dataset", per_class=(), reference={"teacher": (0.9,)}, **common),
    )
    return msgspec.structs.replace(result, scores=(*result.scores, *scores), accuracies=(*result.accuracies, trained))
