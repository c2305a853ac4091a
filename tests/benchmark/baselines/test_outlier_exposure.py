"""SAOE: normals against labelled and pseudo anomalies, against plain loops."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from pooled_loops import draw_maps, draw_parameters, loop_logits, loss_moved_by, make, sigmoid

from ahl._common.types import Kind
from ahl.benchmark.baselines import OutlierExposure

DETECTOR = make(OutlierExposure)


def loop_loss(logits, kinds):
    """Mean of -log p of the normals, and of all anomalies; half the sum of the two."""
    halves = []
    for anomalous in (False, True):
        terms = [
            -np.log(sigmoid(logit if anomalous else -logit))
            for logit, kind in zip(logits, kinds, strict=True)
            if (kind != Kind.NORMAL) == anomalous
        ]
        halves.append(sum(terms) / len(terms) if terms else 0.0)
    return sum(halves) / 2


def loss(logits, kinds):
    return float(DETECTOR.loss({"logit": torch.tensor(logits)}, torch.tensor(kinds)))


@pytest.mark.parametrize("seed", range(3))
def test_logits_are_those_of_plain_loops(seed):
    parameters, maps = draw_parameters(DETECTOR, seed), draw_maps(6, seed=seed + 10)
    scores, statistics = DETECTOR.forward(parameters, {}, maps, draw_maps(), training=False)
    expected = loop_logits(parameters, maps)
    np.testing.assert_allclose(scores["logit"].numpy(), expected, rtol=1e-5, atol=1e-5)
    assert statistics == {}
    assert torch.equal(DETECTOR.combine(scores), scores["logit"])


@given(
    st.lists(
        st.tuples(st.floats(-8, 8, width=32), st.sampled_from(list(Kind))), min_size=1, max_size=12
    )
)
def test_loss_is_the_balanced_cross_entropy(samples):
    logits, kinds = [logit for logit, _ in samples], [int(kind) for _, kind in samples]
    assert loss(logits, kinds) == pytest.approx(loop_loss(logits, kinds), rel=1e-4, abs=1e-5)


def test_by_hand():
    """Normals at p = 1/2 and 3/4 of their label, a pseudo and a labelled anomaly at 1/4 and 1/2."""
    logits = [0.0, float(-np.log(3)), float(-np.log(3)), 0.0]
    kinds = [Kind.NORMAL, Kind.NORMAL, Kind.PSEUDO, Kind.ANOMALY]
    expected = ((np.log(2) + np.log(4 / 3)) / 2 + (np.log(4) + np.log(2)) / 2) / 2
    assert loss(logits, kinds) == pytest.approx(expected, abs=1e-6)


def test_normals_weigh_as_much_as_all_anomalies_however_many_there_are():
    logits, kinds = [0.3, -1.0, 2.0], [Kind.NORMAL, Kind.ANOMALY, Kind.PSEUDO]
    once = loss(logits, kinds)
    assert loss(logits + [0.3] * 7, kinds + [Kind.NORMAL] * 7) == pytest.approx(once, abs=1e-6)
    assert loss(logits * 4 + [0.3], kinds * 4 + [Kind.NORMAL]) == pytest.approx(once, abs=1e-6)


def test_every_kind_trains_it_pseudo_anomalies_too():
    for kind in Kind:
        assert loss_moved_by(DETECTOR, kind) > 1e-3, kind


def test_labelled_and_pseudo_anomalies_count_alike():
    logits = [0.3, -1.0, 2.0]
    one = loss(logits, [Kind.NORMAL, Kind.ANOMALY, Kind.PSEUDO])
    assert loss(logits, [Kind.NORMAL, Kind.PSEUDO, Kind.ANOMALY]) == one
