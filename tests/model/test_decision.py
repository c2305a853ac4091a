"""A threshold that needs no assumption on the scores."""

from dataclasses import asdict
from math import comb

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binom

from ahl._common.errors import ConfigurationError, DataError
from ahl._common.intervals import share_interval
from ahl._common.schema import read_values
from ahl.model.decision import (
    Decision,
    decide,
    fewest_for_certainty,
    fewest_normals,
    least_certain_rate,
    least_rate,
)


def normal_scores(count, seed=0):
    return np.random.default_rng(seed).standard_t(3, count)


@settings(max_examples=60)
@given(st.integers(20, 400), st.sampled_from([0.01, 0.05, 0.1, 0.5]), st.integers(0, 9))
def test_the_threshold_is_the_lowest_score_that_keeps_the_rate(count, rate, seed):
    scores = normal_scores(count, seed)
    if count < fewest_normals(rate):
        with pytest.raises(DataError, match="at least"):
            decide(scores, rate)
        return
    found = decide(scores, rate)
    above = int((scores > found.threshold).sum())
    assert (above + 1) / (count + 1) <= rate + 1e-9
    lower = scores[scores < found.threshold]
    if len(lower):
        next_above = int((scores > lower.max()).sum())
        assert (next_above + 1) / (count + 1) > rate
    assert found.expected_false_alarm_rate == pytest.approx((above + 1) / (count + 1))
    assert found.false_alarm_rate_low < found.expected_false_alarm_rate
    assert found.false_alarm_rate_high > found.expected_false_alarm_rate


def test_the_interval_holds_for_scores_of_any_shape():
    """The true rate lies in it in 95 % of draws; the scores here are of a heavy-tailed kind."""
    many = np.sort(normal_scores(200_000, 99))
    inside, draws = 0, 400
    for seed in range(draws):
        found = decide(normal_scores(150, seed), 0.05)
        rate = 1 - np.searchsorted(many, found.threshold, side="right") / len(many)
        inside += found.false_alarm_rate_low <= rate <= found.false_alarm_rate_high
    assert binom.ppf(0.001, draws, 0.95) <= inside <= binom.ppf(0.999, draws, 0.95)


def test_verdicts_are_those_of_exact_binomial_intervals():
    """A score is called only where the interval of the share of normals above it is on one side."""
    scores, rate = np.arange(600.0), 0.05
    found = decide(scores, rate)
    for score in np.arange(-1, 602, 0.5):
        above = int((scores > score).sum())
        surely_more = binom.sf(above - 1, 600, rate) < 0.025
        at_least = int((scores >= score).sum())
        surely_fewer = binom.cdf(at_least, 600, rate) < 0.025
        expected = "normal" if surely_more else "anomalous" if surely_fewer else "uncertain"
        assert found.verdict(score) == expected, score
    assert found.verdict(found.threshold) == "uncertain"
    assert not found.is_anomalous(found.threshold)
    assert found.is_anomalous(found.threshold + 0.1)


def test_few_normals_call_nothing_anomalous_beyond_doubt():
    found = decide(np.arange(99.0), 0.01)
    assert found.threshold == 98.0
    assert found.surely_anomalous is None
    assert found.verdict(1e9) == "uncertain"
    assert found.is_anomalous(1e9)


@pytest.mark.parametrize("rate", [0.01, 0.05, 0.2])
def test_how_many_normals_are_enough_to_be_sure(rate):
    enough = fewest_for_certainty(rate)
    assert decide(np.arange(float(enough)), rate).verdict(1e9) == "anomalous"
    assert decide(np.arange(enough - 1.0), rate).verdict(1e9) == "uncertain"
    assert least_certain_rate(enough) == pytest.approx(rate)
    assert least_certain_rate(enough - 1) > rate


def test_too_few_normals_are_refused_with_the_number_that_is_needed():
    assert [fewest_normals(rate) for rate in (0.01, 0.05, 0.5, 0.3)] == [99, 19, 1, 3]
    with pytest.raises(DataError, match="at least 99"):
        decide(np.arange(98.0), 0.01)
    with pytest.raises(DataError, match="at least 1 "):
        decide(np.empty(0), 0.9)
    with pytest.raises(DataError, match="not finite"):
        decide(np.array([0.0, np.nan, 1.0]), 0.5)


@pytest.mark.parametrize("rate", [0.0, 1.0, -1.0, float("nan")])
def test_rates_that_cannot_be_are_refused(rate):
    with pytest.raises(ConfigurationError, match="between 0 and 1"):
        decide(np.arange(100.0), rate)


def test_equal_scores_have_a_threshold_that_none_exceeds():
    found = decide(np.zeros(200), 0.05)
    assert found.threshold == 0.0
    assert not found.is_anomalous(0.0)


def test_values_come_back():
    for count in (99, 1000):
        found = decide(np.arange(float(count)), 0.01, held_out=True)
        assert read_values(asdict(found), Decision) == found


@pytest.mark.parametrize(
    "change", [{"threshold": float("inf")}, {"surely_normal": "x"}, {"normals": None}]
)
def test_values_that_are_none_are_refused(change):
    values = asdict(decide(np.arange(200.0), 0.05))
    with pytest.raises((ValueError, TypeError)):
        read_values({**values, **change}, Decision)


def test_misses_are_the_out_of_fold_anomalies_not_above_the_threshold():
    plain = decide(np.arange(30.0), 0.1)
    assert plain.miss_rate is None
    found = plain.against(np.array([plain.threshold, 5.0, 100.0, 200.0, 300.0]))
    assert (found.anomalies, found.missed) == (5, 2)
    assert found.miss_rate == (0.4, *share_interval(2, 5))
    assert read_values(asdict(found), Decision) == found
    with pytest.raises(ValueError, match="more anomalies"):
        read_values(asdict(found) | {"missed": 6}, Decision)


@pytest.mark.parametrize("further", [1, 7, 40, 300])
@pytest.mark.parametrize(("known", "rate"), [(4, 0.3), (9, 0.7), (19, 0.05), (19, 0.3), (99, 0.1)])
def test_the_number_of_further_false_alarms_is_counted_out(known, further, rate):
    """Of all equally likely orders of known and further normals, by binomial coefficients.

    The interval is of that beta-binomial distribution; one normal more or fewer gives another.
    """
    found = decide(np.arange(float(known)), rate)
    above = sum(score > found.threshold for score in range(known))

    def chance(count):
        """That so many further normals lie above the threshold, which is itself a known one."""
        higher, lower = (
            comb(above + count, count),
            comb(known - above - 1 + further - count, known - above - 1),
        )
        return higher * lower / comb(known + further, known)

    reached = np.cumsum([chance(count) for count in range(further + 1)])
    assert reached[-1] == pytest.approx(1.0)
    expected = tuple(int((reached < tail - 1e-12).sum()) for tail in (0.025, 0.975))
    assert found.false_alarms_among(further) == expected


@pytest.mark.parametrize(("known", "further", "rate"), [(99, 300, 0.01), (150, 150, 0.05)])
def test_of_further_normals_as_many_are_called_anomalous_as_is_said(known, further, rate):
    inside = []
    for seed in range(300):
        scores = normal_scores(known + further, seed)
        decision = decide(scores[:known], rate)
        low, high = decision.false_alarms_among(further)
        inside.append(low <= (scores[known:] > decision.threshold).sum() <= high)
    assert 0.92 <= np.mean(inside) <= 1.0
    assert low < rate * further < high


@pytest.mark.parametrize("count", [1, 5, 19, 60, 98, 700, 12345])
def test_too_few_normals_name_the_rate_that_they_reach(count):
    rate = least_rate(count)
    scores = np.arange(count, dtype=float)
    assert decide(scores, rate).normals == count
    assert rate == pytest.approx(1 / (count + 1), rel=0.01)
    with pytest.raises(DataError, match=f"{count} show {rate:g} at best"):
        decide(scores, rate * 0.98)


def test_how_many_more_normals_a_rate_wants_is_said():
    with pytest.raises(
        DataError, match=r"at least 99 are needed; 60 show 0.0164 at best\. Give 39"
    ):
        decide(np.zeros(60), 0.01)
    with pytest.raises(DataError, match=r"at least 99 are needed\. Give 99 more"):
        decide(np.zeros(0), 0.01)
