"""A heat map over its image."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ahl.files import written_whole
from ahl.images import ImageSource, read_pixels

LONGEST: Final = 1600
"""Side in pixels that a picture is brought down to."""

_COLOUR: Final = np.array([213, 94, 0], dtype=np.float32)  # Okabe and Ito's vermilion
_STRONGEST: Final = 0.7  # of the colour over the image
_GREY: Final = 0.5  # share of the image's own colours that gives way to grey


def draw_overlay(
    source: ImageSource,
    heat: NDArray[np.float32],
    bounds: tuple[float, float] | None,
    output: Path,
) -> None:
    """Write an image as a PNG, reddened where the heat map lies above the lower bound.

    Args:
        source: the image.
        heat: (S, S) of it.
        bounds: heat from which on, and from which on fully, it is coloured; None takes the
            map's own median and maximum.
        output: the PNG, replaced at once when it is complete; its folder is made.

    Raises:
        ImageError: if the image cannot be read.
    """
    low, high = bounds or (float(np.median(heat)), float(heat.max()))
    image = Image.fromarray(read_pixels(source))
    image.thumbnail((LONGEST, LONGEST))
    pixels = np.asarray(image, dtype=np.float32)
    grey = pixels.mean(axis=2, keepdims=True)
    resized = Image.fromarray(heat).resize(image.size, Image.Resampling.BILINEAR)
    share = (
        np.clip((np.asarray(resized) - low) / max(high - low, 1e-6), 0.0, 1.0)[..., None]
        * _STRONGEST
    )
    muted = (1 - _GREY) * pixels + _GREY * grey
    drawn = (1 - share) * muted + share * _COLOUR
    with written_whole(output) as path:
        Image.fromarray(drawn.round().astype(np.uint8)).save(path, format="PNG")
