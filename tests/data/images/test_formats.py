"""Formats beyond the usual: what their tags say of the numbers is obeyed, or the reason is true."""

import io
import struct

import numpy as np
import pytest
from PIL import Image

from ahl._common.errors import ImageError
from ahl.data.images.formats import FORMATS, IMAGE_SUFFIXES, format_of
from ahl.data.images.reading import image_shape, read_pixels, read_stream

GREY = np.random.default_rng(3).integers(0, 256, (9, 14), dtype=np.uint8)
WIDE = GREY.astype(np.uint16) * 257


def tiff(values, *, bits, photometric=1, kind=1, channels=1, size=None):
    """An uncompressed little-endian TIFF with these tags."""
    data = values.tobytes()
    height, width = size or values.shape[:2]
    tags = [(256, 3, width), (257, 3, height), (258, 3, bits), (259, 3, 1), (262, 3, photometric)]
    tags += [(273, 4, 8), (277, 3, channels), (278, 3, height), (279, 4, len(data)), (339, 3, kind)]
    body = b"".join(struct.pack("<HHII", tag, form, 1, value) for tag, form, value in tags)
    start = struct.pack("<2sHI", b"II", 42, 8 + len(data))
    return start + data + struct.pack("<H", len(tags)) + body + bytes(4)


def packed_12(values):
    """Pairs of 12-bit values in three bytes."""
    pairs = values.reshape(-1, 2).tolist()
    packed = [((first << 12) | second).to_bytes(3, "big") for first, second in pairs]
    return np.frombuffer(b"".join(packed), np.uint8)


@pytest.mark.parametrize(
    "content",
    [
        tiff(WIDE, bits=16),
        tiff(65535 - WIDE, bits=16, photometric=0),
        tiff(255 - GREY, bits=8, photometric=0),
        tiff((GREY / 255).astype("<f4"), bits=32, kind=3),
        tiff((1 - GREY / 255).astype("<f4"), bits=32, kind=3, photometric=0),
        tiff(packed_12(GREY.astype(np.uint16) * 16), bits=12, size=GREY.shape),
    ],
    ids=["16", "16 inverted", "8 inverted", "float", "float inverted", "12 packed"],
)
def test_tiff_tags_are_obeyed(content):
    pixels = read_stream(io.BytesIO(content))
    assert np.abs(pixels[:, :, 0].astype(int) - GREY).max() <= 1


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (tiff(GREY.astype("<i2"), bits=16, kind=2), "16-bit signed integers"),
        (tiff(GREY.astype(np.int8), bits=8, kind=2), "8-bit signed integers"),
        (tiff((GREY / 255).astype("<f2"), bits=16, kind=3), "16-bit floats, which are not read"),
        (tiff((GREY / 255).astype("<f8"), bits=64, kind=3), "64-bit floats, which are not read"),
        (
            tiff(np.zeros((4, 4, 3), "<f4"), bits=32, kind=3, photometric=2, channels=3),
            "32-bit floats in 3 channels",
        ),
    ],
)
def test_tiff_numbers_that_are_not_read_are_named(tmp_path, content, reason):
    (tmp_path / "a.tif").write_bytes(content)
    for read in (read_pixels, image_shape):
        with pytest.raises(ImageError, match=f"{reason}.*save it with 8 or 16 bits"):
            read(tmp_path / "a.tif")


def test_damaged_tags_are_damage(tmp_path):
    (tmp_path / "a.tif").write_bytes(b"II*\0\xff\xff\xff\xff")
    with pytest.raises(ImageError, match="header is damaged"):
        read_pixels(tmp_path / "a.tif")


def test_arrays_may_be_grey(tmp_path):
    np.save(tmp_path / "a.npy", GREY)
    assert image_shape(tmp_path / "a.npy") == GREY.shape
    np.testing.assert_array_equal(read_pixels(tmp_path / "a.npy")[:, :, 2], GREY)
    np.save(tmp_path / "b.npy", WIDE)
    np.testing.assert_array_equal(read_pixels(tmp_path / "b.npy")[:, :, 0], GREY)
    np.save(tmp_path / "c.npy", GREY[0])
    with pytest.raises(ImageError, match=r"give \(height, width\)"):
        read_pixels(tmp_path / "c.npy")


@pytest.mark.parametrize("suffix", [".gif", ".jp2", ".j2k", ".jfif", ".GIF", ".avif"])
def test_formats_that_pillow_reads(tmp_path, suffix):
    if suffix not in IMAGE_SUFFIXES and suffix.lower() not in IMAGE_SUFFIXES:
        pytest.skip(f"this Pillow does not read {suffix}")
    path = tmp_path / f"a{suffix}"
    flat = np.full((32, 32), 120, np.uint8)
    options = {".jfif": {"format": "JPEG"}, ".avif": {"quality": 100}}.get(suffix, {})
    Image.fromarray(flat).save(path, **options)
    assert np.abs(read_pixels(path)[:, :, 0].astype(int) - 120).max() <= 3
    assert format_of(path.read_bytes()[:200]) is not None


def test_files_that_an_extra_reads_name_it(tmp_path, monkeypatch):
    import ahl.data.images.reading as reading

    monkeypatch.setattr(reading, "MISSING", {".heic": "pip install 'ahl[heif]'"})
    heic = next(one for one in FORMATS if one.name == "HEIC")
    if heic.readable:
        pytest.skip("pillow-heif is installed")
    (tmp_path / "a.heic").write_bytes(b"\0\0\0\x18ftypheic" + bytes(200))
    with pytest.raises(ImageError, match=r"HEIC file, which pip install 'ahl\[heif\]' reads"):
        read_pixels(tmp_path / "a.heic")


def test_heic_is_read_and_found(tmp_path):
    pillow_heif = pytest.importorskip("pillow_heif")
    pillow_heif.register_heif_opener()
    Image.new("RGB", (64, 64), (200, 100, 50)).save(tmp_path / "a.heic", quality=95)
    assert ".heic" in IMAGE_SUFFIXES
    assert format_of((tmp_path / "a.heic").read_bytes()[:200]).name == "HEIC"
    np.testing.assert_allclose(read_pixels(tmp_path / "a.heic")[32, 32], (200, 100, 50), atol=6)


def test_no_two_formats_share_a_suffix_or_a_start():
    suffixes = [suffix for one in FORMATS for suffix in one.suffixes]
    starts = [start for one in FORMATS for start in one.starts]
    assert len(set(suffixes)) == len(suffixes)
    assert len(set(starts)) == len(starts)
