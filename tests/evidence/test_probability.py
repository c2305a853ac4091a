"""How likely an image is anomalous, by its score."""

from dataclasses import asdict

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ahl._common.schema import read_values
from ahl.evidence.probability import PRIOR_SCORES, Probability, fit_probability

scores = st.lists(st.floats(-50, 50), max_size=30).map(np.array)


def drawn(count, mean, seed):
    return np.random.default_rng(seed).normal(mean, 1.0, count)


def test_it_is_the_share_of_anomalies_at_a_score_were_both_equally_common():
    """Normals N(0, 1), anomalies N(3, 1): by Bayes 1 / (1 + exp(3 (1.5 - score)))."""
    found = fit_probability(drawn(4000, 0.0, 1), drawn(400, 3.0, 2))
    for score in np.linspace(-1, 4, 11):
        assert found.of(score) == pytest.approx(1 / (1 + np.exp(3 * (1.5 - score))), abs=0.04)


def test_how_many_there_are_of_each_does_not_matter():
    few = fit_probability(drawn(4000, 0.0, 1), drawn(4000, 3.0, 2))
    many = fit_probability(drawn(400, 0.0, 1), drawn(4000, 3.0, 2))
    assert few.midpoint == pytest.approx(many.midpoint, abs=0.15)


def test_without_known_anomalies_it_is_an_assumption():
    found = fit_probability(drawn(300, 0.0, 1), np.empty(0))
    assert 0 < found.midpoint < PRIOR_SCORES[0]
    assert found.of(0.0) < 0.1
    assert found.of(6.0) > 0.9


@given(normals=scores.filter(len), anomalies=scores, pair=st.tuples(st.floats(), st.floats()))
def test_a_higher_score_is_never_less_severe(normals, anomalies, pair):
    found = fit_probability(normals, anomalies)
    low, high = sorted(np.nan_to_num(np.array(pair), posinf=1e300, neginf=-1e300))
    assert 0 <= found.of(low) <= found.of(high) <= 1


def test_it_comes_back():
    found = Probability(midpoint=1.25, slope=0.5)
    assert read_values(asdict(found), Probability) == found
