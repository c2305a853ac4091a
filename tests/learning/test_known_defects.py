"""Defects of earlier public implementations (method, section 8) that this one must not have.

Each has a check, a function of the piece that could have the defect. The check must pass on
ours, and must fail on a version with the defect put in: that proves that it would notice.

Two of the list are checked where images and devices are known, with the estimator: test images
used for clustering, and a fixed CUDA device.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any
from unittest import mock

import numpy as np
import pytest
import torch

from ahl.config import DistributionConfig
from ahl.distributions.episodes import make_episodes
from ahl.distributions.training_set import draw_batch
from ahl.heads import DRA, DevNet
from ahl.heads.weights import HeadWeights, replicate
from ahl.learning import algorithm
from ahl.learning.adam import AdamState
from ahl.learning.collaboration import first_order_gradient, inner_loop, outer_step
from ahl.learning.importance import predict
from ahl.learning.state import start_state
from learning.kept_state import (
    CONFIG,
    HEADS,
    BatchStatistics,
    FreshStatistics,
    check_epochs_hand_statistics_on,
    check_scoring_by_psi_repeats,
    check_statistics_are_kept_and_used,
    draw,
    forget_statistics,
    predict_from_one_random_draw,
    predict_from_random_states,
)
from learning.small_runs import run
from synthetic_features import LAYOUT, PRIOR, make_training_set

# --- clusters ignored when datasets are built ------------------------------------------------


def check_sets_hold_the_members_of_their_clusters(make: Callable[..., Any]) -> None:
    assignment = np.array([2, 0, 1, 1, 0, 2, 2, 0, 1, 0, 2])
    episodes = make(assignment, 4, 2, DistributionConfig(), seed=0)
    clusters = {frozenset(np.flatnonzero(assignment == number).tolist()) for number in range(3)}
    assert len(episodes) == 7
    pairs = set()
    for episode in episodes[:-1]:
        support = frozenset(episode.support.normals.tolist())
        query = frozenset(episode.query.normals.tolist())
        assert support in clusters
        assert query in clusters
        assert support != query
        pairs.add((support, query))
    assert len(pairs) == 6


def take_the_first_normals(assignment, *arguments, **constants):
    """Each set gets as many normals as its cluster has members, but the first of all."""
    episodes = make_episodes(assignment, *arguments, **constants)

    def first(samples):
        return replace(samples, normals=np.arange(len(samples.normals)))

    return [replace(e, support=first(e.support), query=first(e.query)) for e in episodes]


def count_off_normals_in_order(assignment, *arguments, **constants):
    """Right sizes, and disjoint, but the clusters are ranges."""
    return make_episodes(np.sort(assignment), *arguments, **constants)


# --- the two scales' references from different batches ---------------------------------------


def check_both_scales_refer_to_the_same_normals(draw_function: Callable[..., Any]) -> None:
    made = make_training_set()
    for seed in range(5):
        batch = draw(made, draw_function, seed=seed)
        # The second scale of each sample is the 2x2 mean of its first: so it is of any mean.
        expected = torch.nn.functional.avg_pool2d(batch.references[0], 2)
        assert torch.allclose(batch.references[1], expected, atol=2e-2)


def draw_each_scale_apart(*arguments, generator, **constants):
    batch = draw_batch(*arguments, generator=generator, **constants)
    other = draw_batch(*arguments, generator=generator, **constants)
    return batch._replace(references=(batch.references[0], other.references[1]))


def keep_an_old_coarse_reference():
    """The coarse reference is the one of the batch before."""
    kept = []

    def drawn(*arguments, **constants):
        batch = draw_batch(*arguments, **constants)
        kept.append(batch.references[1])
        return batch._replace(references=(batch.references[0], kept[max(0, len(kept) - 2)]))

    return drawn


# --- the last gradient lost --------------------------------------------------------------------


def check_the_last_gradient_is_applied(step: Callable[..., Any]) -> None:
    """The unified model must be where torch's Adam goes with the gradients of all epochs."""
    detector = DevNet(HEADS, LAYOUT, PRIOR)
    made = make_training_set()
    gradients = []

    def recorded(*arguments):
        result = first_order_gradient(*arguments)
        gradients.append({name: value.clone() for name, value in result[0].items()})
        return result

    with (
        mock.patch.object(algorithm, "first_order_gradient", recorded),
        mock.patch.object(algorithm, "outer_step", step),
    ):
        final, _ = run(detector, CONFIG, made=made)

    start = start_state(detector, CONFIG, 7, seed=0).unified.parameters
    leaves = {name: value.clone().requires_grad_() for name, value in start.items()}
    optimiser = torch.optim.Adam(leaves.values(), lr=CONFIG.learning.outer_rate)
    assert len(gradients) == CONFIG.learning.epochs
    for gradient in gradients:
        for name, leaf in leaves.items():
            leaf.grad = gradient[name]
        optimiser.step()
    for name, leaf in leaves.items():
        assert torch.allclose(final.unified.parameters[name], leaf.detach(), atol=1e-5), name


def step_before_the_gradient():
    """Each step applies the gradient of the one before; the first finds none."""
    waiting = []

    def step(unified, gradient, base, state, *, rate):
        waiting.append(gradient)
        if len(waiting) == 1:
            return unified, state
        return outer_step(unified, waiting[-2], base, state, rate=rate)

    return step


def step_on_zero_first():
    """As before, but the first step is taken, with a gradient of zero."""
    waiting = []

    def step(unified, gradient, base, state, *, rate):
        old = waiting[-1] if waiting else {k: torch.zeros_like(v) for k, v in gradient.items()}
        waiting.append(gradient)
        return outer_step(unified, old, base, state, rate=rate)

    return step


# --- only the last batch's inner step kept -----------------------------------------------------


def check_every_inner_step_is_kept(adapt_function: Callable[..., Any]) -> None:
    detector = DevNet(HEADS, LAYOUT, PRIOR)
    made = make_training_set()
    batches = [draw(made, seed=seed) for seed in range(4)]
    start = detector.initial_parameters(torch.Generator().manual_seed(0))
    models = len(made[1])
    adapted, _ = adapt_function(
        detector, replicate(HeadWeights(start, {}), models), iter(batches), rate=0.01
    )
    for i in range(models):
        leaves = {name: value.clone().requires_grad_() for name, value in start.items()}
        optimiser = torch.optim.Adam(leaves.values(), lr=0.01)
        for batch in batches:
            scores, _ = detector.forward(
                leaves,
                {},
                tuple(m[i] for m in batch.maps),
                tuple(r[i] for r in batch.references),
                training=True,
            )
            optimiser.zero_grad()
            detector.loss(scores, batch.kinds[i]).backward()
            optimiser.step()
        for name, leaf in leaves.items():
            assert torch.allclose(adapted.parameters[name][i], leaf.detach(), atol=1e-5), name


def adapt_to_the_last_batch(detector, models, batches, *, rate):
    """Every batch starts again from the unified weights."""
    for batch in batches:
        result = inner_loop(detector, models, [batch], rate=rate)
    return result


def adapt_to_the_first_batch(detector, models, batches, *, rate):
    return inner_loop(detector, models, list(batches)[:1], rate=rate)


# --- the list ------------------------------------------------------------------------------

DEFECTS = {
    "clusters ignored": (
        check_sets_hold_the_members_of_their_clusters,
        lambda: make_episodes,
        {
            "the first n normals": lambda: take_the_first_normals,
            "ranges of normals": lambda: count_off_normals_in_order,
        },
    ),
    "references of different batches": (
        check_both_scales_refer_to_the_same_normals,
        lambda: draw_batch,
        {
            "drawn apart": lambda: draw_each_scale_apart,
            "of the batch before": keep_an_old_coarse_reference,
        },
    ),
    "last gradient lost": (
        check_the_last_gradient_is_applied,
        lambda: outer_step,
        {"no first step": step_before_the_gradient, "first step of zero": step_on_zero_first},
    ),
    "inner steps thrown away": (
        check_every_inner_step_is_kept,
        lambda: inner_loop,
        {
            "the last batch alone": lambda: adapt_to_the_last_batch,
            "the first batch alone": lambda: adapt_to_the_first_batch,
        },
    ),
    "random LSTM state": (
        check_scoring_by_psi_repeats,
        lambda: predict,
        {
            "drawn at every call": lambda: predict_from_random_states,
            "drawn once": lambda: predict_from_one_random_draw,
        },
    ),
    "fresh batch norm": (
        check_statistics_are_kept_and_used,
        lambda: DRA,
        {"new at every call": lambda: FreshStatistics, "the batch's": lambda: BatchStatistics},
    ),
    "batch norm reset at every epoch": (
        check_epochs_hand_statistics_on,
        lambda: outer_step,
        {"outer step forgets": lambda: forget_statistics},
    ),
}


@pytest.mark.parametrize("defect", DEFECTS)
def test_ours_does_not_have_it(defect):
    check, sound, _ = DEFECTS[defect]
    check(sound())


@pytest.mark.parametrize(
    ("defect", "version"), [(defect, v) for defect, (_, _, bad) in DEFECTS.items() for v in bad]
)
def test_it_would_be_noticed(defect, version):
    check, _, defective = DEFECTS[defect]
    with pytest.raises(AssertionError):
        check(defective[version]())


def test_the_defective_versions_run():
    """A check must fail for what a version computes, not because it cannot be called."""
    unused = AdamState(torch.zeros(()), {"w": torch.zeros(1)}, {"w": torch.zeros(1)})
    model, gradient = HeadWeights({"w": torch.ones(1)}, {}), {"w": torch.ones(1)}
    base = HeadWeights({"w": torch.ones(2, 1)}, {})
    for make in (step_before_the_gradient, step_on_zero_first):
        step = make()
        once, state = step(model, gradient, base, unused, rate=0.1)
        assert torch.equal(once.parameters["w"], torch.ones(1))
        twice, _ = step(once, gradient, base, state, rate=0.1)
        assert not torch.equal(twice.parameters["w"], torch.ones(1))
