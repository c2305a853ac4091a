"""Groups at random, fewer episodes than there are pairs, and twins shared by all episodes."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ahl.config import DistributionConfig
from ahl.distributions.episodes import draw_twins, group_at_random, make_episodes

WHOLE = "all normals, halved"


def make(assignment, seed=0, **constants):
    return make_episodes(assignment, 6, 3, DistributionConfig(**constants), seed=seed)


# --- groups at random ------------------------------------------------------------------------


@given(count=st.integers(0, 60), groups=st.integers(1, 9), seed=st.integers(0, 2**40))
def test_every_normal_is_in_one_group_and_sizes_differ_by_at_most_one(count, groups, seed):
    assignment = group_at_random(count, groups=groups, seed=seed)
    assert assignment.shape == (count,)
    assert assignment.dtype == np.int64
    sizes = [int((assignment == group).sum()) for group in range(groups)]
    assert sum(sizes) == count
    assert max(sizes) - min(sizes) <= 1


@given(count=st.integers(1, 60), groups=st.integers(1, 9), seed=st.integers(0, 2**40))
def test_the_same_seed_deals_the_same_groups(count, groups, seed):
    first = group_at_random(count, groups=groups, seed=seed)
    np.random.seed(3)  # noqa: NPY002 - the point is that the global generator does not matter
    np.testing.assert_array_equal(group_at_random(count, groups=groups, seed=seed), first)


def test_groups_are_dealt_at_random():
    dealt = [group_at_random(30, groups=3, seed=seed) for seed in range(200)]
    assert len({tuple(assignment) for assignment in dealt}) == 200
    share = np.mean([assignment == 0 for assignment in dealt], axis=0)
    assert (abs(share - 1 / 3) < 0.15).all(), "any normal in any group"
    together = np.mean([assignment[0] == assignment[1] for assignment in dealt])
    assert abs(together - 9 / 29) < 0.15, "whoever its neighbour is"


# --- fewer episodes --------------------------------------------------------------------------

ASSIGNMENTS = st.lists(st.integers(0, 3), min_size=1, max_size=40).map(
    lambda numbers: np.array(numbers, dtype=np.int64)
)


def names(episodes):
    return [episode.name for episode in episodes]


@given(assignment=ASSIGNMENTS, limit=st.integers(0, 15), seed=st.integers(0, 99))
def test_a_limit_keeps_some_of_the_pairs_in_order_and_the_whole(assignment, limit, seed):
    everything = make(assignment, seed)
    limited = make(assignment, seed, max_episodes=limit)
    assert len(limited) == (min(limit, len(everything)) if limit else len(everything))
    kept = set(names(limited))
    assert len(kept) == len(limited)
    assert names(limited) == [name for name in names(everything) if name in kept]
    assert limited[-1].name == WHOLE
    normals = {e.name: (e.support.normals.tolist(), e.query.normals.tolist()) for e in everything}
    for episode in limited:
        found = (episode.support.normals.tolist(), episode.query.normals.tolist())
        assert found == normals[episode.name]


def test_a_limit_of_one_is_the_whole_alone():
    assert names(make(np.arange(30) % 3, max_episodes=1)) == [WHOLE]


@pytest.mark.parametrize("limit", [7, 8, 100])
def test_a_limit_that_all_keep_to_changes_nothing(limit):
    def flat(episodes):
        return [
            (e.name, [part.tolist() for s in (e.support, e.query) for part in (s.normals, s.twins)])
            for e in episodes
        ]

    assignment = np.arange(30) % 3
    assert flat(make(assignment, max_episodes=limit)) == flat(make(assignment))


def test_seeds_choose_other_pairs_and_reach_them_all():
    chosen = [set(names(make(np.arange(30) % 3, seed, max_episodes=3))) for seed in range(60)]
    assert len({frozenset(one) for one in chosen}) > 5
    assert set.union(*chosen) == set(names(make(np.arange(30) % 3)))


# --- twins -----------------------------------------------------------------------------------


@given(
    normals=st.integers(1, 60),
    generators=st.integers(0, 4),
    fraction=st.floats(0.01, 1.0),
    seed=st.integers(0, 2**40),
)
def test_every_generator_makes_twins_of_the_share_of_all_normals(
    normals, generators, fraction, seed
):
    config = DistributionConfig(twin_fraction=fraction)
    twins = draw_twins(normals, generators, config, seed)
    assert twins.shape == (generators, normals)
    assert twins.dtype == np.bool_
    for row in twins:
        assert row.sum() >= 1
        assert abs(row.sum() - fraction * normals) <= max(0.5, 1 - fraction * normals)
    np.testing.assert_array_equal(draw_twins(normals, generators, config, seed), twins)


def test_generators_and_seeds_take_normals_of_their_own():
    twins = [draw_twins(40, 3, DistributionConfig(), seed) for seed in range(5)]
    assert len({row.tobytes() for rows in twins for row in rows}) == 15
