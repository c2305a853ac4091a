"""Heterogeneous distributions: what holds for every training set, whatever its clusters."""

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from ahl.config import DistributionConfig
from ahl.distributions.episodes import cluster_normals, make_episodes, split_anomalies

ASSIGNMENTS = st.lists(st.integers(0, 4), min_size=1, max_size=40).map(
    lambda numbers: np.array(numbers, dtype=np.int64)
)
OVERLAPS = ["support_in_query", "disjoint", "query_in_support", "both"]


def make(assignment, anomalies=6, generators=3, seed=0, **constants):
    config = DistributionConfig(**constants)
    return make_episodes(assignment, anomalies, generators, config, seed=seed)


def both_sets(episodes):
    return [samples for episode in episodes for samples in (episode.support, episode.query)]


# --- clustering ------------------------------------------------------------------------------


def three_blobs(count=30, seed=0):
    random = np.random.default_rng(seed)
    truth = random.permutation(np.arange(count) % 3)
    centres = np.array([[0, 0, 0, 0], [9, 0, 0, 0], [0, 9, 9, 0]])
    return (centres[truth] + random.normal(size=(count, 4))).astype(np.float32), truth


def test_clusters_are_the_groups_of_the_features():
    features, truth = three_blobs()
    assignment = cluster_normals(features, clusters=3, seed=0)
    assert assignment.shape == (30,)
    assert assignment.dtype == np.int64
    pairs = set(zip(truth.tolist(), assignment.tolist(), strict=True))
    assert len(pairs) == 3, "one cluster number a group, one group a cluster number"
    assert {number for _, number in pairs} == {0, 1, 2}


def test_clustering_uses_the_given_features_and_seed_alone():
    features, _ = three_blobs()
    before = features.copy()
    np.random.seed(1)  # noqa: NPY002 - the point is that the global generator does not matter
    first = cluster_normals(features, clusters=4, seed=7)
    np.random.seed(2)  # noqa: NPY002
    state = np.random.get_state()[1].copy()  # noqa: NPY002
    np.testing.assert_array_equal(cluster_normals(features.copy(), clusters=4, seed=7), first)
    np.testing.assert_array_equal(np.random.get_state()[1], state)  # noqa: NPY002
    np.testing.assert_array_equal(features, before)


@given(st.lists(st.sampled_from([0.0, 1.0, 5.0]), min_size=1, max_size=12), st.integers(1, 6))
def test_no_more_clusters_than_distinct_normals(values, clusters):
    """Equal rows are one normal, however many different numbers stand in a row."""
    features = np.array(values, dtype=np.float32)[:, None] + np.float32([0, 10, 20])
    assignment = cluster_normals(features, clusters=clusters, seed=0)
    numbers = set(assignment.tolist())
    assert numbers == set(range(min(clusters, len(set(values)))))
    if clusters >= len(set(values)):  # then each distinct normal is a cluster
        assert len(set(zip(values, assignment.tolist(), strict=True))) == len(numbers)


def test_the_seed_decides_where_k_means_starts():
    """Points without groups have many clusterings, and each seed may find another."""
    points = np.random.default_rng(0).uniform(size=(60, 2)).astype(np.float32)
    found = {tuple(cluster_normals(points, clusters=12, seed=seed).tolist()) for seed in range(5)}
    assert len(found) > 1


# --- normals ---------------------------------------------------------------------------------


@given(assignment=ASSIGNMENTS, smallest=st.integers(1, 6), seed=st.integers(0, 99))
def test_episodes_are_the_ordered_pairs_of_large_enough_clusters_and_the_whole(
    assignment, smallest, seed
):
    episodes = make(assignment, smallest_cluster=smallest, seed=seed)
    members = {}
    for index, number in enumerate(assignment.tolist()):
        members.setdefault(number, []).append(index)
    large = [tuple(m) for _, m in sorted(members.items()) if len(m) >= smallest]
    count = len(large)
    assert len(episodes) == count * (count - 1) + 1

    pairs = [(tuple(e.support.normals), tuple(e.query.normals)) for e in episodes[:-1]]
    assert sorted(pairs) == sorted((a, b) for a in large for b in large if a != b)
    assert all(not set(support) & set(query) for support, query in pairs)


@given(assignment=ASSIGNMENTS, seed=st.integers(0, 99))
def test_the_last_episode_halves_all_normals(assignment, seed):
    last = make(assignment, seed=seed)[-1]
    support, query = last.support.normals.tolist(), last.query.normals.tolist()
    if len(assignment) == 1:
        assert support == query == [0]
    else:
        assert sorted(support + query) == list(range(len(assignment)))
        assert 0 <= len(support) - len(query) <= 1
    assert support == sorted(support)
    assert query == sorted(query)


def test_the_halves_are_drawn_at_random():
    assignment = np.arange(30) % 3
    halves = {tuple(make(assignment, seed=seed)[-1].support.normals) for seed in range(10)}
    assert len(halves) == 10
    assert tuple(range(15)) not in halves


def test_the_paper_has_seven():
    episodes = make(np.arange(30) % 3)
    assert len(episodes) == 7
    assert len({episode.name for episode in episodes}) == 7


@pytest.mark.parametrize("tiny", [1, 2])
def test_clusters_of_two_or_fewer_are_dropped(tiny):
    assignment = np.array([0] * 5 + [1] * tiny + [2] * 3)
    episodes = make(assignment)
    assert len(episodes) == 3
    for samples in both_sets(episodes[:-1]):
        assert not np.isin(samples.normals, np.flatnonzero(assignment == 1)).any()


# --- labelled anomalies ----------------------------------------------------------------------


@given(
    count=st.integers(2, 30),
    fraction=st.floats(0.05, 0.95),
    seed=st.integers(0, 999),
    overlap=st.sampled_from(OVERLAPS),
)
def test_support_and_query_share_what_the_overlap_says(count, fraction, seed, overlap):
    config = DistributionConfig(virtual_seen_fraction=fraction, anomaly_overlap=overlap)
    support, query = split_anomalies(count, config, np.random.default_rng(seed))
    for part in (support, query):
        assert part.tolist() == sorted(set(part.tolist()))
    everything, support, query = set(range(count)), set(support), set(query)
    assert support | query == everything
    if overlap == "support_in_query":
        assert query == everything
        assert support < everything
    elif overlap == "disjoint":
        assert not support & query
    elif overlap == "query_in_support":
        assert support == everything
        assert query < everything
    else:
        assert support == query == everything
    assert support
    assert query
    if overlap in {"support_in_query", "disjoint"}:
        assert abs(len(support) - fraction * count) <= 1
    if overlap in {"disjoint", "query_in_support"}:
        assert abs(len(query) - (1 - fraction) * count) <= 1


@pytest.mark.parametrize("overlap", OVERLAPS)
def test_a_single_anomaly_is_in_both_sets(overlap):
    for episode in make(np.arange(12) % 3, anomalies=1, anomaly_overlap=overlap):
        assert episode.support.anomalies.tolist() == [0]
        assert episode.query.anomalies.tolist() == [0]


def test_no_anomalies_make_empty_shares():
    for samples in both_sets(make(np.arange(12) % 3, anomalies=0)):
        assert len(samples.anomalies) == 0


def test_half_are_virtual_seen_and_each_episode_draws_its_own():
    episodes = make(np.arange(30) % 3, anomalies=10)
    assert all(len(episode.support.anomalies) == 5 for episode in episodes)
    assert len({tuple(episode.support.anomalies) for episode in episodes}) > 3


# --- pseudo anomalies ------------------------------------------------------------------------


@given(assignment=ASSIGNMENTS, generators=st.integers(2, 4), seed=st.integers(0, 99))
def test_support_and_query_use_different_generators(assignment, generators, seed):
    for episode in make(assignment, generators=generators, seed=seed):
        assert episode.support.generator != episode.query.generator
        assert 0 <= episode.support.generator < generators
        assert 0 <= episode.query.generator < generators


def test_every_generator_is_drawn_on_either_side():
    drawn = [
        (episode.support.generator, episode.query.generator)
        for seed in range(20)
        for episode in make(np.arange(12) % 3, seed=seed)
    ]
    assert set(drawn) == {(a, b) for a in range(3) for b in range(3) if a != b}


@given(
    assignment=ASSIGNMENTS,
    generators=st.integers(1, 4),
    fraction=st.floats(0.01, 1.0),
    seed=st.integers(0, 99),
)
def test_twins_are_normals_of_their_set_and_never_missing(assignment, generators, fraction, seed):
    episodes = make(assignment, generators=generators, twin_fraction=fraction, seed=seed)
    for samples in both_sets(episodes):
        twins = samples.twins.tolist()
        assert twins == sorted(set(twins))
        assert set(twins) <= set(samples.normals.tolist())
        assert len(twins) > 0
        assert samples.generator >= 0


def test_one_generator_serves_both_sides():
    for samples in both_sets(make(np.arange(12) % 3, generators=1)):
        assert samples.generator == 0
        assert len(samples.twins) > 0


def test_without_generators_there_are_no_twins():
    for samples in both_sets(make(np.arange(12) % 3, generators=0)):
        assert samples.generator == -1
        assert len(samples.twins) == 0


def test_about_half_the_normals_have_a_twin_and_sets_with_a_generator_share_theirs():
    has_twin = {}
    for samples in both_sets(make(np.arange(90) % 3)):
        assert 0.25 < len(samples.twins) / len(samples.normals) < 0.75
        for normal in samples.normals.tolist():
            twin = normal in samples.twins
            assert has_twin.setdefault((samples.generator, normal), twin) == twin
    differing = [
        (one, other)
        for one in range(3)
        for other in range(one)
        if any(
            has_twin.get((one, normal), twin) != twin
            for (generator, normal), twin in has_twin.items()
            if generator == other
        )
    ]
    assert len(differing) == 3, "each generator must take normals of its own"


# --- determinism -----------------------------------------------------------------------------


def flat(episodes):
    return [
        (
            e.name,
            *(
                tuple(map(int, part))
                for s in (e.support, e.query)
                for part in (s.normals, s.anomalies, s.twins, [s.generator])
            ),
        )
        for e in episodes
    ]


@given(assignment=ASSIGNMENTS, seed=st.integers(0, 2**40))
def test_the_same_seed_makes_the_same_episodes(assignment, seed):
    before = assignment.copy()
    np.random.seed(3)  # noqa: NPY002 - the point is that the global generator does not matter
    first = flat(make(assignment, seed=seed))
    np.random.seed(4)  # noqa: NPY002
    assert flat(make(assignment.copy(), seed=seed)) == first
    np.testing.assert_array_equal(assignment, before)


def test_another_seed_makes_other_episodes():
    assignment = np.arange(30) % 3
    one, other = flat(make(assignment, seed=0)), flat(make(assignment, seed=1))
    assert one != other
    assert [e[0] for e in one] == [e[0] for e in other]


@given(ASSIGNMENTS)
def test_cluster_numbers_are_only_names(assignment):
    """Renaming clusters in order changes no member of any set."""
    assume(len(set(assignment.tolist())) > 1)
    renamed = 10 * assignment + 3
    assert [e[1:] for e in flat(make(renamed))] == [e[1:] for e in flat(make(assignment))]
