"""Feature maps of large images from overlapping tiles, joined as if the image were seen whole.

A backbone sees each tile separately. Every position of the joined map comes from the tile in which
it is farther from the edge, so that there are no seams and no position counts twice.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise, product
from typing import Final

import torch
from torch import Tensor

from ahl._common.errors import ConfigurationError
from ahl.config import FeatureConfig
from ahl.config.image_size import as_option
from ahl.features.backbones.base import Backbone

TOGETHER: Final = 4
"""Number of images or tiles in one pass of a backbone on a CPU. The maps of more do not fit into
its caches: with sixteen, an image takes up to 1.8 times as long."""

OVERLAP: Final = 0.25
"""Share of a tile that overlaps the next one, at least two positions."""


@dataclass(frozen=True, slots=True)
class Window:
    """A tile along one axis: its pixels, and the positions of the joined map taken from it."""

    start: int
    stop: int
    """End of the pixels, exclusive."""
    first: int
    last: int
    """End of the positions, exclusive."""


def windows(length: int, tile: int, stride: int) -> tuple[Window, ...]:
    """Lay tiles along one axis; their positions, `first` to `last`, cover it without overlap.

    Args:
        length: length of the axis in pixels, a multiple of `stride`; up to `tile`, there is a
            single window.
        tile: side of a tile in pixels, a multiple of `stride`, and at least four times as large.
        stride: pixels per position.
    """
    if length <= tile:
        return (Window(0, length, 0, length // stride),)
    overlap = max(2, 2 * round(OVERLAP * tile / (2 * stride))) * stride
    count = math.ceil((length - overlap) / (tile - overlap))
    starts = [min(number * (tile - overlap), length - tile) for number in range(count)]
    # The middle of each overlap, in positions.
    seams = [(start + before + tile) // (2 * stride) for before, start in pairwise(starts)]
    return tuple(
        Window(start, start + tile, first, last)
        for start, first, last in zip(starts, [0, *seams], [*seams, length // stride], strict=True)
    )


def check_tiles(features: FeatureConfig, backbone: Backbone) -> None:
    """Refuse tiles or an image size that do not give a backbone whole positions.

    Raises:
        ConfigurationError: if tiles or image size (unless auto) do not suit the backbone.
    """
    multiple = backbone.multiple
    if features.tiles < 2 * multiple or 2 * features.tiles % multiple:
        raise ConfigurationError(
            f"tiles is {features.tiles}; this backbone needs multiples of {multiple // 2} pixels, "
            f"at least {2 * multiple}."
        )
    if features.image_size is not None and any(side % multiple for side in features.image_size):
        raise ConfigurationError(
            f"image_size is {as_option(features.image_size)}; in tiles, this backbone needs "
            f"multiples of {multiple} pixels. Give others, or auto."
        )


def tiled_map(backbone: Backbone, images: Tensor, tile: int) -> Tensor:
    """Feature map of images seen in tiles of `tile` x `tile` pixels.

    Images (N, 3, H, W) give (N, C, H / stride, W / stride). The stride is half of
    `Backbone.multiple`, and must divide H and W.

    Raises:
        ConfigurationError: if the backbone's maps have another stride.
    """
    stride = backbone.multiple // 2
    rows, columns = (windows(length, tile, stride) for length in images.shape[-2:])
    places = list(product(rows, columns))
    if len(places) == 1:
        alone: Tensor = backbone(images)
        return alone
    tiles = torch.cat([images[..., r.start : r.stop, c.start : c.stop] for r, c in places])
    # A traced graph holds the backbone once, and batch norm in training sees all at once.
    whole = torch.compiler.is_exporting() or backbone.training or tiles.device.type != "cpu"
    together = len(tiles) if whole else TOGETHER
    maps = torch.cat([backbone(some) for some in torch.split(tiles, together)])
    expected = [tiles.shape[-2] // stride, tiles.shape[-1] // stride]
    if list(maps.shape[-2:]) != expected:
        raise ConfigurationError(
            f"This backbone's maps are {maps.shape[-2]} x {maps.shape[-1]} for tiles of "
            f"{tiles.shape[-2]} x {tiles.shape[-1]} px; expected {expected[0]} x {expected[1]}. "
            "Set its `multiple` to twice its stride, or leave out --tiles."
        )
    owned = [
        each[
            ...,
            r.first - r.start // stride : r.last - r.start // stride,
            c.first - c.start // stride : c.last - c.start // stride,
        ]
        for each, (r, c) in zip(maps.chunk(len(places)), places, strict=True)
    ]
    across = [
        torch.cat(owned[start : start + len(columns)], dim=-1)
        for start in range(0, len(owned), len(columns))
    ]
    return torch.cat(across, dim=-2)
