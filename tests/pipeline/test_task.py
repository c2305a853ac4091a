"""Laying out the task: what is measured on the normals before anything is trained."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ahl.config import Config, MemoryConfig, VectorConfig
from ahl.evidence.prepared import l1_factor
from ahl.features.maps import FeatureLayout
from ahl.features.table import FeatureTable
from ahl.heads import DRA, DevNet
from ahl.pipeline.task import mean_row
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
