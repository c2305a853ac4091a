"""An image size that suits the training images: their shape, within limits of pixels and time."""

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
"""Pixels that smaller images are enlarged to."""

MOST: Final = 448 * 448
"""Pixels that larger images are brought down to, if they are seen whole."""

MOST_IN_TILES: Final = 2048 * 2048
"""Pixels that images which are seen in tiles are brought down to."""

MOST_CELLS: Final = 256
"""Cells of the larger feature map: learning costs time and memory for each. Vision transformers
have many."""

MOST_CELLS_IN_TILES: Final = 4096
"""Cells of images that are seen in tiles."""

ABOVE: Final = 1.1
"""Rounding of the sides may go beyond a limit of pixels by this factor."""

LONGEST: Final = 16.0
"""Largest ratio of the sides: of longer images, the aspect ratio is not kept."""

LOOKED_AT: Final = 200
"""Images whose shapes are read, at most."""

NOMINAL: Final = 25e9
"""Multiply-adds a second of one core. A fixed number: a size depends on no measurement."""

_SCALES: Final = 1.25  # pixels of both scales, in those of the first
_PROBE: Final = 224


def with_size(
    config: Config,
    backbone: Backbone,
    normals: Sequence[ImageSource],
    *,
    callback: Callback,
) -> Config:
    """The config with its image size; where that is auto, it is chosen from the training normals.

    Anomalies have no say, so that methods and draws with the same normals share a size. The normals
    come in any order that is the same each time; the callback gets a note with the chosen size.

    Raises:
        ConfigurationError: if the images are seen in tiles, and the size does not suit them.
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
    else:  # the second scale may end in half a cell
        most, unit = min(MOST, MOST_CELLS * stride**2), stride
    size = choose_size(shapes, multiple=unit, affordable=affordable, most=most)
    why = f"their median size {in_pixels(_median(shapes))}" if shapes else "no readable image"
    if affordable < min(most, math.prod(_median(shapes))):
        why += f", and from what one core extracts in {features.minutes:g} minutes"
    callback.on_note(
        f"Images are resized to {in_pixels(size)} (chosen from {why}; --image-size HxW sets "
        "another)."
    )
    return replace(config, features=replace(features, image_size=size))


def choose_size(
    shapes: Sequence[ImageSize], *, multiple: int, affordable: float = math.inf, most: int = MOST
) -> ImageSize:
    """The size that suits images of these shapes.

    It has the aspect ratio of their median height and width, and as many pixels as they have:
    at least about `LEAST`, at most about `most` and `affordable`, of which `LEAST` comes first.
    Of all roundings of both sides to the nearest multiple, it is the one whose pixels are nearest
    to that. No shapes count as a square of `LEAST`.

    Args:
        shapes: heights and widths in pixels.
        multiple: both sides are multiples of it (of twice, if it is odd).
        affordable: pixels that there is time for.
        most: pixels that larger images are brought down to.
    """
    height, width = _median(shapes)
    limit = max(LEAST, min(most, affordable))
    wanted = min(max(height * width, LEAST), limit)
    unit = multiple if multiple % 2 == 0 else 2 * multiple
    ratio = min(max(height, width) / min(height, width), LONGEST)
    sizes = [one for one in _roundings(ratio, unit, most) if max(one[1]) <= LARGEST_SIDE]
    enough = [one for one in sizes if one[0] >= LEAST / ABOVE]
    # Coarse multiples may have nothing between the least and the limit: then the next one above.
    possible = [one for one in enough if one[0] <= max(ABOVE * limit, enough[0][0])]
    _, (longer, shorter) = min(possible, key=lambda one: abs(math.log(one[0] / wanted)))
    return (longer, shorter) if height >= width else (shorter, longer)


def _roundings(ratio: float, unit: int, most: int) -> Iterator[tuple[int, tuple[int, int]]]:
    """Pixels and sides, the longer one first, of all sizes of a ratio rounded to a unit, growing.

    As an ideal size grows, its rounded sides do, one at a time or both: these are all that it
    passes through.
    """
    fewest = math.ceil(SMALLEST_SIDE / unit)
    for count in range(fewest, max(fewest, max(LEAST, most) // (unit * fewest * unit)) + 2):
        first = math.floor((count - 0.5) / ratio + 0.5)
        last = math.ceil((count + 0.5) / ratio + 0.5) - 1
        for other in sorted({max(fewest, first), max(fewest, last)}):
            yield count * other * unit * unit, (count * unit, other * unit)


def affordable_pixels(backbone: Backbone, images: int, minutes: float) -> float:
    """Pixels an image for which one core extracts the features of so many in so many minutes."""
    work = multiply_adds(backbone) * _SCALES * images
    return minutes * 60 * NOMINAL / work if work else math.inf


def multiply_adds(backbone: Backbone) -> float:
    """Multiply-adds of a backbone for each pixel of an image."""
    device = next((one.device for one in backbone.parameters()), torch.device("cpu"))
    image = torch.zeros(1, 3, _PROBE, _PROBE, device=device)
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        backbone.eval()(image)
    return float(counter.get_total_flops()) / 2 / _PROBE**2


def _shapes(images: Sequence[ImageSource]) -> Iterator[ImageSize]:
    """Shapes of images evenly spaced among all, those that can be read."""
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
