"""Formats beyond the usual: what their tags say of the numbers is obeyed, or the reason is true."""

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from ahl._common.errors import ImageError
from ahl.data.images.formats import FORMATS, IMAGE_SUFFIXES, format_of
from ahl.data.images.reading import image_shape, numbers_in, read_pixels, read_stream

GREY = np.random.default_rng(3).integers(0, 256, (9, 14), dtype=np.uint8)
WIDE = GREY.astype(np.uint16) * 257


def tiff(
    values,
    *,
    bits,
    photometric=1,
    kind=1,
    channels=1,
    size=None,
    order="<",
    compression=1,
    predictor=1,
    planes=1,
    orientation=1,
):
    """A TIFF of one strip with these tags."""
    data = zlib.compress(values.tobytes()) if compression == 8 else values.tobytes()
    height, width = size or values.shape[:2]
    tags = [(256, width), (257, height), (258, bits), (259, compression), (262, photometric)]
    tags += [(273, 8), (274, orientation), (277, channels), (278, height), (279, len(data))]
    tags += [(284, planes), (317, predictor), (339, kind)]
    body = b"".join(struct.pack(f"{order}HHII", tag, 4, 1, value) for tag, value in tags)
    magic = b"II" if order == "<" else b"MM"
    start = magic + struct.pack(f"{order}HI", 42, 8 + len(data))
    return start + data + struct.pack(f"{order}H", len(tags)) + body + bytes(4)


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
        (tiff(GREY.astype("<f8"), bits=64, kind=3, compression=5), "64-bit floats compressed"),
        (tiff(GREY.astype("<f2"), bits=16, kind=3, predictor=3), "16-bit floats predicted"),
        (tiff(np.zeros((4, 4, 2), "<f4"), bits=32, kind=3, channels=2), "32-bit floats in 2 chan"),
        (tiff(GREY.astype("<f8"), bits=64, kind=3, orientation=6), "64-bit floats of an image"),
    ],
)
def test_tiff_numbers_that_are_not_read_are_named(tmp_path, content, reason):
    (tmp_path / "a.tif").write_bytes(content)
    for read in (read_pixels, image_shape):
        with pytest.raises(ImageError, match=f"{reason}.*save it with 8 or 16 bits"):
            read(tmp_path / "a.tif")


COLOURS = np.stack([GREY, 255 - GREY, GREY // 2], axis=-1)
IN_COLOUR = {"photometric": 2, "channels": 3}


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("bits", [16, 32, 64])
@pytest.mark.parametrize("white", [1, 255])
@pytest.mark.parametrize("compression", [1, 8])
def test_floats_of_any_size_are_read(order, bits, white, compression):
    kind, how = f"{order}f{bits // 8}", {"order": order, "compression": compression}
    grey, colours = (values.astype(float) * white / 255 for values in (GREY, COLOURS))
    contents = [
        tiff(colours.astype(kind), bits=bits, kind=3, **IN_COLOUR, **how),
        tiff(
            np.moveaxis(colours, -1, 0).astype(kind),
            **{"bits": bits, "kind": 3, "planes": 2, "size": GREY.shape} | IN_COLOUR | how,
        ),
    ]
    if bits != 32 or compression == 1:  # else Pillow's own, which wants tags of 16 bits
        contents.append(tiff(grey.astype(kind), bits=bits, kind=3, **how))
        contents.append(tiff((white - grey).astype(kind), bits=bits, kind=3, photometric=0, **how))
    for number, content in enumerate(contents):
        pixels = read_stream(io.BytesIO(content)).astype(int)
        assert np.abs(pixels - (COLOURS if number < 2 else GREY[:, :, None])).max() <= 1


@pytest.mark.parametrize("most", [1.5, 255.5, float("nan"), -0.1, 256])
def test_floats_of_another_range_are_refused(most, tmp_path):
    """1.5 is a little more than white, or next to nothing: nobody can tell."""
    values = np.full((4, 4, 3), 0.5)
    values[1, 2, 0] = most
    content = tiff(values.astype("<f8"), bits=64, kind=3, **IN_COLOUR)
    with pytest.raises(ImageError, match="outside 0 to 1 and 0 to 255"):
        read_stream(io.BytesIO(content))


def test_a_cut_off_float_image_is_damage():
    content = tiff(GREY.astype("<f8"), bits=64, kind=3)
    tags, data = content[8 + GREY.size * 8 :], content[8 : 8 + GREY.size * 8]
    short = struct.pack("<2sHI", b"II", 42, 8 + 100) + data[:100] + tags
    with pytest.raises(ImageError, match="damaged or truncated"):
        read_stream(io.BytesIO(short))


def test_a_float_image_that_is_too_large_is_not_unpacked(tmp_path):
    huge = tiff(np.zeros(9), bits=64, kind=3, compression=8, size=(10**5, 10**5))
    (tmp_path / "a.tif").write_bytes(huge)
    with pytest.raises(ImageError, match="more than the 100,000,000 allowed"):
        read_pixels(tmp_path / "a.tif")
    assert numbers_in(tmp_path / "a.tif") is None


@pytest.mark.parametrize("suffix", ["png", "tif", "npy"])
def test_a_bit_depth_says_what_is_white(tmp_path, suffix):
    values, path = GREY.astype(np.uint16) << 4, tmp_path / f"a.{suffix}"
    np.save(path, values) if suffix == "npy" else Image.fromarray(values).save(path)
    np.testing.assert_array_equal(read_pixels(path, bit_depth=12)[:, :, 1], GREY)
    assert read_pixels(path).max() < 16
    with pytest.raises(ImageError, match="outside 0 to 1023"):
        read_pixels(path, bit_depth=10)


def test_packed_and_inverted_bits_have_their_depth():
    packed = tiff(packed_12(GREY.astype(np.uint16) * 16), bits=12, size=GREY.shape)
    inverted = tiff(4095 - (GREY.astype(np.uint16) << 4), bits=16, photometric=0)
    for content in (packed, inverted):
        pixels = read_stream(io.BytesIO(content), bit_depth=12)
        assert np.abs(pixels[:, :, 0].astype(int) - GREY).max() <= 1


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
