"""Arrays and Pillow images as sources; resizing and hashing."""

import hashlib

import numpy as np
import pytest
from PIL import ExifTags, Image

from ahl._common.errors import ConfigurationError, ImageError
from ahl.data.images.reading import content_hash, read_pixels
from ahl.data.images.resizing import resize_pixels

COLOURS = np.random.default_rng(6).integers(0, 256, (7, 11, 3), dtype=np.uint8)
GREY = COLOURS[:, :, 0]


def test_arrays():
    alpha = np.dstack([COLOURS, GREY])
    for array, expected in [
        (GREY, np.dstack([GREY] * 3)),
        (GREY[:, :, None], np.dstack([GREY] * 3)),
        (COLOURS, COLOURS),
        (COLOURS[::-1, ::2], COLOURS[::-1, ::2]),
        (alpha, COLOURS),
    ]:
        pixels = read_pixels(array)
        np.testing.assert_array_equal(pixels, expected)
        assert not np.shares_memory(pixels, array)
        assert pixels.flags.c_contiguous
        assert pixels.flags.writeable


@pytest.mark.parametrize(
    "array",
    [
        COLOURS.astype(np.float32),
        COLOURS > 3,
        np.zeros((4, 4, 2), np.uint8),
        np.zeros(4, np.uint8),
        np.zeros((1, 4, 4, 3), np.uint8),
        np.zeros((0, 4, 3), np.uint8),
        np.zeros((4, 0), np.uint8),
    ],
)
def test_arrays_of_another_form_are_refused(array):
    for function in (read_pixels, content_hash):
        with pytest.raises(ImageError, match=r"give uint8|no pixels"):
            function(array)


def test_reading_leaves_a_pillow_image_as_it_was():
    image = Image.fromarray(COLOURS)
    image.getexif()[ExifTags.Base.Orientation] = 6
    first = read_pixels(image)
    np.testing.assert_array_equal(np.asarray(image), COLOURS)
    np.testing.assert_array_equal(read_pixels(image), first)


def test_resize():
    assert resize_pixels(COLOURS, (5, 9)).shape == (5, 9, 3)
    np.testing.assert_array_equal(resize_pixels(COLOURS[:, :7], (7, 7)), COLOURS[:, :7])
    stripes = np.zeros((64, 64, 3), np.uint8)
    stripes[:, ::2] = 255
    assert abs(int(resize_pixels(stripes, (8, 8)).astype(int).mean()) - 127) <= 2
    assert np.ptp(resize_pixels(stripes, (8, 8))[2:-2, 2:-2]) <= 8  # without antialiasing: 255
    with pytest.raises(ConfigurationError, match="size is 4 x 0"):
        resize_pixels(COLOURS, (4, 0))


def test_resize_weighs_as_pillow_does():
    expected = Image.fromarray(COLOURS).resize((6, 4), Image.Resampling.BILINEAR)
    np.testing.assert_allclose(resize_pixels(COLOURS, (4, 6)), np.asarray(expected), atol=1)


@pytest.mark.parametrize("shape", [(90, 75), (130, 31), (31, 130)], ids=str)
def test_resize_takes_the_width_first(shape):
    pixels = np.random.default_rng(0).integers(0, 256, (*shape, 3), dtype=np.uint8)
    narrow = Image.fromarray(pixels).resize((64, shape[0]), Image.Resampling.BILINEAR)
    expected = narrow.resize((64, 48), Image.Resampling.BILINEAR)
    np.testing.assert_array_equal(resize_pixels(pixels, (48, 64)), np.asarray(expected))


def test_hash_of_a_file_is_that_of_its_bytes(tmp_path):
    path = tmp_path / "not_even_an_image.png"
    path.write_bytes(b"anything" * 100_000)
    expected = hashlib.sha256(b"anything" * 100_000).hexdigest()
    assert content_hash(path) == content_hash(str(path)) == expected


def test_hash_tells_pixels_shape_and_mode_apart():
    square = np.arange(36, dtype=np.uint8)
    palette = Image.frombytes("P", (6, 6), square.tobytes())
    palette.putpalette(list(range(255, -1, -1)) * 3)
    other_palette = palette.copy()
    other_palette.putpalette([7, 8, 9] * 256)
    turned = Image.fromarray(square.reshape(6, 6))
    turned.getexif()[ExifTags.Base.Orientation] = 6
    sources = [
        square.reshape(6, 6),
        square.reshape(4, 9),
        square.reshape(3, 4, 3),
        square.reshape(6, 6).T,
        np.zeros((6, 6), np.uint8),
        Image.fromarray(square.reshape(6, 6)),
        Image.fromarray(square.reshape(4, 9)),
        Image.fromarray(square.reshape(4, 3, 3)),
        palette,
        other_palette,
        turned,
    ]
    hashes = [content_hash(source) for source in sources]
    assert len(set(hashes)) == len(sources)
    assert hashes == [content_hash(source.copy()) for source in sources[:-1]] + hashes[-1:]


def test_hash_ignores_how_an_array_lies_in_memory():
    flipped = COLOURS[::-1]
    assert content_hash(flipped) == content_hash(np.ascontiguousarray(flipped))
    assert content_hash(flipped) == content_hash(np.asfortranarray(flipped))


def test_closed_pillow_image_is_an_image_error(tmp_path):
    Image.fromarray(COLOURS).save(tmp_path / "a.png")
    image = Image.open(tmp_path / "a.png")
    image.close()
    for function in (read_pixels, content_hash):
        with pytest.raises(ImageError):
            function(image)


@pytest.mark.parametrize("source", ["", "missing.png"])
def test_hash_of_what_cannot_be_read(tmp_path, source):
    with pytest.raises(ImageError):
        content_hash(tmp_path / source)
