"""Mean ranks, and when they are compared by a test."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scikit_posthocs import posthoc_nemenyi_friedman

from ahl.benchmark.comparisons import critical_difference, mean_ranks, rank_variants
from benchmark.made_results import grid, make_result


def test_ranks_need_common_columns_and_many_of_them_for_a_test(summed):
    names = ("AITEX", "SDD", "ELPV", "Optical", "HeadCT")
    results = grid(["ahl-dra", "dra", "fs-dra"], names, seeds=(0,))
    results.append(make_result("flos", 0.99, dataset="SDD"))
    ranking = rank_variants(summed(results, scored=False))
    assert [(variant.shown, rank) for variant, rank in ranking.ranks] == [
        ("AHL(DRA)", 1.0),
        ("DRA", 2.0),
    ]
    assert ranking.left_out == ("FLOS",)
    assert ranking.difference == pytest.approx(1.95996 * np.sqrt(6 / 30), rel=1e-4)
    assert "Not ranked, measured on fewer columns: FLOS." in ranking.words


def test_few_columns_give_ranks_without_a_test(summed):
    ranking = rank_variants(summed(grid(["ahl-dra", "dra"]), scored=False))
    assert ranking.difference is None
    assert "too few for a test" in ranking.words


def test_a_single_method_is_not_ranked(summed):
    assert rank_variants(summed(grid(["dra"]), scored=False)) is None


@pytest.mark.parametrize(("methods", "quantile"), [(2, 1.960), (5, 2.728), (10, 3.164)])
def test_critical_difference_is_that_of_the_usual_tables(methods, quantile):
    expected = quantile * np.sqrt(methods * (methods + 1) / (6 * 12))
    assert critical_difference(methods, 12) == pytest.approx(expected, rel=1e-3)
    assert critical_difference(methods, 4) is None


def ranks_of(table):
    """Of figures by column, then by variant."""
    return mean_ranks(pd.DataFrame(table)).to_dict()


def test_mean_ranks_by_hand():
    table = {
        "one": {"a": 0.9, "b": 0.8, "c": 0.7},
        "two": {"a": 0.5, "b": 0.6, "c": 0.5},
        "three": {"a": 1.0, "b": 0.1},  # c is missing: not counted
    }
    ranks = ranks_of(table)
    assert ranks == pytest.approx({"a": 1.75, "b": 1.5, "c": 2.75})
    assert ranks_of({"three": table["three"], "four": {"c": 1.0}}) == {}
    assert ranks_of({}) == {}


@settings(max_examples=50)
@given(st.lists(st.lists(st.floats(0, 1), min_size=4, max_size=4), min_size=1, max_size=6))
def test_ranks_always_sum_to_the_same(rows):
    table = {str(n): dict(zip("abcd", row, strict=True)) for n, row in enumerate(rows)}
    ranks = ranks_of(table)
    assert sum(ranks.values()) == pytest.approx(10)
    assert all(1 <= rank <= 4 for rank in ranks.values())


def test_ranks_further_apart_than_the_difference_are_those_that_the_test_tells_apart():
    """The pairwise test of scikit-posthocs as the reference."""
    random = np.random.default_rng(2)
    table = pd.DataFrame(random.normal(np.arange(6)[:, None] * 0.5, 1.0, (6, 12)))
    ranks = mean_ranks(table).to_numpy()
    apart = np.abs(ranks[:, None] - ranks) > critical_difference(6, 12)
    told = posthoc_nemenyi_friedman(table.T.to_numpy()).to_numpy() < 0.05
    assert 0 < apart.sum() < 30
    assert np.array_equal(apart, told)
