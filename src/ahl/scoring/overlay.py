"""Images with their heat map overlaid, and outlines of the strongest places."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ahl._common.types import Pixels
from ahl.data.masks import resized_mask
from ahl.scoring.places import Bounds, Colouring, resized_heat

LONGEST: Final = 1600
"""Largest side of a picture in pixels."""

RED: Final = (213, 94, 0)
BLUE: Final = (0, 114, 178)
GREEN: Final = (0, 158, 115)
"""Colours of Okabe and Ito for heat (vermilion), a map's own scale (blue) and masks (green)."""

_STRONGEST: Final = 0.6  # of the colour over the image: what lies below has to be seen
_GREY: Final = 0.5  # share of the image's own colours that gives way to grey
_LINE: Final = 220  # of the longer side, a line's width


def brought_down(pixels: Pixels) -> Pixels:
    """Reduce an image (H, W, 3) to at most `LONGEST` pixels a side."""
    image = Image.fromarray(pixels)
    image.thumbnail((LONGEST, LONGEST))
    return np.asarray(image)


def overlay(
    pixels: Pixels,
    heat: NDArray[np.float32],
    bounds: Bounds | None,
    mask: NDArray[np.bool_] | None = None,
) -> Pixels:
    """Overlay a muted image with its heat map, and outline the strongest places.

    Red is the model's scale, the same for all images. If hardly any heat reaches it, the map's own
    highest places are blue. The strongest place is outlined in either case.

    Args:
        pixels: the image, (H, W, 3).
        heat: its heat map, (h, w).
        bounds: as for `Colouring`.
        mask: mask of its defect, (H', W') with the image's aspect ratio; outlined in green.

    Returns:
        the picture, (H, W, 3).
    """
    colouring, size = Colouring.of(heat, bounds), pixels.shape[:2]
    colour = RED if colouring.by_model else BLUE
    colours = pixels.astype(np.float32)
    muted = (1 - _GREY) * colours + _GREY * colours.mean(axis=2, keepdims=True)
    resized = resized_heat(heat, size)
    share = colouring.shares(resized)[..., None] * _STRONGEST
    drawn = np.asarray(
        ((1 - share) * muted + share * np.array(colour, dtype=np.float32)).round(), dtype=np.uint8
    )
    drawn[outline(resized > colouring.level)] = colour
    if mask is not None:
        drawn[outline(resized_mask(mask, size))] = GREEN
    return drawn


def outline(inside: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The inner rim (H, W) of a region (H, W), as boolean masks."""
    reach = max(1, round(max(inside.shape) / _LINE))
    height, width = inside.shape
    padded = np.pad(inside, reach)
    kept = inside.copy()
    for down, right in ((0, 1), (1, 0), (1, 2), (2, 1)):
        kept &= padded[down * reach :, right * reach :][:height, :width]
    return inside & ~kept
