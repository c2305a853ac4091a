"""Fewer channels: the components are those of a plain singular value decomposition."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ahl.config import Config, MemoryConfig, VectorConfig
from ahl.evidence.prepared import Reduction, fit_preparation, fit_reduction, reduced
from ahl.features.maps import FeatureLayout
from ahl.features.table import FeatureTable

LAYOUT = FeatureLayout(((6, 3, 2), (6, 1, 2)))
SPREADS = np.array([8.0, 4.0, 2.0, 1.0, 0.5, 0.25])


def table(count, seed=0, spreads=SPREADS):
    """Vectors whose directions of decreasing spread are not the channels."""
    random = np.random.default_rng(seed)
    turn = np.linalg.qr(np.random.default_rng(99).normal(size=(6, 6)))[0]
    vectors = 3.0 + (random.normal(size=(count, 8, 6)) * spreads) @ turn
    return FeatureTable.of_rows(LAYOUT, vectors.reshape(count, LAYOUT.row_size).astype(np.float16))


def vectors_of(*tables):
    return np.concatenate([t.rows(np.arange(len(t))).reshape(-1, 6).numpy() for t in tables])


def test_components_are_the_right_singular_vectors_of_the_centred_features():
    tables = table(20), table(7, seed=1)
    found = fit_reduction(tables, 3, seed=0).components.numpy()
    vectors = vectors_of(*tables).astype(np.float64)
    _, _, right = np.linalg.svd(vectors - vectors.mean(axis=0), full_matrices=False)
    assert found.shape == (6, 3)
    for ours, theirs in zip(found.T, right[:3], strict=True):
        assert abs(ours @ theirs) == pytest.approx(1.0, abs=1e-3)
        assert ours[np.abs(ours).argmax()] > 0


def test_nothing_is_reduced_to_as_many_channels_or_more():
    assert fit_reduction([table(4)], 6, seed=0) is None
    assert fit_reduction([table(4)], 128, seed=0) is None
    tested = table(3)
    assert reduced(None, tested) is tested


@given(kept=st.integers(1, 5), seed=st.integers(0, 100))
def test_distances_are_kept_but_for_what_the_last_components_hold(kept, seed):
    given_table = table(30, seed)
    reduction = fit_reduction([given_table], kept, seed=0)
    few = reduced(reduction, given_table)
    assert few.layout == LAYOUT.of_channels(kept)
    small = few.rows(np.arange(30)).reshape(-1, kept).double().numpy()
    large = vectors_of(given_table).astype(np.float64)
    lost = large.var(axis=0).sum() - small.var(axis=0).sum()
    # What any projection on as many directions must lose at least.
    least = np.linalg.eigvalsh(np.cov(large.T, bias=True))[: 6 - kept].sum()
    assert lost == pytest.approx(least, rel=0.02, abs=0.05)


def test_directions_without_variance_are_left_out():
    flat = table(20, spreads=np.array([4.0, 2.0, 0, 0, 0, 0]))
    assert fit_reduction([flat], 5, seed=0).components.shape == (6, 2)
    alike = FeatureTable.of_rows(LAYOUT, np.ones((3, LAYOUT.row_size), np.float16))
    assert fit_reduction([alike], 5, seed=0).components.shape == (6, 1)


def test_a_table_without_images_is_no_obstacle():
    one, both = (
        fit_reduction(tables, 2, seed=0).components for tables in ([table(9)], [table(9), table(0)])
    )
    assert torch.equal(one, both)


def test_of_many_images_some_are_drawn(monkeypatch):
    monkeypatch.setattr("ahl.evidence.prepared.MOST_IMAGES", 10)
    first, again, other = (fit_reduction([table(60)], 2, seed=s).components for s in (0, 0, 1))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_it_survives_a_file():
    reduction = fit_reduction([table(9)], 2, seed=0)
    again = Reduction.read(reduction.tensors(), width=2)
    assert torch.equal(again.components, reduction.components)
    with pytest.raises(ValueError, match="wrong shape or type"):
        Reduction.read(reduction.tensors(), width=3)


def prepared(normals, anomalies, pseudo=None, made_of=(), *, components=0, l1_norm=0.0, patches=0):
    config = Config(
        vectors=VectorConfig(components=components, l1_norm=l1_norm),
        memory=MemoryConfig(patches=patches, candidates=200, weight=2.0),
    )
    made_of = np.array(made_of, dtype=np.int64)
    return fit_preparation(normals, anomalies, pseudo, made_of, config, seed=0)


def rows_of(one):
    return one.rows(np.arange(len(one)))


@pytest.mark.parametrize("odd", ["anomalies", "pseudo"])
def test_components_hold_what_sets_any_kind_of_image_apart(odd):
    """A direction in which the normals do not vary is kept if anomalies, or pseudo ones, do."""
    spreads = np.array([4.0, 2.0, 0, 0, 0, 0])
    flat, raised = table(12, spreads=spreads), table(12, seed=1, spreads=spreads[::-1])
    given = {"anomalies": flat, "pseudo": flat} | {odd: raised}
    made_of = np.arange(12)
    found = prepared(flat, given["anomalies"], given["pseudo"], made_of, components=4)
    kept = found.preparation.reduction.components
    vectors = vectors_of(raised).astype(np.float32)
    vectors -= vectors.mean(axis=0)
    assert kept.shape == (6, 4)
    lost = vectors - vectors @ kept.numpy() @ kept.numpy().T
    assert np.square(lost).sum() < 0.01 * np.square(vectors).sum()


def test_the_factor_is_of_what_the_heads_see():
    """Taken before the components it would be of other vectors, and rates would mean another."""
    found = prepared(table(20), table(3, seed=1), components=2, l1_norm=12.0)
    norms = [
        scale.abs().sum(dim=1).flatten()
        for scale in found.normals.layout.split(rows_of(found.normals))
    ]
    assert float(torch.cat(norms).mean()) == pytest.approx(12.0, rel=1e-4)


def test_an_image_is_prepared_for_scoring_as_it_was_for_training():
    """Components, factor and memory in the same order: an anomaly's row, which none excludes."""
    normals, anomalies = table(20), table(3, seed=1)
    found = prepared(normals, anomalies, components=3, l1_norm=600.0, patches=20)
    preparation, layout = found.preparation, found.others.layout
    assert preparation.factor > 2
    for row, expected in zip(rows_of(anomalies), rows_of(found.others), strict=True):
        maps = preparation.maps(row[None])
        torch.testing.assert_close(layout.join(maps)[0], expected, rtol=1e-3, atol=1e-2)


def test_no_image_is_near_its_own_patches():
    """Nor a pseudo anomaly near those of the normal it is made of, most of which it shares."""
    normals, made_of = table(10), np.array([7, 2, 2])
    copies = FeatureTable.of_rows(LAYOUT, rows_of(normals)[made_of].half().numpy())
    found = prepared(normals, table(2, seed=1), copies, made_of, patches=60)
    own = found.normals.layout.split(rows_of(found.normals))
    others = found.others.layout.split(rows_of(found.others))
    naive = prepared(normals, copies, patches=60).others
    for scale, other, near in zip(own, others, naive.layout.split(rows_of(naive)), strict=True):
        torch.testing.assert_close(other[2:, -1], scale[made_of, -1])
        assert (near[:, -1] <= scale[made_of, -1]).all()
        assert (near[:, -1] < scale[made_of, -1]).any(), "as an anomaly it would be"


@pytest.mark.parametrize("shape", [(0, 2), (6, 0), (6,), (6, 2, 1)])
def test_other_forms_are_refused(shape):
    with pytest.raises(ValueError, match=r"wrong shape or type|no channels"):
        Reduction.read({"components": torch.zeros(shape).half()}, width=2)
