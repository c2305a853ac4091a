"""Light and camera: from the layers of a plate to the pixels of a photograph."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from ahl.apps.demo.fields import Field, cloud, smoothstep
from ahl.apps.demo.plate import Plate


def photograph(plate: Plate, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Light the plate from the upper left and take its picture.

    Light, exposure, dust and noise vary from picture to picture; none of it is a defect.
    The same generator state gives the same light and noise whatever the plate looks like.

    Args:
        plate: the layers, (H, W).
        rng: decides light, dust and noise.

    Returns:
        (H, W, 3).
    """
    size = plate.u.shape[0]
    azimuth = math.radians(232 + rng.normal(0.0, 4.0))  # 225: the exact upper left
    lit = _reflected(plate, azimuth) * _uneven(plate, rng)[..., None]
    ground = _ground(plate, rng)
    picture: Field = ground + (lit - ground) * plate.solid[..., None]
    picture = _dust(picture, plate, rng)
    picture *= 1.0 + rng.normal(0.0, 0.018)  # exposure
    noise = 0.0055 * rng.standard_normal((size, size, 1), dtype=np.float32)
    noisy = picture + noise * (0.5 + np.sqrt(np.clip(picture, 0, 1)))
    # Seven bits: the noise hides the steps, and the files shrink by a third.
    pixels: NDArray[np.uint8] = (2 * np.clip(np.rint(noisy * 127), 0, 127)).astype(np.uint8)
    return pixels


def _reflected(plate: Plate, azimuth: float) -> Field:
    """Colour of the surface under a directed light and a soft one, (H, W, 3)."""
    slope_v, slope_u = np.gradient(plate.height, plate.pixel)
    light = (0.58 * math.cos(azimuth), 0.58 * math.sin(azimuth), 0.8146)
    length = np.sqrt(1 + slope_u**2 + slope_v**2)
    facing = (light[2] - slope_u * light[0] - slope_v * light[1]) / length
    diffuse = np.clip(facing, 0.0, None) / light[2]
    # Half-way between the light and the eye straight above: where metal glints.
    between = math.sqrt(2 + 2 * light[2])
    glint = ((light[2] + 1) - slope_u * light[0] - slope_v * light[1]) / (length * between)
    glint = np.clip(glint, 0.0, 1.0) ** 40
    bare: Field = plate.metal * (0.30 + 0.70 * diffuse)[..., None]
    bare += (0.26 * glint * plate.gloss)[..., None]
    print_ = plate.ink_colour * (0.45 + 0.55 * diffuse)[..., None]
    bare += (print_ - bare) * plate.ink[..., None]
    return bare


def _uneven(plate: Plate, rng: np.random.Generator) -> Field:
    """Brightness over the picture: a lamp to one side and a fall-off to the corners."""
    lamp_u, lamp_v = rng.normal(-0.35, 0.12), rng.normal(-0.4, 0.12)
    distance = (plate.u - lamp_u) ** 2 + (plate.v - lamp_v) ** 2
    drift = 0.012 * cloud(rng, 3, plate.u.shape[0])
    return 1.10 - 0.16 * distance / (0.7 + distance) + drift - 0.035 * plate.u**2 * plate.v**2


def _ground(plate: Plate, rng: np.random.Generator) -> Field:
    """What is seen through holes and cracks: the dark below, (H, W, 3)."""
    mat = 0.155 + 0.006 * cloud(rng, 40, plate.u.shape[0]) - 0.03 * (plate.u + plate.v)
    tone = np.array([0.92, 1.0, 1.10], dtype=np.float32)
    return tone * (0.28 * mat)[..., None]


def _dust(picture: Field, plate: Plate, rng: np.random.Generator) -> Field:
    """A few specks too small to matter: normal pictures are not spotless."""
    for _ in range(rng.poisson(1.6)):
        u, v = rng.uniform(-0.95, 0.95, 2)
        radius = rng.uniform(0.6, 1.0) * 0.008
        tone = rng.uniform(0.35, 0.85)
        distance = np.hypot(plate.u - u, plate.v - v)
        share = rng.uniform(0.15, 0.45) * smoothstep(1.8 * radius, 0.4 * radius, distance)
        picture = picture + (tone - picture) * share[..., None]
    return picture
