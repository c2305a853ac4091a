"""Filters from patches: contrast normalisation, whitening and spherical k-means.

The recipe of Coates and Ng, "Learning Feature Representations with K-means" (2012), sections 2
and 3. Everything is plain NumPy in float64, in an order that does not depend on threads.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

Matrix = NDArray[np.float64]

ROUNDS: Final = 10
"""Of k-means: Coates and Ng found 10 enough, and so do we."""

AXES: Final = 48
"""Directions kept in whitening; among the many others there is mostly noise."""

_LEAST_VARIANCE: Final = 1e-3
"""Of a direction, for it to count: below it lies the noise of one or two grey levels."""


def learn_filters(
    patches: Matrix,
    *,
    count: int,
    contrast_floor: float,
    ridge: float,
    generator: np.random.Generator,
) -> tuple[Matrix, Matrix]:
    """Learn linear filters that tell typical patches apart.

    Args:
        patches: one per row, (N, D), N at least 1; any values, flat ones included.
        count: of filters, at least 1.
        contrast_floor: variance added to each patch's own before it is divided out.
        ridge: added to every variance before whitening, as a fraction of the mean one.
        generator: draws the first centres.

    Returns:
        filters (count, D) and offsets (count,): the response of a patch, contrast-normalised, is
        its product with the filter plus the offset. Finite for all input.
    """
    with threadpool_limits(1):
        patches = patches - patches.mean(axis=1, keepdims=True)
        patches /= np.sqrt(patches.var(axis=1, keepdims=True) + contrast_floor)
        mean, whitening = _whitening(patches, ridge)
        centres = _spherical_k_means((patches - mean) @ whitening, count, generator)
        filters = centres @ whitening.T
        return filters, -filters @ mean


def _whitening(rows: Matrix, ridge: float) -> tuple[Matrix, Matrix]:
    """Mean (D,) and the symmetric (ZCA) matrix (D, D) that makes the rows' covariance flat.

    Flat in the strongest `AXES` directions; the others are left out.
    """
    mean = rows.mean(axis=0)
    centred = rows - mean
    variances, axes = np.linalg.eigh(centred.T @ centred / len(rows))
    variances, axes = variances[-AXES:], axes[:, -AXES:]  # eigh sorts upwards
    floor = max(ridge * variances.mean(), _LEAST_VARIANCE)
    return mean, (axes / np.sqrt(np.maximum(variances, 0) + floor)) @ axes.T


def _spherical_k_means(rows: Matrix, count: int, generator: np.random.Generator) -> Matrix:
    """Unit centres (count, D); zero where the rows have no direction to offer.

    The damped update of Coates and Ng: a centre that wins no row stays as it is.
    """
    rows = _unit(rows)
    centres = rows[generator.choice(len(rows), count, replace=len(rows) < count)]
    for _ in range(ROUNDS):
        likeness = rows @ centres.T
        winner = likeness.argmax(axis=1)
        pull = np.zeros_like(likeness)
        chosen = np.arange(len(rows)), winner
        pull[chosen] = likeness[chosen]
        centres = _unit(pull.T @ rows + centres)
    return centres


def _unit(rows: Matrix) -> Matrix:
    # Rows of rounding noise stay near zero: an image without contrast has no direction.
    lengths: Matrix = np.linalg.norm(rows, axis=1, keepdims=True)
    return rows / np.maximum(lengths, 1e-3)
