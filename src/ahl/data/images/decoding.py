"""Decodes arrays, Pillow images, `.npy`, TIFF and DICOM files to uint8 RGB pixels.

The rules are at the top of `ahl.data.images.reading`, the public face of this module. Each kind
of source has a function for its shape, which decodes as little as possible, and one for its pixels,
(H, W, 3) in memory of their own; both raise `ImageError` above `max_pixels` pixels.
"""

from __future__ import annotations

import math
import os
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, TiffImagePlugin, UnidentifiedImageError

from ahl._common.errors import ImageError
from ahl._common.text import first_line
from ahl._common.types import ImageSize, Pixels
from ahl.data.images.bands import Rows, pixels_of
from ahl.data.images.dicom import from_dicom, shape_of_dicom
from ahl.data.images.formats import formats_in_words
from ahl.data.images.numbers import FULL_DEPTH
from ahl.data.images.tiff import FloatTiff, check_numbers, in_full_range

_COLOURS = 3


def shape_of_array(array: NDArray[Any], *, max_pixels: int) -> ImageSize:
    """Height and width of a uint8 array (H, W) or (H, W, 1 | 3 | 4).

    Raises:
        ImageError: if the array has another dtype or shape, is empty or too large.
    """
    if array.dtype != np.uint8 or not (
        array.ndim == 2 or (array.ndim == 3 and array.shape[2] in (1, 3, 4))
    ):
        raise ImageError(
            f"it is a {array.dtype} array of shape {array.shape}; "
            "give uint8 of shape (H, W), (H, W, 1), (H, W, 3) or (H, W, 4)"
        )
    height, width = array.shape[:2]
    _check_size(width, height, max_pixels)
    return height, width


def from_array(array: NDArray[Any], *, max_pixels: int) -> Pixels:
    """Pixels of an array as in `shape_of_array`, without alpha; raises the same errors."""
    height, width = shape_of_array(array, max_pixels=max_pixels)
    channels = array.reshape(height, width, -1)[:, :, :_COLOURS]
    return np.array(np.broadcast_to(channels, (height, width, 3)), dtype=np.uint8, order="C")


def shape_of_pillow(image: Image.Image, *, max_pixels: int) -> ImageSize:
    """Height and width of a Pillow image, upright; call it within `image_errors`.

    EXIF data behind a PNG's pixels are not looked for.

    Raises:
        ImageError: if it has no or too many pixels.
    """
    _check_size(image.width, image.height, max_pixels)
    if image.format == "PNG" and "exif" not in image.info:
        return image.height, image.width
    if isinstance(image, TiffImagePlugin.TiffImageFile):  # turned while it is decoded
        check_numbers(image.tag_v2)
        image.load()
    turned = orientation_of(image) >= 5
    return (image.width, image.height) if turned else (image.height, image.width)


def from_pillow(image: Image.Image, *, max_pixels: int, bit_depth: int = FULL_DEPTH) -> Pixels:
    """Pixels of a Pillow image, upright; call it within `image_errors`.

    Args:
        image: the image.
        max_pixels: largest number of pixels allowed.
        bit_depth: bits actually used in 16-bit grey values.

    Raises:
        ImageError: if it has no or too many pixels, or values without a defined meaning.
    """
    _check_size(image.width, image.height, max_pixels)
    tags = image.tag_v2 if isinstance(image, TiffImagePlugin.TiffImageFile) else {}
    check_numbers(tags)
    image.load()
    # After loading, because some decoders turn the image themselves and then drop the tag.
    orientation = orientation_of(image)
    straight = {"La": "LA", "RGBa": "RGBA"}.get(image.mode)  # what Pillow converts them to alone
    integers = image.mode == "I" or image.mode.startswith("I;16")

    def converted(some: slice) -> NDArray[Any]:
        band = image.crop((0, some.start, image.width, some.stop))
        if integers:
            return in_full_range(np.asarray(band), tags, bit_depth)
        return np.asarray((band.convert(straight) if straight else band).convert("RGB"))

    rows: Rows = converted
    if image.mode == "F":  # what is white, all of the floats tell
        rows = in_full_range(np.asarray(image), tags).__getitem__
    size = image.height, image.width
    return pixels_of(rows, size, orientation=orientation, bit_depth=bit_depth)


def no_numbers() -> None:
    """Return None, as 8-bit images have no numbers of more bits."""


def numbers_of_pillow(image: Image.Image) -> NDArray[Any] | None:
    """16-bit grey values or floats of a Pillow image; None if it has other values."""
    if image.mode != "F" and not image.mode.startswith("I;16"):
        return None
    tags = image.tag_v2 if isinstance(image, TiffImagePlugin.TiffImageFile) else {}
    return in_full_range(np.asarray(image), tags)


def orientation_of(image: Image.Image) -> int:
    """Read the EXIF orientation, 1 to 8; 1 (upright) where it is missing or invalid."""
    try:
        orientation = image.getexif().get(ExifTags.Base.Orientation, 1)
    except Exception:  # unreadable EXIF says nothing against the pixels
        return 1
    return orientation if isinstance(orientation, int) and 1 <= orientation <= 8 else 1


def shape_of_array_file(stream: BinaryIO, *, max_pixels: int) -> ImageSize:
    """Height and width of the image in an open `.npy` file, read from its header.

    Raises:
        ImageError: if the file is damaged, or its array is not an image.
    """
    with image_errors(_NO_ARRAY):
        return _check_header(stream, max_pixels)[0]


def from_array_file(stream: BinaryIO, *, max_pixels: int, bit_depth: int = FULL_DEPTH) -> Pixels:
    """Pixels of an open `.npy` file; raises as `shape_of_array_file`.

    Values of uint8 are kept; other types are scaled by the rules of `ahl.data.images.reading`.
    """
    with image_errors(_NO_ARRAY):
        _, last = _check_header(stream, max_pixels)
        stream.seek(0)
        array = np.load(stream, allow_pickle=False)
    if array.ndim == 2:
        array, last = array[:, :, None], True
    colours = array[..., :_COLOURS] if last else np.moveaxis(array[:_COLOURS], 0, -1)
    return pixels_of(colours.__getitem__, colours.shape[:2], bit_depth=bit_depth)


def numbers_of_array_file(stream: BinaryIO) -> NDArray[Any] | None:
    """Numbers in an open `.npy` file; None if they have 8 bits."""
    stream.seek(0)
    array: NDArray[Any] = np.load(stream, allow_pickle=False)
    return None if array.dtype == np.uint8 else array


def shape_of_floats(tiff: FloatTiff, *, max_pixels: int) -> ImageSize:
    """Height and width of a TIFF of floats that Pillow does not read.

    Raises:
        ImageError: if it has no or too many pixels.
    """
    height, width = tiff.size
    _check_size(width, height, max_pixels)
    return height, width


def from_floats(tiff: FloatTiff, *, max_pixels: int) -> Pixels:
    """Pixels of a TIFF of floats; raises as `shape_of_floats`, and if it is damaged."""
    shape_of_floats(tiff, max_pixels=max_pixels)
    with image_errors():
        return pixels_of(tiff.values().__getitem__, tiff.size)


def shape_of_dicom_file(stream: BinaryIO, *, max_pixels: int) -> ImageSize:
    """Height and width of the image in an open DICOM file.

    Raises:
        ImageError: if it is damaged, holds no image or a larger one.
    """
    with image_errors():
        height, width = shape_of_dicom(stream)
        _check_size(width, height, max_pixels)
        return height, width


def from_dicom_file(stream: BinaryIO, *, max_pixels: int) -> Pixels:
    """Pixels of an open DICOM file; raises as `shape_of_dicom_file`."""
    shape_of_dicom_file(stream, max_pixels=max_pixels)
    with image_errors():
        return from_array(from_dicom(stream), max_pixels=max_pixels)


_NO_ARRAY = "it is not a .npy file, or it is damaged"


def _check_header(stream: BinaryIO, max_pixels: int) -> tuple[ImageSize, bool]:
    """Check a `.npy` header; return the image's size, and True if channels are on the last axis.

    They are if no other axis is shorter, else on the first.
    """
    version = np.lib.format.read_magic(stream)
    if version == (1, 0):
        shape, _, dtype = np.lib.format.read_array_header_1_0(stream)
    elif version == (2, 0):
        shape, _, dtype = np.lib.format.read_array_header_2_0(stream)
    else:  # later ones are for arrays of records only
        raise ImageError(f"its .npy format {version} is not one of plain arrays")
    if not (dtype == np.uint8 or (dtype.kind, dtype.itemsize) == ("u", 2) or dtype.kind == "f"):
        raise ImageError(f"it holds {dtype} values; save uint8, uint16, or floats from 0 to 1")
    what = f"it is an array of shape {shape}"
    if len(shape) not in (2, 3):
        raise ImageError(f"{what}; give (height, width) or (height, width, channels)")
    grey = len(shape) == 2
    shape = (*shape, 1) if grey else shape
    last = shape[2] <= min(shape[:2])
    if not last and shape[0] > min(shape[1:]):
        raise ImageError(f"{what}, with the channels on neither the last nor the first axis")
    height, width, channels = shape if last else (*shape[1:], shape[0])
    _check_size(width, height, max_pixels)
    if channels < _COLOURS and not grey:
        raise ImageError(f"{what}; at least {_COLOURS} channels are needed")
    start = stream.tell()
    if stream.seek(0, os.SEEK_END) - start < math.prod(shape) * dtype.itemsize:
        raise ImageError("the file is truncated")
    return (height, width), bool(last)


def _check_size(width: int, height: int, max_pixels: int) -> None:
    if width < 1 or height < 1:
        raise ImageError(f"it has no pixels ({width} x {height})")
    if width * height > max_pixels:
        raise ImageError(
            f"it has {width} x {height} pixels, more than the {max_pixels:,} allowed; shrink it"
        )


@contextmanager
def image_errors(damaged: str = "it is damaged or truncated") -> Iterator[None]:
    """Run a decoder with its warnings muted, and turn any error into a short `ImageError`."""
    try:
        with _HUSH:
            yield
    except ImageError:
        raise
    except UnidentifiedImageError:
        kinds = formats_in_words()
        raise ImageError(f"it is not a {kinds} image, or its header is damaged") from None
    except Image.DecompressionBombError:
        limit = 2 * (Image.MAX_IMAGE_PIXELS or 0)
        raise ImageError(f"it has more than {limit:,} pixels; shrink it") from None
    except MemoryError:
        raise ImageError("there is not enough memory to decode it") from None
    except Exception as error:  # a hostile file can provoke nearly any of them
        raise ImageError(f"{damaged}: {first_line(error)}") from error


class _Hush:
    """Mutes the decoders' warnings while any thread decodes, then restores the filters.

    `warnings.catch_warnings` alone is not thread-safe: of two overlapping threads, the last to
    leave would restore the muted filters of the other for good.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._inside = 0
        self._saved = warnings.catch_warnings()

    def __enter__(self) -> None:
        with self._lock:
            if self._inside == 0:
                self._saved = warnings.catch_warnings()
                self._saved.__enter__()
                warnings.filterwarnings("ignore", module=r"(PIL|pydicom)\.")
            self._inside += 1

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._inside -= 1
            if self._inside == 0:
                self._saved.__exit__(None, None, None)


_HUSH = _Hush()
