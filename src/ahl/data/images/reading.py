"""Any image source becomes uint8 RGB pixels.

Reading follows fixed rules that never look at the image's content, so that parts
photographed alike stay comparable:

- 16 bits to 8 keep the high byte (`value // 256`), in grey as in colour. Pillow's 32-bit
  integers are taken for 16-bit values too, and refused outside 0..65535.
- Floating point is 0..1 by convention (times 255, rounded to the nearest); other values, NaN
  included, are refused rather than guessed at.
- Alpha is dropped, not composited: the stored colours stay, as in the papers' `convert("RGB")`.
- EXIF orientation is applied. Of several frames, the first counts.
- A TIFF file's white may be zero, and its bits 12: both are obeyed. Signed integers and floats of
  other than 32 bits are refused.
- A `.npy` file is a grey image, or one of at least three channels, of which the first three count;
  its integers and floats follow the same rules. Channels lie on the last axis where no other is
  shorter, else on the first.
- A DICOM file is shown by its own window (`ahl.data.images.dicom`).
"""

from __future__ import annotations

import hashlib
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from io import BufferedReader, BytesIO
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from ahl._common.errors import ConfigurationError, ImageError
from ahl._common.text import first_line
from ahl._common.types import Box, EncodedImage, ImageSize, Pixels, Region
from ahl.data.images.decoding import (
    from_array,
    from_array_file,
    from_dicom_file,
    from_pillow,
    image_errors,
    orientation_of,
    peak_of_pillow,
    shape_of_array,
    shape_of_array_file,
    shape_of_dicom_file,
    shape_of_pillow,
)
from ahl.data.images.formats import (
    ARRAY_SUFFIX,
    LONGEST_START,
    MISSING,
    NAMED,
    Format,
    format_of,
    pillow_formats,
)
from ahl.data.images.tiff import check_tags, explain_unread

ImageSource = str | Path | Region | EncodedImage | Image.Image | NDArray[np.uint8]
"""A file, a region of one, the bytes of one, a Pillow image, or a uint8 array (H, W) or
(H, W, 1 | 3 | 4)."""

MAX_PIXELS = 100_000_000
"""Largest image read: beyond nearly all cameras, and no more than 300 MB of RGB."""

_ROWS = 64  # that are resized together

_Opened = tuple[Callable[..., ImageSize], Callable[..., Pixels]]
"""Of an open image: functions that give its shape and its pixels, of at most `max_pixels`."""


def read_pixels(source: ImageSource, *, max_pixels: int = MAX_PIXELS) -> Pixels:
    """Read one image as RGB, by the rules at the top of this module.

    Args:
        source: a path to a file of one of `ahl.data.images.formats`, a region of such a file,
            the bytes of one (no .npy), a Pillow image, or a uint8 array (H, W), (H, W, 1),
            (H, W, 3) as RGB or (H, W, 4) as RGBA.
        max_pixels: larger images are refused before they are decoded. Files above twice
            `PIL.Image.MAX_IMAGE_PIXELS` are refused whatever this says.

    Returns:
        Array (H, W, 3), uint8, in memory of its own.

    Raises:
        ImageError: if the image cannot be read, or a region does not lie inside it. The message
            is a reason without the image's name, to be put after "skipped: ".
    """
    if isinstance(source, Region):
        whole = read_pixels(source.path, max_pixels=max_pixels)
        left, top, right, bottom = _inside(source.box, whole.shape[:2])
        return whole[top:bottom, left:right].copy()
    with _opened(source) as (_, pixels):
        return pixels(max_pixels=max_pixels)


def image_shape(source: ImageSource) -> ImageSize:
    """Height and width of what `read_pixels` gives, mostly without decoding any pixels.

    Raises:
        ImageError: if the image cannot be opened, or a region does not lie inside it.
    """
    if isinstance(source, Region):
        left, top, right, bottom = _inside(source.box, image_shape(source.path))
        return bottom - top, right - left
    with _opened(source) as (shape, _):
        return shape(max_pixels=MAX_PIXELS)


def read_stream(stream: BinaryIO, name: str = "", *, max_pixels: int = MAX_PIXELS) -> Pixels:
    """Read the image that an open file, or bytes in memory, hold; else as `read_pixels`.

    The stream can be sought, and is at its start. If the name ends in `.npy`, it holds an array.
    """
    with _opened_stream(stream, name) as (_, pixels):
        return pixels(max_pixels=max_pixels)


@contextmanager
def _opened(source: str | Path | EncodedImage | Image.Image | NDArray[Any]) -> Iterator[_Opened]:
    if isinstance(source, np.ndarray):
        yield partial(shape_of_array, source), partial(from_array, source)
    elif isinstance(source, Image.Image):
        with image_errors():
            yield partial(shape_of_pillow, source), partial(from_pillow, source)
    elif isinstance(source, EncodedImage):
        with _opened_stream(BytesIO(source.fetch()), "") as opened:
            yield opened
    else:
        path = Path(source)
        with _open_file(path) as stream, _opened_stream(stream, path.name) as opened:
            yield opened


@contextmanager
def _opened_stream(stream: BinaryIO, name: str) -> Iterator[_Opened]:
    with image_errors():
        start, suffix = stream.read(LONGEST_START), Path(name).suffix.lower()
        if not start:
            raise ImageError("the file is empty")
        stream.seek(0)
        kind = format_of(start) or next((one for one in NAMED if suffix in one.suffixes), None)
        if kind is not None and not kind.readable:
            raise ImageError(f"it is a {kind.name} file, which {MISSING[kind.suffixes[0]]} reads")
        if suffix == ARRAY_SUFFIX:
            yield partial(shape_of_array_file, stream), partial(from_array_file, stream)
        elif kind is not None and kind.name == "DICOM":
            yield partial(shape_of_dicom_file, stream), partial(from_dicom_file, stream)
        else:
            with _pillow(stream, kind) as image:
                yield partial(shape_of_pillow, image), partial(from_pillow, image)


@contextmanager
def _pillow(stream: BinaryIO, kind: Format | None) -> Iterator[Image.Image]:
    stream.seek(0)
    if kind is not None and kind.name == "TIFF":
        check_tags(stream)
    try:
        image = Image.open(stream, formats=pillow_formats())
    except UnidentifiedImageError:
        if kind is not None and kind.name == "TIFF":
            explain_unread(stream)
        raise
    with image:
        yield image


def _inside(box: Box, size: tuple[int, ...]) -> Box:
    """The box, if it lies inside an image of this height and width."""
    left, top, right, bottom = box
    height, width = size
    if not (0 <= left < right <= width and 0 <= top < bottom <= height):
        raise ImageError(f"the region {box} does not lie inside its {width} x {height} pixels")
    return box


def peak_of_16_bits(source: ImageSource) -> int | None:
    """Largest value of a file of grey values of 16 bits; None for any other or unreadable image."""
    if not isinstance(source, (str, Path)):
        return None
    try:
        with _open_file(Path(source)) as stream, image_errors():
            if Path(source).suffix.lower() == ARRAY_SUFFIX:
                array = np.load(stream, allow_pickle=False)
                return int(array.max()) if array.dtype == np.uint16 else None
            with _pillow(stream, format_of(stream.read(LONGEST_START))) as image:
                return peak_of_pillow(image)
    except ImageError:
        return None


def resize_pixels(pixels: Pixels, size: ImageSize) -> Pixels:
    """Resize (H, W, 3) to (*size, 3), bilinear with antialiasing, whatever the aspect ratio.

    First the width, then the height, each rounded to uint8. In one call Pillow chooses the order by
    the sizes, and not the same in each release.

    Raises:
        ConfigurationError: if a side is below 1.
        ImageError: if `pixels` is no image array.
    """
    height, width = size
    if min(size) < 1:
        raise ConfigurationError(f"size is {height} x {width}; it must be at least 1 x 1 pixels.")
    tall, _ = shape_of_array(pixels, max_pixels=pixels.size)
    rows = np.empty((tall, width, 3), np.uint8)
    for top in range(0, tall, _ROWS):  # each row by itself: whole, they would need copies
        band = Image.fromarray(from_array(pixels[top : top + _ROWS], max_pixels=pixels.size))
        narrow = band.resize((width, band.height), Image.Resampling.BILINEAR)
        rows[top : top + _ROWS] = np.asarray(narrow)
    resized = Image.fromarray(rows).resize((width, height), Image.Resampling.BILINEAR)
    return np.array(resized, dtype=np.uint8)


def content_hash(source: ImageSource) -> str:
    """Name an image by its content, in hex: sources of equal hash read as equal pixels.

    It is the SHA-256 of a file's bytes, without decoding them; of a region's file and its box; of
    mode, shape and pixels of a Pillow image or an array.

    Raises:
        ImageError: if the file or image cannot be read.
    """
    if isinstance(source, Region):
        return _digest(f"region {source.box}", content_hash(source.path).encode())
    if isinstance(source, EncodedImage):
        return hashlib.sha256(source.fetch()).hexdigest()
    if isinstance(source, np.ndarray):
        # Checked first, because an array of objects would be hashed as their addresses.
        shape_of_array(source, max_pixels=source.size)
        return _digest(f"array {source.shape}", source.tobytes())
    if isinstance(source, Image.Image):
        with image_errors():
            source.load()
            # No pixels, yet palette and orientation change what read_pixels makes of them.
            palette = source.getpalette() if source.mode in ("P", "PA") else None
            header = f"pillow {source.mode} {source.size} {orientation_of(source)} {palette}"
            return _digest(header, source.tobytes())
    with _open_file(Path(source)) as stream:
        try:
            return hashlib.file_digest(stream, "sha256").hexdigest()
        except OSError as error:
            raise ImageError(first_line(error)) from error


@contextmanager
def _open_file(path: Path) -> Iterator[BufferedReader]:
    try:
        mode = path.stat().st_mode
        if stat.S_ISDIR(mode):
            raise ImageError("it is a folder, not an image file")
        if not stat.S_ISREG(mode):  # a pipe would block for ever
            raise ImageError("it is not a regular file")
        stream = path.open("rb")
    except FileNotFoundError:
        raise ImageError("there is no such file") from None
    except PermissionError:
        raise ImageError("there is no permission to read it") from None
    except (OSError, ValueError) as error:  # ValueError: a null character in the name
        raise ImageError(first_line(error)) from error
    with stream:
        yield stream


def _digest(header: str, pixels: bytes) -> str:
    digest = hashlib.sha256(f"{header}\n".encode())
    digest.update(pixels)
    return digest.hexdigest()
