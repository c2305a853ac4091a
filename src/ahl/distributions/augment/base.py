"""The extension point for pseudo-anomaly generators."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import asdict, dataclass
from typing import Any, ClassVar

import numpy as np

from ahl._common.types import Pixels

VISIBLE = 8.0
"""Smallest mean change in grey levels (of 255). A fainter one would leave a normal image labelled
anomalous; the generator then draws again."""

ATTEMPTS = 8
"""Largest number of draws."""


@dataclass(frozen=True, kw_only=True)
class PseudoAnomalyGenerator(ABC):
    """Base class of generators that make a normal image look anomalous (AHL, appendix B.1).

    A concrete generator is a frozen, keyword-only dataclass whose fields are its settings.
    It holds no state: all randomness comes from the generator passed to the call, so the
    same arguments give the same pixels.
    """

    name: ClassVar[str]
    """Unique name, lower case."""
    version: ClassVar[int] = 1
    """Version number, raised if equal arguments give other pixels; feature caches depend on it."""

    @abstractmethod
    def __call__(self, image: Pixels, source: Pixels, random: np.random.Generator) -> Pixels:
        """Return a copy of `image` with a synthetic defect.

        Args:
            image: the normal image, uint8, (H, W, 3), not modified.
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


def tampered(
    generator: PseudoAnomalyGenerator,
    image: Pixels,
    source: Pixels,
    random: np.random.Generator,
    *,
    tiles: int,
) -> Pixels:
    """Apply a generator to a copy of `image`, or to one random tile of it.

    Args:
        generator: the generator to apply.
        image: the normal image, uint8, (H, W, 3), not modified.
        source: another normal image of the same size.
        random: source of all randomness, also for the tile's position.
        tiles: side of the tile in pixels, at most the image's; 0 for the whole image.

    Returns:
        uint8, (H, W, 3).
    """
    if not tiles:
        return generator(image, source, random)
    height, width = image.shape[:2]
    top = random.integers(max(height - tiles, 0) + 1)
    left = random.integers(max(width - tiles, 0) + 1)
    place = slice(top, top + tiles), slice(left, left + tiles)
    copy = image.copy()
    copy[place] = generator(image[place], source[place], random)
    return copy
