"""What can be wrong with a picture: kinds of defect that differ in place, shape and strength.

To add one, write `kind(canvas, constants) -> Defect` and put it into `DEFECTS`: constants are drawn
once for a kind that comes again and again, the rest each time.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np

from ahl.synthetic.canvas import Canvas, Material, Picture, blurred, log_uniform
from ahl.synthetic.marks import (
    Mask,
    MaskSource,
    blobs,
    distance_from_spot,
    dots,
    draw_radius,
    draw_tone,
    lines,
)

Defect = Callable[[Picture, np.random.Generator, Material], Picture]
"""Gives a picture with the defect; the material is a foreign one, for what does not belong."""

DefectKind = Callable[[Canvas, np.random.Generator], Defect]


def _mark(masks: MaskSource, opacity: float, constants: np.random.Generator) -> Defect:
    tone = draw_tone(constants)

    def spoil(picture: Picture, random: np.random.Generator, foreign: Material) -> Picture:
        mask = masks(random)
        return _over(picture, tone(picture, mask), opacity * mask)

    return spoil


def _over(below: Picture, above: Picture, mask: Mask) -> Picture:
    both: Picture = below * (1 - mask) + above * mask
    return both


def line(canvas: Canvas, constants: np.random.Generator) -> Defect:
    """A scratch, hair or crack."""
    return _mark(lines(canvas, constants), constants.uniform(0.4, 1), constants)


def blob(canvas: Canvas, constants: np.random.Generator) -> Defect:
    """A spot of another tone."""
    return _mark(blobs(canvas, constants), constants.uniform(0.3, 1), constants)


def scatter(canvas: Canvas, constants: np.random.Generator) -> Defect:
    """Small dots near each other."""
    return _mark(dots(canvas, constants), 1.0, constants)


def stain(canvas: Canvas, constants: np.random.Generator) -> Defect:
    """Something translucent: darker, or paler."""
    masks, strength = blobs(canvas, constants), constants.uniform(0.15, 0.6)
    dark = constants.random() < 0.6
    soaked = strength * (constants.uniform(0.4, 1, 3) if constants.random() < 0.5 else np.ones(3))

    def spoil(picture: Picture, random: np.random.Generator, foreign: Material) -> Picture:
        mask = masks(random)
        if dark:
            return picture * (1 - soaked * mask)
        return picture + (1 - picture) * strength * mask

    return spoil


def tint(canvas: Canvas, constants: np.random.Generator) -> Defect:
    """Brighter, darker or of another hue in one place."""
    masks = blobs(canvas, constants)
    change = constants.uniform(0.2, 0.6) * constants.standard_normal(3)
    if constants.random() < 0.5:
        change = np.full(3, change[0])

    def spoil(picture: Picture, random: np.random.Generator, foreign: Material) -> Picture:
        return picture * (1 + change * masks(random))

    return spoil


def foreign_matter(canvas: Canvas, constants: np.random.Generator) -> Defect:
    """A spot of another material."""
    masks = blobs(canvas, constants)

    def spoil(picture: Picture, random: np.random.Generator, foreign: Material) -> Picture:
        return _over(picture, np.clip(foreign(random), 0, 1), masks(random))

    return spoil


def misplaced(canvas: Canvas, constants: np.random.Generator) -> Defect:
    """A spot of the same picture from elsewhere, turned."""
    masks, quarters = blobs(canvas, constants), int(constants.integers(1, 4))

    def spoil(picture: Picture, random: np.random.Generator, foreign: Material) -> Picture:
        far = tuple(int(shift) for shift in random.integers(10, canvas.size - 10, 2))
        moved = np.rot90(np.roll(picture, far, axis=(0, 1)), quarters)
        return _over(picture, moved, masks(random))

    return spoil


def cut(canvas: Canvas, constants: np.random.Generator) -> Defect:
    """A rectangle of the same picture from elsewhere, brighter or darker (CutPaste)."""
    height, width = (int(log_uniform(constants, 4, 40)) for _ in range(2))
    mirrored, brightness = constants.random() < 0.5, constants.uniform(0.8, 1.2)

    def spoil(picture: Picture, random: np.random.Generator, foreign: Material) -> Picture:
        bottom, right = canvas.size - height, canvas.size - width
        (y, from_y), (x, from_x) = random.integers(0, bottom, 2), random.integers(0, right, 2)
        piece = picture[from_y : from_y + height, from_x : from_x + width]
        spoilt = picture.copy()
        spoilt[y : y + height, x : x + width] = brightness * (piece[::-1] if mirrored else piece)
        return spoilt

    return spoil


def smear(canvas: Canvas, constants: np.random.Generator) -> Defect:
    """Blurred in one place."""
    masks, radius = blobs(canvas, constants), constants.uniform(2, 6)

    def spoil(picture: Picture, random: np.random.Generator, foreign: Material) -> Picture:
        return _over(picture, blurred(picture, radius), masks(random))

    return spoil


def missing(canvas: Canvas, constants: np.random.Generator) -> Defect:
    """Nothing but the picture's usual colour in one place."""
    masks = blobs(canvas, constants)

    def spoil(picture: Picture, random: np.random.Generator, foreign: Material) -> Picture:
        return _over(picture, np.median(picture, axis=(0, 1)), masks(random))

    return spoil


def dent(canvas: Canvas, constants: np.random.Generator) -> Defect:
    """Pushed aside in one place."""
    radius, push = 1.5 * draw_radius(constants), constants.uniform(4, 14)

    def spoil(picture: Picture, random: np.random.Generator, foreign: Material) -> Picture:
        depth = push * np.clip(1 - distance_from_spot(canvas, random, radius), 0, 1) ** 2
        angle = random.uniform(0, 2 * np.pi)
        last = canvas.size - 1
        row = np.clip(canvas.y + depth * np.sin(angle), 0, last).astype(np.intp)
        column = np.clip(canvas.x + depth * np.cos(angle), 0, last).astype(np.intp)
        pushed: Picture = picture[row, column]
        return pushed

    return spoil


def roughness(canvas: Canvas, constants: np.random.Generator) -> Defect:
    """Grain where there was none."""
    masks, fall = blobs(canvas, constants), constants.uniform(0, 1.5)
    strength = constants.uniform(0.1, 0.35)

    def spoil(picture: Picture, random: np.random.Generator, foreign: Material) -> Picture:
        grain = strength * canvas.noise(random, fall=fall, lowest=0.02)
        return picture + masks(random) * grain[..., None]

    return spoil


DEFECTS: Final[dict[str, tuple[DefectKind, int]]] = {
    "line": (line, 3),
    "blob": (blob, 3),
    "scatter": (scatter, 1),
    "stain": (stain, 1),
    "tint": (tint, 1),
    "foreign_matter": (foreign_matter, 1),
    "misplaced": (misplaced, 1),
    "cut": (cut, 1),
    "smear": (smear, 1),
    "missing": (missing, 1),
    "dent": (dent, 1),
    "roughness": (roughness, 1),
}
"""Every kind by name, and how often it is drawn beside the others."""


def draw_defect(canvas: Canvas, constants: np.random.Generator) -> tuple[Defect, int]:
    """A kind of defect with its constants, and its place in `DEFECTS`."""
    places = [i for i, (_, times) in enumerate(DEFECTS.values()) for _ in range(times)]
    place = places[constants.integers(len(places))]
    kind, _ = list(DEFECTS.values())[place]
    return kind(canvas, constants), place
