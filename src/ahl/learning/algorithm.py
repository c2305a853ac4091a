"""Algorithm 1 of the paper, and the base detector trained alone (the default)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from ahl._common.history import EpochRecord
from ahl._common.randomness import torch_generator
from ahl._common.types import Kind
from ahl.config import Config
from ahl.distributions.training_set import (
    Batch,
    Distributions,
    IndexedSet,
    TrainingSet,
    draw_batches,
)
from ahl.features.maps import FeatureMaps
from ahl.heads.base import BaseDetector
from ahl.heads.weights import HeadWeights, replicate, score_samples
from ahl.learning.averaging import update_average, update_bn
from ahl.learning.collaboration import (
    first_order_gradient,
    inner_loop,
    inner_step,
    outer_step,
    second_order_gradient,
)
from ahl.learning.importance import weigh
from ahl.learning.state import TrainingState, start_state


def algorithm_1(
    detector: BaseDetector,
    data: TrainingSet,
    distributions: Distributions,
    reference: FeatureMaps,
    config: Config,
    *,
    seed: int,
    device: torch.device,
    state: TrainingState | None = None,
) -> Iterator[TrainingState]:
    """Train the unified model g by anomaly heterogeneity learning over T base models.

    Args:
        detector: the heads, the same for the base models and for g.
        data: the training set D.
        distributions: the T distributions D_i, each a support and a query set over D.
        reference: the fixed reference for scoring, (C, H_s, W_s) per scale.
        config: all constants.
        seed: seed of every draw.
        device: device to train on.
        state: state to continue from; None starts from the beginning.

    Yields:
        the state after every epoch; the unified model of the last one is the result.
    """
    learning, models = config.learning, len(distributions)
    state = (state or start_state(detector, config, models, seed=seed)).on_device(device)
    reference = tuple(scale.to(device) for scale in reference)
    labels = (data.kinds != Kind.NORMAL).float()
    data.features.keep_resident()

    while state.epoch < learning.epochs:  # line 4
        epoch, g, optimiser = state.epoch, state.unified, state.optimiser
        support_losses, query_losses = [], []
        for turn in range(learning.rounds):
            # Lines 13 and 5: every base model starts from g and learns from its support (Eq. 1).
            at = torch_generator(seed, "support", epoch, turn)
            supports: Iterable[Batch] = _draw(
                data, distributions.supports, learning.inner_steps, config, at, device
            )
            if learning.second_order:
                supports = list(supports)
            base, losses = inner_loop(
                detector, replicate(g, models), supports, rate=learning.inner_rate
            )
            support_losses.append(losses)
            # Lines 6 to 11: the importance of what each has learnt, once an epoch (Eq. 5 to 7).
            if turn == 0:
                scores = _scores(detector, base, data, reference)
                psi, importance = weigh(
                    state.predictor,
                    state.past_scores,
                    scores,
                    labels,
                    distributions,
                    detector.expected_scores,
                    config.importance,
                    epoch=epoch,
                    generator=torch_generator(seed, "psi", epoch),
                )
                weights = importance * distributions.query_shares
                weights = (weights / weights.sum()).to(device)
            # Line 12: g learns from how the base models do on their queries (Eq. 2 to 4).
            at = torch_generator(seed, "query", epoch, turn)
            queries = list(
                _draw(data, distributions.queries, learning.query_batches, config, at, device)
            )
            if learning.second_order:
                gradient, base, losses = second_order_gradient(
                    detector, g, list(supports), queries, weights, rate=learning.inner_rate
                )
            else:
                gradient, base, losses = first_order_gradient(detector, base, queries, weights)
            query_losses.append(losses)
            g, optimiser = outer_step(g, gradient, base, optimiser, rate=learning.outer_rate)
        record = EpochRecord(
            epoch=epoch + 1,
            support_losses=_floats(torch.stack(support_losses).mean(dim=0)),
            query_losses=_floats(torch.stack(query_losses).mean(dim=0)),
            importance=_floats(importance),
        )
        state = replace(
            state,
            epoch=epoch + 1,
            unified=g,
            optimiser=optimiser,
            predictor=psi,
            past_scores=[*state.past_scores, scores][-config.importance.history :],
            history=[*state.history, record],
        )
        state = _averaged(state, detector, data, reference, config, seed)
        yield state.on_device(torch.device("cpu"))


def train_alone(
    detector: BaseDetector,
    data: TrainingSet,
    reference: FeatureMaps,
    config: Config,
    *,
    seed: int,
    device: torch.device,
    state: TrainingState | None = None,
) -> Iterator[TrainingState]:
    """Train a base detector alone, on all of D, for as many steps as a base model of Algorithm 1.

    Arguments and yields are those of `algorithm_1`.
    """
    learning = config.learning
    state = (state or start_state(detector, config, seed=seed)).on_device(device)
    reference = tuple(scale.to(device) for scale in reference)
    steps = learning.rounds * learning.inner_steps
    data.features.keep_resident()
    while state.epoch < learning.epochs:
        g, optimiser, losses = state.unified, state.optimiser, []
        at = torch_generator(seed, "alone", state.epoch)
        for batch in _draw(data, [data.everything], steps, config, at, device):
            g, optimiser, loss = inner_step(
                detector, g, optimiser, batch.of(0), rate=learning.inner_rate
            )
            losses.append(loss)
        record = EpochRecord(
            epoch=state.epoch + 1,
            support_losses=_floats(torch.stack(losses).mean().reshape(1)),
            query_losses=(),
            importance=(1.0,),
        )
        state = replace(
            state,
            epoch=state.epoch + 1,
            unified=g,
            optimiser=optimiser,
            history=[*state.history, record],
        )
        state = _averaged(state, detector, data, reference, config, seed)
        yield state.on_device(torch.device("cpu"))


def _draw(
    data: TrainingSet,
    sets: Sequence[IndexedSet],
    count: int,
    config: Config,
    generator: torch.Generator,
    device: torch.device,
) -> Iterator[Batch]:
    return draw_batches(
        data,
        sets,
        count,
        batch_size=config.learning.batch_size,
        reference_normals=config.heads.reference_normals,
        generator=generator,
        device=device,
    )


def _scores(
    detector: BaseDetector, base: HeadWeights, data: TrainingSet, reference: FeatureMaps
) -> Tensor:
    """Scores (N, T) of every training sample by every base model, on the CPU."""
    found = score_samples(
        detector,
        base,
        data.features,
        np.arange(len(data)),
        reference,
        lambda heads, _: {"score": detector.combine(heads)},
    )
    return found["score"]


def _averaged(
    state: TrainingState,
    detector: BaseDetector,
    data: TrainingSet,
    reference: FeatureMaps,
    config: Config,
    seed: int,
) -> TrainingState:
    """Add the epoch to the mean weights, which after the last epoch become g's."""
    learning = config.learning
    unaveraged = learning.steps_before_average(learning.epochs)
    if state.epoch > unaveraged:
        average = update_average(state.average, state.unified.parameters, state.epoch - unaveraged)
        state = replace(state, average=average)
    if state.epoch < learning.epochs:
        return state
    unified = update_bn(
        detector,
        HeadWeights(state.average, state.unified.statistics),
        data,
        data.everything,
        reference,
        batch_size=learning.batch_size,
        seed=seed,
    )
    return replace(state, unified=unified, average={})


def _floats(values: Tensor) -> tuple[float, ...]:
    return tuple(float(value) for value in values)
