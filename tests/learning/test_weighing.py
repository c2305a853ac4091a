"""Where importance scores come from: psi, scores measured in the same epoch, or nowhere."""

import numpy as np
import pytest
import torch

from ahl.config import ImportanceConfig
from ahl.distributions.training_set import Distributions, IndexedSet
from ahl.learning.importance import start_predictor, weigh

EXPECTED = (0.0, 1.0)
SCORES = torch.tensor([[0.0, 0.2], [0.4, 0.1], [0.8, 0.5], [1.0, 0.9]])
"""Two normals, a labelled and a pseudo anomaly, by two base models."""


def indexed(*normals):
    nothing = np.empty(0, dtype=np.int64)
    return IndexedSet(normals=np.array(normals), anomalies=nothing, pseudo=nothing)


LABELS = torch.tensor([0.0, 0.0, 1.0, 1.0])
DISTRIBUTIONS = Distributions(
    supports=(indexed(0), indexed(1)),
    queries=(indexed(1), indexed(0)),
    unseen=torch.tensor([[False, False], [False, False], [True, False], [False, True]]),
)
ERRORS = (
    # Normal 1, the anomaly (not seen), the pseudo one; the own normal 0 is left out.
    (0.5 * 0.4**2 + 1.0 * 0.2**2 + 0.5 * 0.0**2) / 3,
    # Normal 0, the anomaly, the pseudo one (not seen).
    (0.5 * 0.2**2 + 0.5 * 0.5**2 + 1.0 * 0.1**2) / 3,
)
BY_HAND = np.exp([-error for error in ERRORS]) / np.exp([-error for error in ERRORS]).sum()


def apply(source, scores=SCORES, *, past=2, epoch=9, expected=EXPECTED, history=None, **constants):
    """State before, state after, and the importance scores."""
    config = ImportanceConfig(source=source, history=2, **constants)
    _, before = start_predictor(2, config, torch.Generator().manual_seed(0))
    after, importance = weigh(
        before,
        [scores] * past if history is None else history,
        scores,
        LABELS,
        DISTRIBUTIONS,
        expected,
        config,
        epoch=epoch,
        generator=torch.Generator().manual_seed(1),
    )
    return before, after, importance


@pytest.mark.parametrize("error", ["paper", "calibrated"])
def test_measured_scores_weigh_as_by_hand(error):
    before, after, importance = apply("measured", error=error)
    np.testing.assert_allclose(importance.numpy(), BY_HAND, rtol=1e-6)
    assert importance[0] > importance[1]
    assert after is before, "psi is not trained"


def test_measured_scores_are_calibrated_first():
    """Scores of 0 to 5 are asked for; what lies beyond does not count as an error."""
    wide = 5.0 * SCORES
    wide[3, 0] = 8.0
    _, _, importance = apply("measured", wide, expected=(0.0, 5.0), error="calibrated")
    np.testing.assert_allclose(importance.numpy(), BY_HAND, rtol=1e-6)
    _, _, as_they_are = apply("measured", wide, expected=(0.0, 5.0), error="paper")
    assert abs(float(as_they_are[0]) - BY_HAND[0]) > 0.01


def test_measured_importance_is_of_this_epoch_not_of_those_before():
    past = [torch.full_like(SCORES, 3.0), torch.full_like(SCORES, -3.0)]
    _, _, importance = apply("measured", history=past)
    np.testing.assert_allclose(importance.numpy(), BY_HAND, rtol=1e-6)


@pytest.mark.parametrize("epoch", [0, 9])
@pytest.mark.parametrize("past", [0, 2])
def test_equal_importance_is_equal_whatever_was_scored(epoch, past):
    before, after, importance = apply("equal", epoch=epoch, past=past)
    assert torch.equal(importance, torch.tensor([0.5, 0.5]))
    assert after is before


@pytest.mark.parametrize("source", ["measured", "psi"])
def test_until_there_are_k_past_scores_all_weigh_the_same(source):
    before, after, importance = apply(source, past=1)
    assert torch.equal(importance, torch.tensor([0.5, 0.5]))
    assert after is before


@pytest.mark.parametrize("source", ["measured", "psi"])
def test_before_the_first_epoch_that_weighs_all_weigh_the_same(source):
    for epoch, weighs in ((4, False), (5, True)):
        before, after, importance = apply(source, epoch=epoch, first_epoch=5)
        assert torch.equal(importance, torch.tensor([0.5, 0.5])) != weighs
        assert (after is before) == (source == "measured"), "psi learns meanwhile"


def test_psi_judges_what_it_predicts_from_the_past():
    before, after, importance = apply("psi")
    assert after.optimiser.step > before.optimiser.step
    assert float(importance.sum()) == pytest.approx(1.0)
    assert abs(float(importance[0]) - BY_HAND[0]) > 1e-4
    _, _, other = apply("psi", history=[1.0 - SCORES, SCORES])
    assert not torch.allclose(importance, other, atol=1e-6)
