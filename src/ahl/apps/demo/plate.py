"""The part on the inspection line: a printed front panel, as layers before any light.

A close-up of a brushed sheet with a printed scale and label. Normal panels come from three
batches of different finish, so the normal images form clusters, as they do in a factory.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import numpy as np
from numpy.typing import ArrayLike
from PIL import Image, ImageDraw, ImageFont

from ahl.apps.demo.fields import Field, sample, streaks

HALF: Final = 0.84
"""Half of the side of the area that defects lie in; the panel fills the picture (1.0)."""

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
    Batch(metal=(0.66, 0.68, 0.70), ink=(0.42, 0.45, 0.50), streak=48, contrast=0.030),
    Batch(metal=(0.68, 0.67, 0.64), ink=(0.44, 0.43, 0.42), streak=40, contrast=0.026),
    Batch(metal=(0.58, 0.60, 0.64), ink=(0.36, 0.39, 0.45), streak=56, contrast=0.028),
)
"""Three lots of brushed aluminium: cool, warm and dark."""


@dataclass(slots=True, kw_only=True)
class Plate:
    """Layers of one plate, all (H, W) unless said; defects change them in place.

    Attributes:
        u: horizontal position on the plate (the plate may lie askew in the picture).
        v: vertical position on the plate, downwards.
        solid: share of the pixel covered by material, [0, 1].
        height: of the surface, in plate units.
        metal: colour of the bare surface, (H, W, 3), [0, 1].
        ink: coverage by print, [0, 1].
        ink_colour: (3,), [0, 1].
        gloss: strength of the reflection, 1 for a clean surface.
    """

    u: Field
    v: Field
    solid: Field
    height: Field
    metal: Field
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
    grain = batch.contrast * _grain(rng, batch.streak, u, v)
    tint = 1.0 + rng.normal(0.0, 0.007, 3) + rng.normal(0.0, 0.025)
    metal = _colour(np.array(batch.metal) * tint) * (1.0 + grain)[..., None]
    ink = _print(size, u, v) * rng.uniform(0.86, 0.97)
    return Plate(
        u=u,
        v=v,
        solid=np.ones_like(u),
        height=np.zeros_like(u),
        metal=metal,
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


def _grain(rng: np.random.Generator, streak: int, u: Field, v: Field) -> Field:
    """Surface texture, zero mean."""
    scale = 150.0  # texture cells per plate unit: about a pixel at 256
    fine = streaks(rng, 384, 384, streak)
    broad = streaks(rng, 48, 384, max(streak, 8))
    both = fine + 0.6 * np.repeat(broad, 8, axis=0)
    return sample(both, v * scale + 192, u * scale + 192)


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
