"""Choice of the image size by the training images' shape, within limits of pixels and time."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Final

import numpy as np
import torch
from torch.utils.flop_counter import FlopCounterMode

from ahl._common.callbacks import Callback
from ahl._common.errors import ImageError
from ahl._common.spacing import evenly_spaced
from ahl._common.types import ImageSize
from ahl.config import Config
from ahl.config.image_size import LARGEST_SIDE, SMALLEST_SIDE, in_pixels
from ahl.data.images.reading import ImageSource, image_shape
from ahl.features.backbones import Backbone
from ahl.features.tiles import OVERLAP, check_tiles

LEAST: Final = 224 * 224
"""Number of pixels that smaller images are enlarged to."""

MOST: Final = 448 * 448
"""Number of pixels that larger images are reduced to, if they are seen whole."""

MOST_IN_TILES: Final = 2048 * 2048
"""Number of pixels that larger images are reduced to, if they are seen in tiles."""

TILES_A_SIDE: Final = 2
"""Number of tiles along the sides of the square whose pixels smaller images are enlarged to, if
they are seen in tiles: a defect is found where it is as large as a cell."""

MOST_CELLS: Final = 256
"""Largest number of cells of the first scale's map, which cost time and memory in learning; a
limit for vision transformers."""

MOST_CELLS_IN_TILES: Final = 4096
"""Largest number of cells of images that are seen in tiles."""

ABOVE: Final = 1.1
"""Factor by which rounding of the sides may exceed a limit of pixels."""

LONGEST: Final = 16.0
"""Largest ratio of the sides; longer images do not keep their aspect ratio."""

LOOKED_AT: Final = 200
"""Largest number of images whose shapes are read."""

NOMINAL: Final = 25e9
"""Assumed multiply-adds per second of one core; fixed, so that sizes depend on no measurement."""

_SCALES: Final = 1.25  # pixels of both scales, in those of the first
_PROBE: Final = 224


def with_size(
    config: Config,
    backbone: Backbone,
    normals: Sequence[ImageSource],
    *,
    callback: Callback,
) -> Config:
    """Return the config with an image size chosen from the training normals if it is auto.

    Anomalies are not used, so that methods and draws with the same normals share a size. The order
    of the normals must be reproducible; the callback receives a note with the chosen size.

    Raises:
        ConfigurationError: if tiles or image size do not suit the backbone.
    """
    features = config.features
    if features.tiles:
        check_tiles(features, backbone)
    if features.image_size is not None:
        return config
    shapes = list(_shapes(normals))
    # Each normal is extracted once more as a pseudo anomaly.
    affordable = affordable_pixels(backbone, 2 * len(normals), features.minutes)
    stride = backbone.multiple // 2
    if features.tiles:  # they overlap, both ways
        affordable *= (1 - OVERLAP) ** 2
        most, unit = min(MOST_IN_TILES, MOST_CELLS_IN_TILES * stride**2), backbone.multiple
        least = (TILES_A_SIDE * features.tiles) ** 2
    else:  # the second scale may end in half a cell
        most, unit, least = min(MOST, MOST_CELLS * stride**2), stride, LEAST
    size = choose_size(shapes, multiple=unit, affordable=affordable, most=most, least=least)
    why = f"their median size {in_pixels(_median(shapes))}" if shapes else "no readable image"
    own = math.prod(_median(shapes))
    if features.tiles and own < min(least, math.prod(size)):
        why += ", enlarged for small defects"
    if affordable < min(most, max(own, least)):
        why += f", and by what one core extracts in {features.minutes:g} minutes"
    callback.on_note(
        f"Images are resized to {in_pixels(size)} (chosen from {why}; --image-size HxW sets "
        "another)."
    )
    return replace(config, features=replace(features, image_size=size))


def choose_size(
    shapes: Sequence[ImageSize],
    *,
    multiple: int,
    affordable: float = math.inf,
    most: int = MOST,
    least: int = LEAST,
) -> ImageSize:
    """Choose the image size for images of these shapes.

    It has the aspect ratio of their median height and width, and as many pixels: about `least` if
    they have fewer, but no more than about `most` and `affordable`, and never fewer than about
    `LEAST`. Both sides are rounded to multiples so that the number of pixels comes nearest to that.
    Without shapes, it is a square.

    Args:
        shapes: heights and widths in pixels.
        multiple: number of which both sides are multiples (twice this number if it is odd).
        affordable: largest number of pixels by time.
        most: largest number of pixels in any case.
        least: number of pixels that smaller images are enlarged to, within these limits.
    """
    height, width = _median(shapes)
    limit = max(LEAST, min(most, affordable))
    wanted = min(max(height * width, least), limit)
    unit = multiple if multiple % 2 == 0 else 2 * multiple
    ratio = min(max(height, width) / min(height, width), LONGEST)
    sizes = [one for one in _roundings(ratio, unit, most) if max(one[1]) <= LARGEST_SIDE]
    enough = [one for one in sizes if one[0] >= LEAST / ABOVE]
    # Coarse multiples may have nothing between the least and the limit: then the next one above.
    possible = [one for one in enough if one[0] <= max(ABOVE * limit, enough[0][0])]
    _, (longer, shorter) = min(possible, key=lambda one: abs(math.log(one[0] / wanted)))
    return (longer, shorter) if height >= width else (shorter, longer)


def _roundings(ratio: float, unit: int, most: int) -> Iterator[tuple[int, tuple[int, int]]]:
    """Yield pixels and sides, the longer one first, of all sizes of a ratio rounded to a unit.

    These are all the rounded sizes that an ideal size passes through as it grows.
    """
    fewest = math.ceil(SMALLEST_SIDE / unit)
    for count in range(fewest, max(fewest, max(LEAST, most) // (unit * fewest * unit)) + 2):
        first = math.floor((count - 0.5) / ratio + 0.5)
        last = math.ceil((count + 0.5) / ratio + 0.5) - 1
        for other in sorted({max(fewest, first), max(fewest, last)}):
            yield count * other * unit * unit, (count * unit, other * unit)


def affordable_pixels(backbone: Backbone, images: int, minutes: float) -> float:
    """Pixels per image at which one core extracts the features of `images` images in time."""
    work = multiply_adds(backbone) * _SCALES * images
    return minutes * 60 * NOMINAL / work if work else math.inf


def multiply_adds(backbone: Backbone) -> float:
    """Multiply-adds of a backbone per pixel of an image."""
    device = next((one.device for one in backbone.parameters()), torch.device("cpu"))
    image = torch.zeros(1, 3, _PROBE, _PROBE, device=device)
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        backbone.eval()(image)
    return float(counter.get_total_flops()) / 2 / _PROBE**2


def _shapes(images: Sequence[ImageSource]) -> Iterator[ImageSize]:
    """Yield the shapes of readable images, evenly spaced among all."""
    for place in evenly_spaced(len(images), LOOKED_AT):
        try:
            yield image_shape(images[place])
        except ImageError:  # reported where all images are read
            continue


def _median(shapes: Sequence[ImageSize]) -> ImageSize:
    if not shapes:
        return _PROBE, _PROBE
    height, width = np.median(np.array(shapes), axis=0).round().astype(int).tolist()
    return height, width
