"""Image-level figures of merit; higher scores mean more anomalous.

Each takes labels (n,), 1 for an anomaly and 0 for a normal image, and scores (n,), and gives
None where one of the two classes is missing and the figure is therefore undefined.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

FOUND = 0.95
"""Share of the anomalies that must be found where false positives are counted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """The figures of an open-set test; None where one of its classes is missing.

    Attributes:
        auroc: all anomalies against the normals.
        average_precision: likewise.
        auroc_seen: anomalies of classes with a training example, against the normals.
        auroc_unseen: anomalies of the other classes, against the normals.
        fpr95: false-positive rate where 95 % of the anomalies are found.
    """

    auroc: float | None
    average_precision: float | None
    auroc_seen: float | None
    auroc_unseen: float | None
    fpr95: float | None


def open_set_figures(
    labels: NDArray[np.int64], scores: NDArray[np.float64], seen: NDArray[np.bool_]
) -> Figures:
    """Sum up a test of normals, anomalies of seen and of unseen classes.

    Args:
        labels: (n,), 0 or 1.
        scores: (n,), finite.
        seen: (n,) whether the image's class had a training example.
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
    """Area under the ROC curve: how often an anomaly outscores a normal image (a tie is half).

    Args:
        labels: (n,), 0 or 1.
        scores: (n,), finite.

    Returns:
        A value in 0..1, or None where one class is missing.

    Raises:
        ValueError: if labels or scores are not of that form, or differ in length.
    """
    truth, ranks = _ranked(labels, scores)
    if _one_class(truth):
        return None
    from sklearn.metrics import roc_auc_score

    return float(roc_auc_score(truth, ranks))


def average_precision(labels: ArrayLike, scores: ArrayLike) -> float | None:
    """Average precision: precision summed over the steps of recall, without interpolation.

    Args:
        labels: (n,), 0 or 1.
        scores: (n,), finite.

    Returns:
        A value in 0..1, or None where one class is missing.

    Raises:
        ValueError: if labels or scores are not of that form, or differ in length.
    """
    truth, ranks = _ranked(labels, scores)
    if _one_class(truth):
        return None
    from sklearn.metrics import average_precision_score

    return float(average_precision_score(truth, ranks))


def false_positive_rate(labels: ArrayLike, scores: ArrayLike) -> float | None:
    """Share of normal images flagged at the highest threshold that finds 95 % of the anomalies.

    Args:
        labels: (n,), 0 or 1.
        scores: (n,), finite; an image is flagged where its score is at least the threshold.

    Returns:
        A value in 0..1, or None where one class is missing.

    Raises:
        ValueError: if labels or scores are not of that form, or differ in length.
    """
    truth, ranks = _ranked(labels, scores)
    if _one_class(truth):
        return None
    from sklearn.metrics import roc_curve

    # With every threshold kept: the usual thinning drops points that this looks up.
    false_positives, true_positives, _ = roc_curve(truth, ranks, drop_intermediate=False)
    reached = np.searchsorted(true_positives, FOUND)
    return float(false_positives[reached])


def _ranked(labels: ArrayLike, scores: ArrayLike) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    truth, values = np.asarray(labels), np.asarray(scores, dtype=np.float64)
    if truth.ndim != 1 or truth.shape != values.shape:
        raise ValueError(
            f"labels have shape {truth.shape} and scores {values.shape}; both must be (n,)."
        )
    if not np.isin(truth, (0, 1)).all():
        raise ValueError("labels must be 0 (normal) or 1 (anomaly).")
    if not np.isfinite(values).all():
        raise ValueError(f"{np.count_nonzero(~np.isfinite(values))} scores are not finite.")
    # Ranks order and tie exactly as the scores do, and cannot overflow in differences.
    return truth.astype(np.int64), np.unique(values, return_inverse=True)[1].astype(np.int64)


def _one_class(truth: NDArray[np.int64]) -> bool:
    return np.unique(truth).size < 2
