"""Shapes of images without their pixels: what reading gives."""

import io

import numpy as np
import pytest
from PIL import Image

from ahl._common.errors import ImageError
from ahl._common.types import EncodedImage, Region
from ahl.data.images.reading import image_shape, read_pixels

PIXELS = np.arange(8 * 30 * 3, dtype=np.uint8).reshape(8, 30, 3)


def turned(orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    return exif


@pytest.mark.parametrize("suffix", ["png", "jpg", "bmp", "tif", "webp", "gif"])
@pytest.mark.parametrize("orientation", [None, 1, 4, 5, 6, 7, 8])
def test_files(tmp_path, suffix, orientation):
    path = tmp_path / f"a.{suffix}"
    options = {} if orientation is None else {"exif": turned(orientation)}
    Image.fromarray(PIXELS).save(path, **options)
    assert image_shape(path) == image_shape(str(path)) == read_pixels(path).shape[:2]


@pytest.mark.parametrize("orientation", [None, 6])
def test_images_in_memory(orientation):
    image = Image.fromarray(PIXELS)
    if orientation is not None:
        image.getexif()[0x0112] = orientation
    assert image_shape(image) == read_pixels(image).shape[:2]
    file = io.BytesIO()
    image.save(file, format="JPEG", exif=image.getexif())
    encoded = EncodedImage(name="a", fetch=file.getvalue)
    assert image_shape(encoded) == read_pixels(encoded).shape[:2]


@pytest.mark.parametrize("shape", [(8, 30), (8, 30, 1), (8, 30, 3), (8, 30, 4), (30, 8, 3)])
def test_arrays(shape):
    array = np.zeros(shape, np.uint8)
    assert image_shape(array) == read_pixels(array).shape[:2]


@pytest.mark.parametrize("shape", [(8, 30, 3), (8, 30, 5), (4, 8, 30), (3, 30, 8)])
def test_files_of_arrays(tmp_path, shape):
    np.save(tmp_path / "a.npy", np.zeros(shape, np.uint16))
    assert image_shape(tmp_path / "a.npy") == read_pixels(tmp_path / "a.npy").shape[:2]


def test_regions(tmp_path):
    Image.fromarray(PIXELS).save(tmp_path / "a.jpg", exif=turned(6))
    region = Region(tmp_path / "a.jpg", (1, 2, 7, 29))
    assert image_shape(region) == read_pixels(region).shape[:2] == (27, 6)


def test_what_reading_refuses_has_no_shape(tmp_path):
    (tmp_path / "text.png").write_text("no image")
    (tmp_path / "empty.png").write_bytes(b"")
    np.save(tmp_path / "cut.npy", np.zeros((8, 30, 3), np.uint8))
    data = (tmp_path / "cut.npy").read_bytes()
    (tmp_path / "cut.npy").write_bytes(data[:-1])
    (tmp_path / "text.npy").write_text("no array")
    Image.fromarray(PIXELS).save(tmp_path / "a.png")
    sources = [
        *(tmp_path / name for name in ("text.png", "empty.png", "cut.npy", "text.npy", "gone.png")),
        *(tmp_path, Region(tmp_path / "a.png", (0, 0, 31, 8)), np.zeros((8, 30), np.float32)),
        *(np.zeros((0, 3), np.uint8), np.broadcast_to(np.uint8(0), (10_001, 10_000))),
    ]
    for source in sources:
        with pytest.raises(ImageError) as reading:
            read_pixels(source)
        with pytest.raises(ImageError) as asking:
            image_shape(source)
        assert str(asking.value) == str(reading.value)
