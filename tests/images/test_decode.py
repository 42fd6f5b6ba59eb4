import contextlib
import io
import os
import struct
import zlib

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from divbench.images.decode import MAX_PIXELS, decode_bytes, decode_file
from divbench.images.imageset import BadImageError

RGB = np.random.default_rng(0).integers(0, 256, (5, 7, 3), dtype=np.uint8)


def encoded(image: Image.Image, form: str = "PNG", **save) -> bytes:
    out = io.BytesIO()
    image.save(out, form, **save)
    return out.getvalue()


def test_rgb_png_comes_back_exactly():
    picture = decode_bytes(encoded(Image.fromarray(RGB)), "x")
    assert picture.remarks == ()
    assert picture.pixels.dtype == torch.uint8
    assert np.array_equal(picture.pixels.permute(1, 2, 0), RGB)


@pytest.mark.parametrize("form", ["BMP", "PPM", "TIFF", "WEBP"])
def test_lossless_formats_come_back_exactly(form):
    data = encoded(Image.fromarray(RGB), form, **({"lossless": True} if form == "WEBP" else {}))
    assert np.array_equal(decode_bytes(data, "x").pixels.permute(1, 2, 0), RGB)


def test_jpeg_is_told_by_content_not_by_name(tmp_path):
    path = tmp_path / "liar.png"
    path.write_bytes(encoded(Image.fromarray(RGB), "JPEG"))
    assert decode_file(path).remarks == ("jpeg",)


def test_grey_palette_cmyk_become_rgb_with_a_remark():
    image = Image.fromarray(RGB)
    assert decode_bytes(encoded(image.convert("L")), "x").remarks == ("grey",)
    assert decode_bytes(encoded(image.convert("1")), "x").remarks == ("grey",)
    assert decode_bytes(encoded(image.convert("P")), "x").remarks == ("palette",)
    assert decode_bytes(encoded(image.convert("P"), "GIF"), "x").remarks == ("palette",)
    assert decode_bytes(encoded(image.convert("CMYK"), "JPEG"), "x").remarks == ("jpeg", "cmyk")
    assert decode_bytes(encoded(image.convert("L")), "x").pixels.shape == (3, 5, 7)


def test_16_bit_is_scaled_not_clipped():
    values = np.array([[0, 200, 257, 32896, 65535]], np.uint16)
    picture = decode_bytes(encoded(Image.fromarray(values)), "x")
    assert picture.pixels[0].tolist() == [[0, 1, 1, 128, 255]]
    assert "16-bit" in picture.remarks


def test_16_bit_colour_is_remarked():
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    row = b"\0" + struct.pack(">3H", 65535, 32896, 0)
    header = struct.pack(">IIBBBBB", 1, 1, 16, 2, 0, 0, 0)
    data = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(row)) + chunk(b"IEND", b"")
    picture = decode_bytes(data, "x")
    assert picture.pixels.flatten().tolist() == [255, 128, 0]
    assert picture.remarks == ("16-bit",)


def test_32_bit_integers_beyond_16_bits_are_an_error():
    with pytest.raises(BadImageError, match="70000"):
        decode_bytes(encoded(Image.fromarray(np.array([[70000]], np.int32)), "TIFF"), "x")


def test_alpha_must_be_opaque():
    image = Image.fromarray(RGB).convert("RGBA")
    assert decode_bytes(encoded(image), "x").remarks == ("opaque-alpha",)
    assert decode_bytes(encoded(image.convert("LA")), "x").remarks == ("grey", "opaque-alpha")
    image.putpixel((1, 1), (0, 0, 0, 254))
    with pytest.raises(BadImageError, match=r"cat\.png: is partly transparent \(alpha down to 254"):
        decode_bytes(encoded(image), "cat.png")


def test_transparent_palette_entry_that_is_used_is_an_error():
    with pytest.raises(BadImageError, match="transparent"):
        decode_bytes(encoded(Image.new("P", (2, 2), 0), transparency=0), "x")


def test_exif_rotation_is_remarked_and_not_applied():
    exif = Image.Exif()
    exif[0x0112] = 6
    picture = decode_bytes(encoded(Image.fromarray(RGB), exif=exif), "x")
    assert picture.remarks == ("exif-rotated",)
    assert np.array_equal(picture.pixels.permute(1, 2, 0), RGB)
    exif[0x0112] = 1
    assert decode_bytes(encoded(Image.fromarray(RGB), exif=exif), "x").remarks == ()


@pytest.mark.parametrize("form", ["GIF", "PNG", "TIFF", "WEBP"])
def test_several_frames_are_an_error(form):
    frames = [Image.fromarray(RGB), Image.fromarray(255 - RGB)]
    with pytest.raises(BadImageError, match="animated"):
        decode_bytes(encoded(frames[0], form, save_all=True, append_images=frames[1:]), "x")


def test_empty_foreign_and_float_files_are_errors():
    with pytest.raises(BadImageError, match=r"a\.png: is empty"):
        decode_bytes(b"", "a.png")
    with pytest.raises(BadImageError, match="not an image"):
        decode_bytes(b"PK\3\4 hello", "x")
    with pytest.raises(BadImageError, match="not an image"):
        decode_bytes(encoded(Image.fromarray(RGB), "ICO"), "x")  # a format outside the list
    with pytest.raises(BadImageError, match="float"):
        decode_bytes(encoded(Image.fromarray(np.zeros((2, 2), np.float32)), "TIFF"), "x")
    with pytest.raises(BadImageError, match="mode LAB"):
        decode_bytes(encoded(Image.new("LAB", (2, 2)), "TIFF"), "x")


def test_unreadable_files_are_errors(tmp_path):
    with pytest.raises(BadImageError, match="cannot be read"):
        decode_file(tmp_path / "missing.png")
    (tmp_path / "folder.png").mkdir()
    with pytest.raises(BadImageError, match="cannot be read"):
        decode_file(tmp_path / "folder.png")


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root reads everything")
def test_files_without_permission_are_errors(tmp_path):
    path = tmp_path / "a.png"
    path.write_bytes(encoded(Image.fromarray(RGB)))
    path.chmod(0)
    with pytest.raises(BadImageError, match="Permission denied"):
        decode_file(path)


@pytest.mark.parametrize("form", ["PNG", "JPEG", "GIF", "BMP", "WEBP", "PPM"])
def test_truncated_files_are_errors(form):
    data = encoded(Image.fromarray(np.tile(RGB, (20, 20, 1))), form)
    for keep in (len(data) // 10, len(data) // 2, len(data) * 9 // 10):
        with pytest.raises(BadImageError):
            decode_bytes(data[:keep], "x")


@pytest.mark.parametrize("side", [MAX_PIXELS // 1000 + 1, 100_000, 300_000])
def test_bombs_are_refused_before_decoding(side):
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", side, 1000, 8, 2, 0, 0, 0)
    data = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", b"") + chunk(b"IEND", b"")
    with pytest.raises(BadImageError, match="pixels"):
        decode_bytes(data, "x")


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_damaged_bytes_give_pixels_or_a_bad_image_error_and_nothing_else(data):
    form = data.draw(st.sampled_from(["PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP", "PPM"]))
    raw = bytearray(encoded(Image.fromarray(RGB), form))
    for _ in range(data.draw(st.integers(1, 4))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    with contextlib.suppress(BadImageError):
        picture = decode_bytes(bytes(raw), "x")
        assert picture.pixels.dtype == torch.uint8
        assert picture.pixels.shape[0] == 3
