"""Image-level metrics; higher scores mean more anomalous.

Each takes labels (n,), 1 for an anomaly and 0 for a normal image, and finite scores (n,); other
values or shapes raise ValueError. It lies in 0..1, and is None if one of the two classes is
missing.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

FOUND = 0.95
"""Share of the anomalies that must be found when false positives are counted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """The figures of an open-set test, in [0, 1]; None if images for one are missing.

    Attributes:
        auroc: AUROC of all anomalies against the normals.
        average_precision: average precision over all images.
        auroc_seen: AUROC of anomalies of classes with a training example, against the normals.
        auroc_unseen: AUROC of anomalies of the other classes, against the normals.
        fpr95: false-positive rate at which 95 % of the anomalies are found.
    """

    auroc: float | None
    average_precision: float | None
    auroc_seen: float | None
    auroc_unseen: float | None
    fpr95: float | None


def open_set_figures(
    labels: NDArray[np.int64], scores: NDArray[np.float64], seen: NDArray[np.bool_]
) -> Figures:
    """Compute the figures of a test of normals and of anomalies of seen and unseen classes.

    Args:
        labels: (n,), 0 or 1.
        scores: (n,), finite.
        seen: (n,) true if the image's class had a training example.
    """
    return Figures(
        auroc=auroc(labels, scores),
        average_precision=average_precision(labels, scores),
        auroc_seen=auroc_against_normals(labels, scores, seen),
        auroc_unseen=auroc_against_normals(labels, scores, ~seen),
        fpr95=false_positive_rate(labels, scores),
    )


def auroc_against_normals(
    labels: NDArray[np.int64], scores: NDArray[np.float64], chosen: NDArray[np.bool_]
) -> float | None:
    """AUROC of the chosen anomalies against all normals."""
    used = (labels == 0) | chosen
    return auroc(labels[used], scores[used])


def auroc(labels: ArrayLike, scores: ArrayLike) -> float | None:
    """Area under the ROC curve: chance that an anomaly outscores a normal (a tie counts half)."""
    ranked = _ranked(labels, scores)
    if ranked is None:
        return None
    from sklearn.metrics import roc_auc_score

    return float(roc_auc_score(*ranked))


def average_precision(labels: ArrayLike, scores: ArrayLike) -> float | None:
    """Average precision: precision summed over the steps of recall, without interpolation."""
    ranked = _ranked(labels, scores)
    if ranked is None:
        return None
    from sklearn.metrics import average_precision_score

    return float(average_precision_score(*ranked))


def false_positive_rate(labels: ArrayLike, scores: ArrayLike) -> float | None:
    """Share of normals flagged at the highest threshold that finds 95 % of the anomalies.

    An image is flagged if its score is at least the threshold.
    """
    ranked = _ranked(labels, scores)
    if ranked is None:
        return None
    from sklearn.metrics import roc_curve

    # With every threshold kept: the usual thinning drops points that this looks up.
    false_positives, true_positives, _ = roc_curve(*ranked, drop_intermediate=False)
    return float(false_positives[np.searchsorted(true_positives, FOUND)])


def _ranked(
    labels: ArrayLike, scores: ArrayLike
) -> tuple[NDArray[np.int64], NDArray[np.int64]] | None:
    """Labels, and ranks with the order and ties of the scores; None if a class is missing."""
    truth, values = np.asarray(labels), np.asarray(scores, dtype=np.float64)
    if truth.ndim != 1 or truth.shape != values.shape:
        raise ValueError(
            f"labels have shape {truth.shape} and scores {values.shape}; both must be (n,)."
        )
    if not np.isin(truth, (0, 1)).all():
        raise ValueError("labels must be 0 (normal) or 1 (anomaly).")
    if not np.isfinite(values).all():
        raise ValueError(f"{np.count_nonzero(~np.isfinite(values))} scores are not finite.")
    if np.unique(truth).size < 2:
        return None
    # Ranks, unlike scores, cannot overflow in differences.
    return truth.astype(np.int64), np.unique(values, return_inverse=True)[1].astype(np.int64)
