"""Heterogeneous anomaly distribution generation (HADG): AHL, section 3.2.

A training set is divided into T episodes, each with its own support and query set: different
clusters of normals, different subsets of the labelled anomalies, different pseudo anomalies.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import permutations

import numpy as np
from numpy.typing import NDArray

from ahl._common.randomness import derive_seed, numpy_generator
from ahl.config import DistributionConfig

Indices = NDArray[np.int64]


@dataclass(frozen=True, kw_only=True, eq=False)
class SampleSet:
    """A support or query set before its pseudo anomalies are made.

    Attributes:
        normals: sorted indices into the training normals.
        anomalies: sorted indices into the labelled anomalies.
        generator: index of the pseudo-anomaly generator of this set; -1 for none.
        twins: sorted indices into the training normals, a subset of `normals`, from which
            `generator` makes pseudo anomalies.
    """

    normals: Indices
    anomalies: Indices
    generator: int
    twins: Indices


@dataclass(frozen=True, kw_only=True, eq=False)
class Episode:
    """D_i: a heterogeneous anomaly distribution.

    Attributes:
        name: description of the normals in support and query, for people.
        support: D_i^s, on which the base model is trained.
        query: D_i^q, on which it is evaluated.
    """

    name: str
    support: SampleSet
    query: SampleSet


def cluster_normals(features: NDArray[np.float32], *, clusters: int, seed: int) -> Indices:
    """Group the training normals by k-means.

    Args:
        features: (N, D) pooled features of the training normals only.
        clusters: number C of clusters, or the number of distinct normals if that is smaller.
        seed: seed of the k-means initialisations.

    Returns:
        (N,) cluster numbers, 0 .. C - 1.
    """
    from sklearn.cluster import KMeans
    from threadpoolctl import threadpool_limits

    wanted = min(clusters, len(np.unique(features, axis=0)))
    # One thread: scikit-learn adds up partial sums in the order its threads finish.
    with threadpool_limits(limits=1):
        means = KMeans(wanted, n_init=10, random_state=derive_seed(seed, "k-means") % 2**32)
        assignment: Indices = means.fit_predict(features.astype(np.float64)).astype(np.int64)
    return assignment


def group_at_random(count: int, *, groups: int, seed: int) -> Indices:
    """Group the training normals at random, in nearly equal sizes (the paper's ablation RamHADG).

    Returns:
        (N,) group numbers, 0 .. `groups` - 1.
    """
    order = numpy_generator(seed, "random groups").permutation(count)
    assignment: Indices = np.empty(count, dtype=np.int64)
    assignment[order] = np.arange(count) % groups
    return assignment


def split_anomalies(
    count: int, config: DistributionConfig, random: np.random.Generator
) -> tuple[Indices, Indices]:
    """Draw the labelled anomalies of an episode's support and query.

    A random subset is virtual seen, the rest virtual unseen; `config.anomaly_overlap` determines
    which of them both sets share (the paper's appendix B.1 and table 10). A single anomaly is in
    both.

    Returns:
        sorted indices of the support's and of the query's anomalies.
    """
    everything = np.arange(count, dtype=np.int64)
    if count <= 1:
        return everything, everything
    number_seen = min(count - 1, max(1, round(config.virtual_seen_fraction * count)))
    order = random.permutation(count)
    seen, unseen = np.sort(order[:number_seen]), np.sort(order[number_seen:])
    return {
        "support_in_query": (seen, everything),
        "disjoint": (seen, unseen),
        "query_in_support": (everything, unseen),
        "both": (everything, everything),
    }[config.anomaly_overlap]


def make_episodes(
    assignment: Indices,
    anomalies: int,
    generators: int,
    config: DistributionConfig,
    *,
    seed: int,
) -> list[Episode]:
    """Build the T episodes: every ordered pair of clusters, and one over all normals.

    Args:
        assignment: (N,) cluster number of each training normal.
        anomalies: number of labelled anomalies.
        generators: number of pseudo-anomaly generators; 0 makes no pseudo anomalies. Support and
            query use two different ones if there are several.
        config: the constants.
        seed: seed of all draws.

    Returns:
        C * (C - 1) + 1 episodes; fewer if clusters are smaller than `config.smallest_cluster`, or
        at most `config.max_episodes` if that is not 0.
    """
    random = numpy_generator(seed, "episodes")
    twin_of = draw_twins(len(assignment), generators, config, seed)
    numbers = [
        int(cluster)
        for cluster in np.unique(assignment)
        if np.count_nonzero(assignment == cluster) >= config.smallest_cluster
    ]
    members = {number: np.flatnonzero(assignment == number) for number in numbers}
    splits = [
        (f"cluster {a} -> cluster {b}", members[a], members[b]) for a, b in permutations(numbers, 2)
    ]
    halves = random.permutation(len(assignment))
    middle = (len(assignment) + 1) // 2
    if 0 < config.max_episodes <= len(splits):
        kept = np.sort(random.choice(len(splits), size=config.max_episodes - 1, replace=False))
        splits = [splits[int(index)] for index in kept]
    # One normal alone cannot be split: it then serves on both sides.
    holistic_query = halves[middle:] if len(assignment) > 1 else halves
    splits.append(("all normals, halved", np.sort(halves[:middle]), np.sort(holistic_query)))

    episodes = []
    for name, support_normals, query_normals in splits:
        support_anomalies, query_anomalies = split_anomalies(anomalies, config, random)
        support_generator, query_generator = _draw_generators(generators, random)
        episodes.append(
            Episode(
                name=name,
                support=_sample_set(support_normals, support_anomalies, support_generator, twin_of),
                query=_sample_set(query_normals, query_anomalies, query_generator, twin_of),
            )
        )
    return episodes


def _draw_generators(generators: int, random: np.random.Generator) -> tuple[int, int]:
    if generators == 0:
        return -1, -1
    if generators == 1:
        return 0, 0
    support, query = random.choice(generators, size=2, replace=False)
    return int(support), int(query)


def draw_twins(
    normals: int, generators: int, config: DistributionConfig, seed: int
) -> NDArray[np.bool_]:
    """Draw the normals from which each generator makes a pseudo anomaly: (generators, normals).

    One draw for all episodes: sets that share normals share their pseudo anomalies, too, whose
    features are then extracted once.
    """
    random = numpy_generator(seed, "twins")
    twins = np.zeros((generators, normals), dtype=np.bool_)
    count = max(1, round(config.twin_fraction * normals))
    for row in twins:
        row[random.permutation(normals)[:count]] = True
    return twins


def _sample_set(
    normals: Indices, anomalies: Indices, generator: int, twin_of: NDArray[np.bool_]
) -> SampleSet:
    twins = normals[:0]
    if generator >= 0:
        twins = normals[twin_of[generator, normals]]
        if len(twins) == 0:  # by chance none of a small set: give its first normal a twin
            twins = normals[:1]
    return SampleSet(normals=normals, anomalies=anomalies, generator=generator, twins=twins)
