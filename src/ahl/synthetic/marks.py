"""Where a defect lies: soft masks of blobs, lines and dots, and their tones."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

from ahl.synthetic.canvas import Canvas, Field, Picture, log_uniform, step

Mask = NDArray[np.floating[Any]]
"""(S, S, 1) in 0..1."""

MaskSource = Callable[[np.random.Generator], Mask]
"""Draws a mask of one kind at a random place."""

Tone = Callable[[Picture, Mask], NDArray[np.float64]]
"""The colour (3,) of a mark on a picture."""


def distance_from_spot(
    canvas: Canvas, random: np.random.Generator, radius: float, *, stretch: float = 1.0
) -> Field:
    """Distance from a random place, in radii that vary a little."""
    x, y = random.uniform(0.12, 0.88, 2) * canvas.size
    angle = random.uniform(0, np.pi)
    stretch *= np.exp(random.normal(0, 0.25))
    radius *= np.exp(random.normal(0, 0.25))
    c, s = np.cos(angle), np.sin(angle)
    u, v = (canvas.x - x) * c + (canvas.y - y) * s, (canvas.y - y) * c - (canvas.x - x) * s
    distance: Field = np.hypot(u * stretch, v / stretch) / radius
    return distance


def draw_radius(constants: np.random.Generator) -> float:
    """Of a spot, in pixels."""
    return log_uniform(constants, 3, 24)


def blobs(canvas: Canvas, constants: np.random.Generator) -> MaskSource:
    """Round or long spots with a clean or a ragged edge, hard or soft."""
    softness, ragged = constants.choice([0.05, 0.15, 0.4]), constants.choice([0, 0.2, 0.4])
    radius, stretch = draw_radius(constants), np.exp(constants.normal(0, 0.4))

    def draw(random: np.random.Generator) -> Mask:
        distance = distance_from_spot(canvas, random, radius, stretch=stretch)
        if ragged:
            distance = distance + ragged * canvas.cloud(random, 14) * np.minimum(distance, 1)
        return step(1 - distance, softness)[..., None]

    return draw


def lines(canvas: Canvas, constants: np.random.Generator) -> MaskSource:
    """Scratches, hairs and cracks: straight, bent or jagged lines, some of which branch."""
    pieces, longest = int(constants.integers(4, 14)), log_uniform(constants, 12, 110)
    bend, width = constants.choice([0.02, 0.15, 0.5]), constants.uniform(0.7, 3.0)
    branching, soft = constants.choice([0, 0.06, 0.15]), constants.random() < 0.4
    heading = constants.uniform(0, 2 * np.pi) if constants.random() < 0.3 else None
    finer = 2

    def draw(random: np.random.Generator) -> Mask:
        image = Image.new("L", (canvas.size * finer, canvas.size * finer), 0)
        pen = ImageDraw.Draw(image)

        def walk(x: float, y: float, angle: float, length: float, width: float, fork: int) -> None:
            for _ in range(pieces):
                angle += bend * random.normal()
                end_x = x + np.cos(angle) * length / pieces
                end_y = y + np.sin(angle) * length / pieces
                ends = [x * finer, y * finer, end_x * finer, end_y * finer]
                pen.line(ends, fill=255, width=max(1, round(width * finer)))
                x, y = end_x, end_y
                if fork < 2 and random.random() < branching:
                    aside = angle + random.choice([-1, 1]) * random.uniform(0.4, 1)
                    walk(x, y, aside, 0.5 * length, 0.7 * width, fork + 1)

        x, y = random.uniform(0.15, 0.85, 2) * canvas.size
        angle = random.uniform(0, 2 * np.pi)
        if heading is not None:
            angle = heading + 0.1 * random.normal()
        walk(x, y, angle, longest * np.exp(random.normal(0, 0.3)), width, 0)
        small = image.resize((canvas.size, canvas.size), Image.Resampling.BOX)
        if soft:
            small = small.filter(ImageFilter.GaussianBlur(0.8))
        mask: Mask = np.asarray(small, dtype=np.float32)[..., None] / np.float32(255)
        return mask

    return draw


def dots(canvas: Canvas, constants: np.random.Generator) -> MaskSource:
    """A scatter of small dots: pits, splashes, dust."""
    count, spread = int(constants.integers(3, 20)), constants.uniform(4, 30)
    radius = constants.uniform(0.8, 3)

    def draw(random: np.random.Generator) -> Mask:
        middle = random.uniform(0.2, 0.8, 2) * canvas.size
        mask: Mask = np.zeros((canvas.size, canvas.size))
        for x, y in middle + random.normal(0, spread, (count, 2)):
            spot = step(radius - np.hypot(canvas.x - x, canvas.y - y), 0.5)
            mask = np.maximum(mask, spot)
        return mask[..., np.newaxis]

    return draw


def draw_tone(constants: np.random.Generator) -> Tone:
    """A colour that stands off the picture's, or off what it covers."""
    offset = constants.choice([-1, 1]) * constants.uniform(0.12, 0.6) * np.ones(3)
    if constants.random() < 0.3:
        offset += 0.2 * constants.standard_normal(3)
    local = constants.random() < 0.5

    def tone(picture: Picture, mask: Mask) -> NDArray[np.float64]:
        weight = mask if local else np.ones_like(mask)
        mean = (picture * weight).sum(axis=(0, 1)) / (weight.sum() + 1e-6)
        colour: NDArray[np.float64] = np.clip(mean + offset, 0, 1)
        return colour

    return tone
