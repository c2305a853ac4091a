"""What every base detector promises when it is trained: gradients, loss and statistics."""

from itertools import combinations

import pytest
import torch
from torch.func import grad

from ahl._common.types import Kind
from heads.contract import (
    ALL_KINDS,
    assert_close,
    draw_maps,
    draw_parameters,
    draw_statistics,
    seeded,
    trained_by,
)


def test_statistics_move_towards_those_of_the_batch_by_the_momentum(detector):
    """From any start, by the same share of the way to one and the same value."""
    momentum = detector.config.norm_momentum
    starts = [draw_statistics(detector, seed) for seed in (0, 1)]
    starts.append({name: torch.zeros_like(value) for name, value in starts[0].items()})
    found = []
    for start in starts:
        _, moved = detector.forward(
            draw_parameters(detector),
            start,
            draw_maps(detector.layout, 9),
            draw_maps(detector.layout, seed=1),
            training=True,
        )
        assert moved.keys() == start.keys(), "who keeps no statistics begins none"
        found.append({k: (moved[k] - (1 - momentum) * start[k]) / momentum for k in start})
    for other in found[1:]:
        assert_close(other, found[0])


def test_gradients_reach_every_parameter(detector):
    def objective(parameters, maps):
        scores, _ = detector.forward(
            parameters,
            detector.initial_statistics(),
            maps,
            draw_maps(detector.layout, seed=1),
            training=True,
        )
        return detector.loss(scores, ALL_KINDS)

    trained = {}
    for seed in range(10):  # in one batch alone, gradients of opposite signs may cancel
        parameters = detector.initial_parameters(seeded(seed))
        gradients = grad(objective)(parameters, draw_maps(detector.layout, 9, seed=50 + seed))
        assert gradients.keys() == parameters.keys()
        for name, gradient in gradients.items():
            assert gradient.isfinite().all(), name
            trained[name] = trained.get(name, 0.0) + gradient.abs()
    for name, total in trained.items():
        assert (total > 0).all(), f"some of {name} is never trained"


@pytest.mark.parametrize(
    "kinds", [kinds for size in (1, 2) for kinds in combinations(Kind, size)], ids=str
)
def test_loss_is_finite_when_kinds_are_missing(detector, kinds):
    labels = torch.tensor([kinds[i % len(kinds)] for i in range(6)])

    def objective(parameters):
        scores, _ = detector.forward(
            parameters,
            detector.initial_statistics(),
            draw_maps(detector.layout, 6),
            draw_maps(detector.layout, seed=1),
            training=True,
        )
        loss = detector.loss(scores, labels)
        return loss, loss

    gradients, loss = grad(objective, has_aux=True)(detector.initial_parameters(seeded(0)))
    assert loss.isfinite()
    assert loss >= 0
    assert (loss > 0) == trained_by(detector, kinds)
    assert all(gradient.isfinite().all() for gradient in gradients.values())
