"""Laying out the task: what is measured on the normals before anything is trained."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ahl._common.randomness import torch_generator
from ahl.config import Config, DistributionConfig, HeadConfig, MemoryConfig, VectorConfig
from ahl.distributions.pseudo import plan_pseudo_anomalies
from ahl.evidence.prepared import l1_factor
from ahl.features.maps import FeatureLayout
from ahl.features.table import FeatureTable
from ahl.heads import DRA, DevNet
from ahl.heads.losses import draw_prior
from ahl.pipeline.task import describe_episodes, draw_episodes, mean_row
from tasks import prepare_task

LAYOUT = FeatureLayout(((6, 3, 3), (6, 2, 2)))


def table(count, seed=0, scale=1.0):
    rows = scale * np.random.default_rng(seed).normal(size=(count, LAYOUT.row_size))
    return FeatureTable.of_rows(LAYOUT, rows.astype(np.float16))


def mean_l1(normals):
    norms = [
        float(scale[n, :, y, x].abs().sum())
        for scale in normals.maps(torch.arange(len(normals)))
        for n in range(len(normals))
        for y in range(scale.shape[2])
        for x in range(scale.shape[3])
    ]
    return sum(norms) / len(norms)


@given(count=st.integers(1, 5), scale=st.floats(0.01, 100.0), target=st.floats(0.1, 1000.0))
def test_the_factor_brings_the_mean_l1_norm_to_the_target(count, scale, target):
    normals = table(count, scale=scale)
    scaled = normals.scaled(l1_factor(normals, target))
    assert mean_l1(scaled) == pytest.approx(target, rel=1e-4)


def test_no_factor_without_a_target_or_without_features():
    assert l1_factor(table(3), 0.0) == 1.0
    assert l1_factor(table(3, scale=0.0), 600.0) == 1.0


def task_of(normals, anomalies, target, memory=0):
    return prepare_task(
        DRA,
        normals,
        anomalies,
        lambda plan: table(len(plan), seed=9),
        generators=2,
        config=Config(vectors=VectorConfig(l1_norm=target), memory=MemoryConfig(patches=memory)),
        seed=0,
    )


def test_training_set_and_reference_are_scaled_alike():
    normals, anomalies = table(30), table(4, seed=1, scale=3.0)
    plain, scaled = (task_of(normals, anomalies, target) for target in (0.0, 12.0))
    assert plain.preparation.factor == 1.0
    factor = scaled.preparation.factor
    assert factor == pytest.approx(l1_factor(normals, 12.0))
    everything = torch.arange(len(plain.data))
    for one, other in zip(
        (*plain.data.features.maps(everything), *plain.reference),
        (*scaled.data.features.maps(everything), *scaled.reference),
        strict=True,
    ):
        torch.testing.assert_close(other, one * factor, rtol=1e-4, atol=1e-5)


def test_everything_behind_it_sees_the_reduced_features():
    normals, anomalies = table(20), table(3, seed=1)
    config = Config(vectors=VectorConfig(components=2), memory=MemoryConfig(patches=40))
    task = prepare_task(DRA, normals, anomalies, None, generators=0, config=config, seed=0)
    components = task.preparation.reduction.components
    assert components.shape == (6, 2)
    assert [patches.shape[1] for patches in task.preparation.memory.patches] == [2, 2]
    assert task.detector.layout == LAYOUT.of_channels(3)  # and the memory's evidence
    maps = task.data.features.maps(torch.arange(23))
    stored = [LAYOUT.split(t.rows(np.arange(len(t)))) for t in (normals, anomalies)]
    for scale, (ours, *parts) in enumerate(zip(maps, *stored, strict=True)):
        expected = torch.einsum("nchw,ck->nkhw", torch.cat(parts), components)
        torch.testing.assert_close(ours[:, :2], expected * task.preparation.factor)
        mean = expected[:20].mean(dim=0) * task.preparation.factor
        torch.testing.assert_close(task.reference[scale][:2], mean, rtol=1e-4, atol=1e-2)


def test_backbones_of_another_scale_train_the_same_model():
    """The same features times 8, which float16 stores without rounding, give the same task."""
    normals, anomalies = table(20), table(3, seed=1)

    def enlarged(one):
        return FeatureTable.of_rows(LAYOUT, (one.rows(np.arange(len(one))) * 8).half().numpy())

    task = prepare_task(DevNet, normals, anomalies, None, generators=0, config=Config(), seed=0)
    other = prepare_task(
        DevNet, enlarged(normals), enlarged(anomalies), None, generators=0, config=Config(), seed=0
    )
    assert other.preparation.factor == task.preparation.factor / 8
    everything = torch.arange(len(task.data))
    for one, same in zip(
        task.data.features.maps(everything),
        other.data.features.maps(everything),
        strict=True,
    ):
        torch.testing.assert_close(one, same)


def test_mean_row_of_some_is_of_that_many_and_of_all_by_default():
    normals = table(12)
    everything = normals.rows(np.arange(12))
    torch.testing.assert_close(mean_row(normals, 0, 0), everything.mean(dim=0))
    torch.testing.assert_close(mean_row(normals, 99, 0), everything.mean(dim=0))
    one = mean_row(normals, 1, 0)
    assert any(torch.equal(one, row) for row in everything)


def test_evidence_is_the_last_channel_and_takes_no_part_in_the_factor():
    normals, anomalies = table(30), table(4, seed=1, scale=3.0)
    plain, with_memory = (task_of(normals, anomalies, 12.0, memory=m) for m in (0, 20))
    assert plain.preparation.memory is None
    assert with_memory.preparation.factor == plain.preparation.factor
    assert with_memory.detector.layout == plain.detector.layout.with_channels(1)
    everything = torch.arange(len(plain.data))
    for one, other in zip(
        (*plain.data.features.maps(everything), *plain.reference),
        (*with_memory.data.features.maps(everything), *with_memory.reference),
        strict=True,
    ):
        torch.testing.assert_close(other[..., :-1, :, :], one)
    evidence = with_memory.data.features.maps(everything)[0][:, -1]
    assert evidence[30:34].mean() > evidence[:30].mean() + 30.0, "anomalies stand out"


def marked(plan):
    """Features that tell which generator a pseudo anomaly is of, and of which normal."""
    marks = [100.0 * (one.generator + 1) + one.normal for one in plan]
    rows = np.repeat(np.array(marks, np.float16)[:, None], LAYOUT.row_size, axis=1)
    return FeatureTable.of_rows(LAYOUT, rows)


PLAIN = Config(
    vectors=VectorConfig(components=0, l1_norm=0.0),
    memory=MemoryConfig(patches=0),
)


def plain_task(config=PLAIN, seed=0, anomalies=4):
    return prepare_task(
        DRA, table(30), table(anomalies, seed=1), marked, generators=3, config=config, seed=seed
    )


def test_pseudo_anomalies_lie_where_sets_and_folds_look_for_them():
    """Each set finds twins of its own generator and normals, each fold those of its normals."""
    task = plain_task()
    episodes = draw_episodes(table(30), 4, 3, PLAIN.distributions, seed=0)
    marks = task.data.features.rows(np.arange(len(task.data)))[:, 0].numpy()
    distributions = task.distributions
    for i, episode in enumerate(episodes):
        for drawn, placed in (
            (episode.support, distributions.supports[i]),
            (episode.query, distributions.queries[i]),
        ):
            expected = [100 * (drawn.generator + 1) + normal for normal in drawn.twins]
            assert marks[placed.pseudo].tolist() == expected
    assert len(task.folds) == PLAIN.calibration.folds
    for fold in task.folds:
        assert len(fold.samples.pseudo)
        assert set(marks[fold.samples.pseudo] % 100) <= set(fold.samples.normals.tolist())


def test_a_pseudo_anomaly_is_not_near_its_own_normals_patches():
    """Copies of their normals look as these do, and not more normal than any normal can."""
    normals = table(30)
    config = replace(PLAIN, memory=MemoryConfig(patches=100, candidates=200))

    def copies(plan):
        of = [one.normal for one in plan]
        return FeatureTable.of_rows(LAYOUT, normals.rows(np.array(of)).half().numpy())

    task = prepare_task(DRA, normals, table(4, seed=1), copies, generators=3, config=config, seed=0)
    plan = plan_pseudo_anomalies(draw_episodes(normals, 4, 3, config.distributions, seed=0))
    for scale in task.data.features.maps(torch.arange(len(task.data))):
        evidence = scale[:, -1]
        torch.testing.assert_close(evidence[34:], evidence[[one.normal for one in plan]])


@pytest.mark.parametrize("pseudo", [True, False])
def test_episodes_have_pseudo_anomalies_only_where_they_are_wanted(pseudo):
    config = replace(PLAIN, distributions=DistributionConfig(pseudo=pseudo))
    task = plain_task(config)
    counts = [
        len(one.pseudo) for one in (*task.distributions.supports, *task.distributions.queries)
    ]
    assert all(counts) is pseudo
    assert any(counts) is pseudo
    assert (len(task.data) > 34) is pseudo


@pytest.mark.parametrize("channel", range(6))
def test_clusters_are_of_every_channel(channel):
    """Normals of three kinds that one channel alone tells apart, whichever it is."""
    rows = LAYOUT.split(table(30, scale=0.01).rows(np.arange(30)))
    for scale in rows:
        scale[:, channel] += 5.0 * (torch.arange(30) % 3)[:, None, None]
    normals = FeatureTable.of_rows(LAYOUT, LAYOUT.join(rows).half().numpy())
    episodes = draw_episodes(normals, 4, 0, DistributionConfig(clusters=3), seed=0)
    found = {tuple(one.support.normals) for one in episodes[:-1]}
    assert found == {tuple(range(first, 30, 3)) for first in range(3)}


def test_the_prior_rests_on_all_the_draws_that_are_wanted():
    config = replace(PLAIN, heads=HeadConfig(prior_draws=777))
    found = plain_task(config, seed=3).detector.prior
    assert found == draw_prior(777, torch_generator(3, "prior"))


def test_the_seed_reaches_every_draw_of_a_task():
    config = replace(
        PLAIN,
        heads=HeadConfig(stored_references=3),
        distributions=DistributionConfig(grouping="random"),
    )
    one, same, other = (plain_task(config, seed) for seed in (1, 1, 2))

    def drawn(task):
        return {
            "folds": [fold.normals.tolist() for fold in task.folds],
            "groups": {tuple(part.normals.tolist()) for part in task.distributions.supports[:-1]},
            "prior": task.detector.prior,
            "reference": task.reference[0].tolist(),
        }

    assert drawn(one) == drawn(same)
    assert all(drawn(one)[name] != value for name, value in drawn(other).items())


def test_a_models_record_of_an_episode_is_of_that_episode():
    """Anomalies stand behind the normals in the manifest, and each side has its own counts."""
    episodes = draw_episodes(table(30), 5, 3, PLAIN.distributions, seed=0)
    records = describe_episodes(episodes, ["a", "b", "c"], np.ones(30, dtype=bool))
    for record, episode in zip(records, episodes, strict=True):
        for side, drawn in (("support", episode.support), ("query", episode.query)):
            assert getattr(record, f"{side}_normals") == len(drawn.normals)
            assert getattr(record, f"{side}_pseudo") == len(drawn.twins)
            assert getattr(record, f"{side}_generator") == "abc"[drawn.generator]
        assert record.support_anomalies == tuple(30 + j for j in episode.support.anomalies)
        assert record.query_anomalies == len(episode.query.anomalies)
        assert set(record.shown_normals) <= set(episode.support.normals.tolist())
