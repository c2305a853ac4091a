"""The plug for pseudo-anomaly generators."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import asdict, dataclass
from typing import Any, ClassVar

import numpy as np

from ahl.types import Pixels


@dataclass(frozen=True, kw_only=True)
class PseudoAnomalyGenerator(ABC):
    """Makes an anomalous-looking image out of a normal one (AHL, appendix B.1).

    A concrete generator is a frozen, keyword-only dataclass whose fields are its settings.
    It holds no state: all randomness comes from the generator passed to the call, so the
    same arguments give the same pixels.
    """

    name: ClassVar[str]
    """Unique name, lower case."""
    version: ClassVar[int] = 1
    """Raised whenever the same arguments would give other pixels (feature caches depend on it)."""

    @abstractmethod
    def __call__(self, image: Pixels, source: Pixels, random: np.random.Generator) -> Pixels:
        """Return a tampered copy of `image`.

        Args:
            image: the normal image to tamper with, uint8, (H, W, 3), not modified.
            source: another normal image to take material from, uint8, any (H', W', 3);
                may be the same image when a set has only one.
            random: source of all randomness.

        Returns:
            uint8, (H, W, 3), of the same size as `image`, differing from it in at least one
            pixel wherever that is possible (an image and source of one flat colour may allow
            no difference).
        """

    def settings(self) -> dict[str, Any]:
        """Name, version and fields, as JSON values; equal settings make equal pixels."""
        return {"name": self.name, "version": self.version, **asdict(self)}


def tampered_within_a_tile(
    generator: PseudoAnomalyGenerator,
    image: Pixels,
    source: Pixels,
    tile: int,
    random: np.random.Generator,
) -> Pixels:
    """A tampered copy of `image` whose defect is as small as one of a tile's size would have.

    Args:
        generator: what tampers.
        image: the normal image, uint8, (H, W, 3), not modified.
        source: another normal image of the same size.
        tile: side of the tile in pixels; a longer one is cut off at the image's edge.
        random: source of all randomness, of the tile's place too.
    """
    height, width = image.shape[:2]
    top = random.integers(max(height - tile, 0) + 1)
    left = random.integers(max(width - tile, 0) + 1)
    place = slice(top, top + tile), slice(left, left + tile)
    tampered = image.copy()
    tampered[place] = generator(image[place], source[place], random)
    return tampered
