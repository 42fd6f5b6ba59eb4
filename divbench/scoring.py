"""score(): the only place where metrics meet classes, controls and seeds.

Embeddings (real, one per synthetic set)
  -> units: one per class, and one of all rows            [_units]
  -> per unit and metric: value, values with images left out, yardstick, controls     [_measure]
  -> per metric and scope: a Score with its interval       [_score]
  -> Result, with the cautions that a reader needs         [divbench.cautions]
"""

import hashlib
import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import msgspec
import torch
from torch import Tensor

from divbench.cache import Cache
from divbench.cautions import cautions
from divbench.combine import check_equal_seeds
from divbench.controls import CONTROLS
from divbench.embedders import choose_device
from divbench.embedders.embed import Embeddings
from divbench.errors import InputError, shorten
from divbench.metrics import METRICS, Metric, Parameters
from divbench.metrics._neighbours import Memory, remembering
from divbench.protocol import Protocol, Scope, load_protocol, protocol_digest
from divbench.provenance import environment
from divbench.results import SCHEMA, Result, Score, SetRecord, mean
from divbench.uncertainty import interval, left_out

_CACHED_RADII = 8192  # radii of matrices with at least this many rows are worth a file


@dataclass(frozen=True)
class _Unit:
    """What one call of a metric sees: the rows of one class, or all rows."""

    scope: Scope
    real: Tensor
    fakes: list[Tensor]
    labels: Tensor  # of the first set's rows
    controls: dict[str, list[Tensor]]  # name -> one matrix per seed


@dataclass
class _Cells:
    """Everything one metric gave at one scope, unit by unit."""

    values: list[list[float | None]] = field(default_factory=list)  # [unit][set]
    left_out: list[list[float]] = field(default_factory=list)  # [unit][image or group], of the first set
    reference: dict[str, list[list[float | None]]] = field(default_factory=dict)  # name -> [unit][seed]
    n_real: list[int] = field(default_factory=list)
    n_fake: list[int] = field(default_factory=list)


def score(
    fakes: Embeddings | Sequence[Embeddings],
    real: Embeddings,
    protocol: Protocol | str,
    *,
    name: str | None = None,
    device: str | None = None,
    cache: Cache | None = None,
    progress: Callable[[str], None] | None = None,
) -> Result:
    """Score one entry: one or several synthetic sets (seeds of one method) against real data.

    Args:
        fakes: embeddings of the synthetic sets, labels over the classes of ``real``.
        real: embeddings of the real images by the same embedder.
        protocol: metrics with their settings, scopes, controls; or the name of a shipped one.
        name: of the entry; default: that of the first set.
        device: where to compute; default: a CUDA device if there is one.
        cache: keeps k-NN radii of large real sets.
        progress: called with a few words before each unit (class) is measured.

    Raises:
        InputError: embedders, widths or classes differ, or a class has no real images, or too few for k.
        ProtocolError: a metric or setting that does not exist.
    """
    started = time.perf_counter()
    sets = [fakes] if isinstance(fakes, Embeddings) else list(fakes)
    protocol = resolved(load_protocol(protocol) if isinstance(protocol, str) else protocol)
    metrics = {key: (METRICS[key], settings) for key, settings in protocol.metrics.items()}
    scopes = _scopes(sets, protocol)
    _check(sets, real)
    where = choose_device(device)
    if protocol.real_per_class is not None:
        real = real.select(real_rows(real.labels, len(real.classes), protocol.real_per_class, protocol.seed))
    sets, real = [s.to(str(where)) for s in sets], real.to(str(where))
    table: dict[tuple[str, Scope], _Cells] = {(key, scope): _Cells() for scope in scopes for key in metrics}
    for label, unit in _units(sets, real, protocol, scopes):
        if progress is not None:
            progress(label)
        try:
            with remembering(Memory(_keeper(unit.real, cache))):
                for key, (metric, settings) in metrics.items():
                    _measure(metric, settings, unit, table[key, unit.scope])
        except InputError as error:
            raise InputError(f"{label}: {error}") from error
    scores = tuple(
        _score(metrics[key][0], scope, cells, protocol.level) for (key, scope), cells in table.items() if cells.values
    )
    return Result(
        schema=SCHEMA,
        name=name or sets[0].name,
        protocol=protocol,
        protocol_digest=protocol_digest(protocol, real.embedder),
        embedder=real.embedder,
        classes=real.classes,
        real=_record(real),
        sets=tuple(_record(s) for s in sets),
        scores=scores,
        cautions=tuple(cautions(sets, real, scores)),
        environment=environment(time.perf_counter() - started, str(where)),
    )


def resolved(protocol: Protocol) -> Protocol:
    """The protocol with every setting of every metric written out.

    Raises:
        ProtocolError: a metric or setting that does not exist, or a value out of range.
    """
    metrics = {key: METRICS[key].resolve(settings) for key, settings in protocol.metrics.items()}
    return msgspec.structs.replace(protocol, metrics=metrics)


def _scopes(sets: list[Embeddings], protocol: Protocol) -> tuple[Scope, ...]:
    """Unlabelled sets have no classes, so dataset scope alone."""
    if all(s.labelled for s in sets):
        return protocol.scopes
    if "dataset" not in protocol.scopes:
        raise InputError(f"the sets have no class labels, and protocol {protocol.name} scores inside classes only")
    return ("dataset",)


def _check(sets: list[Embeddings], real: Embeddings) -> None:
    if not sets:
        raise InputError("no synthetic set was given")
    for i, fake in enumerate(sets):
        for other in sets[:i]:
            if fake.source == other.source:
                raise InputError(f"{fake.name} and {other.name} are the same images; several sets are several seeds")
    for fake in sets:
        if fake.embedder != real.embedder:
            raise InputError(
                f"{fake.name} was embedded by {fake.embedder}, the real set {real.name} by {real.embedder}; "
                "embed both with the same embedder"
            )
        if fake.features.shape[1] != real.features.shape[1]:
            raise InputError(
                f"{fake.name}: embeddings have {fake.features.shape[1]} columns, those of {real.name} "
                f"{real.features.shape[1]}"
            )
        if fake.labelled and fake.classes != real.classes:
            raise InputError(
                f"{fake.name}: its classes are not those of {real.name}; map them with divbench.images.match_classes"
            )
        if fake.labelled:
            _check_every_class(real)
    if len({fake.labelled for fake in sets}) > 1:
        raise InputError("some sets have class labels and some have none; score them separately")
    check_equal_seeds([(fake.name, torch.bincount(fake.labels, minlength=len(fake.classes)).tolist()) for fake in sets])


def _check_every_class(real: Embeddings) -> None:
    counts = torch.bincount(real.labels, minlength=len(real.classes))
    empty = [real.classes[c] for c in (counts == 0).nonzero()[:, 0].tolist()]
    if empty:
        raise InputError(
            f"{real.name}: has no image of {len(empty)} of {len(real.classes)} classes ({shorten(empty)}), against "
            "which nothing can be scored; give real images of them, or leave these classes out with --common-classes"
        )


def real_rows(labels: Tensor, classes: int, per_class: int, seed: int) -> Tensor:
    """Which real images a protocol with ``real_per_class`` scores against: row numbers, in order."""
    order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(seed))
    return torch.cat([order[labels[order] == c][:per_class] for c in range(classes)]).sort().values


def _units(
    sets: list[Embeddings], real: Embeddings, protocol: Protocol, scopes: tuple[Scope, ...]
) -> Iterator[tuple[str, _Unit]]:
    """The classes one by one, then the whole; the whole's controls are those of the classes, put together."""
    together: dict[str, list[list[Tensor]]] = {}
    if all(s.labelled for s in sets):
        for c, class_name in enumerate(real.classes):
            rows = real.features[real.labels == c]
            fakes = [s.features[s.labels == c] for s in sets]
            controls = _controls(rows, len(fakes[0]), protocol, c)
            for key, seeds in controls.items():
                together.setdefault(key, []).append(seeds)
            if "class" in scopes:
                own = sets[0].labels[sets[0].labels == c]
                yield f"class {class_name}", _Unit("class", rows, fakes, own, controls)
        whole = {
            key: [torch.cat(parts) for parts in zip(*seeds, strict=True)]
            for key, seeds in together.items()
            if len(seeds) == len(real.classes)
        }
    else:
        whole = _controls(real.features, len(sets[0].features), protocol, 0)
    if "dataset" in scopes:
        yield "all classes", _Unit("dataset", real.features, [s.features for s in sets], sets[0].labels, whole)


def _controls(real: Tensor, n: int, protocol: Protocol, unit: int) -> dict[str, list[Tensor]]:
    """Controls of ``n`` rows; none where there are not that many real rows to choose from."""
    if not 1 <= n <= len(real):
        return {}
    counts = msgspec.structs.asdict(protocol.controls)
    return {
        key: [make(real, n, protocol.seed + 1_000_003 * unit + seed) for seed in range(counts[key])]
        for key, make in CONTROLS.items()
        if counts[key]
    }


def _keeper(real: Tensor, cache: Cache | None) -> Callable[[Tensor, int, Callable[[], Tensor]], Tensor]:
    """Radii of a large real matrix come from the cache, or go there."""

    def keep(rows: Tensor, k: int, compute: Callable[[], Tensor]) -> Tensor:
        if cache is None or rows is not real or len(real) < _CACHED_RADII:
            return compute()
        digest = hashlib.sha256(real.cpu().numpy()).hexdigest()
        kept = cache.remember("radii", f"{digest}-k{k}", lambda: {"squared": compute().cpu()})
        return kept["squared"].to(real.device)

    return keep


def _measure(metric: Metric, settings: Parameters, unit: _Unit, cells: _Cells) -> None:
    def value(rows: Tensor) -> float | None:
        return _finite(metric(unit.real, rows, **settings)) if len(rows) else metric.on_nothing

    def of_control(rows: Tensor) -> float | None:
        """None where the real rows it was made of have no value, such as the cosines of all-zero rows."""
        try:
            return value(rows)
        except InputError:
            return None

    cells.values.append([value(rows) for rows in unit.fakes])
    alone = len(unit.fakes) == 1
    cells.left_out.append(left_out(metric, settings, unit.real, unit.fakes[0], unit.labels) if alone else [])
    reference = {key: [of_control(rows) for rows in seeds] for key, seeds in unit.controls.items()}
    if metric.iid is not None and (len(unit.fakes[0]) or metric.on_nothing is not None):
        reference["iid"] = [metric.iid(len(unit.real), len(unit.fakes[0]), **settings)]
    for key, values in reference.items():
        cells.reference.setdefault(key, []).append(values)
    cells.n_real.append(len(unit.real))
    cells.n_fake += [len(rows) for rows in unit.fakes]


def _score(metric: Metric, scope: Scope, cells: _Cells, level: float) -> Score:
    by_set = list(zip(*cells.values, strict=True))  # [set][unit]
    values = tuple(mean(vector) for vector in by_set)
    reference = {
        key: tuple(mean(seed) for seed in zip(*units, strict=True))
        for key, units in cells.reference.items()
        if len(units) == len(cells.values)
    }
    better = {"higher": True, "lower": False, None: None}[metric.better]
    return Score(
        metric=metric.name,
        scope=scope,
        higher_is_better=better,
        values=values,
        per_class=tuple(by_set) if scope == "class" else (),
        n_real=(min(cells.n_real), max(cells.n_real)),
        n_fake=(min(cells.n_fake), max(cells.n_fake)),
        reference=reference,
        interval=interval(values, by_set[0], cells.left_out, level),
    )


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _record(images: Embeddings) -> SetRecord:
    counts = torch.bincount(images.labels, minlength=len(images.classes)).tolist() if images.labelled else []
    return SetRecord(
        name=images.name,
        recognised=images.recognised,
        digest=images.source,
        count=len(images.labels),
        per_class=tuple(counts),
        skipped=images.skipped,
        remarks=dict(sorted(images.remarks.items())),
        notes=images.notes,
        origin=images.origin,
    )
