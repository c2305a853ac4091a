"""Defect masks that come beside images."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ahl.errors import ImageError
from ahl.images.reading import read_pixels


def read_masks(paths: Sequence[Path], width: int, height: int) -> NDArray[np.bool_]:
    """Unite the masks of one image.

    Args:
        paths: of the masks, possibly none; any pixel that is not black marks the defect.
        width: of the image, in pixels.
        height: likewise.

    Returns:
        Array (height, width), True on the defect.

    Raises:
        ImageError: if a mask cannot be read or is of another size than the image.
    """
    united = np.zeros((height, width), dtype=np.bool_)
    for path in paths:
        try:
            mask = read_pixels(path).any(axis=2)
        except ImageError as error:
            raise ImageError(f"its mask {path.name}: {error}") from error
        if mask.shape != united.shape:
            raise ImageError(
                f"its mask {path.name} has {mask.shape[1]} x {mask.shape[0]} pixels, "
                f"not {width} x {height}"
            )
        united |= mask
    return united
