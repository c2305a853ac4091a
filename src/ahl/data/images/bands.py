"""Pixels converted some rows at a time: a whole image would be in memory several times."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from ahl._common.errors import ImageError
from ahl._common.types import ImageSize, Pixels

Rows = Callable[[slice], NDArray[Any]]
"""Gives some rows of an image, (h, W) or (h, W, 1 | 3)."""

_ROWS: Final = 64


def pixels_of(rows: Rows, size: ImageSize, *, orientation: int = 1) -> Pixels:
    """Pixels (H, W, 3), turned upright.

    Args:
        rows: of uint8, 16 bits, or floats from 0 to 1.
        size: height and width, as the image lies in its file.
        orientation: of EXIF, 1 to 8.

    Raises:
        ImageError: if numbers lie outside 16 bits, or 0 to 1.
    """
    height, width = size
    pixels = np.empty((width, height, 3) if orientation >= 5 else (height, width, 3), np.uint8)
    stored = _as_stored(pixels, orientation)
    bands = [slice(top, min(top + _ROWS, height)) for top in range(0, height, _ROWS)]
    kind = rows(bands[0]).dtype
    if kind != np.uint8:
        _check_range(rows, bands, 1 if kind.kind == "f" else 65535)
    for band in bands:
        values = rows(band)
        if kind.kind == "f":
            values = np.rint(values * 255)
        elif kind != np.uint8:
            values = values >> 8
        stored[band] = values.reshape(*values.shape[:2], -1)
    return pixels


def _as_stored(upright: Pixels, orientation: int) -> Pixels:
    """A view of upright pixels as the image lies in its file."""
    turned = upright.swapaxes(0, 1) if orientation >= 5 else upright
    rows = -1 if orientation in (3, 4, 6, 7) else 1
    columns = -1 if orientation in (2, 3, 7, 8) else 1
    return turned[::rows, ::columns]


def _check_range(rows: Rows, bands: list[slice], limit: int) -> None:
    ranges = np.array([[rows(band).min().item(), rows(band).max().item()] for band in bands])
    least, most = ranges[:, 0].min(), ranges[:, 1].max()
    if not (least >= 0 and most <= limit):  # put this way round, NaN is refused too
        raise ImageError(
            f"its values run from {least:g} to {most:g}, outside 0 to {limit}; "
            "save it with 8 or 16 bits a channel"
        )
