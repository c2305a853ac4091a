"""Numbers of more than 8 bits: which of them is white, by their type and range."""

from __future__ import annotations

from typing import Final

from ahl._common.errors import ImageError

FULL_DEPTH: Final = 16
"""Bits that integers use, unless fewer are given."""


def white_of(least: float, most: float, *, floats: bool, bit_depth: int = FULL_DEPTH) -> int:
    """The number that is white in an image whose numbers run from `least` to `most`.

    Of floats 1, or 255 if there are numbers of 2 and more: those between are not whole grey
    values, but may lie a little above 1. Of integers it is the largest of their bits.

    Raises:
        ImageError: if numbers lie outside.
    """
    white = (255 if most >= 2 else 1) if floats else 2**bit_depth - 1
    if not (least >= 0 and most <= white):  # put this way round, NaN is refused too
        limits = "0 to 1 and 0 to 255" if floats else f"0 to {white}"
        raise ImageError(
            f"its values run from {least:g} to {most:g}, outside {limits}; save it with 8 or 16 "
            "bits a channel"
        )
    return white
