"""CutPaste: pastes a patch of the image at another place of the same image."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import ClassVar, final

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageEnhance

from ahl._common.errors import ConfigurationError
from ahl._common.types import Pixels
from ahl.distributions.augment.base import ATTEMPTS, VISIBLE, PseudoAnomalyGenerator

# The paper's patches; the scar's pixels are those of an image of 256 x 256.
_PATCH_AREA = (0.02, 0.15)
_PATCH_ASPECT = (0.3, 3.3)
_SCAR_WIDTH = (2 / 256, 16 / 256)
_SCAR_LENGTH = (10 / 256, 25 / 256)

# Each field is drawn from, or up to, its value; above these the change makes no sense.
_LIMITS = {
    "scar_probability": 1.0,
    "rotation_probability": 1.0,
    "jitter_probability": 1.0,
    "maximum_angle": 90.0,
    "maximum_jitter": 0.5,
}


@final
@dataclass(frozen=True, kw_only=True)
class CutPaste(PseudoAnomalyGenerator):
    """Cuts a patch, may rotate it and jitter its colours, and pastes it at another place.

    Li et al., "CutPaste: Self-Supervised Learning for Anomaly Detection and Localization",
    CVPR 2021, sections 2.2 and 2.3. Each call makes one of two kinds, drawn at random: the
    *normal* patch (area 0.02-0.15 of the image, aspect ratio 0.3-3.3) or the *scar* (2-16 by
    10-25 pixels of a 256 x 256 image, always rotated).

    The paper squeezes its images to squares; on others the normal patch's area and aspect are
    relative to the image's own shape, and the scar's size to its shorter side. A rotated patch
    that does not fit into the image, far from square, is pasted unrotated.

    If the paste changes nothing at the last place tried, that place is inverted.

    Attributes:
        scar_probability: probability of a scar instead of a normal patch, in [0, 1].
        rotation_probability: probability that a normal patch is rotated, in [0, 1].
        jitter_probability: probability that a patch's colours are jittered, in [0, 1].
        maximum_angle: largest rotation in degrees, either way, in [0, 90].
        maximum_jitter: largest relative change of brightness, contrast, saturation, and of hue
            as a share of the colour circle, in [0, 0.5].

    Raises:
        ConfigurationError: if a setting is out of range.
    """

    name: ClassVar[str] = "cutpaste"

    scar_probability: float = 0.5
    rotation_probability: float = 0.5
    jitter_probability: float = 0.5
    maximum_angle: float = 45.0
    maximum_jitter: float = 0.1

    def __post_init__(self) -> None:
        for field, value in asdict(self).items():
            if not 0 <= value <= _LIMITS[field]:
                raise ConfigurationError(
                    f"CutPaste: {field} is {value}; it must be in [0, {_LIMITS[field]:g}]."
                )

    def __call__(self, image: Pixels, source: Pixels, random: np.random.Generator) -> Pixels:
        """Return a copy of `image`, uint8, (H, W, 3), with a patch of it at a second place.

        `source` is not used.
        """
        height, width = image.shape[:2]
        for _ in range(ATTEMPTS):
            pixels, inside = self._cut(image, random)
            box_height, box_width = inside.shape
            top = int(random.integers(height - box_height + 1))
            left = int(random.integers(width - box_width + 1))
            place = slice(top, top + box_height), slice(left, left + box_width)
            before = image[place][inside]
            change = np.abs(pixels.astype(np.int16) - before)
            if change.mean() >= VISIBLE:
                break

        tampered = image.copy()
        tampered[place][inside] = pixels if change.any() else np.invert(before)
        return tampered

    def _cut(self, image: Pixels, random: np.random.Generator) -> tuple[Pixels, NDArray[np.bool_]]:
        """Draw a patch: its N pixels (N, 3), and their mask in a box, (h, w) with N true."""
        is_scar = random.random() < self.scar_probability
        draw_size = _draw_scar_size if is_scar else _draw_patch_size
        height, width = draw_size(image.shape[0], image.shape[1], random)
        top = int(random.integers(image.shape[0] - height + 1))
        left = int(random.integers(image.shape[1] - width + 1))
        patch = image[top : top + height, left : left + width]

        angle = 0.0
        if is_scar or random.random() < self.rotation_probability:
            angle = math.radians(random.uniform(-self.maximum_angle, self.maximum_angle))
        box = _rotated_box(height, width, angle)
        if box[0] > image.shape[0] or box[1] > image.shape[1]:
            angle, box = 0.0, (height, width)
        pixels, inside = _rotate(patch, angle, box)

        if random.random() < self.jitter_probability:
            pixels = _jitter(pixels, self.maximum_jitter, random)
        return pixels, inside


def _draw_patch_size(height: int, width: int, random: np.random.Generator) -> tuple[int, int]:
    area = random.uniform(*_PATCH_AREA)
    # Log-uniform, so that upright and lying patches are equally frequent.
    aspect = math.exp(random.uniform(math.log(_PATCH_ASPECT[0]), math.log(_PATCH_ASPECT[1])))
    rows, columns = height * math.sqrt(area / aspect), width * math.sqrt(area * aspect)
    return max(round(rows), 2), max(round(columns), 2)


def _draw_scar_size(height: int, width: int, random: np.random.Generator) -> tuple[int, int]:
    shorter = min(height, width)
    across = max(round(shorter * random.uniform(*_SCAR_WIDTH)), 2)
    along = max(round(shorter * random.uniform(*_SCAR_LENGTH)), 4)
    return (across, along) if random.random() < 0.5 else (along, across)


def _rotated_box(height: int, width: int, angle: float) -> tuple[int, int]:
    """Height and width of the upright box around a patch turned by `angle` (radians)."""
    cosine, sine = abs(math.cos(angle)), abs(math.sin(angle))
    return (
        math.ceil(height * cosine + width * sine),
        math.ceil(height * sine + width * cosine),
    )


def _rotate(patch: Pixels, angle: float, box: tuple[int, int]) -> tuple[Pixels, NDArray[np.bool_]]:
    """Rotate a patch (h, w, 3) by `angle` (radians) about its centre, within a box.

    Returns:
        the N pixels of the rotated patch, (N, 3), row by row, and their mask in the box, (h', w').
    """
    height, width = patch.shape[:2]
    cosine, sine = math.cos(angle), math.sin(angle)
    # Where in the patch each pixel of the box comes from, both measured from their centres.
    y, x = np.ogrid[: box[0], : box[1]]
    y, x = y + 0.5 - box[0] / 2, x + 0.5 - box[1] / 2
    from_x, from_y = cosine * x + sine * y, cosine * y - sine * x
    inside = (np.abs(from_x) < width / 2) & (np.abs(from_y) < height / 2)

    offset_x = width / 2 - cosine * box[1] / 2 - sine * box[0] / 2
    offset_y = height / 2 + sine * box[1] / 2 - cosine * box[0] / 2
    turned = Image.fromarray(patch).transform(
        (box[1], box[0]),
        Image.Transform.AFFINE,
        (cosine, sine, offset_x, -sine, cosine, offset_y),
        Image.Resampling.BILINEAR,
    )
    return np.asarray(turned)[inside], inside


def _jitter(pixels: Pixels, maximum: float, random: np.random.Generator) -> Pixels:
    """Change brightness, contrast, saturation and hue of pixels (N, 3) a little."""
    image = Image.fromarray(pixels[np.newaxis])
    for enhance in (ImageEnhance.Brightness, ImageEnhance.Contrast, ImageEnhance.Color):
        image = enhance(image).enhance(1 + random.uniform(-maximum, maximum))
    turn = round(256 * random.uniform(-maximum, maximum))
    hue, saturation, value = image.convert("HSV").split()
    hue = hue.point([(level + turn) % 256 for level in range(256)])
    image = Image.merge("HSV", (hue, saturation, value)).convert("RGB")
    return np.asarray(image).reshape(pixels.shape)
