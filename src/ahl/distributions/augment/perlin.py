"""Perlin noise: smooth random fields with a chosen grain size."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]


def perlin_noise(
    height: int, width: int, *, rows: int, columns: int, random: np.random.Generator
) -> FloatArray:
    """Draw a field of two-dimensional gradient noise.

    Perlin, "An Image Synthesizer", SIGGRAPH 1985, with the fade 6 t^5 - 15 t^4 + 10 t^3 of his
    "Improving Noise", SIGGRAPH 2002. Every corner of a lattice of `rows` x `columns` cells has a
    random unit vector. The value at a pixel's centre is interpolated by the fade from the dot
    products of its cell's four vectors with its offsets from their corners.

    Args:
        height: H, in pixels.
        width: W, in pixels.
        rows: cells over the height, at least 1; need not divide it.
        columns: cells over the width, at least 1; need not divide it.
        random: source of the unit vectors.

    Returns:
        float64, (H, W), mean 0, scaled by sqrt(2) to [-1, 1].
    """
    angles = random.uniform(0.0, 2.0 * np.pi, size=(rows + 1, columns + 1))
    x_gradients, y_gradients = np.cos(angles), np.sin(angles)
    row, y = _locate(height, rows)
    column, x = _locate(width, columns)

    # A dot product is linear in x, so the interpolation along y is done once per column of the
    # lattice, (H, columns + 1), and only the one along x for every pixel.
    y, y_fade = y[:, np.newaxis], _fade(y)[:, np.newaxis]
    slopes = (1 - y_fade) * x_gradients[row] + y_fade * x_gradients[row + 1]
    levels = (1 - y_fade) * y * y_gradients[row] + y_fade * (y - 1) * y_gradients[row + 1]

    x_fade = _fade(x)
    left = slopes[:, column] * x + levels[:, column]
    right = slopes[:, column + 1] * (x - 1) + levels[:, column + 1]
    noise: FloatArray = np.sqrt(2.0) * (left + x_fade * (right - left))
    return noise


def _locate(length: int, cells: int) -> tuple[NDArray[np.intp], FloatArray]:
    """Cell of each pixel's centre, and its position within that cell, in [0, 1)."""
    position = (np.arange(length, dtype=np.float64) + 0.5) * (cells / length)
    # Rounding must not carry the last pixel past the last cell.
    cell: NDArray[np.intp] = np.minimum(position.astype(np.intp), cells - 1)
    return cell, position - cell


def _fade(t: FloatArray) -> FloatArray:
    faded: FloatArray = t * t * t * (t * (6 * t - 15) + 10)
    return faded
