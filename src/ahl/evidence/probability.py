"""The probability that an image is anomalous, assuming equally many good and defective images."""

from __future__ import annotations

from dataclasses import dataclass
from math import exp
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ahl._common.schema import Finite, Positive

PRIOR_SCORES: Final = (3.0, 3.0)
"""Scores of assumed anomalies, in standard deviations of unseen normals, which are added to the
known ones so that few or no anomalies still give a curve."""

_LEAST_SLOPE: Final = 0.05  # a score never counts against an anomaly
_FARTHEST: Final = 700.0  # of a logistic function's argument, before exp overflows


@dataclass(frozen=True, slots=True, kw_only=True)
class Probability:
    """A logistic curve over the score (Platt, 1999).

    Attributes:
        midpoint: score at which the probability is 0.5.
        slope: slope of the log odds per unit of the score, positive.
    """

    midpoint: Finite
    slope: Positive

    def of(self, score: float) -> float:
        """Probability that an image with this score is anomalous, 0 to 1."""
        return 1 / (1 + exp(min(self.slope * (self.midpoint - score), _FARTHEST)))


def fit_probability(normals: NDArray[np.float64], anomalies: NDArray[np.float64]) -> Probability:
    """Fit the curve with balanced weights of normals and anomalies.

    Args:
        normals: (N,) out-of-fold scores of normals, at least one.
        anomalies: (M,) out-of-fold scores of anomalies, possibly none.
    """
    from sklearn.linear_model import LogisticRegression  # takes its time to load

    raised = np.concatenate([anomalies, PRIOR_SCORES])
    labels = np.repeat([0, 1], [len(normals), len(raised)])
    curve = LogisticRegression(class_weight="balanced")
    curve.fit(np.concatenate([normals, raised])[:, None], labels)
    slope = max(float(curve.coef_[0, 0]), _LEAST_SLOPE)
    return Probability(midpoint=-float(curve.intercept_[0]) / slope, slope=slope)
