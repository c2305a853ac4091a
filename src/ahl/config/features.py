"""How images become feature maps."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from ahl.config._checks import require

DEFAULT_BACKBONE: Final = "efficientnet-lite0"
"""The backbone that is installed with ahl (`ahl.backbones.packaged`)."""


@dataclass(frozen=True, kw_only=True)
class FeatureConfig:
    """How images become feature maps.

    Attributes:
        image_size: side, in pixels, of the square every image is resized to; the second scale
            is half of it.
        batch_size: images decoded together, which on a GPU go through the backbone together; on a
            processor four at a time do (`ahl.features.extractor.TOGETHER`).
    """

    image_size: int = 224
    batch_size: int = 16

    def __post_init__(self) -> None:
        require(
            32 <= self.image_size <= 4096 and self.image_size % 2 == 0,
            "image_size",
            self.image_size,
            "an even number of pixels from 32 to 4096",
        )
        require(self.batch_size >= 1, "batch_size", self.batch_size, "at least 1")
