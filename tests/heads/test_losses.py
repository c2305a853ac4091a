"""Losses against the formulas written out as NumPy loops."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ahl.heads.losses import Prior, deviation_loss, draw_prior, weighted_mean

PRIOR = Prior(mean=-0.07, deviation=1.13)


def loop_deviation_loss(scores, labels, prior, margin):
    losses = []
    for score, label in zip(scores, labels, strict=True):
        deviation = (score - prior.mean) / prior.deviation
        losses.append(max(0.0, margin - deviation) if label == 1 else abs(deviation))
    return np.array(losses)


@given(
    samples=st.lists(st.tuples(st.floats(-20, 20, width=32), st.integers(0, 1)), min_size=1),
    mean=st.floats(-1, 1),
    deviation=st.floats(0.5, 2),
    margin=st.floats(0.5, 8),
)
def test_deviation_loss_is_the_formula(samples, mean, deviation, margin):
    scores, labels = (np.array(column) for column in zip(*samples, strict=True))
    prior = Prior(mean, deviation)
    ours = deviation_loss(
        torch.from_numpy(scores).float(), torch.from_numpy(labels), prior=prior, margin=margin
    )
    assert ours.shape == (len(samples),)
    np.testing.assert_allclose(
        ours.numpy(), loop_deviation_loss(scores, labels, prior, margin), rtol=1e-5, atol=1e-5
    )


@pytest.mark.parametrize("kind_of_label", [torch.bool, torch.int64, torch.float32])
def test_labels_of_any_type_mean_the_same(kind_of_label):
    scores, labels = torch.linspace(-9, 9, 37), torch.arange(37) % 2
    ours = deviation_loss(scores, labels.to(kind_of_label), prior=PRIOR, margin=5.0)
    expected = loop_deviation_loss(scores.tolist(), labels.tolist(), PRIOR, 5.0)
    np.testing.assert_allclose(ours.numpy(), expected, rtol=1e-5)


def test_gradient_is_that_of_the_formula():
    scores = torch.tensor([-3.0, 0.4, 2.0, -3.0, 0.4, 5.0, 5.7, 9.0], dtype=torch.float64)
    labels = torch.tensor([0, 0, 0, 1, 1, 1, 1, 1])
    leaf = scores.clone().requires_grad_()
    deviation_loss(leaf, labels, prior=PRIOR, margin=5.0).sum().backward()

    expected = []
    for score, label in zip(scores.tolist(), labels.tolist(), strict=True):
        deviation = (score - PRIOR.mean) / PRIOR.deviation
        if label:
            expected.append(-1 / PRIOR.deviation if deviation < 5.0 else 0.0)
        else:
            expected.append(np.sign(deviation) / PRIOR.deviation)
    np.testing.assert_allclose(leaf.grad.numpy(), expected, rtol=1e-12)
    assert expected[-2] == expected[-1] == 0.0, "some anomaly must lie beyond the margin"
    assert torch.autograd.gradcheck(
        lambda s: deviation_loss(s, labels, prior=PRIOR, margin=5.0), scores.requires_grad_()
    )


WEIGHTS = st.sampled_from([0.0, 0.1, 0.25, 1.0])


@given(st.lists(st.tuples(st.floats(-100, 100, width=32), WEIGHTS), min_size=1))
def test_weighted_mean_is_the_sum_of_shares(pairs):
    total = sum(weight for _, weight in pairs)
    expected = sum(value * weight for value, weight in pairs) / total if total else 0.0
    values, weights = (torch.tensor(column) for column in zip(*pairs, strict=True))
    np.testing.assert_allclose(
        float(weighted_mean(values, weights)), expected, rtol=1e-4, atol=1e-4
    )


def test_weighted_mean_of_nothing_is_zero_with_zero_gradient():
    values = torch.tensor([3.0, -2.0], requires_grad=True)
    mean = weighted_mean(values, torch.zeros(2))
    mean.backward()
    assert mean == 0.0
    assert torch.equal(values.grad, torch.zeros(2))


def test_gradients_are_the_shares():
    values = torch.tensor([3.0, -2.0, 5.0, 1.0], requires_grad=True)
    weighted_mean(values, torch.tensor([1.0, 0.0, 0.5, 0.5])).backward()
    assert torch.equal(values.grad, torch.tensor([0.5, 0.0, 0.25, 0.25]))


def test_prior_is_the_mean_and_deviation_of_its_draws():
    draws = torch.randn(5000, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    prior = draw_prior(5000, torch.Generator().manual_seed(3))
    assert prior.mean == pytest.approx(np.mean(draws.numpy()), abs=1e-12)
    assert prior.deviation == pytest.approx(np.std(draws.numpy(), ddof=1), rel=1e-12)
    # Five standard errors of 5,000 draws of N(0, 1).
    assert abs(prior.mean) < 5 / np.sqrt(5000)
    assert abs(prior.deviation - 1) < 5 / np.sqrt(10000)


def test_prior_depends_on_the_generator_alone():
    torch.manual_seed(0)
    one = draw_prior(100, torch.Generator().manual_seed(1))
    torch.manual_seed(5)
    assert draw_prior(100, torch.Generator().manual_seed(1)) == one
    assert draw_prior(100, torch.Generator().manual_seed(2)) != one
