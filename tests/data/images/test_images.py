"""Every format and mode reads as the pixels that the rules of `ahl.data.images.reading` promise."""

import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import ExifTags, Image

from ahl._common.errors import ImageError
from ahl.data.images.reading import read_pixels, read_stream

COLOURS = np.random.default_rng(5).integers(0, 256, (7, 11, 3), dtype=np.uint8)
GREY = COLOURS[:, :, 0]
WORDS = np.array([[0, 255, 256, 257], [32767, 32768, 65279, 65535]], dtype=np.uint16)
HIGH_BYTES = np.array([[0, 0, 1, 1], [127, 128, 254, 255]], dtype=np.uint8)
TURNED = {
    1: lambda pixels: pixels,
    2: lambda pixels: pixels[:, ::-1],
    3: lambda pixels: pixels[::-1, ::-1],
    4: lambda pixels: pixels[::-1],
    5: lambda pixels: pixels.transpose(1, 0, 2),
    6: lambda pixels: np.rot90(pixels, -1),
    7: lambda pixels: pixels[::-1, ::-1].transpose(1, 0, 2),
    8: np.rot90,
}


def grey(values):
    return np.repeat(values[:, :, None], 3, axis=2)


def png_chunk(kind: bytes, data: bytes) -> bytes:
    checksum = zlib.crc32(kind + data)
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", checksum)


def png(values: np.ndarray, colour_type: int) -> bytes:
    """A 16-bit PNG, which Pillow writes in grey only."""
    rows = values.astype(">u2").reshape(values.shape[0], -1)
    data = b"".join(b"\0" + row.tobytes() for row in rows)
    header = struct.pack(">IIBBBBB", values.shape[1], values.shape[0], 16, colour_type, 0, 0, 0)
    chunks = (b"IHDR", header), (b"IDAT", zlib.compress(data)), (b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + b"".join(png_chunk(*chunk) for chunk in chunks)


def tiff(values: np.ndarray, order: str, sample_format: int = 1) -> bytes:
    """An uncompressed TIFF of whatever kind `values` is; `order` is `<` or `>`."""
    height, width, channels = values.shape
    data = values.astype(values.dtype.newbyteorder(order)).tobytes()
    bits = struct.pack(order + "H" * channels, *[values.dtype.itemsize * 8] * channels)
    tags = [(256, 4, width), (257, 4, height), (258, 3, None), (259, 3, 1)]
    tags += [(262, 3, 2 if channels == 3 else 1), (273, 4, None), (277, 3, channels)]
    tags += [(278, 4, height), (279, 4, len(data)), (339, 3, sample_format)]
    bits_at = 8 + 2 + 12 * len(tags) + 4
    entries = b""
    for tag, kind, given in tags:
        count = channels if tag == 258 else 1
        value = bits_at + len(bits) if tag == 273 else given
        if tag == 258:
            packed = bits.ljust(4, b"\0") if channels == 1 else struct.pack(order + "I", bits_at)
        else:
            packed = struct.pack(order + ("I" if kind == 4 else "H"), value).ljust(4, b"\0")
        entries += struct.pack(order + "HHI", tag, kind, count) + packed
    start = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(order + "I", 8)
    return start + struct.pack(order + "H", len(tags)) + entries + bytes(4) + bits + data


def saved(folder: Path, image: Image.Image, name: str, **options: object) -> Path:
    path = folder / name
    image.save(path, **options)
    return path


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("a.png", {}),
        ("a.bmp", {}),
        ("a.tif", {}),
        ("a.tiff", {"compression": "tiff_lzw"}),
        ("b.tiff", {"compression": "tiff_adobe_deflate"}),
        ("a.webp", {"lossless": True}),
    ],
)
def test_lossless_colour_reads_exactly(tmp_path, name, options):
    path = saved(tmp_path, Image.fromarray(COLOURS), name, **options)
    pixels = read_pixels(path)
    assert pixels.dtype == np.uint8
    assert pixels.flags.writeable
    np.testing.assert_array_equal(pixels, COLOURS)
    np.testing.assert_array_equal(read_pixels(str(path)), COLOURS)


@pytest.mark.parametrize(("name", "options"), [("a.png", {}), ("a.bmp", {}), ("a.tif", {})])
def test_grey_reads_as_three_equal_channels(tmp_path, name, options):
    path = saved(tmp_path, Image.fromarray(GREY), name, **options)
    np.testing.assert_array_equal(read_pixels(path), grey(GREY))


@pytest.mark.parametrize("name", ["a.jpg", "b.jpeg", "c.jpe"])
def test_jpeg_reads_within_its_loss(tmp_path, name):
    smooth = np.full((16, 16, 3), (200, 100, 50), dtype=np.uint8)
    path = saved(tmp_path, Image.fromarray(smooth), name, format="JPEG", quality=95)
    np.testing.assert_allclose(read_pixels(path).astype(int), smooth, atol=3)


@pytest.mark.parametrize("name", ["a.png", "a.bmp", "a.tif"])
def test_one_bit_is_black_and_white(tmp_path, name):
    bits = GREY > 127
    path = saved(tmp_path, Image.fromarray(bits), name)
    np.testing.assert_array_equal(read_pixels(path), grey(bits.astype(np.uint8) * 255))


def test_sixteen_bit_grey_keeps_the_high_byte(tmp_path):
    for name, content in {
        "grey.png": png(WORDS, 0),
        "little.tif": tiff(WORDS[:, :, None], "<"),
        "big.tif": tiff(WORDS[:, :, None], ">"),
    }.items():
        (tmp_path / name).write_bytes(content)
        np.testing.assert_array_equal(read_pixels(tmp_path / name), grey(HIGH_BYTES), name)


def test_sixteen_bit_scaling_ignores_the_content():
    narrow = Image.fromarray(np.array([[512, 1023]], dtype=np.uint16))
    np.testing.assert_array_equal(read_pixels(narrow)[0, :, 0], [2, 3])


def test_sixteen_bit_colour_scales_like_grey(tmp_path):
    words = np.stack([WORDS, WORDS[::-1], WORDS[:, ::-1]], axis=2)
    expected = np.stack([HIGH_BYTES, HIGH_BYTES[::-1], HIGH_BYTES[:, ::-1]], axis=2)
    alpha = np.dstack([words, WORDS])
    for name, content in {
        "rgb.png": png(words, 2),
        "rgba.png": png(alpha, 6),
        "little.tif": tiff(words, "<"),
        "big.tif": tiff(words, ">"),
    }.items():
        (tmp_path / name).write_bytes(content)
        np.testing.assert_array_equal(read_pixels(tmp_path / name), expected, name)
    (tmp_path / "la.png").write_bytes(png(np.dstack([WORDS, WORDS[::-1]]), 4))
    np.testing.assert_array_equal(read_pixels(tmp_path / "la.png"), grey(HIGH_BYTES))


def test_integer_mode_is_sixteen_bit_or_refused(tmp_path):
    np.testing.assert_array_equal(
        read_pixels(Image.fromarray(WORDS.astype(np.int32))), grey(HIGH_BYTES)
    )
    for values in ([[0, 65536]], [[-1, 5]]):
        path = saved(tmp_path, Image.fromarray(np.array(values, dtype=np.int32)), "a.tif")
        with pytest.raises(ImageError, match="outside 0 to 65535"):
            read_pixels(path)


def test_float_is_zero_to_one_or_refused(tmp_path):
    values = np.array([[0.0, 0.25, 0.5, 1.0]], dtype=np.float32)
    path = saved(tmp_path, Image.fromarray(values), "a.tif")
    np.testing.assert_array_equal(read_pixels(path)[0, :, 0], [0, 64, 128, 255])
    path = saved(tmp_path, Image.fromarray(values * np.float32(254)), "a.tif")
    np.testing.assert_array_equal(read_pixels(path)[0, :, 0], [0, 64, 127, 254])
    for wrong in (np.nan, np.inf, -np.inf, -0.01, 1.01, 256):
        odd = np.array([[0.5, wrong]], dtype=np.float32)
        path = saved(tmp_path, Image.fromarray(odd), "b.tif")
        with pytest.raises(ImageError, match="outside 0 to 1"):
            read_pixels(path)


@pytest.mark.parametrize("transparency", [None, 1, bytes([255, 0, 128])])
def test_palette_gives_its_colours_whatever_is_transparent(tmp_path, transparency):
    image = Image.fromarray(np.array([[0, 1, 2], [2, 1, 0]], dtype=np.uint8))
    image = Image.frombytes("P", image.size, image.tobytes())
    image.putpalette([255, 0, 0, 10, 20, 30, 0, 0, 255])
    options = {} if transparency is None else {"transparency": transparency}
    palette = np.array([[255, 0, 0], [10, 20, 30], [0, 0, 255]], dtype=np.uint8)
    pixels = read_pixels(saved(tmp_path, image, "a.png", **options))
    np.testing.assert_array_equal(pixels, palette[[[0, 1, 2], [2, 1, 0]]])


@pytest.mark.parametrize("name", ["a.png", "a.tif", "a.webp"])
def test_alpha_is_dropped(tmp_path, name):
    alpha = np.linspace(1, 255, GREY.size).astype(np.uint8).reshape(GREY.shape)
    alpha[0, 0] = 0
    image = Image.fromarray(np.dstack([COLOURS, alpha]))
    options = {"lossless": True, "exact": True} if name == "a.webp" else {}
    np.testing.assert_array_equal(read_pixels(saved(tmp_path, image, name, **options)), COLOURS)


def test_alpha_of_grey_and_premultiplied_images(tmp_path):
    image = Image.fromarray(np.dstack([GREY, GREY[::-1]]))
    assert image.mode == "LA"
    np.testing.assert_array_equal(read_pixels(saved(tmp_path, image, "a.png")), grey(GREY))
    half = Image.new("RGBA", (1, 1), (200, 100, 0, 128))
    np.testing.assert_allclose(read_pixels(half.convert("RGBa"))[0, 0], (200, 100, 0), atol=1)
    half = Image.new("LA", (1, 1), (200, 128))
    np.testing.assert_allclose(read_pixels(half.convert("La"))[0, 0], (200, 200, 200), atol=1)


@pytest.mark.parametrize(("name", "loss"), [("a.jpg", 4), ("a.tif", 0)])
def test_cmyk(tmp_path, name, loss):
    inks = {(0, 0, 0, 0): (255, 255, 255), (0, 255, 255, 0): (255, 0, 0), (0, 0, 0, 255): (0, 0, 0)}
    for ink, colour in inks.items():
        path = saved(tmp_path, Image.new("CMYK", (8, 8), ink), name)  # Pillow: Adobe, inverted
        assert np.abs(read_pixels(path).astype(int) - colour).max() <= loss


def test_other_colour_spaces():
    image = Image.fromarray(COLOURS)
    for mode in ("YCbCr", "HSV", "RGBX"):
        difference = read_pixels(image.convert(mode)).astype(int) - COLOURS
        assert np.abs(difference).max() <= 12, mode


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("name", ["a.png", "a.tif", "a.webp"])
def test_exif_orientation_is_applied(tmp_path, name, orientation):
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    options = {"lossless": True} if name == "a.webp" else {}
    path = saved(tmp_path, Image.fromarray(COLOURS), name, exif=exif, **options)
    np.testing.assert_array_equal(read_pixels(path), TURNED[orientation](COLOURS))
    with Image.open(path) as image:
        np.testing.assert_array_equal(read_pixels(image), TURNED[orientation](COLOURS))


@pytest.mark.parametrize("exif", [b"Exif\0\0MM\0*\0\0\0\x08\0\xff\x01\x12", b"Exif\0\0rubbish"])
def test_damaged_exif_does_not_cost_the_image(tmp_path, exif):
    path = saved(tmp_path, Image.fromarray(COLOURS), "a.jpg", exif=exif)
    assert read_pixels(path).shape == COLOURS.shape


@pytest.mark.parametrize("name", ["a.tif", "a.gif", "a.png", "a.webp"])
def test_first_frame_counts(tmp_path, name):
    frames = [Image.new("RGB", (5, 4), colour) for colour in ("red", "blue")]
    options = {"lossless": True} if name == "a.webp" else {}
    path = saved(tmp_path, frames[0], name, save_all=True, append_images=frames[1:], **options)
    with Image.open(path) as image:
        assert image.n_frames == 2
    assert (read_pixels(path) == (255, 0, 0)).all()


def test_bytes_in_memory_read_as_their_file_does(tmp_path):
    for name in ("a.png", "a.jpg", "a.npy"):
        path = tmp_path / name
        if name.endswith("npy"):
            np.save(path, np.arange(300, dtype=np.uint16).reshape(10, 10, 3) * 200)
        else:
            Image.effect_noise((20, 30), 50).convert("RGB").save(path)
        read = read_stream(io.BytesIO(path.read_bytes()), name)
        np.testing.assert_array_equal(read, read_pixels(path))
        with pytest.raises(ImageError, match="allowed"):
            read_stream(io.BytesIO(path.read_bytes()), name, max_pixels=99)
    with pytest.raises(ImageError, match="empty"):
        read_stream(io.BytesIO())
