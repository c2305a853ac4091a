"""Reads any image source as uint8 RGB pixels.

The rules are fixed and hardly depend on the image's content, so that parts photographed alike stay
comparable:

- 16 bits are reduced to 8 by keeping the high byte (`value // 256`), in grey and in colour; for
  grey, fewer bits may be given (`bit_depth`). Pillow's 32-bit integers are read as 16-bit values.
- Floating point is 0..1 (times 255, rounded to the nearest), or 0..255 if there are values of 2
  and more; other ranges and NaN are refused rather than guessed at.
- Alpha is dropped, not composited: the stored colours stay, as in the papers' `convert("RGB")`.
- EXIF orientation is applied. Of several frames, the first is read.
- In TIFF files, zero as white and 12 bits are respected. Signed integers are refused.
- A `.npy` file is a grey image, or one of at least three channels, of which the first three are
  read; its integers and floats follow the same rules. Channels are on the last axis if no other
  axis is shorter, else on the first.
- A DICOM file is displayed by its own window (`ahl.data.images.dicom`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from ahl._common.errors import ImageError
from ahl._common.text import first_line
from ahl._common.types import Box, EncodedImage, ImageSize, Pinned, Pixels, Region
from ahl.data.images.decoding import (
    from_array,
    from_array_file,
    from_dicom_file,
    from_floats,
    from_pillow,
    image_errors,
    no_numbers,
    numbers_of_array_file,
    numbers_of_pillow,
    orientation_of,
    shape_of_array,
    shape_of_array_file,
    shape_of_dicom_file,
    shape_of_floats,
    shape_of_pillow,
)
from ahl.data.images.files import content_of, open_file
from ahl.data.images.formats import (
    ARRAY_SUFFIX,
    LONGEST_START,
    MISSING,
    NAMED,
    Format,
    format_of,
    pillow_formats,
)
from ahl.data.images.numbers import FULL_DEPTH
from ahl.data.images.tiff import FloatTiff, check_tags, explain_unread

ImageSource = str | Path | Region | Pinned | EncodedImage | Image.Image | NDArray[np.uint8]
"""A file or a region of one, with its hash or without, an encoded image, a Pillow image, or a uint8
array (H, W) or (H, W, 1 | 3 | 4)."""

MAX_PIXELS = 100_000_000
"""Largest number of pixels of an image, 300 MB of RGB."""

_Opened = tuple[Callable[..., ImageSize], Callable[..., Pixels], Callable[[], NDArray[Any] | None]]
"""Functions of an open image that return its shape and its pixels, of at most `max_pixels`, and its
numbers if they have more than 8 bits."""


def read_pixels(
    source: ImageSource, *, max_pixels: int = MAX_PIXELS, bit_depth: int = FULL_DEPTH
) -> Pixels:
    """Read an image as RGB, by the rules at the top of this module.

    Args:
        source: a path to a file of one of `ahl.data.images.formats`, a region of such a file, an
            encoded image in memory, a Pillow image, or a uint8 array (H, W), (H, W, 1), (H, W, 3)
            as RGB or (H, W, 4) as RGBA.
        max_pixels: larger images are refused before they are decoded. Files above twice
            `PIL.Image.MAX_IMAGE_PIXELS` are always refused.
        bit_depth: bits actually used in a file's 16-bit grey values.

    Returns:
        Array (H, W, 3), uint8, in memory of its own.

    Raises:
        ImageError: if the image cannot be read, or a region does not lie inside it. The message
            is the reason without the image's name, to be put after "skipped: ".
    """
    if isinstance(source, Region):
        whole = read_pixels(source.path, max_pixels=max_pixels, bit_depth=bit_depth)
        return _cut(whole, source.box)
    if isinstance(source, Pinned):
        return _read_pinned(source, max_pixels, bit_depth)
    with _opened(source, bit_depth) as (_, pixels, _):
        return pixels(max_pixels=max_pixels)


def _read_pinned(pinned: Pinned, max_pixels: int, bit_depth: int) -> Pixels:
    """Read a file's bytes once, compare their hash, and decode them."""
    source = pinned.source
    path = source.path if isinstance(source, Region) else source
    data = content_of(path)
    digest = hashlib.sha256(data).hexdigest()
    if isinstance(source, Region):
        digest = _digest_of_region(source, digest)
    if digest != pinned.sha256:
        raise ImageError("it changed while it was used")
    whole = read_stream(BytesIO(data), path.name, max_pixels=max_pixels, bit_depth=bit_depth)
    return _cut(whole, source.box) if isinstance(source, Region) else whole


def pinned(source: ImageSource, sha256: str) -> ImageSource:
    """The source, pinned to this `content_hash` if it is a file or a region of one."""
    if isinstance(source, (str, Path, Region)):
        return Pinned(source if isinstance(source, Region) else Path(source), sha256)
    return source


def _cut(whole: Pixels, box: Box) -> Pixels:
    left, top, right, bottom = _inside(box, whole.shape[:2])
    return whole[top:bottom, left:right].copy()


def image_shape(source: ImageSource) -> ImageSize:
    """Height and width of the pixels that `read_pixels` returns, mostly without decoding any.

    Raises:
        ImageError: if the image cannot be opened, or a region does not lie inside it.
    """
    if isinstance(source, Region):
        left, top, right, bottom = _inside(source.box, image_shape(source.path))
        return bottom - top, right - left
    if isinstance(source, Pinned):
        return image_shape(source.source)
    with _opened(source) as (shape, _, _):
        return shape(max_pixels=MAX_PIXELS)


def read_stream(
    stream: BinaryIO,
    name: str = "",
    *,
    max_pixels: int = MAX_PIXELS,
    bit_depth: int = FULL_DEPTH,
) -> Pixels:
    """Read the image in an open file or in bytes in memory, as `read_pixels`.

    The stream must be seekable and at its start. A name that ends in `.npy` stands for an array.
    """
    with _opened_stream(stream, name, bit_depth) as (_, pixels, _):
        return pixels(max_pixels=max_pixels)


@contextmanager
def _opened(
    source: str | Path | EncodedImage | Image.Image | NDArray[Any], bit_depth: int = FULL_DEPTH
) -> Iterator[_Opened]:
    if isinstance(source, np.ndarray):
        yield partial(shape_of_array, source), partial(from_array, source), no_numbers
    elif isinstance(source, Image.Image):
        with image_errors():
            pixels = partial(from_pillow, source, bit_depth=bit_depth)
            yield partial(shape_of_pillow, source), pixels, partial(numbers_of_pillow, source)
    elif isinstance(source, EncodedImage):
        with _opened_stream(BytesIO(source.fetch()), source.name, bit_depth) as opened:
            yield opened
    else:
        path = Path(source)
        with open_file(path) as stream, _opened_stream(stream, path.name, bit_depth) as opened:
            yield opened


@contextmanager
def _opened_stream(stream: BinaryIO, name: str, bit_depth: int) -> Iterator[_Opened]:
    with image_errors():
        start, suffix = stream.read(LONGEST_START), Path(name).suffix.lower()
        if not start:
            raise ImageError("the file is empty")
        stream.seek(0)
        kind = format_of(start) or next((one for one in NAMED if suffix in one.suffixes), None)
        if kind is not None and not kind.readable:
            raise ImageError(f"it is a {kind.name} file, which {MISSING[kind.suffixes[0]]} reads")
        if kind is not None and kind.name == "TIFF":
            check_tags(stream)
        if suffix == ARRAY_SUFFIX:
            pixels = partial(from_array_file, stream, bit_depth=bit_depth)
            numbers = partial(numbers_of_array_file, stream)
            yield partial(shape_of_array_file, stream), pixels, numbers
        elif kind is not None and kind.name == "DICOM":
            yield partial(shape_of_dicom_file, stream), partial(from_dicom_file, stream), no_numbers
        elif kind is not None and kind.name == "TIFF" and (floats := FloatTiff.of(stream)):
            yield partial(shape_of_floats, floats), partial(from_floats, floats), floats.values
        else:
            with _pillow(stream, kind) as image:
                pixels = partial(from_pillow, image, bit_depth=bit_depth)
                yield partial(shape_of_pillow, image), pixels, partial(numbers_of_pillow, image)


@contextmanager
def _pillow(stream: BinaryIO, kind: Format | None) -> Iterator[Image.Image]:
    stream.seek(0)
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


def numbers_in(source: ImageSource) -> NDArray[Any] | None:
    """16-bit grey values or floats of a file; None for other and for unreadable images."""
    source = source.source if isinstance(source, Pinned) else source
    if not isinstance(source, (str, Path, EncodedImage)):
        return None
    try:
        with _opened(source) as (shape, _, numbers), image_errors():
            shape(max_pixels=MAX_PIXELS)  # before memory is taken for them
            return numbers()
    except ImageError:
        return None


def content_hash(source: ImageSource) -> str:
    """Hash of an image's content, in hex: sources of equal hash read as equal pixels.

    The SHA-256 of a file's undecoded bytes, of a region's file and box, or of mode, shape and
    pixels of a Pillow image or an array.

    Raises:
        ImageError: if the file or image cannot be read.
    """
    if isinstance(source, Region):
        return _digest_of_region(source, content_hash(source.path))
    if isinstance(source, Pinned):
        return source.sha256
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
    with open_file(Path(source)) as stream:
        try:
            return hashlib.file_digest(stream, "sha256").hexdigest()
        except OSError as error:
            raise ImageError(first_line(error)) from error


def _digest_of_region(region: Region, sha256: str) -> str:
    return _digest(f"region {region.box}", sha256.encode())


def _digest(header: str, pixels: bytes) -> str:
    digest = hashlib.sha256(f"{header}\n".encode())
    digest.update(pixels)
    return digest.hexdigest()
