"""Curves: each point by counting, bands that hold what they promise."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ahl.apps.report.curves import POINTS, precision_recall_curve, roc_curve

scores = st.lists(st.integers(-5, 5).map(float), min_size=1, max_size=30).map(np.array)


@given(normals=scores, anomalies=scores)
def test_every_point_is_a_count_at_some_threshold(normals, anomalies):
    roc, pr = roc_curve(normals, anomalies), precision_recall_curve(normals, anomalies)
    counted_roc, counted_pr = [(0.0, 0.0)], []
    for threshold in sorted({*normals, *anomalies}, reverse=True):
        false, true = (normals >= threshold).sum(), (anomalies >= threshold).sum()
        counted_roc.append((false / len(normals), true / len(anomalies)))
        counted_pr.append((true / len(anomalies), true / (true + false)))
    np.testing.assert_allclose(np.stack([roc.x, roc.y], axis=1), counted_roc)
    np.testing.assert_allclose(np.stack([pr.x, pr.y], axis=1), counted_pr)


@given(normals=scores, anomalies=scores)
def test_the_band_lies_around_its_curve(normals, anomalies):
    for curve in (roc_curve(normals, anomalies), precision_recall_curve(normals, anomalies)):
        corners = np.stack([curve.upper, curve.lower])
        assert (corners.min(axis=0) <= [curve.x, curve.y]).all()
        assert (corners.max(axis=0) >= [curve.x, curve.y]).all()
        assert (curve.upper[1] >= curve.lower[1]).all()
        assert curve.outline.shape == (2, 2 * len(curve.x) + 2)
        assert ((curve.outline >= 0) & (curve.outline <= 1)).all()


def test_long_curves_are_thinned_and_keep_their_ends_and_their_form():
    random = np.random.default_rng(0)
    normals, anomalies = random.normal(0, 1, 20_000), random.normal(1, 1, 5_000)
    curve = roc_curve(normals, anomalies)
    assert len(curve.x) <= POINTS + 1
    assert (curve.x[0], curve.y[0], curve.x[-1], curve.y[-1]) == (0, 0, 1, 1)
    area = np.trapezoid(curve.y, curve.x)
    assert area == pytest.approx(0.7602, abs=0.01)  # Phi(1 / sqrt(2))


def test_the_band_holds_the_true_rates_of_a_threshold():
    random = np.random.default_rng(0)
    true, held = (0.1587, 0.8413), 0  # of a threshold of 1 between deviates around 0 and 2
    for _ in range(200):
        normals, anomalies = random.normal(0, 1, 30), random.normal(2, 1, 20)
        curve = roc_curve(normals, anomalies)
        place = ((normals >= 1).mean(), (anomalies >= 1).mean())
        (at,) = np.flatnonzero((curve.x == place[0]) & (curve.y == place[1]))[:1]
        low = (curve.upper[0, at], curve.lower[1, at])
        high = (curve.lower[0, at], curve.upper[1, at])
        held += all(low[i] <= true[i] <= high[i] for i in range(2))
    assert held / 200 >= 0.95
