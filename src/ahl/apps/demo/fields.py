"""Two-dimensional scalar fields: noise, distances and soft edges the drawings are made of.

A field is a float array (H, W). Lengths are in plate units: the picture spans [-1, 1].
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Field = NDArray[np.floating[Any]]
"""A float array, (H, W) unless a docstring says otherwise."""


def smoothstep(low: float, high: float, values: Field) -> Field:
    """Ramp from 0 at `low` to 1 at `high` with flat ends; falls when `low > high`.

    Args:
        low: where the ramp leaves 0.
        high: where it reaches 1; not equal to `low`.
        values: any shape.

    Returns:
        Same shape, in [0, 1].
    """
    ramp: Field = np.clip((values - low) / (high - low), 0.0, 1.0)
    ramp *= ramp * (3.0 - 2.0 * ramp)
    return ramp


def cloud(rng: np.random.Generator, cells: int, size: int) -> Field:
    """Smooth isotropic noise.

    Args:
        rng: source of the noise.
        cells: how many bumps fit along one side; at least 1.
        size: side of the result, in pixels.

    Returns:
        (size, size), zero mean, standard deviation near 1.
    """
    coarse = rng.standard_normal((cells + 3, cells + 3), dtype=np.float32)
    side = (cells + 3) / cells * size
    smooth = Image.fromarray(coarse).resize((round(side), round(side)), Image.Resampling.BICUBIC)
    # Interpolation between the cells averages noise away; 0.7 is what is left of it.
    return np.asarray(smooth, dtype=np.float32)[:size, :size] / np.float32(0.7)


def streaks(rng: np.random.Generator, rows: int, columns: int, length: int) -> Field:
    """Noise drawn out along the columns' axis, as brushing or turning leaves it.

    Args:
        rng: source of the noise.
        rows: rows of the result; neighbouring rows are independent.
        columns: columns of the result.
        length: about how long one streak is, in columns.

    Returns:
        (rows, columns), wraps around along the columns, zero mean, standard deviation 1.
    """
    noise: Field = rng.standard_normal((rows, columns), dtype=np.float32)
    for _ in range(2):  # twice a box is nearly a bell: no visible ends of streaks
        padded = np.concatenate([noise, noise[:, :length]], axis=1)
        sums = np.cumsum(padded, axis=1)
        noise = sums[:, length:] - sums[:, :-length]
    noise -= noise.mean()
    noise /= noise.std()
    return noise


def sample(texture: Field, row: Field, column: Field) -> Field:
    """Bilinear look-up in a texture that repeats in both directions.

    Args:
        texture: (R, C).
        row: row positions, any float, (H, W).
        column: column positions, any float, (H, W).

    Returns:
        (H, W).
    """
    rows, columns = texture.shape
    row_floor, column_floor = np.floor(row), np.floor(column)
    down, right = row - row_floor, column - column_floor
    # One margin row and column stand for the wrap: a flat index is then one addition.
    wrapped: Field = np.pad(texture, ((0, 1), (0, 1)), mode="wrap").ravel()
    corner = row_floor.astype(np.intp) % rows * (columns + 1)
    corner += column_floor.astype(np.intp) % columns
    upper: Field = wrapped.take(corner)
    upper += (wrapped.take(corner + 1) - upper) * right
    corner += columns + 1
    lower: Field = wrapped.take(corner)
    lower += (wrapped.take(corner + 1) - lower) * right
    upper += (lower - upper) * down
    return upper


def along_line(u: Field, v: Field, points: NDArray[np.float64]) -> tuple[Field, Field]:
    """Distance to an open line of straight pieces, and where along it the foot lies.

    Args:
        u: horizontal positions.
        v: vertical positions, same shape.
        points: the corners (N, 2) as (u, v), N at least 2.

    Returns:
        The distance, and the position from 0 (first point) to 1 (last point).
    """
    distance = np.full(u.shape, np.inf)
    position = np.zeros(u.shape)
    pieces = len(points) - 1
    for index, (start, end) in enumerate(pairwise(points)):
        step = end - start
        length_squared = max(float(step @ step), 1e-12)
        share = ((u - start[0]) * step[0] + (v - start[1]) * step[1]) / length_squared
        share = np.clip(share, 0.0, 1.0)
        here = np.hypot(u - start[0] - share * step[0], v - start[1] - share * step[1])
        closer = here < distance
        distance[closer] = here[closer]
        position[closer] = ((index + share) / pieces)[closer]
    return distance, position
