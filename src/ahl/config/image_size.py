"""Image sizes as people and files write them: `448`, `1120x448`, `auto`."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from ahl._common.errors import ConfigurationError

if TYPE_CHECKING:
    from ahl._common.types import ImageSize

AUTO = "auto"
"""The size is chosen from the training images."""

_WRITTEN = re.compile(r"(\d{1,9})(?:\s*x\s*(\d{1,9}))?")


def read_size(value: object) -> ImageSize | None:
    """An image size, however it was given.

    Args:
        value: a side of a square (448 or "448"), height and width ((1120, 448) or "1120x448"),
            or "auto" or None.

    Returns:
        height and width in pixels; None for "auto" and None.

    Raises:
        ConfigurationError: if it is none of these.
    """
    if value is None or value == AUTO:
        return None
    sides: object = value
    if isinstance(value, str):
        written = _WRITTEN.fullmatch(value.strip().lower())
        sides = [int(side) for side in written.groups() if side is not None] if written else None
    elif isinstance(value, int):
        sides = [value]
    if isinstance(sides, (list, tuple)) and all(type(side) is int for side in sides):
        if len(sides) == 1:
            return sides[0], sides[0]
        if len(sides) == 2:
            return sides[0], sides[1]
    raise ConfigurationError(
        f"image_size is {value!r}; it must be N (a square), HxW (height and width, such as "
        "448x192) or auto."
    )


def as_option(size: ImageSize) -> str:
    """A size as `--image-size` takes it: `448x192`."""
    return f"{size[0]}x{size[1]}"


def in_pixels(size: ImageSize, tiles: int = 0) -> str:
    """A size for people, height first: `448 x 192 px`, `256 x 4096 px in tiles of 256 px`."""
    seen = f" in tiles of {tiles} px" if tiles else ""
    return f"{size[0]} x {size[1]} px{seen}"
