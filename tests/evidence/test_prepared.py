"""Fewer channels: the components are those of a plain singular value decomposition."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ahl.evidence.prepared import Reduction, fit_reduction, reduced
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
    with pytest.raises(ValueError, match="another form"):
        Reduction.read(reduction.tensors(), width=3)


@pytest.mark.parametrize("shape", [(0, 2), (6, 0), (6,), (6, 2, 1)])
def test_other_forms_are_refused(shape):
    with pytest.raises(ValueError, match=r"another form|no channels"):
        Reduction.read({"components": torch.zeros(shape).half()}, width=2)
