"""ROC and precision-recall curves with pointwise exact bands."""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ahl._common.intervals import LEVEL, share_interval

Floats = NDArray[np.float64]

POINTS: Final = 240
"""Most points of a curve: more cannot be seen, and would make the page large."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Curve:
    """One curve, from the highest threshold to the lowest.

    For any one threshold, the true pair of figures lies in the rectangle between its lower and its
    upper corner with a chance of 95 % at least; the band is all of these rectangles.

    Attributes:
        x: (N,) false-alarm rate, or recall.
        y: (N,) recall, or precision.
        upper: (2, N) x and y of the rectangles' better corners.
        lower: (2, N) of their worse ones.
        ends: (2, 2) corners where the band begins and ends.
    """

    x: Floats
    y: Floats
    upper: Floats
    lower: Floats
    ends: Floats

    @property
    def outline(self) -> Floats:
        """(2, 2 N + 2) x and y around the band."""
        first, last = self.ends[:, :1], self.ends[:, 1:]
        return np.concatenate([first, self.upper, last, self.lower[:, ::-1]], axis=1)


def roc_curve(normals: Floats, anomalies: Floats) -> Curve:
    """ROC curve: share of the anomalies above a threshold, against that of the normals.

    Args:
        normals: (N,) scores, at least one.
        anomalies: (M,) scores, at least one.
    """
    false, true = _counts(normals, anomalies)
    kept = _thinned(false / len(normals), true / len(anomalies))
    false, true = np.append(0, false[kept]), np.append(0, true[kept])
    # Two independent shares: each with the root of the level, both hold together with the level.
    x_low, x_high = share_interval(false, len(normals), sqrt(LEVEL))
    y_low, y_high = share_interval(true, len(anomalies), sqrt(LEVEL))
    return Curve(
        x=false / len(normals),
        y=true / len(anomalies),
        upper=np.stack([x_low, y_high]),
        lower=np.stack([x_high, y_low]),
        ends=np.array([[x_low[0], x_high[-1]], [y_low[0], y_high[-1]]]),
    )


def precision_recall_curve(normals: Floats, anomalies: Floats) -> Curve:
    """Precision-recall curve: share of anomalies among images above a threshold, against recall.

    The arguments are as for `roc_curve`.
    """
    false, true = _counts(normals, anomalies)
    recall, precision = true / len(anomalies), true / (true + false)
    kept = _thinned(recall, precision)
    false, true, recall, precision = false[kept], true[kept], recall[kept], precision[kept]
    # Two shares that are not independent: each misses with half the chance (Bonferroni).
    level = (1 + LEVEL) / 2
    x_low, x_high = share_interval(true, len(anomalies), level)
    y_low, y_high = share_interval(true, true + false, level)
    return Curve(
        x=recall,
        y=precision,
        upper=np.stack([x_high, y_high]),
        lower=np.stack([x_low, y_low]),
        ends=np.array([[x_low[0], x_high[-1]], [y_high[0], y_low[-1]]]),
    )


def _counts(normals: Floats, anomalies: Floats) -> tuple[Floats, Floats]:
    """Normals and anomalies at or above each distinct score, the highest score first."""
    scores = np.concatenate([normals, anomalies])
    labels = np.concatenate([np.zeros(len(normals)), np.ones(len(anomalies))])
    order = np.argsort(-scores, kind="stable")
    last = np.append(np.flatnonzero(np.diff(scores[order])), len(scores) - 1)
    true = np.cumsum(labels[order])[last]
    return last + 1.0 - true, true


def _thinned(x: Floats, y: Floats) -> NDArray[np.int64]:
    """Indices of at most `POINTS` points, evenly spread along the curve; both ends are kept."""
    if len(x) <= POINTS:
        return np.arange(len(x))
    length = np.cumsum(np.abs(np.diff(x, prepend=x[0])) + np.abs(np.diff(y, prepend=y[0])))
    wanted = np.linspace(0, length[-1], POINTS)
    return np.unique(np.minimum(np.searchsorted(length, wanted), len(x) - 1))
