"""The episodes as index sets over all training samples, and the batches drawn from them."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from ahl._common.types import Kind
from ahl.config import DistributionConfig
from ahl.distributions.pseudo import plan_pseudo_anomalies
from ahl.distributions.training_set import (
    IndexedSet,
    TrainingSet,
    draw_batch,
    index_episodes,
    kind_counts,
)
from ahl.features.table import FeatureTable
from synthetic_features import LAYOUT, make_training_set

CPU = torch.device("cpu")


@pytest.fixture(params=["usual", "one anomaly", "no anomaly", "no pseudo", "one generator"])
def made(request):
    """A training set, its episodes, and the numbers of normals and of labelled anomalies."""
    normals = 21
    anomalies = {"one anomaly": 1, "no anomaly": 0}.get(request.param, 5)
    generators = {"no pseudo": 0, "one generator": 1}.get(request.param, 3)
    training_set, distributions, episodes = make_training_set(
        normals=normals, anomalies=anomalies, generators=generators
    )
    return training_set, distributions, episodes, normals, anomalies


def numbered_table(count):
    """A table in which every value of row j is j, so that a sample is known by its features."""
    rows = np.arange(count, dtype=np.float16)[:, None] * np.ones(LAYOUT.row_size, np.float16)
    return FeatureTable.of_rows(LAYOUT, rows)


def numbered(training_set):
    return TrainingSet(
        features=numbered_table(len(training_set)),
        kinds=training_set.kinds,
    )


def draw(training_set, sets, *, batch_size=12, reference_normals=5, seed=0):
    return draw_batch(
        training_set,
        sets,
        batch_size=batch_size,
        reference_normals=reference_normals,
        generator=torch.Generator().manual_seed(seed),
        device=CPU,
    )


# --- indices and masks -----------------------------------------------------------------------


def test_samples_lie_normals_first_then_anomalies_then_pseudo(made):
    training_set, _distributions, episodes, normals, anomalies = made
    pseudo = len(plan_pseudo_anomalies(episodes))
    expected = [Kind.NORMAL] * normals + [Kind.ANOMALY] * anomalies + [Kind.PSEUDO] * pseudo
    assert training_set.kinds.tolist() == [int(kind) for kind in expected]
    assert len(training_set) == len(expected)
    everything = training_set.everything
    for kind in Kind:
        indices = [j for j, other in enumerate(expected) if other == kind]
        assert everything.by_kind()[kind].tolist() == indices


def test_sets_hold_the_samples_of_their_episodes(made):
    training_set, distributions, episodes, normals, anomalies = made
    plan = plan_pseudo_anomalies(episodes)
    sides = [("support", distributions.supports), ("query", distributions.queries)]
    for side, indexed_sets in sides:
        for episode, indexed in zip(episodes, indexed_sets, strict=True):
            samples = getattr(episode, side)
            assert indexed.normals.tolist() == samples.normals.tolist()
            assert indexed.anomalies.tolist() == [normals + a for a in samples.anomalies]
            made_of = [
                (plan[j - normals - anomalies].generator, plan[j - normals - anomalies].normal)
                for j in indexed.pseudo
            ]
            assert made_of == [(samples.generator, normal) for normal in samples.twins.tolist()]
            for kind in Kind:
                assert (training_set.kinds[indexed.by_kind()[kind]] == kind).all()


def test_unseen_is_what_the_support_does_not_know(made):
    training_set, distributions, episodes, normals, anomalies = made
    plan = plan_pseudo_anomalies(episodes)
    expected = np.zeros((len(training_set), len(episodes)), dtype=bool)
    for i, episode in enumerate(episodes):
        for a in range(anomalies):
            expected[normals + a, i] = a not in episode.support.anomalies
        for p, entry in enumerate(plan):
            foreign = entry.generator != episode.support.generator
            expected[normals + anomalies + p, i] = foreign
    np.testing.assert_array_equal(distributions.unseen.numpy(), expected)
    assert not expected[:normals].any()


def test_judged_leaves_out_the_supports_own_normals(made):
    training_set, distributions, episodes, *_ = made
    judged = distributions.judged
    assert judged.shape == (len(training_set), len(episodes))
    for i, episode in enumerate(episodes):
        for j in range(len(training_set)):
            assert bool(judged[j, i]) == (j not in episode.support.normals)


def test_an_anomaly_is_unseen_where_only_the_query_holds_it():
    _training_set, distributions, episodes = make_training_set(anomalies=6)
    for i, episode in enumerate(episodes):
        only_query = np.setdiff1d(episode.query.anomalies, episode.support.anomalies)
        assert len(only_query) == 3
        assert distributions.unseen[24 + only_query, i].all()
        assert int(distributions.unseen[24:30, i].sum()) == 3


def test_in_the_both_overlap_no_labelled_anomaly_is_unseen():
    training_set, distributions, _ = make_training_set(
        config=DistributionConfig(anomaly_overlap="both")
    )
    assert not distributions.unseen[training_set.kinds == Kind.ANOMALY].any()


def test_queries_share_eq_4_by_their_normals():
    nothing = np.empty(0, dtype=np.int64)
    queries = [
        IndexedSet(normals=np.arange(count), anomalies=np.arange(9), pseudo=nothing)
        for count in (2, 3, 5)
    ]
    by_hand = replace(make_training_set()[1], queries=tuple(queries))
    torch.testing.assert_close(by_hand.query_shares, torch.tensor([0.2, 0.3, 0.5]))


def test_query_shares_are_of_the_episodes_and_sum_to_one(made):
    _training_set, distributions, episodes, *_ = made
    shares = distributions.query_shares
    assert float(shares.sum()) == pytest.approx(1.0)
    normals = [len(episode.query.normals) for episode in episodes]
    assert shares.tolist() == pytest.approx([count / sum(normals) for count in normals])


# --- batches ---------------------------------------------------------------------------------


def sets_with(*present):
    def indices(there):
        return np.arange(3 if there else 0, dtype=np.int64)

    return [
        IndexedSet(normals=indices(n), anomalies=indices(a), pseudo=indices(p))
        for n, a, p in present
    ]


@pytest.mark.parametrize(
    ("batch_size", "present", "expected"),
    [
        (48, [(1, 1, 1)], (16, 16, 16)),
        (48, [(1, 1, 0)], (24, 24, 0)),
        (48, [(1, 0, 1)], (24, 0, 24)),
        (48, [(1, 0, 0)], (48, 0, 0)),
        (50, [(1, 1, 1)], (18, 16, 16)),
        (3, [(1, 1, 1)], (1, 1, 1)),
        (48, [(1, 1, 1), (1, 1, 0)], (24, 24, 0)),
    ],
)
def test_kinds_share_a_batch_equally_and_normals_take_the_rest(batch_size, present, expected):
    assert kind_counts(batch_size, sets_with(*present)) == expected


@pytest.mark.parametrize("batch_size", [9, 11])
def test_a_batch_holds_samples_of_each_set_by_kind(made, batch_size):
    training_set, distributions = numbered(made[0]), made[1]
    counts = kind_counts(batch_size, distributions.supports)
    assert sum(counts) == batch_size
    seen = [set() for _ in distributions.supports]
    for seed in range(20):
        batch = draw(training_set, distributions.supports, batch_size=batch_size, seed=seed)
        models = len(distributions.supports)
        assert batch.kinds.shape == (models, batch_size)
        for scale, shape in zip(batch.maps, LAYOUT.scales, strict=True):
            assert scale.shape == (models, batch_size, *shape)
            assert scale.dtype == torch.float32
        for i, support in enumerate(distributions.supports):
            drawn = batch.maps[0][i, :, 0, 0, 0].long()
            for scale in batch.maps:  # every value of a sample is its number, at both scales
                assert torch.equal(scale[i], drawn[:, None, None, None].expand_as(scale[i]).float())
            assert torch.equal(batch.kinds[i], training_set.kinds[drawn])
            for kind in Kind:
                assert int((batch.kinds[i] == kind).sum()) == counts[kind]
                assert np.isin(drawn[batch.kinds[i] == kind], support.by_kind()[kind]).all()
            seen[i] |= set(drawn.tolist())
    for i, support in enumerate(distributions.supports):
        everything = {int(j) for part in support.by_kind() for j in part}
        assert seen[i] == everything, "every sample of the set must come up sooner or later"


def test_references_are_means_of_normals_of_the_same_set_at_both_scales():
    training_set, distributions, _ = make_training_set()
    training_set = numbered(training_set)
    varied = set()
    for seed in range(10):
        batch = draw(training_set, distributions.supports, reference_normals=2, seed=seed)
        for i, support in enumerate(distributions.supports):
            fine, coarse = (scale[i] for scale in batch.references)
            assert fine.shape == LAYOUT.scales[0]
            assert coarse.shape == LAYOUT.scales[1]
            value = float(fine[0, 0, 0])
            assert (fine == value).all()
            assert (coarse == value).all(), "both scales must be of the same normals"
            means = {(int(a) + int(b)) / 2 for a in support.normals for b in support.normals}
            assert value in means
            varied.add(value)
    assert len(varied) > 5, "references must be drawn for each batch"


def test_the_reference_is_the_mean_of_the_number_asked_for():
    training_set, _distributions, _ = make_training_set()
    one_normal = [
        IndexedSet(normals=np.array([4]), anomalies=np.array([24]), pseudo=np.array([31]))
    ]
    batch = draw(training_set, one_normal, reference_normals=5)
    for ours, expected in zip(
        batch.references, training_set.features.maps(torch.tensor(4)), strict=True
    ):
        torch.testing.assert_close(ours[0], expected, rtol=1e-5, atol=1e-6)
    spread = [
        float(
            draw(
                numbered(training_set), [training_set.everything], reference_normals=n, seed=s
            ).references[0][0, 0, 0, 0]
        )
        for n in (1, 100)
        for s in range(30)
    ]
    assert np.std(spread[30:]) < 0.3 * np.std(spread[:30])


def test_batches_depend_on_the_generator_alone():
    training_set, distributions, _ = make_training_set()
    training_set = numbered(training_set)
    torch.manual_seed(0)
    one = draw(training_set, distributions.supports, seed=5)
    torch.manual_seed(1)
    same = draw(training_set, distributions.supports, seed=5)
    other = draw(training_set, distributions.supports, seed=6)
    assert torch.equal(one.maps[0], same.maps[0])
    assert torch.equal(one.references[1], same.references[1])
    assert not torch.equal(one.maps[0], other.maps[0])
    assert not torch.equal(one.references[0], other.references[0])


def test_batches_follow_one_another_in_a_generator():
    training_set, distributions, _ = make_training_set()
    training_set = numbered(training_set)
    generator = torch.Generator().manual_seed(0)
    constants = {"batch_size": 12, "reference_normals": 5, "generator": generator, "device": CPU}
    one = draw_batch(training_set, distributions.supports, **constants)
    two = draw_batch(training_set, distributions.supports, **constants)
    assert not torch.equal(one.maps[0], two.maps[0])


def test_models_draw_their_own_samples_also_from_the_same_set():
    training_set, _distributions, _ = make_training_set()
    training_set = numbered(training_set)
    batch = draw(training_set, [training_set.everything] * 2)
    assert not torch.equal(batch.maps[0][0], batch.maps[0][1])


def test_batches_are_the_same_from_memory_and_from_disk():
    (from_disk, distributions, _), (in_memory, *_) = make_training_set(), make_training_set()
    in_memory.features.keep_resident()
    one = draw(from_disk, distributions.queries, seed=3)
    other = draw(in_memory, distributions.queries, seed=3)
    for part in ("maps", "references"):
        for left, right in zip(getattr(one, part), getattr(other, part), strict=True):
            assert torch.equal(left, right)


def test_a_plan_of_other_episodes_is_refused():
    _, _, episodes = make_training_set()
    plan = plan_pseudo_anomalies(episodes)[:-1]
    with pytest.raises(KeyError):
        index_episodes(24, 6, episodes, plan)
