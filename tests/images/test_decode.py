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


@pytest.mark.parametrize(
    ("form", "save"),
    [("PNG", {}), ("TIFF", {}), ("TIFF", {"compression": "tiff_lzw"}), ("TIFF", {"compression": "tiff_adobe_deflate"})],
)
def test_16_bit_is_scaled_not_clipped(form, save):
    values = np.array([[0, 200, 257, 32896, 65535]], np.uint16)
    picture = decode_bytes(encoded(Image.fromarray(values), form, **save), "x")
    assert picture.pixels[0].tolist() == [[0, 1, 1, 128, 255]]
    assert picture.remarks == ("grey", "16-bit")


@pytest.mark.parametrize(("form", "save"), [("BMP", {}), ("TIFF", {}), ("TIFF", {"compression": "tiff_lzw"})])
def test_8_bit_files_are_not_called_16_bit_whatever_their_size(form, save):
    noise = np.random.default_rng(1).integers(0, 256, (3, 80, 3), dtype=np.uint8)
    for width in range(1, 81):  # 16 comes up in the row lengths and offsets of some
        picture = decode_bytes(encoded(Image.fromarray(noise[:, :width]), form, **save), "x")
        assert picture.remarks == (), width
        assert np.array_equal(picture.pixels.permute(1, 2, 0), noise[:, :width])


def test_a_bmp_of_16_bits_per_pixel_has_fewer_than_8_per_channel():
    masks = struct.pack("<3I", 0xF800, 0x07E0, 0x001F)
    header = struct.pack("<IiiHHIIiiII", 40, 1, 1, 1, 16, 3, 4, 0, 0, 0, 0)
    data = b"BM" + struct.pack("<IHHI", 70, 0, 0, 66) + header + masks + struct.pack("<HH", 0xF800, 0)
    picture = decode_bytes(data, "x")
    assert picture.pixels.flatten().tolist() == [255, 0, 0]
    assert picture.remarks == ()


def test_16_bit_colour_is_remarked():
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    row = b"\0" + struct.pack(">3H", 65535, 32896, 0)
    header = struct.pack(">IIBBBBB", 1, 1, 16, 2, 0, 0, 0)
    data = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(row)) + chunk(b"IEND", b"")
    picture = decode_bytes(data, "x")
    assert picture.pixels.flatten().tolist() == [255, 128, 0]
    assert picture.remarks == ("16-bit",)


def test_16_bit_colour_tiff_and_ppm_are_remarked():
    fields = [(256, 3, 1, 1), (257, 3, 1, 1), (258, 3, 3, 122), (259, 3, 1, 1), (262, 3, 1, 2), (273, 4, 1, 128)]
    fields += [(277, 3, 1, 3), (278, 3, 1, 1), (279, 4, 1, 6)]
    entries = b"".join(struct.pack("<HHII", *field) for field in fields)
    directory = struct.pack("<H", len(fields)) + entries + struct.pack("<I", 0)
    values = (65535, 32896, 0)
    tiff = b"II*\0" + struct.pack("<I", 8) + directory + struct.pack("<3H", 16, 16, 16) + struct.pack("<3H", *values)
    for data in (tiff, b"P6 1 1 65535\n" + struct.pack(">3H", *values)):
        picture = decode_bytes(data, "x")
        assert picture.pixels.flatten().tolist() == [255, 128, 0]
        assert picture.remarks == ("16-bit",)
    assert decode_bytes(b"P6 1 1 100\n\x64\x32\0", "x").remarks == ()


def lossy_and_lossless_webp(**save):
    image = Image.fromarray(RGB)
    return [decode_bytes(encoded(image, "WEBP", lossless=lossless, **save), "x") for lossless in (False, True)]


def test_lossy_webp_is_remarked():
    for save in ({}, {"icc_profile": b"VP8 is no chunk here"}, {"icc_profile": b"odd"}):
        lossy, lossless = lossy_and_lossless_webp(**save)
        assert lossy.remarks == ("lossy-webp",)
        assert lossless.remarks == ()
    assert not np.array_equal(lossy.pixels.permute(1, 2, 0), RGB)


def test_the_only_frame_of_an_animated_webp_is_remarked_as_well():
    def chunk(name: bytes, data: bytes) -> bytes:
        return name + struct.pack("<I", len(data)) + data

    width_height = b"\x06\0\0\x04\0\0"
    for lossless, remarks in ((False, ("lossy-webp",)), (True, ())):
        still = encoded(Image.fromarray(RGB), "WEBP", lossless=lossless)[12:]
        frame = chunk(b"ANMF", bytes(6) + width_height + bytes(4) + still)
        whole = b"WEBP" + chunk(b"VP8X", b"\2\0\0\0" + width_height) + chunk(b"ANIM", bytes(6)) + frame
        assert decode_bytes(chunk(b"RIFF", whole), "x").remarks == remarks


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
