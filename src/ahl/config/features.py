"""How images become feature maps."""

from __future__ import annotations

from dataclasses import dataclass

from ahl.config._checks import require


@dataclass(frozen=True, kw_only=True)
class FeatureConfig:
    """How images become feature maps.

    Attributes:
        image_size: side, in pixels, of the square every image is resized to; the second scale
            is half of it.
        cells: side of the grid of positions; a position's features are the mean and the spread of
            every channel in its cell. The second scale has half as many. 0 is the grid of the
            backbone's coarsest stage, with means alone.
        batch_size: images that go through the backbone together.
    """

    image_size: int = 224
    cells: int = 0
    batch_size: int = 16

    def __post_init__(self) -> None:
        require(
            32 <= self.image_size <= 4096 and self.image_size % 2 == 0,
            "image_size",
            self.image_size,
            "an even number of pixels from 32 to 4096",
        )
        # Upper limit: the value may come from a model file that somebody else wrote.
        require(0 <= self.cells <= 128, "cells", self.cells, "from 0 to 128")
        require(self.batch_size >= 1, "batch_size", self.batch_size, "at least 1")
