"""Logistic regression on pooled features."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ahl.features.maps import pool_rows
from ahl.features.table import FeatureTable

STRENGTH = 0.01
"""scikit-learn's C, on standardised features: strong regularisation, the same for all datasets."""


def pooled_features(table: FeatureTable) -> NDArray[np.float32]:
    """Global averages of the scales' maps, concatenated: (N, scales * C)."""
    chunks = [pool_rows(rows, table.layout).numpy() for _, rows in table.chunks()]
    return np.concatenate(chunks)


def logistic_scores(
    normals: FeatureTable, anomalies: FeatureTable, test: FeatureTable
) -> NDArray[np.float64]:
    """Train on normals against labelled anomalies, with balanced classes, and score the test.

    Returns:
        (N_test,) log odds of being anomalous.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler
    from threadpoolctl import threadpool_limits

    train = np.concatenate([pooled_features(normals), pooled_features(anomalies)])
    labels = np.repeat([0, 1], [len(normals), len(anomalies)])
    model = make_pipeline(
        StandardScaler(),
        LogisticRegression(C=STRENGTH, class_weight="balanced", max_iter=2000),
    )
    with threadpool_limits(limits=1):  # sums in one order
        model.fit(train.astype(np.float64), labels)
        scores: NDArray[np.float64] = model.decision_function(pooled_features(test))
    return scores
