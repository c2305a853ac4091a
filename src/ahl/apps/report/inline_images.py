"""Pictures inside the page: small, and of a bounded size."""

from __future__ import annotations

import base64
import io
from typing import Final

import numpy as np
from PIL import Image

from ahl._common.errors import ImageError
from ahl._common.types import Pixels
from ahl.data.images.reading import ImageSource, read_pixels

QUALITY: Final = 82
"""Of the JPEGs: fine enough that what they add cannot be taken for a defect."""


def read_small(source: ImageSource, longest: int) -> Pixels | None:
    """Read an image and bring it down to a size, in its own proportions.

    Args:
        source: the image.
        longest: of its sides, in pixels; a smaller image stays as it is.

    Returns:
        (H, W, 3); None if it cannot be read (any more).
    """
    try:
        image = Image.fromarray(read_pixels(source))
    except (ImageError, OSError, ValueError, MemoryError):
        return None
    scale = min(1.0, longest / max(image.size))
    width, height = (max(1, round(side * scale)) for side in image.size)
    return np.array(image.resize((width, height), Image.Resampling.LANCZOS), dtype=np.uint8)


def data_uri(pixels: Pixels) -> str:
    """An image as a JPEG inside an address.

    Args:
        pixels: (H, W, 3).
    """
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, format="JPEG", quality=QUALITY, optimize=True)
    return "data:image/jpeg;base64," + base64.b64encode(file.getvalue()).decode("ascii")
