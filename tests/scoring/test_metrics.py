"""The figures of merit against plain code that follows their definitions."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ahl.scoring.metrics import auroc, average_precision, false_positive_rate

FINITE = st.floats(allow_nan=False, allow_infinity=False)
TIED = st.integers(-2, 2).map(float)


@st.composite
def labelled_scores(draw):
    score = draw(st.sampled_from([TIED, FINITE]))
    pairs = draw(st.lists(st.tuples(st.integers(0, 1), score), min_size=0, max_size=60))
    pairs += [(0, draw(score)), (1, draw(score))]
    pairs = draw(st.permutations(pairs))
    return [label for label, _ in pairs], [value for _, value in pairs]


def flagged(labels, scores, threshold):
    """True and false positives at a threshold."""
    hits = [label for label, score in zip(labels, scores, strict=True) if score >= threshold]
    return sum(hits), len(hits) - sum(hits)


def plain_auroc(labels, scores):
    pairs = list(zip(labels, scores, strict=True))
    wins = [
        1.0 if anomaly > normal else 0.5 if anomaly == normal else 0.0
        for is_anomaly, anomaly in pairs
        if is_anomaly
        for other_is_anomaly, normal in pairs
        if not other_is_anomaly
    ]
    return sum(wins) / len(wins)


def plain_average_precision(labels, scores):
    total, found_before = 0.0, 0
    for threshold in sorted(set(scores), reverse=True):
        found, false = flagged(labels, scores, threshold)
        total += (found - found_before) / sum(labels) * found / (found + false)
        found_before = found
    return total


def plain_false_positive_rate(labels, scores):
    for threshold in sorted(set(scores), reverse=True):
        found, false = flagged(labels, scores, threshold)
        if found / sum(labels) >= 0.95:
            return false / (len(labels) - sum(labels))
    raise AssertionError


@settings(max_examples=300)
@given(labelled_scores())
def test_figures_follow_their_definitions(data):
    labels, scores = data
    assert auroc(labels, scores) == pytest.approx(plain_auroc(labels, scores))
    expected = plain_average_precision(labels, scores)
    assert average_precision(labels, scores) == pytest.approx(expected)
    expected = plain_false_positive_rate(labels, scores)
    assert false_positive_rate(labels, scores) == expected


def test_known_values():
    labels, scores = [0, 0, 1, 1], [0.1, 0.4, 0.35, 0.8]
    assert auroc(labels, scores) == 0.75
    assert average_precision(labels, scores) == pytest.approx(5 / 6)
    assert false_positive_rate(labels, scores) == 0.5
    assert auroc(np.array(labels, bool), np.array(scores, np.float32)) == 0.75
    assert auroc([0, 1], [3, 3]) == 0.5
    assert auroc([1, 0], [0, 1]) == 0.0


def test_nineteen_of_twenty_reach_ninety_five_percent():
    labels = [1] * 19 + [0] * 4 + [1]
    scores = np.arange(24)[::-1]
    assert false_positive_rate(labels, scores) == 0.0
    labels[18] = 0
    assert false_positive_rate(labels, scores) == 1.0, "18 of 19 do not"


def test_points_on_a_straight_stretch_of_the_curve_count():
    labels, scores = [0, 1] * 20, [place // 2 for place in range(40)]
    assert false_positive_rate(labels, scores) == 0.95


@pytest.mark.parametrize("figure", [auroc, average_precision, false_positive_rate])
class TestEveryFigure:
    @pytest.mark.parametrize("labels", [[], [0, 0], [1, 1]])
    def test_undefined_without_both_classes(self, figure, labels):
        assert figure(labels, [0.5] * len(labels)) is None

    @pytest.mark.parametrize("bad", [float("nan"), float("inf"), float("-inf")])
    def test_refuses_scores_that_are_not_finite(self, figure, bad):
        for labels in ([0, 1, 1], [0, 0, 0]):
            with pytest.raises(ValueError, match="1 scores are not finite"):
                figure(labels, [0.0, bad, 1.0])

    @pytest.mark.parametrize("labels", [[0, 1, 2], [0, 1, -1], [0, 1, 0.5], ["a", "b", "c"]])
    def test_refuses_other_labels(self, figure, labels):
        with pytest.raises(ValueError, match="labels"):
            figure(labels, [0.0, 1.0, 2.0])

    @pytest.mark.parametrize(("labels", "scores"), [([0, 1], [1.0]), ([[0, 1]], [[0.0, 1.0]])])
    def test_refuses_other_shapes(self, figure, labels, scores):
        with pytest.raises(ValueError, match="shape"):
            figure(labels, scores)

    def test_extreme_scores_keep_their_order(self, figure):
        perfect = figure([0, 0, 1, 1], [-1.7e308, 5e-324, 1e-323, 1.7e308])
        assert perfect == (0.0 if figure is false_positive_rate else 1.0)
