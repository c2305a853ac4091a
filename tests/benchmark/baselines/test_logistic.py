"""Logistic regression on pooled features."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from ahl.benchmark.baselines import logistic_scores
from ahl.benchmark.baselines.logistic import pooled_features
from ahl.features.table import FeatureTable
from ahl.scoring.metrics import auroc
from synthetic_features import (
    LAYOUT,
    SCRATCH,
    STAIN,
    draw_anomalies,
    draw_normals,
    group_of,
    to_rows,
)


def table(rows):
    return FeatureTable.of_rows(LAYOUT, rows)


@pytest.fixture(scope="module")
def drawn():
    """Training normals, labelled anomalies, and a test of 20 normals and 20 anomalies."""
    return (
        table(to_rows(draw_normals(group_of(25), 0))),
        table(np.concatenate([draw_anomalies(4, kind, 10 + kind) for kind in (SCRATCH, STAIN)])),
        table(
            np.concatenate([to_rows(draw_normals(group_of(20), 1)), draw_anomalies(20, SCRATCH, 2)])
        ),
    )


def loop_pooled(images):
    rows = images.rows(np.arange(len(images)))
    return np.array(
        [
            [np.mean(channel.numpy()) for scale in maps for channel in scale]
            for maps in zip(*LAYOUT.split(rows.double()), strict=True)
        ]
    )


def test_features_are_means_of_every_channel_and_scale():
    many = table(to_rows(draw_normals(group_of(300), 3)))  # more than a chunk
    assert pooled_features(many).shape == (300, 2 * LAYOUT.channels)
    np.testing.assert_allclose(pooled_features(many), loop_pooled(many), rtol=1e-5, atol=1e-6)


def test_scores_are_scikit_learns_on_standardised_features(drawn):
    normals, anomalies, tested = drawn
    train = np.concatenate([loop_pooled(normals), loop_pooled(anomalies)])
    mean, deviation = train.mean(axis=0), train.std(axis=0)
    labels = [0] * len(normals) + [1] * len(anomalies)
    model = LogisticRegression(C=0.01, class_weight="balanced", max_iter=2000)
    model.fit((train - mean) / deviation, labels)
    expected = model.decision_function((loop_pooled(tested) - mean) / deviation)
    scores = logistic_scores(normals, anomalies, tested)
    assert scores.shape == (40,)
    np.testing.assert_allclose(scores, expected, rtol=1e-4, atol=1e-5)


def test_anomalies_score_higher(drawn):
    many = (table(to_rows(draw_normals(group_of(60), 0))), table(draw_anomalies(40, SCRATCH, 10)))
    assert auroc(np.repeat([0, 1], 20), logistic_scores(*many, drawn[2])) > 0.8


def test_the_order_of_the_rows_does_not_matter(drawn):
    random = np.random.default_rng(0)
    orders = [random.permutation(len(images)) for images in drawn]
    mixed = logistic_scores(
        *(images.chosen(order) for images, order in zip(drawn, orders, strict=True))
    )
    np.testing.assert_allclose(mixed, logistic_scores(*drawn)[orders[2]], rtol=1e-3, atol=1e-4)


def test_the_unit_of_the_features_does_not_matter(drawn):
    scaled = logistic_scores(*(images.scaled(50.0) for images in drawn))
    np.testing.assert_allclose(scaled, logistic_scores(*drawn), rtol=1e-3, atol=1e-4)
