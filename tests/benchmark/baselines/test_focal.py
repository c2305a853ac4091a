"""FLOS: a classifier with the focal loss, against plain loops."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from pooled_loops import draw_maps, draw_parameters, loop_logits, loss_moved_by, make, sigmoid

from ahl._common.types import Kind
from ahl.benchmark.baselines import FocalClassifier

DETECTOR = make(FocalClassifier)


def loop_loss(logits, kinds):
    """Mean of -(1 - p)^2 log p over normals and labelled anomalies."""
    terms = []
    for logit, kind in zip(logits, kinds, strict=True):
        if kind != Kind.PSEUDO:
            p = sigmoid(logit if kind == Kind.ANOMALY else -logit)
            terms.append(-((1 - p) ** 2) * np.log(p))
    return sum(terms) / len(terms) if terms else 0.0


def loss(logits, kinds):
    return DETECTOR.loss({"logit": torch.tensor(logits)}, torch.tensor(kinds))


@pytest.mark.parametrize("seed", range(3))
def test_logits_are_those_of_plain_loops(seed):
    parameters, maps = draw_parameters(DETECTOR, seed), draw_maps(6, seed=seed + 10)
    scores, statistics = DETECTOR.forward(parameters, {}, maps, draw_maps(), training=False)
    expected = loop_logits(parameters, maps)
    np.testing.assert_allclose(scores["logit"].numpy(), expected, rtol=1e-5, atol=1e-5)
    assert statistics == {}
    assert torch.equal(DETECTOR.combine(scores), scores["logit"])


def test_references_are_not_used():
    parameters, maps = draw_parameters(DETECTOR), draw_maps(3)
    one, two = (
        DETECTOR.forward(parameters, {}, maps, draw_maps(seed=seed), training=True)[0]["logit"]
        for seed in (1, 2)
    )
    assert torch.equal(one, two)


@given(
    st.lists(
        st.tuples(st.floats(-8, 8, width=32), st.sampled_from(list(Kind))), min_size=1, max_size=12
    )
)
def test_loss_is_the_focal_loss_of_normals_and_labelled_anomalies(samples):
    logits, kinds = [logit for logit, _ in samples], [int(kind) for _, kind in samples]
    ours = float(loss(logits, kinds))
    assert ours == pytest.approx(loop_loss(logits, kinds), rel=1e-4, abs=1e-5)


def test_by_hand():
    """An anomaly and a normal at p = 1/4 and 3/4 of their own label; the pseudo one is nothing."""
    logits = [float(np.log(1 / 3)), float(np.log(1 / 3)), 4.0]
    expected = (9 / 16 * np.log(4) + 1 / 16 * np.log(4 / 3)) / 2
    ours = float(loss(logits, [Kind.ANOMALY, Kind.NORMAL, Kind.PSEUDO]))
    assert ours == pytest.approx(expected, abs=1e-6)


def test_pseudo_anomalies_do_not_train_it_and_the_others_do():
    assert loss_moved_by(DETECTOR, Kind.PSEUDO) == 0.0
    assert loss_moved_by(DETECTOR, Kind.ANOMALY) > 1e-3
    assert loss_moved_by(DETECTOR, Kind.NORMAL) > 1e-3


@pytest.mark.parametrize("logit", [0.0, 90.0, -90.0, 1e4, -1e4])
def test_loss_and_gradient_stay_finite(logit):
    logits = torch.tensor([logit, logit], requires_grad=True)
    value = DETECTOR.loss({"logit": logits}, torch.tensor([Kind.NORMAL, Kind.ANOMALY]))
    value.backward()
    assert value.isfinite()
    assert logits.grad.isfinite().all()


def test_at_the_expected_scores_little_is_left_to_learn():
    normal, anomaly = DETECTOR.expected_scores
    assert float(loss([normal, anomaly], [Kind.NORMAL, Kind.ANOMALY])) < 1e-4
    assert float(loss([anomaly, normal], [Kind.NORMAL, Kind.ANOMALY])) > 3.0
