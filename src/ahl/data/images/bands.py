"""Conversion of pixels in bands of rows, which saves whole copies of an image in memory."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from ahl._common.types import ImageSize, Pixels
from ahl.data.images.numbers import FULL_DEPTH, white_of

Rows = Callable[[slice], NDArray[Any]]
"""Returns the rows of a slice of an image, (h, W) or (h, W, 1 | 3)."""

_ROWS: Final = 64


def pixels_of(
    rows: Rows, size: ImageSize, *, orientation: int = 1, bit_depth: int = FULL_DEPTH
) -> Pixels:
    """Convert an image to upright uint8 pixels (H, W, 3).

    Args:
        rows: returns uint8, integers of `bit_depth`, or floats from 0 to 1 or to 255.
        size: height and width as stored, before rotation.
        orientation: EXIF orientation, 1 to 8.
        bit_depth: as in `white_of`.

    Raises:
        ImageError: as `white_of`.
    """
    height, width = size
    pixels = np.empty((width, height, 3) if orientation >= 5 else (height, width, 3), np.uint8)
    stored = _as_stored(pixels, orientation)
    bands = [slice(top, min(top + _ROWS, height)) for top in range(0, height, _ROWS)]
    kind = rows(bands[0]).dtype
    white = 255
    if kind != np.uint8:
        ranges = np.array([[rows(band).min().item(), rows(band).max().item()] for band in bands])
        least, most = ranges[:, 0].min(), ranges[:, 1].max()
        white = white_of(least, most, floats=kind.kind == "f", bit_depth=bit_depth)
    for band in bands:
        values = rows(band)
        if kind.kind == "f":
            values = np.rint(values * (255 / white))
        elif kind != np.uint8:
            values = values >> (bit_depth - 8)
        stored[band] = values.reshape(*values.shape[:2], -1)
    return pixels


def _as_stored(upright: Pixels, orientation: int) -> Pixels:
    """View of upright pixels in the orientation of the file."""
    turned = upright.swapaxes(0, 1) if orientation >= 5 else upright
    rows = -1 if orientation in (3, 4, 6, 7) else 1
    columns = -1 if orientation in (2, 3, 7, 8) else 1
    return turned[::rows, ::columns]
