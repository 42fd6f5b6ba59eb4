"""One image file -> uint8 pixels, or an error that names the file and the reason."""

import io
import re
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from divbench.images.imageset import BadImageError, Picture

FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "GIF", "TIFF", "PPM")
SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".ppm", ".pgm"})
MAX_PIXELS = 64 * 2**20
"""Larger images are refused before they are decoded: a few bytes of PNG can ask for gigabytes."""
_ORIENTATION = 0x0112
_DEEP = re.compile(r"^I;16|;16[BLN]")
_CONVERTED = {"P": "palette", "CMYK": "cmyk", "YCbCr": "ycbcr", "HSV": "hsv", "L": "grey", "1": "grey"}


def decode_file(path: Path, name: str | None = None) -> Picture:
    """Decode the image file ``path``, called ``name`` in messages; raises `BadImageError`."""
    shown = name or str(path)
    try:
        data = path.read_bytes()
    except OSError as problem:
        raise BadImageError(f"{shown}: cannot be read: {problem.strerror or problem}") from None
    return decode_bytes(data, shown)


def decode_bytes(data: bytes, name: str) -> Picture:
    """Decode one image of an allowed format.

    Pixels come as stored: an EXIF orientation is remarked but not applied, as in torchvision's loaders. Palette, CMYK,
    greyscale, 16-bit and opaque-alpha images become RGB with a remark.

    Returns:
        Pixels [3, H, W] uint8; remarks out of ``jpeg``, ``lossy-webp``, ``grey``, ``palette``, ``cmyk``, ``16-bit``,
        ``opaque-alpha``, ``exif-rotated``, ``ycbcr``, ``hsv``.

    Raises:
        BadImageError: empty, not an image, truncated, animated, too large, partly transparent, or float values.
    """
    if not data:
        raise BadImageError(f"{name}: is empty (0 bytes)")
    with _open(data, name) as image:
        if image.width * image.height > MAX_PIXELS:
            raise BadImageError(
                f"{name}: {image.width} x {image.height} pixels are more than the {MAX_PIXELS} that are read; "
                "scale it down if it is genuine"
            )
        # An MPO is a camera's JPEG with previews behind it; the first frame is the image.
        if getattr(image, "is_animated", False) and image.format != "MPO":
            raise BadImageError(f"{name}: is animated or has several pages; save the frame that is meant as one image")
        deep = _is_deep(image)
        try:
            image.load()
            rotated = image.getexif().get(_ORIENTATION, 1) not in (0, 1)
        # Pillow's decoders raise almost anything on damaged bytes.
        except Exception as problem:
            raise BadImageError(f"{name}: is damaged or truncated: {problem}") from None
        remarks = _lossy(image, data)
        try:
            pixels, how = _to_rgb(image, name)
        except ValueError as problem:
            raise BadImageError(f"{name}: mode {image.mode} cannot be converted to RGB: {problem}") from None
        if deep and "16-bit" not in how:
            how.append("16-bit")
        return Picture(pixels, (*remarks, *how, *(("exif-rotated",) if rotated else ())))


def _open(data: bytes, name: str) -> Image.Image:
    try:
        return Image.open(io.BytesIO(data), formats=FORMATS)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise BadImageError(f"{name}: has more than the {MAX_PIXELS} pixels that are read") from None
    except Image.UnidentifiedImageError:
        raise BadImageError(
            f"{name}: is not an image of a known format ({', '.join(FORMATS)}); it starts with {data[:8]!r}"
        ) from None
    except Exception as problem:
        raise BadImageError(f"{name}: is damaged: {problem}") from None


def _is_deep(image: Image.Image) -> bool:
    """Whether an image that is not loaded yet stores 16 bits per channel, which Pillow cuts to 8 in colour."""
    for codec, _, _, arguments in getattr(image, "tile", ()):
        raw, *rest = arguments if isinstance(arguments, tuple) else (arguments,)
        # "I;16" and "RGB;16B" are such modes; "BGR;16" is 16 bits for all three channels of a BMP.
        if _DEEP.search(str(raw)) or (codec == "ppm" and rest and rest[0] > 255):
            return True
    return False


def _lossy(image: Image.Image, data: bytes) -> list[str]:
    if image.format in ("JPEG", "MPO") or image.info.get("compression") == "jpeg":
        return ["jpeg"]
    return ["lossy-webp"] if image.format == "WEBP" and b"VP8 " in _webp_chunks(data) else []


def _webp_chunks(data: bytes) -> set[bytes]:
    """Names of the chunks of a WEBP file; lossy pixels are in ``VP8 ``, lossless ones in ``VP8L``."""
    names, at = set(), 12
    while at + 8 <= len(data):
        name, size = data[at : at + 4], int.from_bytes(data[at + 4 : at + 8], "little")
        names.add(name)
        # A frame's chunks lie inside ANMF, behind 16 bytes about its place.
        at += 24 if name == b"ANMF" else 8 + size + size % 2
    return names


def _to_rgb(image: Image.Image, name: str) -> tuple[Tensor, list[str]]:
    """Pixels [3, H, W] uint8 and what had to be done for them."""
    mode = image.mode
    if mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in image.info:
        return _drop_alpha(image, name)
    if mode == "RGB":
        return _tensor(image), []
    if mode == "I" or mode.startswith("I;16"):
        return _scale_16(image, name), ["grey", "16-bit"]
    if mode not in _CONVERTED:
        what = "32-bit float values, whose range is unknown" if mode == "F" else f"mode {mode}"
        raise BadImageError(f"{name}: holds {what}; convert it to 8-bit RGB")
    return _tensor(image.convert("RGB")), [_CONVERTED[mode]]


def _drop_alpha(image: Image.Image, name: str) -> tuple[Tensor, list[str]]:
    whole = image.convert("RGBA")
    lowest = int(np.asarray(whole)[..., 3].min())
    if lowest != 255:
        raise BadImageError(
            f"{name}: is partly transparent (alpha down to {lowest} of 255); put it on the background that is meant"
        )
    also = ["palette"] if image.mode in ("P", "PA") else ["grey"] if image.mode in ("L", "LA", "La", "1") else []
    return _tensor(whole.convert("RGB")), [*also, "opaque-alpha"]


def _scale_16(image: Image.Image, name: str) -> Tensor:
    """0 .. 65535 -> 0 .. 255 by rounding v / 257; Pillow's own conversion clips at 255."""
    values = np.asarray(image).astype(np.int64)
    if values.min() < 0 or values.max() > 65535:
        raise BadImageError(
            f"{name}: holds integers from {values.min()} to {values.max()}, more than 16 bits; convert it to 8-bit RGB"
        )
    grey = ((values + 128) // 257).astype(np.uint8)
    return torch.from_numpy(grey).expand(3, *grey.shape).contiguous()


def _tensor(image: Image.Image) -> Tensor:
    return torch.from_numpy(np.array(image)).permute(2, 0, 1).contiguous()
