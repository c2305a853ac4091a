"""The part on the inspection line: a machined cover plate, as layers before any light.

A plate has a turned face around a bore, four countersunk holes, and a printed scale and
label. Normal plates come from three batches of different finish, so the normal images
form clusters, as they do in a factory.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import numpy as np
from numpy.typing import ArrayLike
from PIL import Image, ImageDraw, ImageFont

from ahl.demo.fields import Field, rounded_box, sample, smoothstep, streaks

HALF: Final = 0.84
"""Half of the plate's side."""

FACE: Final = 0.40
"""Radius of the turned face."""

BORE: Final = 0.17
"""Radius of the bore in the middle."""

HOLE: Final = 0.07
"""Radius of a corner hole."""

CORNERS: Final = tuple((x, y) for x in (-0.62, 0.62) for y in (-0.62, 0.62))
"""Centres of the corner holes, (u, v)."""

LABELS: Final = ((0.0, -0.665, 0.17, "AHL"), (0.0, 0.665, 0.115, "24V  60Hz"))
"""Printed texts: centre (u, v), height, text."""

_CANVAS: Final = 768


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """One production batch: how its normal plates look.

    Attributes:
        metal: colour of the bare surface, three values in [0, 1].
        ink: colour of the print, three values in [0, 1].
        streak: length of the brushing marks; 1 is a blasted surface without direction.
        contrast: strength of the surface texture.
    """

    metal: tuple[float, float, float]
    ink: tuple[float, float, float]
    streak: int
    contrast: float


BATCHES: Final = (
    Batch(metal=(0.66, 0.68, 0.70), ink=(0.09, 0.11, 0.14), streak=48, contrast=0.045),
    Batch(metal=(0.66, 0.58, 0.47), ink=(0.12, 0.08, 0.05), streak=40, contrast=0.030),
    Batch(metal=(0.27, 0.30, 0.34), ink=(0.80, 0.82, 0.84), streak=1, contrast=0.030),
)
"""Bright brushed aluminium, champagne anodised, graphite blasted."""


@dataclass(slots=True, kw_only=True)
class Plate:
    """Layers of one plate, all (H, W) unless said; defects change them in place.

    Attributes:
        u: horizontal position on the plate (the plate may lie askew in the picture).
        v: vertical position on the plate, downwards.
        solid: share of the pixel covered by material, [0, 1].
        height: of the surface, in plate units.
        metal: colour of the bare surface, (H, W, 3), [0, 1].
        turned: share of the pixel that is turned face, [0, 1].
        ink: coverage by print, [0, 1].
        ink_colour: (3,), [0, 1].
        gloss: strength of the reflection, 1 for a clean surface.
    """

    u: Field
    v: Field
    solid: Field
    height: Field
    metal: Field
    turned: Field
    ink: Field
    ink_colour: Field
    gloss: Field

    @property
    def pixel(self) -> float:
        """Side of one pixel, in plate units."""
        return 2.0 / int(self.u.shape[0])


def make_plate(rng: np.random.Generator, size: int) -> Plate:
    """Make one normal plate, of a random batch, in a random pose close to upright.

    Args:
        rng: decides batch, pose, texture and print.
        size: side of the picture, in pixels.

    Returns:
        Its layers, (size, size).
    """
    batch = BATCHES[rng.integers(len(BATCHES))]
    u, v = _pose(rng, size)
    pixel = 2.0 / size
    radius = np.hypot(u, v)
    edge = rounded_box(u, v, HALF, 0.13)
    holes = _nearest_corner(u, v)

    def inside(distance: Field) -> Field:
        share: Field = np.clip(0.5 - distance / pixel, 0.0, 1.0)
        return share

    solid = inside(edge) * inside(BORE - radius) * inside(HOLE - holes)
    height = 0.026 * smoothstep(0.0, -0.045, edge)  # bevel of the outline
    height -= 0.045 * smoothstep(HOLE + 0.055, HOLE - 0.01, holes)  # countersinks
    height -= 0.020 * smoothstep(BORE + 0.03, BORE - 0.01, radius)  # bevel of the bore
    height -= 0.006 * smoothstep(0.022, 0.0, np.abs(radius - FACE))  # groove of the face

    turned = inside(radius - FACE)
    grain = batch.contrast * _grain(rng, batch.streak, u, v, turned)
    tint = 1.0 + rng.normal(0.0, 0.007, 3) + rng.normal(0.0, 0.025)
    metal = _colour(np.array(batch.metal) * tint) * (1.0 + grain)[..., None]
    ink = _print(size, u, v) * rng.uniform(0.86, 0.97)
    return Plate(
        u=u,
        v=v,
        solid=solid,
        height=height,
        metal=metal,
        turned=turned,
        ink=ink,
        ink_colour=_colour(batch.ink),
        gloss=np.ones_like(u),
    )


def _colour(values: ArrayLike) -> Field:
    """A colour in the precision of the layers, (3,)."""
    return np.asarray(values, dtype=np.float32)


def _pose(rng: np.random.Generator, size: int) -> tuple[Field, Field]:
    """Plate coordinates of every pixel: a small turn, shift and zoom."""
    axis = ((np.arange(size) + 0.5) * (2.0 / size) - 1.0).astype(np.float32)
    x, y = np.meshgrid(axis, axis)
    angle = math.radians(rng.normal(0.0, 0.9))
    zoom = 1.0 + rng.normal(0.0, 0.006)
    x, y = (x - rng.normal(0.0, 0.011)) / zoom, (y - rng.normal(0.0, 0.011)) / zoom
    cosine, sine = math.cos(angle), math.sin(angle)
    return x * cosine + y * sine, y * cosine - x * sine


def _nearest_corner(u: Field, v: Field) -> Field:
    """Distance to the centre of the nearest corner hole."""
    corner = abs(CORNERS[0][0])
    return np.hypot(np.abs(u) - corner, np.abs(v) - corner)


def _grain(rng: np.random.Generator, streak: int, u: Field, v: Field, turned: Field) -> Field:
    """Surface texture, zero mean: brushed outside, rings on the face."""
    scale = 150.0  # texture cells per plate unit: about a pixel at 256
    fine = streaks(rng, 384, 384, streak)
    broad = streaks(rng, 48, 384, max(streak, 8))
    both = fine + 0.6 * np.repeat(broad, 8, axis=0)
    brushed = sample(both, v * scale + 192, u * scale + 192)
    rings = streaks(rng, 128, 64, 24)
    spun = sample(rings, np.hypot(u, v) * scale * 1.2, np.arctan2(v, u) * (64 / (2 * np.pi)))
    return brushed + turned * (spun - brushed)


def _print(size: int, u: Field, v: Field) -> Field:
    """Coverage by the printed scale and label, resampled to where the plate lies."""
    artwork = _artwork(size)
    middle = (artwork.shape[0] - 1) / 2
    scale = artwork.shape[0] / 2
    return sample(artwork, v * scale + middle, u * scale + middle)


@lru_cache(maxsize=4)
def _artwork(size: int) -> Field:
    """The print on an upright plate, (2 size, 2 size), [0, 1]; shared, never written to."""
    factor = _CANVAS / 2
    canvas = Image.new("L", (_CANVAS, _CANVAS), 0)
    draw = ImageDraw.Draw(canvas)

    def at(u: float, v: float) -> tuple[float, float]:
        return (u + 1) * factor, (v + 1) * factor

    for tick in range(41):  # a dial from lower left over the top to lower right
        angle = np.deg2rad(135 + tick * 270 / 40)
        direction = np.array([np.cos(angle), np.sin(angle)])
        outer = 0.535 if tick % 10 == 0 else 0.515 if tick % 5 == 0 else 0.49
        ends = [at(*(direction * 0.455)), at(*(direction * outer))]
        draw.line(ends, fill=255, width=8 if tick % 10 == 0 else 5)
    for u, v, text_height, text in LABELS:
        font = ImageFont.load_default(size=text_height * factor)
        draw.text(at(u, v), text, fill=255, font=font, anchor="mm", stroke_width=1)
    small = canvas.resize((2 * size, 2 * size), Image.Resampling.LANCZOS)
    # Two artwork pixels fall on one of the picture: average them here, once.
    values = np.asarray(small, dtype=np.float32) / 255
    values = (values + np.roll(values, 1, axis=0)) / 2
    return (values + np.roll(values, 1, axis=1)) / 2
