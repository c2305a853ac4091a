"""DRAEM's simulated anomalies: regions of Perlin noise, filled with another texture."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, final

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageEnhance, ImageOps

from ahl._common.errors import ConfigurationError
from ahl._common.types import Pixels
from ahl.distributions.augment.base import ATTEMPTS, VISIBLE, PseudoAnomalyGenerator
from ahl.distributions.augment.perlin import perlin_noise


@final
@dataclass(frozen=True, kw_only=True)
class DraemMask(PseudoAnomalyGenerator):
    """Blends an augmented `source` into the image under a mask of thresholded Perlin noise.

    Zavrtanik et al., "DRAEM - A discriminatively trained reconstruction embedding for surface
    anomaly detection", ICCV 2021, section 3.3. The paper fills from a set of unrelated textures;
    here the filling is another normal image, so it is augmented more strongly (`augment_texture`).
    The noise has 2^0 to 2^`maximum_octave` cells along each axis, drawn independently, so that
    blotches, streaks and speckles occur.

    If the filling changes nothing under the last mask tried, the image is inverted there.

    Attributes:
        threshold: noise level above which the mask is true, in (0, 1).
        maximum_octave: binary logarithm of the largest number of cells along an axis, >= 0;
            a cell is never smaller than two pixels.
        minimum_area: masks that cover a smaller share of the image are drawn again, in [0, 1).
        minimum_opacity: smallest opacity of the filling, in (0, 1].
        maximum_opacity: largest opacity of the filling, in (0, 1].

    Raises:
        ConfigurationError: if a setting is out of range.
    """

    name: ClassVar[str] = "draem"

    threshold: float = 0.5
    maximum_octave: int = 5
    minimum_area: float = 0.002
    minimum_opacity: float = 0.15
    maximum_opacity: float = 1.0

    def __post_init__(self) -> None:
        if not 0 < self.threshold < 1:
            raise ConfigurationError(
                f"DraemMask: threshold is {self.threshold}; it must be in (0, 1)."
            )
        if self.maximum_octave < 0:
            raise ConfigurationError(
                f"DraemMask: maximum_octave is {self.maximum_octave}; it must be at least 0."
            )
        if not 0 <= self.minimum_area < 1:
            raise ConfigurationError(
                f"DraemMask: minimum_area is {self.minimum_area}; it must be in [0, 1)."
            )
        if not 0 < self.minimum_opacity <= self.maximum_opacity <= 1:
            raise ConfigurationError(
                f"DraemMask: minimum_opacity, maximum_opacity are {self.minimum_opacity}, "
                f"{self.maximum_opacity}; they must satisfy 0 < minimum <= maximum <= 1."
            )

    def __call__(self, image: Pixels, source: Pixels, random: np.random.Generator) -> Pixels:
        """Return a copy of `image`, uint8, (H, W, 3), altered under a mask of noise.

        A `source` of another size is first resized to that of `image`.
        """
        height, width = image.shape[:2]
        texture = Image.fromarray(source)
        if texture.size != (width, height):
            texture = texture.resize((width, height), Image.Resampling.BILINEAR)

        for _ in range(ATTEMPTS):
            mask = self.draw_mask(height, width, random)
            filling = np.asarray(augment_texture(texture, random))
            opacity = random.uniform(self.minimum_opacity, self.maximum_opacity)
            before = image[mask]
            after = blend(before, filling[mask], opacity)
            change = np.abs(after.astype(np.int16) - before)
            if change.mean() >= VISIBLE:
                break

        tampered = image.copy()
        tampered[mask] = after if change.any() else np.invert(before)
        return tampered

    def draw_mask(self, height: int, width: int, random: np.random.Generator) -> NDArray[np.bool_]:
        """Draw a mask, bool, (H, W), neither empty nor covering the whole image."""
        for _ in range(ATTEMPTS):
            rows, columns = (
                min(2 ** int(random.integers(self.maximum_octave + 1)), max(side // 2, 1))
                for side in (height, width)
            )
            noise = perlin_noise(height, width, rows=rows, columns=columns, random=random)
            mask = noise > self.threshold
            if mask.any() and self.minimum_area <= mask.mean() < 1:
                return mask
        # Only coarse noise came up, which may stay below any threshold: take its peaks.
        peaks: NDArray[np.bool_] = noise > 0.25 * noise.min() + 0.75 * noise.max()
        return peaks


def blend(image: Pixels, filling: Pixels, opacity: float) -> Pixels:
    """Blend as DRAEM does (section 3.3): (1 - opacity) image + opacity filling, rounded.

    Args:
        image: uint8, any shape.
        filling: uint8, the same shape.
        opacity: the paper's beta, in [0, 1].
    """
    mixed = (1 - opacity) * image.astype(np.float64) + opacity * filling
    return np.rint(mixed).astype(np.uint8)


def augment_texture(texture: Image.Image, random: np.random.Generator) -> Image.Image:
    """Apply three different augmentations, drawn at random, to an RGB image.

    They are the paper's (section 3.3: posterise, sharpness, solarise, equalise, brightness, colour,
    auto-contrast), and flips and rotation, as normal images often share a layout.
    """
    for index in random.choice(len(_AUGMENTATIONS), size=3, replace=False):
        texture = _AUGMENTATIONS[index](texture, random)
    return texture


def _posterise(texture: Image.Image, random: np.random.Generator) -> Image.Image:
    return ImageOps.posterize(texture, int(random.integers(1, 4)))


def _sharpen(texture: Image.Image, random: np.random.Generator) -> Image.Image:
    return ImageEnhance.Sharpness(texture).enhance(random.uniform(4, 12))


def _solarise(texture: Image.Image, random: np.random.Generator) -> Image.Image:
    return ImageOps.solarize(texture, int(random.integers(32, 192)))


def _equalise(texture: Image.Image, random: np.random.Generator) -> Image.Image:
    return ImageOps.equalize(texture)


def _auto_contrast(texture: Image.Image, random: np.random.Generator) -> Image.Image:
    return ImageOps.autocontrast(texture, cutoff=random.uniform(0, 10))


def _brightness_contrast(texture: Image.Image, random: np.random.Generator) -> Image.Image:
    texture = ImageEnhance.Brightness(texture).enhance(2 ** random.uniform(-1.5, 1.5))
    return ImageEnhance.Contrast(texture).enhance(2 ** random.uniform(-1.5, 1.5))


def _shift_colours(texture: Image.Image, random: np.random.Generator) -> Image.Image:
    levels = np.arange(256) + random.integers(-96, 97, size=(3, 1))
    return texture.point(levels.clip(0, 255).ravel().tolist())


def _flip(texture: Image.Image, random: np.random.Generator) -> Image.Image:
    flips = (Image.Transpose.FLIP_LEFT_RIGHT, Image.Transpose.FLIP_TOP_BOTTOM)
    return texture.transpose(flips[random.integers(2)])


def _rotate(texture: Image.Image, random: np.random.Generator) -> Image.Image:
    # Corners that no pixel turns into take the mean colour, not a black of their own.
    mean = texture.resize((1, 1), Image.Resampling.BOX).getpixel((0, 0))
    angle = random.uniform(15, 345)
    return texture.rotate(angle, Image.Resampling.BILINEAR, fillcolor=mean)


_AUGMENTATIONS = (
    _posterise,
    _sharpen,
    _solarise,
    _equalise,
    _auto_contrast,
    _brightness_contrast,
    _shift_colours,
    _flip,
    _rotate,
)
