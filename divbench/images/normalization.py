"""Float tensors -> uint8 pixels: undo the stated normalisation, and refuse what cannot be pixels.

Distilled tensors do not say how they were normalised, and two traps are common. Files of the DC family were divided by
the deviations called ``cifar10-dc`` rather than by the data set's own. And some were ZCA-whitened, which no mean and
deviation undoes.

Whitening is recognised by what it is for: neighbouring pixels become uncorrelated. `lag1` is the median over images of
the correlation of adjacent pixels about the image's own channel means. Measured on sets for CIFAR-10 and CIFAR-100:

    whitened:      KIP 0.33, real images whitened with eps 0.1 0.37, MTT at IPC 1 0.42
    not whitened:  DM 0.67 and 0.69, DC 0.69 to 0.75, MTT at IPC 10 0.77, DSA 0.77 to 0.79, random 0.90, k-means 0.91,
                   MTT at IPC 1 after the inverse transform 0.83, real images 0.87
    noise:         0.00

The threshold 0.55 stands in the middle of the gap. Scale does not tell them apart: the deviation is 0.97 for whitened
MTT and 3.9 for KIP, against 1.1 for DC, 1.2 for random and 6.6 for DM. Neither does a name: a published MTT IPC-10 set
called ``zca`` measures 0.80, looks natural, and is not whitened.
"""

import torch
from torch import Tensor

from divbench.constants import MEAN_STD, MeanStd, parse_mean_std
from divbench.errors import InputError

WHITENED_BELOW = 0.55
MOST_OUTSIDE = 1 / 3
"""Published sets, rightly undone, have up to 0.15 of their values outside [0, 1]; KIP has 0.43, DM at IPC 1 0.60."""
_EXACT = 0.02
_HALF_STEP = 0.5 / 255


class WhitenedError(InputError):
    """Values look ZCA-whitened: they are not pixels under any mean and deviation."""


def to_uint8(values: Tensor, what: str, normalized: str | None, as_is: bool) -> tuple[Tensor, str, tuple[str, ...]]:
    """Float images -> pixels.

    Args:
        values: [N, 3, H, W] floating point.
        what: what to call the tensor in messages.
        normalized: the stated normalisation (`parse_mean_std`), or None.
        as_is: clip values that look whitened or lie far outside the range.

    Returns:
        Pixels [N, 3, H, W] uint8; how the values were understood; notes.

    Raises:
        InputError: not finite, normalisation not stated or demonstrably another one, whitened, or far out of range.
    """
    _check_finite(values, what)
    values = values.float()
    low, high = float(values.min()), float(values.max())
    if normalized is None:
        understood = _unnormalised(values, low, high)
        if understood is None:
            raise InputError(_ask(values, what, low, high))
        divisor, text = understood
        return (values * divisor).round().to(torch.uint8), text, ()
    notes = _check_whitened(values, what, as_is) if low < 0 else ()
    pixels = _undo(values, parse_mean_std(normalized))
    notes += _check_exact(values, pixels, what, normalized, as_is)
    notes += _check_range(pixels, what, normalized, as_is)
    understood_as = (
        "un-normalised as stated" if normalized == "none" else f"normalisation {normalized} undone as stated"
    )
    return pixels.clamp_(0, 1).mul_(255).round_().to(torch.uint8), understood_as, notes


def lag1(values: Tensor) -> float:
    """Median over images of the correlation of adjacent pixels, for [N, C, H, W]; constant images count as 1."""
    centred = values - values.mean((2, 3), keepdim=True)
    power = centred.square().mean((1, 2, 3))
    across = (centred[..., :-1] * centred[..., 1:]).mean((1, 2, 3)) if values.shape[3] > 1 else power
    down = (centred[..., :-1, :] * centred[..., 1:, :]).mean((1, 2, 3)) if values.shape[2] > 1 else power
    ratio = (across + down) / 2 / power.clamp_min(1e-12)
    return float(torch.where(power < 1e-12, 1.0, ratio).median())


def _undo(values: Tensor, mean_std: MeanStd) -> Tensor:
    mean, std = (values.new_tensor(numbers).view(3, 1, 1) for numbers in mean_std)
    return values * std + mean


def _check_finite(values: Tensor, what: str) -> None:
    bad = ~torch.isfinite(values)
    count = int(bad.sum())
    if count:
        first = tuple(int(i) for i in bad.nonzero()[0])
        raise InputError(
            f"{what}: {count} of {values.numel()} values are NaN or infinite, the first at {list(first)} "
            "(image, channel, row, column); the distillation diverged or the file is damaged"
        )


def _unnormalised(values: Tensor, low: float, high: float) -> tuple[float, str] | None:
    """The factor to 0 .. 255 and words for it, where the values speak for themselves."""
    if low < 0:
        return None
    if high <= 1:
        return 255.0, "un-normalised, values in [0, 1]"
    if high <= 255 and bool((values == values.round()).all()):
        return 1.0, "un-normalised, whole numbers in 0 .. 255"
    return None


def _ask(values: Tensor, what: str, low: float, high: float) -> str:
    message = (
        f"{what}: float values from {low:.3g} to {high:.3g} do not say how they were normalised; say it with "
        f"normalized (--normalized) = one of {', '.join(MEAN_STD)}, or six numbers m,m,m,s,s,s for pixels in [0, 1]"
    )
    exact = _exact_names(values)
    if exact:
        return f"{message} ({' or '.join(exact)} gives whole pixel values 0 .. 255)"
    if low < 0 and lag1(values) < WHITENED_BELOW:
        return f"{message} (they look ZCA-whitened: adjacent pixels correlate only {lag1(values):.2f})"
    return f"{message} (files of DC, DSA, DM, MTT and DC-BENCH for CIFAR-10 usually hold cifar10-dc)"


def _check_whitened(values: Tensor, what: str, as_is: bool) -> tuple[str, ...]:
    correlation = lag1(values)
    if correlation >= WHITENED_BELOW:
        return ()
    found = f"adjacent pixels correlate only {correlation:.2f} (images have {WHITENED_BELOW} or more)"
    if as_is:
        return (f"looks ZCA-whitened or like noise, read as it is: {found}",)
    raise WhitenedError(
        f"{what}: looks ZCA-whitened, or like noise: {found}. Whitened values are not pixels and cannot be compared "
        "with real images; give the inverse-transformed set, or as_is (--as-is) to clip these values all the same"
    )


def _exact_names(values: Tensor) -> list[str]:
    """The known normalisations under which every value is a whole pixel value within the range."""
    sample = values[:: max(1, len(values) // 16)]
    return [name for name, mean_std in MEAN_STD.items() if _is_exact(_undo(sample, mean_std))]


def _is_exact(pixels: Tensor) -> bool:
    scaled = pixels * 255
    inside = float(pixels.min()) > -_HALF_STEP and float(pixels.max()) < 1 + _HALF_STEP
    return inside and float((scaled - scaled.round()).abs().max()) < _EXACT


def _check_exact(values: Tensor, pixels: Tensor, what: str, normalized: str, as_is: bool) -> tuple[str, ...]:
    """No chance makes thousands of values whole numbers: a normalisation that does is the right one."""
    if _is_exact(pixels):
        return ("undoing the normalisation gives whole pixel values",)
    others = _exact_names(values)
    if not others:
        return ()
    found = f"{normalized!r} does not give whole pixel values 0 .. 255, but {' or '.join(others)} does"
    if as_is:
        return (found,)
    raise InputError(
        f"{what}: the stated normalisation {found}; "
        f"say normalized = {others[0]} (--normalized), or as_is (--as-is) to insist"
    )


def _check_range(pixels: Tensor, what: str, normalized: str, as_is: bool) -> tuple[str, ...]:
    outside = (pixels < -_HALF_STEP) | (pixels > 1 + _HALF_STEP)
    share = float(outside.float().mean())
    if share == 0:
        return ()
    excess = max(-float(pixels.min()), float(pixels.max()) - 1)
    found = f"{share:.1%} of values lie outside the pixel range [0, 1], by up to {excess:.2g}"
    if share > MOST_OUTSIDE and not as_is:
        raise InputError(
            f"{what}: with normalized = {normalized}, {found}. Either it was normalised otherwise, or these are not "
            "pixels; correct normalized, or give as_is (--as-is) to clip them"
        )
    return (f"{found}; clipped",)
