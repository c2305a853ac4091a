"""Batches one after another: how kinds share them, and one model's part of all."""

from itertools import islice

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ahl._common.types import Kind
from ahl.distributions.training_set import balanced_counts, draw_batch, draw_batches
from synthetic_features import make_training_set

KINDS = st.tuples(st.just(True), st.booleans(), st.booleans())
"""Whether there are normals (always), labelled anomalies and pseudo anomalies."""


@given(st.integers(3, 500), KINDS)
def test_a_batch_is_full_and_kinds_that_are_there_share_it(size, present):
    counts = balanced_counts(size, present)
    assert sum(counts) == size
    for kind in Kind:
        assert (counts[kind] > 0) == present[kind]
    anomalous = [counts[kind] for kind in (Kind.ANOMALY, Kind.PSEUDO) if present[kind]]
    assert len(set(anomalous)) <= 1, "anomalies of either kind are as many"
    for count in anomalous:
        assert 0 <= counts[Kind.NORMAL] - count < sum(present)


@pytest.fixture(scope="module")
def made():
    return make_training_set()


def constants(seed):
    return {
        "batch_size": 12,
        "reference_normals": 5,
        "generator": torch.Generator().manual_seed(seed),
        "device": torch.device("cpu"),
    }


def assert_equal(one, other):
    assert torch.equal(one.kinds, other.kinds)
    for part in ("maps", "references"):
        for left, right in zip(getattr(one, part), getattr(other, part), strict=True):
            assert torch.equal(left, right)


@pytest.mark.parametrize("count", [0, 1, 4])
def test_batches_are_those_drawn_one_by_one(made, count):
    training_set, distributions, _ = made
    sets = distributions.supports
    found = list(draw_batches(training_set, sets, count, **constants(3)))
    one_by_one = constants(3)
    expected = [draw_batch(training_set, sets, **one_by_one) for _ in range(count)]
    assert len(found) == count
    for ours, theirs in zip(found, expected, strict=True):
        assert_equal(ours, theirs)
    firsts = [batch.maps[0] for batch in found]
    assert not any(torch.equal(a, b) for i, a in enumerate(firsts) for b in firsts[:i])


def test_batches_are_drawn_when_they_are_asked_for(made):
    """Memory holds one at a time, and fewer taken leave the generator earlier."""
    training_set, distributions, _ = made
    settings = constants(3)
    batches = draw_batches(training_set, distributions.supports, 4, **settings)
    start = settings["generator"].get_state()
    assert torch.equal(start, torch.Generator().manual_seed(3).get_state())
    list(islice(batches, 2))
    two = settings["generator"].get_state()
    list(batches)
    assert not torch.equal(two, start)
    assert not torch.equal(two, settings["generator"].get_state())


def test_one_models_batch_is_its_slice_of_all(made):
    training_set, distributions, _ = made
    batch = draw_batch(training_set, distributions.supports, **constants(0))
    models = len(distributions.supports)
    for model in range(models):
        own = batch.of(model)
        assert own.maps[0].shape == (12, *training_set.features.layout.scales[0])
        assert own.kinds.shape == (12,)
        for ours, theirs in zip(own.maps, batch.maps, strict=True):
            assert torch.equal(ours, theirs[model])
        for ours, theirs in zip(own.references, batch.references, strict=True):
            assert torch.equal(ours, theirs[model])
        assert torch.equal(own.kinds, batch.kinds[model])
    assert not torch.equal(batch.of(0).maps[0], batch.of(models - 1).maps[0])
