"""How far an AUROC, and a difference of two, may lie from the truth with so few images.

Neither interval shrinks to a point where every defect is found: few images stay few.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt

import numpy as np
from numpy.typing import NDArray

_NORMAL = 1.959964  # 97.5 % point of the normal distribution: intervals are of 95 %


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
    """The score interval of an AUROC (Newcombe, Statistics in Medicine 2006, method 5).

    The values that lie no more than 1.96 standard errors from the measured one, where the error is
    that of Hanley and McNeil (1982) at the value itself, with equal numbers in its inner terms.

    Args:
        auroc: as measured, 0 to 1.
        anomalies: tested, at least 1.
        normals: likewise.
    """
    from scipy.optimize import brentq

    inner = (anomalies + normals) / 2 - 1

    def error(true: float) -> float:
        terms = 1 + inner * (1 - true) / (2 - true) + inner * true / (1 + true)
        return sqrt(true * (1 - true) / (anomalies * normals) * terms)

    def above(true: float) -> float:
        return auroc - true - _NORMAL * error(true)

    def below(true: float) -> float:
        return true - auroc - _NORMAL * error(true)

    # Just inside the ends: where all or nothing is found, the measured value is a root as well.
    tiny = 1e-9
    low = brentq(above, tiny, auroc - tiny) if auroc > 2 * tiny and above(tiny) > 0 else 0.0
    inside = auroc < 1 - 2 * tiny and below(1 - tiny) > 0
    high = brentq(below, auroc + tiny, 1 - tiny) if inside else 1.0
    return Figure(value=auroc, low=min(low, auroc), high=max(high, auroc))


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
