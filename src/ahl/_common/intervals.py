"""95 % confidence intervals that hold for few images and for perfect figures.

A bootstrap over images has no width when a sample has no error, however small the sample. These
intervals do: the exact binomial interval of a share (Clopper and Pearson, 1934), and for AUROC the
score interval with Hanley and McNeil's variance (Newcombe, 2006, method 5).
"""

from __future__ import annotations

from math import sqrt
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

LEVEL: Final = 0.95


def share_interval(
    hits: ArrayLike, totals: ArrayLike, level: float = LEVEL
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Exact binomial intervals of shares.

    Args:
        hits: (...), integers from 0 to the totals.
        totals: (...), integers; for a total of 0 the interval is 0 to 1.
        level: confidence level in (0, 1), a lower bound of the coverage.

    Returns:
        lower and upper ends (...).
    """
    from scipy.special import betaincinv  # takes its time to load

    tail = (1 - level) / 2
    found, all_ = np.broadcast_arrays(
        np.asarray(hits, dtype=np.float64), np.asarray(totals, dtype=np.float64)
    )
    missed = all_ - found
    low = np.where(found > 0, betaincinv(np.maximum(found, 1), missed + 1, tail), 0.0)
    high = np.where(missed > 0, betaincinv(found + 1, np.maximum(missed, 1), 1 - tail), 1.0)
    return low, high


def auroc_interval(value: float, normals: int, anomalies: int) -> tuple[float, float]:
    """95 % score interval of an AUROC.

    Args:
        value: the AUROC, in [0, 1].
        normals: number of normal images, at least one.
        anomalies: number of anomalies, at least one.

    Returns:
        lower and upper end, in [0, 1].
    """
    from scipy.optimize import brentq
    from scipy.special import ndtri

    z = float(ndtri((1 + LEVEL) / 2))
    half = (normals + anomalies) / 2  # in place of both counts, as method 5 has it

    def beyond(true: float) -> float:
        """Distance of the value from a true AUROC, less z standard errors."""
        spread = 2 * half - 1 - (3 * half - 3) / ((2 - true) * (1 + true))
        variance = true * (1 - true) * spread / (normals * anomalies)
        return abs(value - true) - z * sqrt(max(variance, 0.0))

    inside = min(max(value, 1e-9), 1 - 1e-9)
    low = 0.0 if value <= 0 else float(brentq(beyond, 0.0, inside)) if beyond(inside) < 0 else value
    high = (
        1.0 if value >= 1 else float(brentq(beyond, inside, 1.0)) if beyond(inside) < 0 else value
    )
    return low, high
