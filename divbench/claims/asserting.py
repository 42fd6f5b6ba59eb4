"""`assert_gain` for tests: sets, folders, embeddings or results in, an AssertionError with the verdict out."""

from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import msgspec

from divbench.claims.claim import DIVERSITY, Claim, problems_of
from divbench.claims.judge import Verdict, judge_claims
from divbench.errors import InputError
from divbench.protocol import Scope
from divbench.results import Interval, Result, Score, load_result, mean

if TYPE_CHECKING:
    from divbench.embedders.embed import Embeddings

_DRAWS = 10
"""Subsets that a larger set is rarefied by."""


class Diversity:
    """The fixture's value."""

    def assert_gain(
        self,
        candidate: Any,
        *,
        over: Any,
        metric: str = DIVERSITY,
        at_least: float = 0.0,
        scope: Scope = "class",
        confidence: float = 0.95,
        real: Any = None,
        protocol: str = "quick",
        embedder: str | None = None,
        weights: Path | None = None,
    ) -> Verdict:
        """Assert that ``candidate`` is more diverse than ``over``, beyond noise.

        Args:
            candidate, over: results or their .json files; else embeddings, image sets, or folders, files and archives
                of images, which are scored here. Of sets with unequal images per class the larger is rarefied: scored
                on ten random subsets of the size of the smaller, without replacement.
            metric: any metric of the protocol, or ``diversity``, the composite.
            at_least: least gain in the metric's units; positive always means more diverse.
            scope, confidence: of the claim.
            real: the real images or embeddings; needed unless results are given.
            protocol: how sets are scored; ``quick`` looks at pixels.
            embedder, weights: which network sees images; default: the protocol's.

        Returns:
            The verdict, which holds.

        Raises:
            AssertionError: the gain is refuted, or not told from noise; the message is the verdict.
            DivbenchError: the question was wrong.
        """
        __tracebackhide__ = True
        given = {"baseline": over, "candidate": candidate}
        if not isinstance(at_least, (int, float)):
            raise InputError(f"at_least is a number, got {at_least!r}")
        claim = Claim("gain", "baseline", "candidate", metric, scope, at_least, confidence)
        for problem in problems_of(claim):
            raise InputError(problem.replace("min_gain", "at_least"))
        ready = [isinstance(one, Result) or str(one).endswith(".json") for one in given.values()]
        if any(ready):
            if not all(ready) or real is not None or embedder is not None or weights is not None:
                raise InputError(
                    "candidate and over are both results, which are scored already, or both sets, with real=...; got "
                    "some of each"
                )
            results = {key: one if isinstance(one, Result) else load_result(Path(one)) for key, one in given.items()}
        else:
            results = _scored(given, real, protocol, embedder, weights)
        (verdict,) = judge_claims([claim], results.__getitem__)
        if verdict.status == "error":
            raise InputError(verdict.text)
        if verdict.status != "holds":
            raise AssertionError(f"{verdict.status}: {verdict.text}")
        return verdict


def _scored(
    given: dict[str, Any], real: Any, protocol: str, embedder: str | None, weights: Path | None
) -> dict[str, Result]:
    """Sets scored against the real images, at equal images per class."""
    if real is None:
        raise InputError("real is missing: sets are scored against real images; give a folder, set or embeddings")
    vectors = _embedded({"real": real, **given}, protocol, embedder, weights)
    truth = vectors.pop("real")
    counts = {key: _counts(fake) for key, fake in vectors.items()}
    least = min(min(found) for found in counts.values())
    return {
        key: _score(fake, truth, protocol, key)
        if set(counts[key]) == {least}
        else _rarefied(fake, truth, protocol, least, key)
        for key, fake in vectors.items()
    }


def _embedded(
    given: dict[str, Any], protocol: str, embedder: str | None, weights: Path | None
) -> "dict[str, Embeddings]":
    from divbench.embedders.embed import Embeddings
    from divbench.evaluate import Embedding, embed_sets, embedder_for
    from divbench.images import ImageSet, match_sets, read_images
    from divbench.protocol import load_protocol

    if all(isinstance(one, Embeddings) for one in given.values()):
        return given
    if any(isinstance(one, Embeddings) for one in given.values()):
        raise InputError("some of real, candidate and over are embeddings and some are not; give all alike")
    sets = {key: one if isinstance(one, ImageSet) else read_images(one) for key, one in given.items()}
    real = sets.pop("real")
    fakes, real = match_sets(list(sets.values()), real)
    how = Embedding(embedder, weights)
    found = embed_sets([real, *fakes], embedder_for(load_protocol(protocol).embedder, how, real), how)
    return dict(zip(("real", *sets), found, strict=True))


def _counts(fake: "Embeddings") -> list[int]:
    """Images of each class, or of a set without classes; raises `InputError` where a class has none."""
    import torch

    if not fake.labelled:
        return [len(fake)]
    counts: list[int] = torch.bincount(fake.labels, minlength=len(fake.classes)).tolist()
    if 0 in counts:
        raise InputError(
            f"{fake.name}: has no image of class {fake.classes[counts.index(0)]}; a gain needs all classes"
        )
    return counts


def _score(fake: "Embeddings", real: "Embeddings", protocol: str, name: str) -> Result:
    from divbench.scoring import score

    return score(fake, real, protocol, name=name)


def _rarefied(fake: "Embeddings", real: "Embeddings", protocol: str, n: int, name: str) -> Result:
    """The mean of scores on random subsets of ``n`` images per class, as the result of one set."""
    import torch

    generator = torch.Generator().manual_seed(0)
    results = []
    for _ in range(_DRAWS):
        order = torch.randperm(len(fake), generator=generator)
        classes = range(len(fake.classes)) if fake.labelled else range(1)
        rows = torch.cat([order[(fake.labels[order] == c) | (not fake.labelled)][:n] for c in classes]).sort().values
        results.append(_score(fake.select(rows), real, protocol, name))
    scores = tuple(_mean_score([result.scores[i] for result in results]) for i in range(len(results[0].scores)))
    return msgspec.structs.replace(results[0], scores=scores)


def _mean_score(draws: list[Score]) -> Score:
    """Mean over draws; the width of the interval is that of the first."""
    first = draws[0]
    value = mean(tuple(draw.values[0] for draw in draws))
    vectors = zip(*(draw.per_class[0] for draw in draws), strict=True) if first.per_class else ()
    interval = first.interval
    if interval is not None and value is not None:
        half = (interval.high - interval.low) / 2
        about = f"{interval.procedure}; mean of {len(draws)} subsets"
        interval = Interval(value - half, value + half, interval.level, about, interval.about)
    per_class = (tuple(mean(cast(tuple[float | None, ...], vector)) for vector in vectors),) if first.per_class else ()
    return msgspec.structs.replace(first, values=(value,), per_class=per_class, interval=interval)
