"""Intervals of AUROCs and of their differences."""

import numpy as np
import pytest

from ahl.apps.advise.figures import (
    Figure,
    Ranking,
    RankingSum,
    auroc_figure,
    correlation_of,
    difference_figure,
    verdict_on,
)


def test_few_images_leave_an_interval_where_every_defect_is_found():
    few, many = auroc_figure(1.0, 2, 30), auroc_figure(1.0, 50, 300)
    assert few.high == many.high == 1.0
    assert few.low < 0.75 < 0.95 < many.low < 1.0
    assert auroc_figure(0.0, 2, 30).high == pytest.approx(1 - few.low)


def test_differences_are_narrow_where_both_models_agree():
    one, other = auroc_figure(0.9, 40, 60), auroc_figure(0.85, 40, 60)
    apart, alike = difference_figure(one, other, 0.0), difference_figure(one, other, 0.9)
    assert apart.value == alike.value == pytest.approx(0.05)
    assert apart.low < alike.low < 0.05 < alike.high < apart.high
    assert apart.low < 0


def test_intervals_hold_the_truth_nearly_as_often_as_they_say():
    # Two normal distributions 1.5 apart: the AUROC is Phi(1.5 / sqrt 2) = 0.8556.
    random, truth, held, same = np.random.default_rng(0), 0.8556, 0, 0
    labels = np.repeat([False, True], [40, 12])
    for _ in range(300):
        rankings = []
        shared = random.normal(labels * 1.5)
        for _ in range(2):
            total = RankingSum(labels)
            noisy = shared + random.normal(size=len(labels)) * 0.3
            total.add(np.arange(len(labels)), noisy)
            rankings.append(total.ranking())
        total = RankingSum(labels)
        total.add(np.arange(len(labels)), shared)
        figure = total.ranking().figure()
        held += figure.low <= truth <= figure.high
        difference = rankings[0].minus(rankings[1])
        same += difference.low <= 0 <= difference.high
    assert held / 300 >= 0.9
    assert same / 300 >= 0.9


def test_a_ranking_is_the_auroc_of_each_run():
    labels = np.array([False, False, True, True, True])
    total = RankingSum(labels)
    total.add(np.array([0, 1, 2, 3]), np.array([0.1, 0.4, 0.4, 0.9]))
    total.add(np.array([0, 4]), np.array([100.0, 50.0]))
    ranking = total.ranking()
    # Image 0 was outscored by both defects of one run, and by none of the other.
    assert ranking.shares.tolist() == [0.5, 0.25, 0.75, 1.0, 0.0]
    assert ranking.figure().value == pytest.approx((0.75 + 1.0 + 0.0) / 3)
    assert ranking.figure(np.array([0, 0, 0, 1, 0], bool)).value == 1.0


def test_what_was_not_tested_has_no_figure():
    labels = np.array([False, True, True])
    total = RankingSum(labels)
    total.add(np.array([1, 2]), np.array([1.0, 2.0]))
    assert np.isnan(total.ranking().shares).all()
    assert total.ranking().figure() is None
    tested = Ranking(labels, np.array([0.0, 1.0, np.nan]))
    assert tested.minus(total.ranking()) is None
    assert tested.figure().value == 1.0


def test_rankings_are_compared_on_the_images_that_both_tested():
    labels = np.array([False, False, True, True])
    one = Ranking(labels, np.array([0.0, 0.0, 1.0, 1.0]))
    other = Ranking(labels, np.array([0.0, 0.0, 1.0, np.nan]))
    worse = Ranking(labels, np.array([0.5, 0.5, 1.0, 0.0]))
    assert one.minus(other).value == other.minus(one).value == 0.0
    assert worse.minus(other).value == other.minus(worse).value == 0.0
    assert one.minus(worse).value == 0.5
    assert one.minus(worse, among=np.array([0, 0, 1, 0], bool)).value == 0.0


def test_a_verdict_needs_the_whole_interval():
    def judged(low, high):
        return verdict_on(Figure(value=(low + high) / 2, low=low, high=high))

    assert [judged(*ends) for ends in ((0.001, 0.1), (-0.1, 0.019))] == ["yes", "no"]
    assert [judged(*ends) for ends in ((-0.001, 0.1), (-0.1, 0.02))] == ["cannot tell"] * 2


def test_correlation_of_a_model_with_itself_is_one():
    random = np.random.default_rng(1)
    own = (random.random(9), random.random(7))
    assert correlation_of(own, own) == pytest.approx(1.0)
    assert correlation_of((own[0][:1], own[1]), (own[0][:1], own[1])) == 0.0
