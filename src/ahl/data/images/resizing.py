"""Resizing of images to the size that a model sees."""

from __future__ import annotations

import numpy as np
from PIL import Image

from ahl._common.errors import ConfigurationError
from ahl._common.types import ImageSize, Pixels
from ahl.data.images.decoding import from_array, shape_of_array

_ROWS = 64  # that are resized together


def resize_pixels(pixels: Pixels, size: ImageSize) -> Pixels:
    """Resize (H, W, 3) to (*size, 3), bilinear with antialiasing, whatever the aspect ratio.

    First the width, then the height, each rounded to uint8. In a single call Pillow would choose
    the order by the sizes, and differently between releases.

    Raises:
        ConfigurationError: if a side is below 1.
        ImageError: if `pixels` is not an image array.
    """
    height, width = size
    if min(size) < 1:
        raise ConfigurationError(f"size is {height} x {width}; it must be at least 1 x 1 pixels.")
    tall, _ = shape_of_array(pixels, max_pixels=pixels.size)
    rows = np.empty((tall, width, 3), np.uint8)
    for top in range(0, tall, _ROWS):  # each row by itself: whole, they would need copies
        band = Image.fromarray(from_array(pixels[top : top + _ROWS], max_pixels=pixels.size))
        narrow = band.resize((width, band.height), Image.Resampling.BILINEAR)
        rows[top : top + _ROWS] = np.asarray(narrow)
    resized = Image.fromarray(rows).resize((width, height), Image.Resampling.BILINEAR)
    return np.array(resized, dtype=np.uint8)
