"""Mean and standard deviation of every data set, once: embedders, readers and networks take them from here."""

import math

from divbench.errors import InputError

MeanStd = tuple[tuple[float, ...], tuple[float, ...]]

MEAN_STD: dict[str, MeanStd] = {
    "none": ((0.0, 0.0, 0.0), (1.0, 1.0, 1.0)),
    "cifar10": ((0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)),
    # The mean over images of each image's own deviation; widespread, and what DC, DSA, DM, MTT and DC-BENCH files hold.
    "cifar10-dc": ((0.4914, 0.4822, 0.4465), (0.2023, 0.1994, 0.2010)),
    "cifar100": ((0.5071, 0.4867, 0.4408), (0.2675, 0.2565, 0.2761)),
    "cifar100-dc": ((0.5071, 0.4866, 0.4409), (0.2673, 0.2564, 0.2762)),
    "imagenet": ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
    "tiny-imagenet": ((0.4802, 0.4481, 0.3975), (0.2770, 0.2691, 0.2821)),
    # Again the mean of the images' own deviations; what the SRe2L family's Tiny-ImageNet code divides by.
    "tiny-imagenet-sre2l": ((0.4802, 0.4481, 0.3975), (0.2302, 0.2265, 0.2262)),
    # The range [-1, 1].
    "half": ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5)),
}
"""Name -> (mean, std) per channel R, G, B, of pixels in [0, 1]."""


def parse_mean_std(text: str) -> MeanStd:
    """Mean and standard deviation per channel from a name of `MEAN_STD` or six numbers.

    Args:
        text: a name such as ``"cifar10"`` or ``"none"`` (0 and 1), or ``"m,m,m,s,s,s"`` in units of pixels in [0, 1].

    Raises:
        InputError: the text is neither, or a number is out of range.

    >>> parse_mean_std("none")
    ((0.0, 0.0, 0.0), (1.0, 1.0, 1.0))
    >>> parse_mean_std("0.5,0.5,0.5,0.25,0.25,0.25")
    ((0.5, 0.5, 0.5), (0.25, 0.25, 0.25))
    """
    if text in MEAN_STD:
        return MEAN_STD[text]
    remedy = f"give one of {', '.join(MEAN_STD)}, or six numbers m,m,m,s,s,s for pixels in [0, 1]"
    try:
        numbers = tuple(float(part) for part in text.split(","))
    except ValueError:
        raise InputError(f"unknown normalisation {text!r}; {remedy}") from None
    if len(numbers) != 6:
        raise InputError(f"normalisation {text!r} has {len(numbers)} numbers; {remedy}")
    mean, std = numbers[:3], numbers[3:]
    if not all(0 <= m <= 1 for m in mean) or not all(math.isfinite(s) and 0 < s <= 1 for s in std):
        raise InputError(f"normalisation {text!r}: means must be in [0, 1] and deviations in (0, 1]; {remedy}")
    return mean, std
