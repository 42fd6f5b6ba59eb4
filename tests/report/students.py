"""Accuracies made by hand, on top of `tests.records`."""

from msgspec.structs import replace

from divbench.results import Accuracy, Interval, Run, SetRecord
from tests.records import make_result, make_score


def make_accuracy(net="convnet3", accuracies=(0.5, 0.6), recipe="dc", digest="d" * 16, **reference):
    """How students were trained, and their scores at both scopes; a tenth less on the first class, more on the last."""
    per_class = tuple((value - 0.1, value, value + 0.1) for value in accuracies)
    runs = tuple(
        Run(0, seed, value, own, value, 1, (), 1.0)
        for seed, (value, own) in enumerate(zip(accuracies, per_class, strict=True))
    )
    test = SetRecord("held out", "by hand", "t" * 64, 30, (10,) * 3)
    environment = make_result().environment
    trained = Accuracy(net, recipe, {}, "hard", digest, test, None, (), runs, environment)
    mean = sum(accuracies) / len(accuracies)
    scores = [
        make_score(
            f"accuracy/{net}",
            tuple(accuracies),
            per_class if scope == "class" else (),
            {key: (value,) for key, value in reference.items()},
            scope=scope,
            interval=Interval(mean - 0.05, mean + 0.05, 0.95, f"t over {len(runs)} runs", "these sets")
            if len(runs) > 1
            else None,
        )
        for scope in ("class", "dataset")
    ]
    return trained, scores


def trained_result(name="entry", *accuracies, scored=True, **changes):
    """A result with these accuracies, beside its scores or without a protocol."""
    result = make_result(name, **changes)
    scores = tuple(score for _, own in accuracies for score in own)
    result = replace(result, accuracies=tuple(one for one, _ in accuracies))
    if scored:
        return replace(result, scores=result.scores + scores)
    return replace(result, scores=scores, protocol=None, protocol_digest=None, embedder=None, real=None)
