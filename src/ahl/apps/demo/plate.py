"""The part on the inspection line: a brushed front panel with a printed dial, and its photograph.

Normal panels come from three lots of different finish, so the normal images form clusters, as they
do in a factory.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

Field = NDArray[np.floating[Any]]
"""A float array, (H, W) unless a docstring says otherwise."""

LABELS: Final = ((-0.665, 0.17, "AHL"), (0.665, 0.115, "24V  60Hz"))
"""Printed texts, centred: vertical position, height, text."""

_LOTS: Final = (
    ((0.66, 0.68, 0.70), (0.42, 0.45, 0.50), 17.0, 0.030),
    ((0.68, 0.67, 0.64), (0.44, 0.43, 0.42), 14.0, 0.026),
    ((0.58, 0.60, 0.64), (0.36, 0.39, 0.45), 20.0, 0.028),
)
"""Cool, warm and dark brushed aluminium: colours of metal and ink, length and contrast of the
brushing marks."""

_MARGIN: Final = 1.12
"""Half the side of the layers: the picture, turned and shifted a little, spans [-1, 1] of them."""


@dataclass(slots=True, kw_only=True)
class Plate:
    """Layers of one upright panel, all (H, W) unless said; defects change them in place.

    Attributes:
        size: side of the picture, in pixels.
        u: horizontal position; the picture spans [-1, 1].
        v: vertical position, downwards.
        solid: share of the pixel covered by material, [0, 1].
        height: of the surface, in units of the positions.
        metal: colour of the bare surface, (H, W, 3), [0, 1].
        ink: coverage by print, [0, 1].
        ink_colour: (3,), [0, 1].
    """

    size: int
    u: Field
    v: Field
    solid: Field
    height: Field
    metal: Field
    ink: Field
    ink_colour: Field

    @property
    def pixel(self) -> float:
        """Side of one pixel, in units of the positions."""
        return 2.0 / self.size


def make_plate(rng: np.random.Generator, size: int) -> Plate:
    """Make one normal plate of a random lot for a picture of `size` x `size` pixels."""
    metal, ink_colour, streak, contrast = _LOTS[rng.integers(len(_LOTS))]
    side = math.ceil(_MARGIN * size)
    axis = ((np.arange(side) + 0.5) * 2 - side).astype(np.float32) / size
    u, v = np.meshgrid(axis, axis)
    fine = smooth_noise(rng, (side, side), (0, streak * size / 256))
    rows = max(1, size // 36)
    broad = smooth_noise(rng, (side // rows + 1, side), (0, streak * size / 256))
    grain = contrast * (fine + 0.6 * np.repeat(broad, rows, axis=0)[:side])
    tint = 1.0 + rng.normal(0.0, 0.007, 3) + rng.normal(0.0, 0.025)
    return Plate(
        size=size,
        u=u,
        v=v,
        solid=np.ones_like(u),
        height=np.zeros_like(u),
        metal=(np.array(metal) * tint).astype(np.float32) * (1.0 + grain)[..., None],
        ink=_print(size) * rng.uniform(0.86, 0.97),
        ink_colour=np.array(ink_colour, dtype=np.float32),
    )


def photograph(plate: Plate, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Light the plate from the upper left and take its picture, (size, size, 3).

    Pose, light, exposure, dust and noise vary from picture to picture; none of it is a defect. The
    same generator state gives the same ones whatever the plate looks like.
    """
    lamp_u, lamp_v = rng.normal((-0.35, -0.4), 0.12)
    distance = (plate.u - lamp_u) ** 2 + (plate.v - lamp_v) ** 2
    lit = _reflected(plate, math.radians(232 + rng.normal(0.0, 4.0)))
    lit = lit * (1.10 - 0.16 * distance / (0.7 + distance))[..., None]
    below = np.array([0.040, 0.043, 0.047], dtype=np.float32)
    picture = below + (lit - below) * plate.solid[..., None]
    for _ in range(rng.poisson(1.6)):  # specks of dust, too small to matter
        (u, v), radius = rng.uniform(-0.95, 0.95, 2), rng.uniform(0.005, 0.008)
        tone, opacity = rng.uniform(0.35, 0.85), rng.uniform(0.15, 0.45)
        away = np.hypot(plate.u - u, plate.v - v)
        picture += (tone - picture) * (opacity * ramp(1.8 * radius, 0.4 * radius, away))[..., None]
    taken = _posed(picture, plate.size, rng) * (1.0 + rng.normal(0.0, 0.018))
    noise = 0.0055 * rng.standard_normal((plate.size, plate.size, 1), dtype=np.float32)
    noisy = taken + noise * (0.5 + np.sqrt(taken))
    # Seven bits: the noise hides the steps, and the files shrink by a third.
    pixels: NDArray[np.uint8] = (2 * np.clip(np.rint(noisy * 127), 0, 127)).astype(np.uint8)
    return pixels


def ramp(low: float, high: float, values: Field) -> Field:
    """Smooth step from 0 at `low` to 1 at `high`, flat beyond; it falls if `low > high`."""
    share: Field = np.clip((values - low) / (high - low), 0.0, 1.0)
    return share * share * (3.0 - 2.0 * share)


def smooth_noise(
    rng: np.random.Generator, shape: tuple[int, int], sigma: tuple[float, float]
) -> Field:
    """Gaussian noise blurred by `sigma` pixels along rows and columns; mean 0, deviation 1."""
    from scipy.ndimage import gaussian_filter

    noise = rng.standard_normal(shape, dtype=np.float32)
    blurred: Field = gaussian_filter(noise, sigma, mode="wrap")
    blurred -= blurred.mean()
    blurred /= blurred.std()
    return blurred


def _reflected(plate: Plate, azimuth: float) -> Field:
    """Colour of the surface under a directed light and a soft one, (H, W, 3)."""
    slope_v, slope_u = np.gradient(plate.height, plate.pixel)
    light = (0.58 * math.cos(azimuth), 0.58 * math.sin(azimuth), 0.8146)
    length = np.sqrt(1 + slope_u**2 + slope_v**2)
    tilt = slope_u * light[0] + slope_v * light[1]
    diffuse = np.clip((light[2] - tilt) / length, 0.0, None) / light[2]
    # Half-way between the light and the eye straight above: where metal glints.
    between = math.sqrt(2 + 2 * light[2])
    glint = np.clip((light[2] + 1 - tilt) / (length * between), 0.0, 1.0) ** 40
    bare: Field = plate.metal * (0.30 + 0.70 * diffuse)[..., None]
    bare += (0.26 * glint)[..., None]
    bare += (plate.ink_colour * (0.45 + 0.55 * diffuse)[..., None] - bare) * plate.ink[..., None]
    return bare


def _posed(picture: Field, size: int, rng: np.random.Generator) -> Field:
    """The picture (H, W, 3) turned and shifted a little, and cropped to (size, size, 3)."""
    turn, right, down = np.clip(rng.standard_normal(3), -2.5, 2.5) * (0.9, size / 180, size / 180)
    image = Image.fromarray(np.clip(np.rint(picture * 255), 0, 255).astype(np.uint8))
    image = image.rotate(turn, Image.Resampling.BICUBIC, translate=(right, down))
    edge = (image.width - size) // 2
    return np.asarray(image.crop((edge, edge, edge + size, edge + size)), dtype=np.float32) / 255


@lru_cache(maxsize=4)
def _print(size: int) -> Field:
    """Coverage by the printed dial and labels, (H, W), [0, 1]; shared, never written to."""
    side = math.ceil(_MARGIN * size)
    half, unit = 2 * side, 2 * size  # drawn four times as large
    canvas = Image.new("L", (4 * side, 4 * side), 0)
    draw = ImageDraw.Draw(canvas)
    for tick in range(41):  # from lower left over the top to lower right
        angle = math.radians(135 + tick * 270 / 40)
        outer, width = (0.535, 0.021) if tick % 10 == 0 else (0.515 - 0.025 * (tick % 5 > 0), 0.013)
        ends = [
            (half + unit * radius * math.cos(angle), half + unit * radius * math.sin(angle))
            for radius in (0.455, outer)
        ]
        draw.line(ends, fill=255, width=max(1, round(width * unit)))
    for v, height, text in LABELS:
        font = ImageFont.load_default(size=height * unit)
        draw.text((half, half + v * unit), text, fill=255, font=font, anchor="mm", stroke_width=1)
    small = canvas.resize((side, side), Image.Resampling.LANCZOS)
    return np.asarray(small, dtype=np.float32) / 255
