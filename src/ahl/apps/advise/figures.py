"""AUROCs on images that were held out of training, with their intervals and differences."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from ahl._common.intervals import auroc_interval

Indices = NDArray[np.int64]
Flags = NDArray[np.bool_]
Floats = NDArray[np.float64]
Verdict = Literal["yes", "no", "cannot tell"]

SMALL: Final = 0.02
"""Difference in AUROC below which the whole interval must lie for the answer "no"."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """A measured value with its 95 % interval."""

    value: float
    low: float
    high: float

    def times(self, factor: float) -> Figure:
        """The figure multiplied by a positive factor."""
        return Figure(value=self.value * factor, low=self.low * factor, high=self.high * factor)


def verdict_on(gain: Figure, *, above: float = 0.0, below: float = SMALL) -> Verdict:
    """Judge a difference: yes if all of its interval lies above one value, no if below another."""
    if gain.low > above:
        return "yes"
    return "no" if gain.high < below else "cannot tell"


def auroc_figure(auroc: float, anomalies: int, normals: int) -> Figure:
    """An AUROC in [0, 1] of so many tested images with its score interval."""
    low, high = auroc_interval(auroc, normals, anomalies)
    return Figure(value=auroc, low=low, high=high)


def difference_figure(one: Figure, other: Figure, correlation: float) -> Figure:
    """`one - other`, measured on the same images, from their intervals (Zou, 2007).

    Args:
        one: first figure.
        other: the figure that is subtracted from it.
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


def correlation_of(one: tuple[Floats, Floats], other: tuple[Floats, Floats]) -> float:
    """Correlation of two AUROCs of the same images (DeLong et al., 1988).

    Args:
        one: the share of normals below each anomaly (A,), the share of anomalies above each normal
            (N,).
        other: the same by another model.

    Returns:
        0 where there are too few images.
    """
    common = first = second = 0.0
    for mine, theirs in zip(one, other, strict=True):
        if len(mine) < 2:
            return 0.0
        matrix = np.cov(mine, theirs) / len(mine)
        common, first, second = common + matrix[0, 1], first + matrix[0, 0], second + matrix[1, 1]
    product = sqrt(first * second)
    return float(np.clip(common / product, -1.0, 1.0)) if product > 0 else 0.0


@dataclass(frozen=True, eq=False)
class Ranking:
    """Mean share, for each image, of held-out images of the other label that it outscores.

    Scores of different models are never compared: each image is compared with those that the same
    model held out.

    Attributes:
        anomalous: (N,) labels.
        shares: (N,) 0 to 1; NaN where no model held it out together with images of the other label.
    """

    anomalous: Flags
    shares: Floats

    def figure(self, among: Flags | None = None) -> Figure | None:
        """AUROC of the tested anomalies, or of those in `among` (N,); None without any."""
        anomalies, normals = self._placements(among)
        if not len(anomalies) or not len(normals):
            return None
        return auroc_figure(float(anomalies.mean()), len(anomalies), len(normals))

    def minus(self, other: Ranking, among: Flags | None = None) -> Figure | None:
        """AUROC less another ranking's, on the images that both tested; `among` as for `figure`."""
        neither = np.isnan(self.shares) | np.isnan(other.shares)
        mine, theirs = (
            Ranking(self.anomalous, np.where(neither, np.nan, one.shares)) for one in (self, other)
        )
        first, second = mine.figure(among), theirs.figure(among)
        if first is None or second is None:
            return None
        correlation = correlation_of(mine._placements(among), theirs._placements(among))
        return difference_figure(first, second, correlation)

    def _placements(self, among: Flags | None) -> tuple[Floats, Floats]:
        """Shares of the other label on the right side of each anomaly, and of each normal."""
        tested = ~np.isnan(self.shares)
        anomalies = self.anomalous if among is None else self.anomalous & among
        return self.shares[tested & anomalies], 1 - self.shares[tested & ~self.anomalous]


class RankingSum:
    """Running sum of several models' rankings of images with these labels (N,)."""

    def __init__(self, anomalous: Flags) -> None:
        self._anomalous = anomalous
        self._sums = np.zeros(len(anomalous))
        self._counts = np.zeros(len(anomalous))

    def add(self, tested: Indices, scores: Floats) -> None:
        """Add one model's scores (n,) of the images that it held out, by their indices (n,)."""
        flags = self._anomalous[tested]
        for own, others in ((flags, ~flags), (~flags, flags)):
            if own.any() and others.any():
                ordered = np.sort(scores[others])
                below = np.searchsorted(ordered, scores[own], "left")
                up_to = np.searchsorted(ordered, scores[own], "right")
                self._sums[tested[own]] += (below + up_to) / 2 / len(ordered)
                self._counts[tested[own]] += 1

    def ranking(self) -> Ranking:
        """The mean over the models."""
        with np.errstate(invalid="ignore"):
            return Ranking(self._anomalous, self._sums / self._counts)


def mean_ranking(rankings: Sequence[Ranking]) -> Ranking:
    """The mean of several rankings of the same images, at least one."""
    shares = np.mean([ranking.shares for ranking in rankings], axis=0)
    return Ranking(rankings[0].anomalous, shares)
