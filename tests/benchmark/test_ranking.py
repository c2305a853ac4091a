"""Mean ranks, and when they are compared by a test."""

import numpy as np
import pytest

from ahl.benchmark.ranking import critical_difference, rank_methods
from benchmark.records import grid, make_record


def test_ranks_need_common_columns_and_many_of_them_for_a_test(summed):
    names = ("AITEX", "SDD", "ELPV", "Optical", "HeadCT")
    records = grid(["ahl-dra", "dra", "fs-dra"], names, seeds=(0,))
    records.append(make_record("flos", 0.99, dataset="SDD"))
    ranking = rank_methods(summed(records, scored=False))
    assert [(entrant.shown, rank) for entrant, rank in ranking.ranks] == [
        ("AHL(DRA)", 1.0),
        ("DRA", 2.0),
    ]
    assert ranking.left_out == ("FLOS",)
    assert ranking.difference == pytest.approx(1.95996 * np.sqrt(6 / 30), rel=1e-4)
    assert "Not ranked, measured on fewer columns: FLOS." in ranking.words


def test_few_columns_give_ranks_without_a_test(summed):
    ranking = rank_methods(summed(grid(["ahl-dra", "dra"]), scored=False))
    assert ranking.difference is None
    assert "too few for a test" in ranking.words


def test_a_single_method_is_not_ranked(summed):
    assert rank_methods(summed(grid(["dra"]), scored=False)) is None


@pytest.mark.parametrize(("methods", "quantile"), [(2, 1.960), (5, 2.728), (10, 3.164)])
def test_critical_difference_is_that_of_the_usual_tables(methods, quantile):
    expected = quantile * np.sqrt(methods * (methods + 1) / (6 * 12))
    assert critical_difference(methods, 12) == pytest.approx(expected, rel=1e-3)
    assert critical_difference(methods, 4) is None
