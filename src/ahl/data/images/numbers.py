"""White level of images with more than 8 bits, by type and range of their numbers."""

from __future__ import annotations

from typing import Final

from ahl._common.errors import ImageError

FULL_DEPTH: Final = 16
"""Bits of integers, unless fewer are given."""


def white_of(least: float, most: float, *, floats: bool, bit_depth: int = FULL_DEPTH) -> int:
    """White level of an image whose numbers run from `least` to `most`.

    For floats it is 1, or 255 if `most` is 2 or more; for integers the largest of `bit_depth` bits.

    Raises:
        ImageError: if `least` or `most` lies outside 0 to the white level, or is NaN. A largest
            float between 1 and 2 is refused, too: it fits neither range.
    """
    white = (255 if most >= 2 else 1) if floats else 2**bit_depth - 1
    if not (least >= 0 and most <= white):  # put this way round, NaN is refused too
        limits = "0 to 1 and 0 to 255" if floats else f"0 to {white}"
        raise ImageError(
            f"its values run from {least:g} to {most:g}, outside {limits}; save it with 8 or 16 "
            "bits a channel"
        )
    return white
