"""Explanation sheets: an image beside its heat map, with verdict, legend and similar images."""

from __future__ import annotations

import os
from collections.abc import Sequence
from math import ceil
from pathlib import Path
from typing import Final

import numpy as np
from PIL import Image, ImageDraw, ImageFont, ImageOps

from ahl._common.files import written_whole
from ahl._common.text import printable
from ahl._common.types import ImageSize, Pixels
from ahl.data.images.numbers import FULL_DEPTH
from ahl.data.images.reading import ImageSource, read_pixels
from ahl.scoring.overlay import BLUE, RED, overlay
from ahl.scoring.places import Colouring
from ahl.scoring.prediction import Prediction
from ahl.scoring.words import in_words

SHORT: Final = 480
LONG: Final = 1200
"""Limits in pixels of the longer side of a drawn image."""

_LONGEST_NAME: Final = 200
_SQUARE: Final = 160  # side of a training image
_LARGE, _SMALL = 22, 14  # sizes of letters
_RAMP: Final = 80
_GAP: Final = 12


def draw_sheet(
    source: ImageSource,
    name: str,
    prediction: Prediction,
    output: Path,
    *,
    bit_depth: int = FULL_DEPTH,
) -> ImageSize:
    """Write an image with its heat map and prediction as one PNG.

    Args:
        source: the image.
        name: its name on the sheet.
        prediction: its prediction, with a heat map.
        output: the PNG, replaced atomically; its folder is created if missing.
        bit_depth: as for `read_pixels`.

    Returns:
        height and width of the image.

    Raises:
        ImageError: if the image cannot be read.
    """
    assert prediction.heat_map is not None
    whole = read_pixels(source, bit_depth=bit_depth)
    pixels = fitted(whole)
    drawn = overlay(pixels, prediction.heat_map, prediction.colour_bounds)
    wide = pixels.shape[1] > 2 * pixels.shape[0]
    pair = [_titled(pixels, "image"), _titled(drawn, "where it is unlike good parts")]
    like = [
        _titled(_square(one.picture), title, one.name)
        for title, one in (
            ("defect most like it", prediction.nearest_anomaly),
            ("good image most like it", prediction.nearest_normal),
        )
        if one is not None and one.picture is not None
    ]
    body = _joined(pair, down=wide)
    if like:
        body = _joined([body, _joined(like, down=not wide)], down=wide)
    colouring = Colouring.of(prediction.heat_map, prediction.colour_bounds)
    legend = _legend(colouring, calibrated=prediction.colour_bounds is not None)
    lines = [_text(in_words(prediction), _LARGE), _text(name, _SMALL, body.width)]
    sheet = _joined([*lines, body, legend], down=True)
    with written_whole(output) as path:
        ImageOps.expand(sheet, _GAP, "white").save(path, format="PNG")
    return whole.shape[0], whole.shape[1]


def picture_name(*parts: str) -> str:
    """File name of a picture from the parts of a path; only the last 200 bytes are used."""
    return os.fsdecode(os.fsencode("__".join(parts))[-_LONGEST_NAME:])


def fitted(pixels: Pixels) -> Pixels:
    """Resize an image (H, W, 3) so that its longer side has from `SHORT` to `LONG` pixels."""
    longer = max(pixels.shape[:2])
    factor = min(max(longer, SHORT), LONG) / longer
    size = [max(1, round(side * factor)) for side in pixels.shape[1::-1]]
    return np.asarray(Image.fromarray(pixels).resize((size[0], size[1]), Image.Resampling.BICUBIC))


def _square(pixels: Pixels) -> Pixels:
    image = Image.fromarray(pixels).resize((_SQUARE, _SQUARE), Image.Resampling.BICUBIC)
    return np.asarray(image)


def _titled(pixels: Pixels, *titles: str) -> Image.Image:
    lines = [_text(title, _SMALL, pixels.shape[1]) for title in titles]
    return _joined([*lines, Image.fromarray(pixels)], down=True, gap=2)


def _text(words: str, size: int, width: int | None = None) -> Image.Image:
    """Draw a line of text; one wider than `width` pixels loses its beginning."""
    font, whole = ImageFont.load_default(size=size), printable(words)
    words = whole
    while width is not None and font.getlength(words) > width and len(words) > 4:
        whole = whole[1:]
        words = f"...{whole}"
    image = Image.new("RGB", (ceil(font.getlength(words)), round(1.4 * size)), "white")
    ImageDraw.Draw(image).text((0, 0), words, fill="black", font=font)
    return image


def _legend(colouring: Colouring, *, calibrated: bool) -> Image.Image:
    """Draw the legend of the colours."""
    if not colouring.by_model:
        words = "no place stands out clearly; blue: the highest values of this image"
    elif calibrated:
        words = (
            f"red: {colouring.low:.1f} to {colouring.high:.1f} standard deviations of good parts"
        )
    else:
        words = "red: from the usual to the highest value of this image"
    ramp = np.linspace(1.0, 0.0, _RAMP)[:, None] * 255
    ramp = ramp + (1 - ramp / 255) * np.array(RED if colouring.by_model else BLUE)
    keys = [
        Image.fromarray(np.tile(ramp.round().astype(np.uint8), (_SMALL, 1, 1))),
        _text(words + "; the line is around the strongest places", _SMALL),
    ]
    return _joined(keys, down=False)


def _joined(images: Sequence[Image.Image], *, down: bool, gap: int = _GAP) -> Image.Image:
    """Join images one below another, or side by side, on white."""
    sides = [image.size if down else image.size[::-1] for image in images]
    across, along = max(side for side, _ in sides), sum(side + gap for _, side in sides) - gap
    whole = Image.new("RGB", (across, along) if down else (along, across), "white")
    at = 0
    for image, (_, side) in zip(images, sides, strict=True):
        whole.paste(image, (0, at) if down else (at, 0))
        at += side + gap
    return whole
