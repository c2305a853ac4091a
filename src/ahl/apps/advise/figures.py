"""Measured values with their intervals, and differences of two on the same images."""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt

import numpy as np
from numpy.typing import NDArray

from ahl._common.intervals import auroc_interval


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """A measured value with its 95 % interval.

    Attributes:
        value: as measured.
        low: end of the interval.
        high: likewise.
    """

    value: float
    low: float
    high: float

    def times(self, factor: float) -> Figure:
        """The figure multiplied by a positive factor."""
        return Figure(value=self.value * factor, low=self.low * factor, high=self.high * factor)


def auroc_figure(auroc: float, anomalies: int, normals: int) -> Figure:
    """An AUROC with its score interval.

    Args:
        auroc: as measured, 0 to 1.
        anomalies: tested, at least 1.
        normals: likewise.
    """
    low, high = auroc_interval(auroc, normals, anomalies)
    return Figure(value=auroc, low=low, high=high)


def difference_figure(one: Figure, other: Figure, correlation: float) -> Figure:
    """`one - other`, both measured on the same images, from their intervals (Zou, 2007).

    Args:
        one: first figure.
        other: what is taken from it.
        correlation: of the two, -1 to 1.
    """

    def reach(first: float, second: float) -> float:
        square = first**2 + second**2 - 2 * correlation * first * second
        return sqrt(max(square, 0.0))

    value = one.value - other.value
    return Figure(
        value=value,
        low=value - reach(one.value - one.low, other.high - other.value),
        high=value + reach(one.high - one.value, other.value - other.low),
    )


def correlation_of(
    one: tuple[NDArray[np.float64], NDArray[np.float64]],
    other: tuple[NDArray[np.float64], NDArray[np.float64]],
) -> float:
    """Correlation of two AUROCs of the same images (DeLong et al., 1988).

    Args:
        one: the share of normals below each anomaly (A,), the share of anomalies above each normal
            (N,).
        other: the same by another model.

    Returns:
        0 where it cannot be told.
    """
    common = first = second = 0.0
    for mine, theirs in zip(one, other, strict=True):
        if len(mine) < 2:
            return 0.0
        matrix = np.cov(mine, theirs) / len(mine)
        common, first, second = common + matrix[0, 1], first + matrix[0, 0], second + matrix[1, 1]
    product = sqrt(first * second)
    return float(np.clip(common / product, -1.0, 1.0)) if product > 0 else 0.0
