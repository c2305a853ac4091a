"""What can go wrong with a plate: each defect changes its layers in one place.

Every defect is a function `(plate, rng, severity) -> None`, severity from 0 (an inspector
looks twice) to 1 (nobody misses it). To add one, write the function and name it in
`DEFECTS`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ahl.apps.demo.fields import Field, along_line, cloud, smoothstep
from ahl.apps.demo.plate import HALF, LABELS, Plate

Defect = Callable[[Plate, np.random.Generator, float], None]


def scratch(plate: Plate, rng: np.random.Generator, severity: float) -> None:
    """A slightly curved groove with a bright floor, tapering to both ends."""
    middle = _spot(rng, margin=0.18)
    length = 0.20 + 0.55 * severity
    angle = rng.uniform(0.25, np.pi - 0.25)  # never along the brushing, where none is seen
    direction = np.array([np.cos(angle), np.sin(angle)])
    bend = np.array([-direction[1], direction[0]]) * rng.normal(0.0, 0.06) * length
    along = np.linspace(-0.5, 0.5, 8)[:, None]
    points = middle + along * direction * length + (4 * along**2) * bend
    distance, position = along_line(plate.u, plate.v, points)
    taper = np.sqrt(np.clip(4 * position * (1 - position), 0, 1))
    width = (0.006 + 0.005 * severity) * taper + 1e-6
    groove = np.exp(-((distance / np.maximum(width, 0.6 * plate.pixel)) ** 2)) * taper
    strength = 0.28 + 0.72 * severity
    plate.height -= 0.006 * strength * groove
    bare = np.maximum(plate.metal * 1.25, 0.62)  # fresh metal under the finish
    plate.metal += (bare - plate.metal) * (0.85 * strength * groove)[..., None]
    plate.ink *= 1 - strength * groove


def hole(plate: Plate, rng: np.random.Generator, severity: float) -> None:
    """A stray hole with a raised burr, where none belongs."""
    u, v = _spot(rng, margin=0.10)
    radius = 0.014 + 0.036 * severity
    squeeze, turn = rng.uniform(0.85, 1.0), rng.uniform(0, np.pi)
    across = (plate.u - u) * np.cos(turn) + (plate.v - v) * np.sin(turn)
    along = (plate.v - v) * np.cos(turn) - (plate.u - u) * np.sin(turn)
    distance = np.hypot(across, along / squeeze)
    depth = 0.55 + 0.45 * min(1.0, 2 * severity)  # a small one is not quite through
    plate.solid *= 1 - depth * np.clip(0.5 - (distance - radius) / plate.pixel, 0, 1)
    plate.height += 0.008 * smoothstep(0.022, 0.0, np.abs(distance - radius - 0.012))


def crack(plate: Plate, rng: np.random.Generator, severity: float) -> None:
    """A jagged dark line, thinning to its tip."""
    start, angle = _spot(rng, margin=0.2), rng.uniform(0, 2 * np.pi)
    length = 0.12 + 0.44 * severity
    trunk = _walk(rng, start, angle, length, pieces=9)
    lines = [(trunk, 1.0)]
    for _ in range(rng.integers(0, 3) if severity > 0.35 else 0):
        fork = trunk[rng.integers(3, 7)]
        side = angle + rng.choice([-1, 1]) * rng.uniform(0.5, 0.9)
        lines.append((_walk(rng, fork, side, 0.35 * length, pieces=4), 0.6))
    for points, share in lines:
        distance, position = along_line(plate.u, plate.v, points)
        width = (0.003 + 0.008 * severity) * share * (1 - 0.75 * position)
        # A crack thinner than a pixel still darkens it, in proportion.
        reach = np.maximum(width, 0.5 * plate.pixel)
        gap = smoothstep(1.6, 0.4, distance / reach) * np.minimum(width / reach + 0.35, 1)
        plate.solid *= 1 - (0.55 + 0.35 * severity) * gap
        plate.height += 0.002 * smoothstep(0.03, 0.0, distance)


def stain(plate: Plate, rng: np.random.Generator, severity: float) -> None:
    """A dried splash: a blotch with a ragged outline and a darker rim, matt."""
    u, v = _spot(rng, margin=0.16)
    radius = rng.uniform(0.13, 0.24)
    ragged = cloud(rng, 14, plate.u.shape[0])
    distance = np.hypot(plate.u - u, plate.v - v) / radius + 0.11 * ragged
    body = smoothstep(1.08, 0.92, distance)
    rim = body * smoothstep(0.70, 1.0, distance)
    # The ragged noise is unbounded; a splash is not.
    body = body * (np.hypot(plate.u - u, plate.v - v) < 1.6 * radius)
    strength = 0.10 + 0.36 * severity
    soaked = strength * (0.65 * body + 0.5 * rim)
    oil = np.array([0.42, 0.56, 0.78]) if rng.random() < 0.6 else np.array([0.85, 0.62, 0.48])
    plate.metal *= 1 - soaked[..., None] * oil
    plate.gloss *= 1 - 0.7 * body * strength


def missing_print(plate: Plate, rng: np.random.Generator, severity: float) -> None:
    """Print that did not take: a few ticks, part of a label, or all of it."""
    if rng.random() < 0.5:
        angle = np.deg2rad(rng.uniform(165, 375))
        off = np.angle(np.exp(1j * (np.arctan2(plate.v, plate.u) - angle)))
        spread = np.deg2rad(9 + 36 * severity)
        ring = np.abs(np.hypot(plate.u, plate.v) - 0.49) < 0.06
        gone = smoothstep(1.08, 0.95, np.abs(off) / spread) * ring
    else:
        u, v, height, text = LABELS[rng.integers(len(LABELS))]
        half = 0.32 * height * len(text)
        reach = (0.22 + 0.85 * severity) * 2 * half
        start = u - half if rng.random() < 0.5 else u + half - reach
        across = np.abs(plate.u - start - reach / 2) - reach / 2
        gone = smoothstep(0.02, -0.01, across) * (np.abs(plate.v - v) < 0.8 * height)
    plate.ink *= 1 - (0.80 + 0.20 * severity) * gone


def dent(plate: Plate, rng: np.random.Generator, severity: float) -> None:
    """A soft hollow from a blow: one flank in shade, the other in light."""
    u, v = _spot(rng, margin=0.20)
    squeeze, turn = rng.uniform(0.6, 1.0), rng.uniform(0, np.pi)
    across = (plate.u - u) * np.cos(turn) + (plate.v - v) * np.sin(turn)
    along = (plate.v - v) * np.cos(turn) - (plate.u - u) * np.sin(turn)
    radius = rng.uniform(0.07, 0.12)
    distance = np.hypot(across, along / squeeze) / radius
    depth = (0.06 + 0.30 * severity) * radius
    # Flat beyond 1.4 radii: a dent ends somewhere.
    plate.height -= depth * smoothstep(1.4, 0.0, distance)


DEFECTS: Final[dict[str, Defect]] = {
    "scratch": scratch,
    "hole": hole,
    "crack": crack,
    "stain": stain,
    "missing_print": missing_print,
    "dent": dent,
}
"""Every defect by its class name."""


def _spot(rng: np.random.Generator, *, margin: float) -> NDArray[np.float64]:
    """A place at least `margin` inside the area that defects lie in, (u, v)."""
    return rng.uniform(margin - HALF, HALF - margin, 2)


def _walk(
    rng: np.random.Generator, start: Field, heading: float, length: float, *, pieces: int
) -> NDArray[np.float64]:
    """A jagged line of `pieces` straight parts, (pieces + 1, 2)."""
    turns = heading + rng.normal(0.0, 0.45, pieces)
    steps = np.stack([np.cos(turns), np.sin(turns)], axis=1) * (length / pieces)
    return np.concatenate([start[None], start + np.cumsum(steps, axis=0)])
