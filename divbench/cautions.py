"""Cautions: what a reader of the numbers has to know before believing them."""

from collections import Counter
from collections.abc import Iterator, Sequence

import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from divbench.embedders.embed import Embeddings
from divbench.errors import shorten
from divbench.metrics._neighbours import hits
from divbench.results import Caution, Score

NEAR = 3.0
"""Root mean square difference of two 4x4 RGB thumbnails, in grey levels of 255, up to which images are near copies.

On CIFAR-10 training images a JPEG copy of quality 75 is at 1.2 (median) and at most 2.4 from its original, while 99.9 %
of the test images have their nearest training image beyond 4.5, and those closer are true near copies.
"""
_CROWDED = 2.0  # density above which synthetic rows crowd where real ones are densest
_ENOUGH = 5  # fewer images of a class than this may sit at another's mean by chance
_MOSTLY, _HARDLY = 0.6, 0.2  # shares of a class's images that sit nearest to another class's mean, and to their own


def cautions(sets: Sequence[Embeddings], real: Embeddings, scores: Sequence[Score]) -> Iterator[Caution]:
    """Everything worth a warning about an entry, most serious first."""
    for fake in sets:
        if fake.labelled:
            yield from _missing_classes(fake)
            yield from _uneven(fake)
            yield from _label_order(fake, real)
    yield from _crowding(scores)
    for fake in sets:
        yield from _copies(fake, real)
        yield from _skipped(fake)
        yield from _lossy(fake)
        yield from _own_judge(fake, real)
    yield from _skipped(real)
    yield from _zero_rows(real)


def _missing_classes(fake: Embeddings) -> Iterator[Caution]:
    counts = torch.bincount(fake.labels, minlength=len(fake.classes))
    missing = [fake.classes[c] for c in (counts == 0).nonzero()[:, 0].tolist()]
    if missing:
        yield Caution(
            "classes-missing",
            f"{fake.name}: no image of {len(missing)} of {len(fake.classes)} classes ({shorten(missing)}); they count "
            "as uncovered, metrics that are undefined without images have no value at class scope, and there are no "
            "controls (--common-classes scores the others alone)",
        )


def _label_order(fake: Embeddings, real: Embeddings) -> Iterator[Caution]:
    """Classes whose images sit at another class's mean: the classic silent error of a wrong class order."""
    count = len(real.classes)
    means = torch.stack([real.features[real.labels == c].double().mean(0) for c in range(count)])
    nearest = torch.cdist(fake.features.double(), means).argmin(1)
    votes = torch.zeros(count, count, dtype=torch.float64, device=nearest.device)
    votes.index_put_((fake.labels, nearest), torch.ones_like(nearest, dtype=torch.float64), accumulate=True)
    shares = (votes / votes.sum(1, keepdim=True).clamp(min=1)).cpu()
    shares[torch.bincount(fake.labels.cpu(), minlength=count) < _ENOUGH] = 0
    rows, columns = linear_sum_assignment(shares.numpy(), maximize=True)
    swapped = [
        (fake.classes[c], real.classes[d])
        for c, d in zip(rows.tolist(), columns.tolist(), strict=True)
        if c != d and shares[c, d] >= _MOSTLY and shares[c, c] <= _HARDLY
    ]
    if len(swapped) > 1:
        yield Caution(
            "label-order",
            f"{fake.name}: the images of {len(swapped)} classes look like those of another "
            f"({shorten([f'{a} -> {b}' for a, b in swapped])}); is the class order the real set's?",
        )


def _uneven(fake: Embeddings) -> Iterator[Caution]:
    counts = torch.bincount(fake.labels, minlength=len(fake.classes))
    least, most = int(counts[counts > 0].min()), int(counts.max())
    if least != most:
        yield Caution(
            "uneven-classes",
            f"{fake.name}: from {least} to {most} images per class; --ipc N takes the same number of each",
        )


def _crowding(scores: Sequence[Score]) -> Iterator[Caution]:
    """Coverage that near-copies of the mean reach too, and density that shows the same crowding; one scope suffices."""
    said = set()
    for score in scores:
        value, collapse = score.value, score.reference_value("collapse")
        if value is None or score.metric in said:
            continue
        if score.metric == "coverage" and collapse is not None and value <= collapse:
            said.add(score.metric)
            yield Caution(
                "collapse",
                f"coverage at {score.scope} scope, {value:.4g}, does not beat near-copies of the class mean, "
                f"{collapse:.4g}: it is no evidence of diversity",
            )
        if score.metric == "density" and value > _CROWDED:
            said.add(score.metric)
            yield Caution(
                "density",
                f"density at {score.scope} scope is {value:.3g}, above {_CROWDED:g}: the images crowd where the real "
                "ones are densest",
            )


def _copies(fake: Embeddings, real: Embeddings) -> Iterator[Caution]:
    """Images that stand twice in the set, or stand in the real set too; exactly, and up to recompression."""
    total = len(fake.labels)
    own, times, theirs = _keys(fake.hashes), Counter(_keys(fake.hashes)), set(_keys(real.hashes))
    repeated = total - len(times)
    if repeated:
        yield Caution("duplicates", f"{fake.name}: {repeated} of {total} images repeat an earlier one exactly")
    alike = _near(fake.thumbnails, fake.thumbnails).tolist()
    near = sum(count > times[key] for key, count in zip(own, alike, strict=True))
    if near:
        yield Caution("near-duplicates", f"{fake.name}: {near} of {total} images look like another one of the set")
    copied = sum(key in theirs for key in own)
    if copied:
        yield Caution("copies", f"{fake.name}: {copied} of {total} images are exact copies of real ones")
    alike = _near(fake.thumbnails, real.thumbnails).tolist()
    near = sum(count > 0 and key not in theirs for key, count in zip(own, alike, strict=True))
    if near:
        yield Caution("near-copies", f"{fake.name}: {near} of {total} images look like a copy of a real one")


def _keys(hashes: Tensor) -> list[bytes]:
    return [row.tobytes() for row in hashes.cpu().numpy()]


def _near(thumbnails: Tensor, others: Tensor) -> Tensor:
    """[n] how many of ``others`` are near each thumbnail, itself counted."""
    radius = torch.full(
        (len(thumbnails),), NEAR**2 * thumbnails.shape[1], dtype=torch.float64, device=thumbnails.device
    )
    return hits(thumbnails.float(), radius, others.float(), closed=True).per_centre


def _skipped(images: Embeddings) -> Iterator[Caution]:
    if images.skipped:
        yield Caution("skipped", f"{images.name}: {len(images.skipped)} unreadable files were left out")


def _zero_rows(real: Embeddings) -> Iterator[Caution]:
    """Scores do not suffer: metrics made of cosines look at synthetic rows alone, and at controls."""
    zero = int((real.features == 0).all(1).sum())
    if zero:
        yield Caution(
            "zero-rows",
            f"{real.name}: {zero} of {len(real)} embeddings are all zero (blank images?) and have no cosine: controls "
            "that drew one have no value of metrics made of cosines",
        )


def _lossy(fake: Embeddings) -> Iterator[Caution]:
    """Real photographs are JPEG by nature; a distilled set saved so is no longer what was distilled."""
    lossy = fake.remarks.get("jpeg", 0) + fake.remarks.get("lossy-webp", 0)
    if lossy:
        yield Caution(
            "lossy",
            f"{fake.name}: {lossy} of {len(fake)} images are lossily compressed, which moves features; PNG keeps them",
        )


def _own_judge(fake: Embeddings, real: Embeddings) -> Iterator[Caution]:
    """Images optimised for a network look diverse to it in the ways that they were optimised for."""
    teacher = None if fake.origin is None else fake.origin.teacher_sha256
    if teacher is not None and f"weights=sha256:{teacher};" in real.embedder:
        yield Caution(
            "own-judge",
            f"{fake.name}: was optimised for the very network whose features are scored; a gain may be one in its eyes "
            "alone: score with another network, too",
        )
