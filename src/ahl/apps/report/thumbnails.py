"""Small square pictures of files that may be of any shape, or unreadable."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ahl._common.errors import ImageError
from ahl.data.images.reading import ImageSource, read_pixels

_GREY: Final = (225, 229, 233)


def read_tile(source: ImageSource, side: int) -> tuple[NDArray[np.uint8], bool]:
    """Fit a whole image into a square: a defect at its rim must not be cropped off.

    Args:
        source: the image.
        side: of the square, in pixels.

    Returns:
        Pixels (side, side, 3) on a grey ground, and whether the image could be read.
    """
    tile = Image.new("RGB", (side, side), _GREY)
    try:
        image = Image.fromarray(read_pixels(source))
        scale = side / max(image.size)
        width, height = (max(1, round(length * scale)) for length in image.size)
        image = image.resize((width, height), Image.Resampling.LANCZOS)
        tile.paste(image, ((side - width) // 2, (side - height) // 2))
    except (ImageError, OSError, ValueError, MemoryError):
        # The picture is about scores; a file gone since the evaluation costs its tile only.
        return np.array(tile), False
    return np.array(tile), True
