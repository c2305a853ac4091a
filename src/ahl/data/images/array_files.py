"""`.npy` files of many channels -> uint8 RGB pixels; every failure becomes an `ImageError`.

The first three channels are kept. By the type alone, never by the values: uint8 stays as it is,
uint16 keeps its high byte, floating point is 0..1 by convention; other types are refused. The
channels lie on the last axis where no other is shorter, else on the first.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from ahl._common.errors import ImageError
from ahl._common.types import ImageSize
from ahl.data.images.decoding import brief, check_size, eight_bit

_COLOURS = 3


def from_array_file(stream: BinaryIO, *, max_pixels: int) -> NDArray[np.uint8]:
    """Read the image that an open `.npy` file holds.

    Args:
        stream: the file, at its start; it can be sought.
        max_pixels: larger images are refused before any of their pixels is read.

    Returns:
        Array (H, W, 3), uint8, in memory of its own.

    Raises:
        ImageError: if the file is damaged, holds objects or an array that is no such image.
    """
    with _array_errors():
        _, last = _check_header(stream, max_pixels)
        stream.seek(0)
        array = np.load(stream, allow_pickle=False)
    colours = array[..., :_COLOURS] if last else np.moveaxis(array[:_COLOURS], 0, -1)
    if colours.dtype != np.uint8:
        colours = eight_bit(colours, "F" if colours.dtype.kind == "f" else "I;16")
    return np.array(colours, dtype=np.uint8, order="C")


def shape_in_array_file(stream: BinaryIO, *, max_pixels: int) -> ImageSize:
    """Height and width of the image that an open `.npy` file holds, by its header.

    Raises:
        ImageError: as `from_array_file`.
    """
    with _array_errors():
        return _check_header(stream, max_pixels)[0]


@contextmanager
def _array_errors() -> Iterator[None]:
    """Turn everything that numpy raises into an `ImageError`."""
    try:
        yield
    except ImageError:
        raise
    except MemoryError:
        raise ImageError("there is not enough memory to load it") from None
    except Exception as error:  # a hostile header can provoke nearly any of them
        raise ImageError(f"it is no .npy file, or a damaged one ({brief(error)})") from error


def _check_header(stream: BinaryIO, max_pixels: int) -> tuple[ImageSize, bool]:
    """Refuse what must not be loaded; the image's size, and True for channels on the last axis."""
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
    if len(shape) != 3:
        raise ImageError(f"{what}; give (height, width, channels)")
    last = shape[2] <= min(shape[:2])
    if not last and shape[0] > min(shape[1:]):
        raise ImageError(f"{what}, with the channels on neither the last nor the first axis")
    height, width, channels = shape if last else (*shape[1:], shape[0])
    check_size(width, height, max_pixels)
    if channels < _COLOURS:
        raise ImageError(f"{what}; at least {_COLOURS} channels are needed")
    start = stream.tell()
    if stream.seek(0, os.SEEK_END) - start < math.prod(shape) * dtype.itemsize:
        raise ImageError("the file is truncated")
    return (height, width), bool(last)
