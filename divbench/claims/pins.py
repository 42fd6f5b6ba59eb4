"""Pinned values: what was measured once and is not to move unseen. People write the pins, the machine their values."""

from contextlib import suppress
from pathlib import Path

import msgspec

from divbench.claims.claim import ClaimFile, Pin
from divbench.claims.judge import Load, Status, Verdict
from divbench.errors import ClaimError, DivbenchError
from divbench.files import write_whole


class _Values(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Values by the pins' ids."""

    schema: int
    pins: dict[str, float]


def values_file(path: Path) -> Path:
    """Where the values of a claim file's pins stand."""
    return path.with_suffix(".pins.json")


def judge_pins(file: ClaimFile, load: Load) -> list[Verdict]:
    """Whether each pinned value is where it was, within its tolerance."""
    try:
        known = _load(values_file(file.path))
    except ClaimError as problem:
        return [Verdict(pin, "error", str(problem), path=file.path, line=file.lines[pin.id]) for pin in file.pins]
    return [_judge(pin, known, load, file) for pin in file.pins]


def regenerate(file: ClaimFile, load: Load) -> list[Verdict]:
    """Write the values that are measured now; each that is new or has moved is refuted, so that it shows.

    Raises:
        DivbenchError: a result or score is missing; nothing is written then.
    """
    if not file.pins:
        return []
    target, known = values_file(file.path), {}
    with suppress(ClaimError):  # what is damaged is written anew
        known = _load(target)
    now = {pin.id: _measured(pin, load) for pin in file.pins}
    data = msgspec.json.encode(_Values(1, now), order="deterministic")
    write_whole(target, msgspec.json.format(data, indent=1) + b"\n")
    return [_written(pin, known.get(pin.id), now[pin.id], file) for pin in file.pins]


def _load(path: Path) -> dict[str, float]:
    try:
        found = msgspec.json.decode(path.read_bytes(), type=_Values)
    except FileNotFoundError:
        return {}
    except (OSError, msgspec.DecodeError) as error:
        raise ClaimError(f"{path}: holds no pinned values ({error}); write them with --regenerate") from error
    if found.schema != 1:
        raise ClaimError(f"{path}: has schema {found.schema}, this divbench reads 1; write it with --regenerate")
    return found.pins


def _measured(pin: Pin, load: Load) -> float:
    value = load(pin.result).score(pin.metric, pin.scope).value
    if value is None:
        raise ClaimError(f"{pin.id}: {pin.result} has no value of {pin.metric} at {pin.scope} scope")
    return value


def _judge(pin: Pin, known: dict[str, float], load: Load, file: ClaimFile) -> Verdict:
    place = {"path": file.path, "line": file.lines[pin.id]}
    try:
        now = _measured(pin, load)
    except DivbenchError as problem:
        return Verdict(pin, "error", str(problem), **place)  # type: ignore[arg-type]
    if pin.id not in known:
        text = f"no value is pinned in {values_file(file.path).name}; write it with --regenerate"
        return Verdict(pin, "error", text, (None, now), **place)  # type: ignore[arg-type]
    moved = abs(now - known[pin.id])
    status: Status = "holds" if moved <= pin.tolerance else "refuted"
    text = f"{pin.metric} of {pin.result}: pinned {known[pin.id]:.6g}, now {now:.6g}, moved by {moved:.2g}"
    return Verdict(
        pin,
        status,
        f"{text} of {pin.tolerance:g} that are tolerated",
        (known[pin.id], now),
        **place,  # type: ignore[arg-type]
    )


def _written(pin: Pin, before: float | None, now: float, file: ClaimFile) -> Verdict:
    same = before == now
    was = "not there" if before is None else f"{before:.6g}"
    text = f"{pin.metric} of {pin.result}: " + (f"{now:.6g}, as it was" if same else f"written {now:.6g}, was {was}")
    return Verdict(pin, "holds" if same else "refuted", text, (before, now), path=file.path, line=file.lines[pin.id])
