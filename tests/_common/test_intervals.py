"""Intervals: against plain reference formulas, and against what they promise."""

from math import comb, sqrt

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ahl._common.intervals import auroc_interval, share_interval


@given(data=st.data(), total=st.integers(1, 40))
def test_a_shares_ends_are_where_the_count_becomes_improbable(data, total):
    hits = data.draw(st.integers(0, total))
    low, high = (float(end) for end in share_interval(hits, total))
    assert 0 <= low <= hits / total <= high <= 1

    def at_least(share, count):
        chances = (comb(total, k) * share**k * (1 - share) ** (total - k) for k in range(total + 1))
        return sum(list(chances)[count:])

    if hits:
        assert at_least(low, hits) == pytest.approx(0.025, abs=1e-9)
    if hits < total:
        assert 1 - at_least(high, hits + 1) == pytest.approx(0.025, abs=1e-9)


def test_shares_of_nothing_may_be_anything():
    low, high = share_interval([0, 3], [0, 3])
    assert (low[0], high[0], high[1]) == (0, 1, 1)
    assert low[1] == pytest.approx(0.025 ** (1 / 3))


def reference_variance(true, normals, anomalies):
    """Hanley and McNeil's, both counts in the numerator replaced by their mean."""
    mean = (normals + anomalies) / 2
    q1, q2 = true / (2 - true), 2 * true**2 / (1 + true)
    square = true**2
    spread = true * (1 - true) + (mean - 1) * (q1 - square) + (mean - 1) * (q2 - square)
    return spread / (normals * anomalies)


@given(value=st.floats(0, 1), normals=st.integers(1, 500), anomalies=st.integers(1, 500))
def test_an_aurocs_ends_are_1_96_deviations_off(value, normals, anomalies):
    low, high = auroc_interval(value, normals, anomalies)
    assert 0 <= low <= value <= high <= 1
    for end in (low, high):
        if 1e-6 < end < 1 - 1e-6 and abs(end - value) > 1e-9:
            deviation = sqrt(reference_variance(end, normals, anomalies))
            assert abs(end - value) == pytest.approx(1.959964 * deviation, rel=1e-4, abs=1e-9)


def test_a_perfect_result_on_few_images_is_not_taken_for_certain():
    assert auroc_interval(1.0, 5, 5)[0] < 0.75
    assert auroc_interval(1.0, 500, 500)[0] > 0.99
    assert auroc_interval(0.0, 5, 5)[0] == 0.0


def test_the_interval_holds_the_true_auroc_about_as_often_as_it_says():
    random = np.random.default_rng(0)
    true, held = 0.9216, 0  # two normal distributions two deviations apart: Phi(2 / sqrt(2))
    for _ in range(400):
        difference = random.normal(2, 1, 12)[:, None] - random.normal(0, 1, 20)
        low, high = auroc_interval(float((difference > 0).mean()), 20, 12)
        held += low <= true <= high
    assert 0.92 <= held / 400 <= 0.99
