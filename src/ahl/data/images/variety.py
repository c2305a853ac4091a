"""Checks of the good images: number, variety and range of values."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

import numpy as np

from ahl._common.errors import DataError, ImageError
from ahl._common.spacing import evenly_spaced
from ahl._common.text import counted
from ahl._common.types import ImageItem, Pixels
from ahl.data.images.numbers import FULL_DEPTH
from ahl.data.images.reading import ImageSource, numbers_in

FEW: Final = 10
"""Number of good images below which scores are rough."""

LOOKED_AT: Final = 16
"""Number of evenly spaced images that are examined."""

_SAME: Final = 2  # grey levels
_SPECKS: Final = 0.001  # share of the pixels that may differ more: a dead pixel is not variety
_TWELVE_BITS: Final = 12


def check_variety(items: Sequence[ImageItem]) -> None:
    """Refuse good images that are all alike; at most `LOOKED_AT` of them are examined.

    Raises:
        DataError: if all show the same picture, or each has a single tone.
    """
    pictures: list[Pixels] = []
    names: list[str] = []
    for index in evenly_spaced(len(items), LOOKED_AT):
        try:
            pictures.append(items[index].load())
        except ImageError:  # reported by who needs it
            continue
        names.append(items[index].name)
    if not pictures:
        return
    looked_at = f"{counted(len(items), 'good image')} ({len(pictures)} examined: {names[0]}, ...)"
    if all(_same(picture, np.median(picture, axis=(0, 1))) for picture in pictures):
        raise DataError(
            f"The {looked_at} are blank: each has one tone all over. Give photographs of good "
            "parts; are these masks, or values of another range?"
        )
    if all(_same(picture, pictures[0]) for picture in pictures[1:]):
        raise DataError(
            f"The {looked_at} show the same picture. A model learns from several parts how good "
            "parts differ: give one image of each part, not one image several times."
        )


def notes_on(normals: Sequence[ImageSource], bit_depth: int = FULL_DEPTH) -> Iterator[str]:
    """Yield notes on good images that are few, too dark by their numbers, or of floats."""
    if len(normals) < FEW:
        yield (
            f"With only {counted(len(normals), 'good image')}, scores and probabilities will be "
            f"rough: {FEW} are enough to begin with, and a useful detector needs some dozens."
        )
    yield from notes_on_numbers(normals, bit_depth)


def notes_on_numbers(images: Sequence[ImageSource], bit_depth: int = FULL_DEPTH) -> Iterator[str]:
    """Yield notes on images of more than 8 bits; at most `LOOKED_AT` of them are examined.

    Args:
        images: all images.
        bit_depth: bits that 16-bit files are read with; below 16 there is no note on dark images.
    """
    peaks: dict[bool, list[float]] = {True: [], False: []}
    for index in evenly_spaced(len(images), LOOKED_AT):
        numbers = numbers_in(images[index])
        if numbers is not None and numbers.size:
            peaks[numbers.dtype.kind == "f"].append(numbers.max().item())
    integers, floats = peaks[False], peaks[True]
    if integers and max(integers) < 2**_TWELVE_BITS and bit_depth == FULL_DEPTH:
        yield (
            f"The 16-bit images have no value above {max(integers)} ({len(integers)} examined). "
            "Are these 12 bits? Then they are read 16 times too dark: train with --bit-depth 12, "
            "which the model keeps for all images."
        )
    above = sum(peak >= 2 for peak in floats)
    if floats and above in (0, len(floats)):
        yield f"Images of floats are read as values from 0 to {255 if above else 1}."
    elif floats:
        yield (
            f"Warning: of {len(floats)} images of floats that were examined, {above} are read as "
            "values from 0 to 255, and the others, without any above 1, as values from 0 to 1. "
            "Save all in one range."
        )


def _same(picture: Pixels, other: Pixels) -> bool:
    differs = (np.abs(picture.astype(np.int16) - other) > _SAME).any(axis=2)
    return bool(differs.mean() <= _SPECKS)
