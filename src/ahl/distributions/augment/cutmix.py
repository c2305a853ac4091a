"""CutMix: replaces a rectangle of the image by that of another normal image."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, final

import numpy as np
from PIL import Image

from ahl._common.errors import ConfigurationError
from ahl._common.types import Pixels
from ahl.distributions.augment.base import ATTEMPTS, VISIBLE, PseudoAnomalyGenerator


@final
@dataclass(frozen=True, kw_only=True)
class CutMix(PseudoAnomalyGenerator):
    """Replaces one random rectangle by the same rectangle of `source`.

    Yun et al., "CutMix: Regularization Strategy to Train Strong Classifiers with Localizable
    Features", ICCV 2019, section 3.1: lambda ~ Beta(alpha, alpha), the patch covers 1 - lambda
    of the image and has its aspect ratio. Two differences, as the result must be a *local*
    anomaly: 1 - lambda is mapped linearly onto `minimum_area`..`maximum_area`, and the patch
    lies within the image instead of being cut off at its border.

    If image and source do not differ in the last patch tried, that patch is inverted.

    Attributes:
        alpha: both parameters of the Beta distribution, > 0; 1 draws areas uniformly.
        minimum_area: smallest patch, as a share of the image, in (0, 1).
        maximum_area: largest patch, as a share of the image, in (0, 1).

    Raises:
        ConfigurationError: if a setting is out of range.
    """

    name: ClassVar[str] = "cutmix"

    alpha: float = 1.0
    minimum_area: float = 0.02
    maximum_area: float = 0.5

    def __post_init__(self) -> None:
        if not 0 < self.alpha < math.inf:
            raise ConfigurationError(f"CutMix: alpha is {self.alpha}; it must be positive.")
        if not 0 < self.minimum_area <= self.maximum_area < 1:
            raise ConfigurationError(
                f"CutMix: minimum_area, maximum_area are {self.minimum_area}, "
                f"{self.maximum_area}; they must satisfy 0 < minimum <= maximum < 1."
            )

    def __call__(self, image: Pixels, source: Pixels, random: np.random.Generator) -> Pixels:
        """Return a copy of `image`, uint8, (H, W, 3), with one rectangle of `source`.

        A `source` of another size is first resized to that of `image`.
        """
        height, width = image.shape[:2]
        if source.shape != image.shape:
            resized = Image.fromarray(source).resize((width, height), Image.Resampling.BILINEAR)
            source = np.asarray(resized)

        for _ in range(ATTEMPTS):
            patch = self._draw_patch(height, width, random)
            change = np.abs(source[patch].astype(np.int16) - image[patch])
            if change.mean() >= VISIBLE:
                break

        tampered = image.copy()
        tampered[patch] = source[patch] if change.any() else np.invert(image[patch])
        return tampered

    def _draw_patch(
        self, height: int, width: int, random: np.random.Generator
    ) -> tuple[slice, slice]:
        # 1 - lambda and lambda have the same distribution.
        position = random.beta(self.alpha, self.alpha)
        area = self.minimum_area + position * (self.maximum_area - self.minimum_area)
        side = math.sqrt(area)
        return _draw_interval(height, side, random), _draw_interval(width, side, random)


def _draw_interval(length: int, share: float, random: np.random.Generator) -> slice:
    """A random interval of about `share` of `length` pixels: at least 2, never all of them."""
    extent = min(max(round(share * length), 2), length - 1)
    start = int(random.integers(length - extent + 1))
    return slice(start, start + extent)
