"""Image sizes: their notations (`448`, `1120x448`, `auto`), and their section of the config."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Final

from msgspec import Meta

from ahl._common.errors import ConfigurationError
from ahl._common.schema import Checked, Natural, Positive

if TYPE_CHECKING:
    from ahl._common.types import ImageSize  # which imports numpy: `ahl --help` is quicker without

DEFAULT_BACKBONE: Final = "efficientnet-lite0"
"""The backbone that is installed with ahl (`ahl.PACKAGED`)."""

SMALLEST_SIDE: Final = 32
"""Smallest side of an image in pixels."""

LARGEST_SIDE: Final = 4096
"""Largest side of an image or a tile in pixels."""

AUTO = "auto"
"""Value for a size that is chosen from the training images."""

Side = Annotated[int, Meta(ge=SMALLEST_SIDE, le=LARGEST_SIDE, multiple_of=2)]

_WRITTEN = re.compile(r"(\d{1,9})(?:\s*x\s*(\d{1,9}))?")


def read_size(value: object) -> ImageSize | None:
    """Parse an image size in any notation.

    Args:
        value: a side of a square (448 or "448"), height and width ((1120, 448) or "1120x448"),
            or "auto" or None.

    Returns:
        height and width in pixels; None for "auto" and None.

    Raises:
        ConfigurationError: if the value is of another form, or a side is out of range.
    """
    if value is None or value == AUTO:
        return None
    sides: object = value
    if isinstance(value, str):
        written = _WRITTEN.fullmatch(value.strip().lower())
        sides = [int(side) for side in written.groups() if side is not None] if written else None
    elif isinstance(value, int):
        sides = [value]
    if isinstance(sides, (list, tuple)) and all(type(side) is int for side in sides):
        if len(sides) == 1:
            return sides[0], sides[0]
        if len(sides) == 2:
            return sides[0], sides[1]
    raise ConfigurationError(
        f"image_size is {value!r}; it must be N (a square), HxW (height and width, such as "
        "448x192) or auto."
    )


def as_option(size: ImageSize) -> str:
    """A size in the notation of `--image-size`: `448x192`."""
    return f"{size[0]}x{size[1]}"


def in_pixels(size: ImageSize, tiles: int = 0) -> str:
    """A size in words, height first: `448 x 192 px`, `256 x 4096 px in tiles of 256 px`."""
    seen = f" in tiles of {tiles} px" if tiles else ""
    return f"{size[0]} x {size[1]} px{seen}"


Depth = Annotated[int, Meta(ge=9, le=16)]
"""Number of bits used in 16-bit files."""


@dataclass(frozen=True, kw_only=True)
class FeatureConfig(Checked):
    """Image size, tiles and batches of the feature extraction.

    Attributes:
        image_size: height and width, in pixels, that every image is resized to; the second scale
            is half of it. None chooses it from the training images (`ahl.features.sizing`).
        tiles: side in pixels of the overlapping tiles in which images are seen; 0 sees them whole.
            With tiles, a size that is chosen from the training images may be larger.
        bit_depth: bits actually used in 16-bit grey values, for all images of the model: with 12,
            4095 is white.
        minutes: upper limit for a chosen size: the minutes in which one core can extract the
            features of the training images.
        batch_size: images decoded together; on a GPU they also go through the backbone together,
            on a CPU four at a time (`ahl.features.tiles.TOGETHER`).
    """

    section = "features"

    image_size: Annotated[
        tuple[Side, Side] | None,
        Meta(description=f"even sides from {SMALLEST_SIDE} to {LARGEST_SIDE} pixels"),
    ] = None
    tiles: Annotated[int, Meta(ge=0, le=LARGEST_SIDE)] = 0
    bit_depth: Depth = 16
    minutes: Positive = 10.0
    batch_size: Natural = 16

    @property
    def size(self) -> ImageSize:
        """Height and width in pixels that images are resized to.

        Raises:
            ConfigurationError: if the size is auto and has not been chosen yet.
        """
        if self.image_size is None:
            raise ConfigurationError(
                "image_size is auto, and there are no training images to choose it from; give a "
                "size, such as 224 or 448x192."
            )
        return self.image_size

    @property
    def tile_share(self) -> float:
        """Share of an image that one tile covers; 1 for images that are seen whole.

        Raises:
            ConfigurationError: as for `size`.
        """
        if not self.tiles:
            return 1.0
        height, width = self.size
        return min(self.tiles, height) * min(self.tiles, width) / (height * width)
