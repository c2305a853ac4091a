"""Intervals and means against plain loops and sums by hand."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from ahl.benchmark.bootstrap import (
    auroc_replicates,
    image_counts,
    interval,
)


def names(count, first=0):
    return [f"{number}.png" for number in range(first, first + count)]


def by_loop(labels, scores, counts):
    """Each AUROC by sklearn with the counts as weights."""
    return [roc_auc_score(labels, scores, sample_weight=drawn) for drawn in counts]


@pytest.mark.parametrize("digits", [0, 1, 8], ids=["many ties", "ties", "no ties"])
def test_replicates_are_those_of_a_plain_loop(digits):
    random = np.random.default_rng(3)
    labels = random.permutation(np.repeat([0, 1], [17, 23]))
    scores = np.round(random.normal(labels, 1.0), digits)
    counts = image_counts(names(40), 60)
    fast = auroc_replicates(labels, scores, counts)
    assert fast == pytest.approx(by_loop(labels, scores, counts), abs=1e-9)


def test_replicates_lie_around_the_auroc():
    random = np.random.default_rng(0)
    labels = np.repeat([0, 1], [80, 60])
    scores = random.normal(labels * 1.2, 1.0)
    values = auroc_replicates(labels, scores, image_counts(names(140), 4000))
    assert values.mean() == pytest.approx(roc_auc_score(labels, scores), abs=0.004)


def test_an_interval_rests_on_a_thousand_samples():
    """Of ten, the ends of a 95 % interval would be the least and the most of ten."""
    assert image_counts(names(3)).shape == (1000, 3)


def test_an_image_has_the_same_counts_wherever_it_is_tested():
    all_of_them, some = image_counts(names(9), 50), image_counts(names(4, first=5), 50)
    assert np.array_equal(all_of_them[:, 5:], some)
    assert all_of_them.mean() == pytest.approx(1.0, abs=0.15)
    assert not np.array_equal(all_of_them[:, 0], all_of_them[:, 1])


def test_a_sample_without_an_anomaly_has_no_value_and_does_not_count():
    labels, scores = np.array([0, 0, 0, 1]), np.array([0.0, 1.0, 2.0, 3.0])
    values = auroc_replicates(labels, scores, image_counts(names(4), 200))
    assert np.isnan(values).any()
    assert interval(values) == (1.0, 1.0)


@pytest.mark.parametrize("seeds", [1, 3])
def test_intervals_cover_the_truth_about_as_often_as_they_say(seeds):
    """Seeds share the test: images that are hard for one seed are hard for the others."""
    random = np.random.default_rng(11)
    trials, truth = 300, 0.7602499389065233  # P(N(1, 1) > N(0, 1))
    labels = np.repeat([0, 1], [50, 50])
    covered = 0
    for trial in range(trials):
        shared = random.normal(0, np.sqrt(0.8), 100)
        counts = image_counts(names(100, first=100 * trial), 300)
        values = [
            auroc_replicates(labels, labels + shared + random.normal(0, np.sqrt(0.2), 100), counts)
            for _ in range(seeds)
        ]
        low, high = interval(np.mean(values, axis=0))
        covered += low <= truth <= high
    assert 0.90 <= covered / trials <= 0.98


@settings(max_examples=60)
@given(
    st.lists(st.integers(-5, 5), min_size=1, max_size=12),
    st.lists(st.integers(-5, 5), min_size=1, max_size=12),
)
def test_replicates_do_not_care_for_the_scale_or_the_order(normal, anomalous):
    labels = np.repeat([0, 1], [len(normal), len(anomalous)])
    scores = np.array([*normal, *anomalous], dtype=np.float64)
    counts = image_counts(names(len(labels)), 20)
    values = auroc_replicates(labels, scores, counts)
    known = values[~np.isnan(values)]
    assert ((known >= 0) & (known <= 1)).all()
    again = auroc_replicates(labels[::-1], (3 * scores**3 + 7)[::-1], counts[:, ::-1])
    assert again == pytest.approx(values, abs=1e-12, nan_ok=True)


@settings(max_examples=40)
@given(st.lists(st.floats(-9, 9), min_size=1, max_size=9))
def test_equal_scores_are_worth_a_half_and_apart_ones_all(scores):
    count = len(scores)
    labels, counts = np.repeat([0, 1], count), image_counts(names(2 * count), 30)
    apart = np.array([*scores, *(score + 100 for score in scores)])
    for truth, tested, expected in (
        (labels, np.zeros(2 * count), 0.5),
        (labels, apart, 1.0),
        (1 - labels, apart, 0.0),
    ):
        values = auroc_replicates(truth, tested, counts)
        assert (values[~np.isnan(values)] == expected).all()


def test_interval_takes_its_level_from_both_ends():
    values = np.linspace(0, 1, 1001)
    assert interval(values) == pytest.approx((0.025, 0.975))
    assert interval(values, 0.5) == pytest.approx((0.25, 0.75))
