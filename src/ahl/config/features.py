"""Constants of feature extraction."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from ahl._common.errors import ConfigurationError
from ahl.config._checks import require

if TYPE_CHECKING:
    from ahl._common.types import ImageSize

SMALLEST_SIDE: Final = 32
"""Pixels of an image's shorter side at least."""

LARGEST_SIDE: Final = 4096
"""Pixels of an image's longer side, and of a tile's, at most."""

DEFAULT_BACKBONE: Final = "efficientnet-lite0"
"""The backbone that is installed with ahl (`ahl.features.backbones.names`)."""


@dataclass(frozen=True, kw_only=True)
class FeatureConfig:
    """How images become feature maps.

    Attributes:
        image_size: height and width, in pixels, that every image is resized to; the second scale
            is half of it. None chooses it from the training images (`ahl.features.sizing`).
        tiles: side in pixels of the overlapping tiles in which images are seen; 0 sees them whole.
            A size that is chosen from the training images is then not brought down to what a
            whole image may have.
        minutes: a chosen size is not larger than lets one core extract the features of the
            training in about this time.
        batch_size: images decoded together, which on a GPU go through the backbone together; on a
            processor four at a time do (`ahl.features.tiles.TOGETHER`).
    """

    image_size: ImageSize | None = None
    tiles: int = 0
    minutes: float = 10.0
    batch_size: int = 16

    def __post_init__(self) -> None:
        require(
            self.image_size is None
            or all(
                SMALLEST_SIDE <= side <= LARGEST_SIDE and side % 2 == 0 for side in self.image_size
            ),
            "image_size",
            self.image_size,
            "of even sides from 32 to 4096 pixels",
        )
        require(0 <= self.tiles <= LARGEST_SIDE, "tiles", self.tiles, "from 0 to 4096 pixels")
        require(0 < self.minutes < float("inf"), "minutes", self.minutes, "positive")
        require(self.batch_size >= 1, "batch_size", self.batch_size, "at least 1")

    @property
    def size(self) -> ImageSize:
        """Height and width that images are resized to.

        Raises:
            ConfigurationError: if they are still to be chosen from training images.
        """
        if self.image_size is None:
            raise ConfigurationError(
                "image_size is auto, and there are no training images to choose it from; give a "
                "size, such as 224 or 448x192."
            )
        return self.image_size

    @property
    def tile_share(self) -> float:
        """Share of an image that one tile is; 1 for images that are seen whole.

        Raises:
            ConfigurationError: as for `size`.
        """
        if not self.tiles:
            return 1.0
        height, width = self.size
        return min(self.tiles, height) * min(self.tiles, width) / (height * width)
