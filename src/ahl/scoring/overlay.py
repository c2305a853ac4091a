"""Pictures of an image with its heat map over it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from ahl._common.files import written_whole
from ahl._common.types import Pixels
from ahl.data.images.numbers import FULL_DEPTH
from ahl.data.images.reading import ImageSource, read_pixels

LONGEST: Final = 1600
"""Side in pixels that a picture is brought down to."""

RED: Final = (213, 94, 0)
BLUE: Final = (0, 114, 178)
"""Okabe and Ito's vermilion and blue."""

LEAST_HEIGHT: Final = 192
"""Of a picture with others beside it."""

LARGEST_PICTURE: Final = 256
"""Side of those."""

_FONT_SIZE: Final = 12
_TITLE: Final = 18
_GAP: Final = 6
_STRONGEST: Final = 0.7  # of the colour over the image
_GREY: Final = 0.5  # share of the image's own colours that gives way to grey


def draw_overlay(
    source: ImageSource,
    heat: NDArray[np.float32],
    bounds: tuple[float, float] | None,
    output: Path,
    *,
    beside: Sequence[tuple[str, Pixels]] = (),
    bit_depth: int = FULL_DEPTH,
) -> None:
    """Write an image as a PNG, reddened where the heat map lies above the lower bound.

    Args:
        source: the image.
        heat: (h, w) of it.
        bounds: heat from which on, and from which on fully, it is coloured; None takes the
            map's own median and maximum.
        output: the PNG, replaced at once when it is complete; its folder is made.
        beside: pictures to show on its right, with a title each.
        bit_depth: as for `read_pixels`.

    Raises:
        ImageError: if the image cannot be read.
    """
    pixels = brought_down(read_pixels(source, bit_depth=bit_depth))
    picture = Image.fromarray(redden(pixels, heat, bounds))
    if beside:
        picture = _with_pictures(picture, beside)
    with written_whole(output) as path:
        picture.save(path, format="PNG")


def brought_down(pixels: Pixels) -> Pixels:
    """An image (H, W, 3) as large as it is drawn: at most `LONGEST` pixels a side."""
    image = Image.fromarray(pixels)
    image.thumbnail((LONGEST, LONGEST))
    return np.asarray(image)


def redden(
    pixels: Pixels,
    heat: NDArray[np.float32],
    bounds: tuple[float, float] | None,
    *,
    colour: tuple[int, int, int] = RED,
) -> Pixels:
    """An image, half of its colours gone, reddened where the heat map lies above a bound.

    Args:
        pixels: (H, W, 3).
        heat: (h, w) of it.
        bounds: as for `draw_overlay`.
        colour: instead of red.

    Returns:
        (H, W, 3).
    """
    low, high = bounds or (float(np.median(heat)), float(heat.max()))
    colours = pixels.astype(np.float32)
    grey = colours.mean(axis=2, keepdims=True)
    size = (pixels.shape[1], pixels.shape[0])
    resized = Image.fromarray(heat).resize(size, Image.Resampling.BILINEAR)
    share = (
        np.clip((np.asarray(resized) - low) / max(high - low, 1e-6), 0.0, 1.0)[..., None]
        * _STRONGEST
    )
    muted = (1 - _GREY) * colours + _GREY * grey
    drawn = (1 - share) * muted + share * np.array(colour, dtype=np.float32)
    return np.asarray(drawn.round(), dtype=np.uint8)


def _with_pictures(image: Image.Image, beside: Sequence[tuple[str, Pixels]]) -> Image.Image:
    """The image with a column of pictures on its right, each below its title."""
    height = max(image.height, LEAST_HEIGHT)
    cell = height // len(beside)
    side = min(cell - _TITLE - _GAP, LARGEST_PICTURE)
    font = ImageFont.load_default(size=_FONT_SIZE)
    width = max(side, *(round(font.getlength(title)) for title, _ in beside)) + 2 * _GAP
    whole = Image.new("RGB", (image.width + width, height), "white")
    whole.paste(image, (0, 0))
    drawing = ImageDraw.Draw(whole)
    for number, (title, pixels) in enumerate(beside):
        left, top = image.width + _GAP, number * cell
        drawing.text((left, top + _GAP // 2), title, fill="black", font=font)
        whole.paste(
            Image.fromarray(pixels).resize((side, side), Image.Resampling.BICUBIC),
            (left, top + _TITLE),
        )
    return whole
