"""The epoch loop: Algorithm 1, and a base detector trained alone for comparison."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from ahl._common.callbacks import Callback
from ahl._common.history import EpochRecord
from ahl._common.randomness import torch_generator
from ahl.config import Config
from ahl.distributions.training_set import Batch, IndexedSet, TrainingSet, draw_batches
from ahl.features.maps import FeatureMaps
from ahl.heads.base import BaseDetector, HeadScores
from ahl.heads.weights import HeadWeights, replicate
from ahl.learning.averaging import update_average, update_bn
from ahl.learning.collaboration import (
    adapt,
    first_order_gradient,
    inner_step,
    outer_step,
    second_order_gradient,
)
from ahl.learning.importance import weigh
from ahl.learning.sample_scores import score_samples
from ahl.learning.training_state import TrainingState, on_device, start_state


def train(
    detector: BaseDetector,
    training_set: TrainingSet,
    reference: FeatureMaps,
    config: Config,
    *,
    seed: int,
    device: torch.device,
    callback: Callback | None = None,
    keep: Callable[[TrainingState], None] | None = None,
    state: TrainingState | None = None,
) -> TrainingState:
    """Run Algorithm 1 (or train the base detector alone, if the config says so).

    Args:
        detector: the heads.
        training_set: D with its episodes.
        reference: the fixed reference that scoring will use: (C, H_s, W_s) a scale.
        config: all constants.
        seed: of every draw.
        device: where the heads train.
        callback: receives every epoch.
        keep: given the state after every epoch, all that is needed to go on from there.
        state: where to go on from; None starts anew.

    Returns:
        the state after the last epoch; its unified model is g.
    """
    learning = config.learning
    models = len(training_set.supports) if learning.collaborative else 1
    state = state or start_state(detector, config, models, seed=seed)
    state = on_device(state, device)
    training_set.features.keep_resident()
    callback = callback or Callback()
    reference = tuple(scale.to(device) for scale in reference)
    run = _Epochs(detector, training_set, reference, config, seed, device)
    one_epoch = run.collaborative if learning.collaborative else run.alone
    unaveraged = learning.steps_before_average(learning.epochs)
    while state.epoch < learning.epochs:
        state = one_epoch(state)
        if state.epoch > unaveraged:
            state.average = update_average(
                state.average, state.unified.parameters, state.epoch - unaveraged
            )
        if state.epoch == learning.epochs:
            state.unified = update_bn(
                detector,
                HeadWeights(state.average, state.unified.statistics),
                training_set,
                training_set.everything,
                run.reference,
                batch_size=learning.batch_size,
                seed=seed,
            )
            state.average = {}
        if keep is not None:  # kept first: what is announced can be resumed
            keep(state)
        callback.on_epoch(state.history[-1], learning.epochs)
    return on_device(state, torch.device("cpu"))


@dataclass(frozen=True)
class _Epochs:
    """The two kinds of epoch over one training set."""

    detector: BaseDetector
    training_set: TrainingSet
    reference: FeatureMaps
    config: Config
    seed: int
    device: torch.device

    def draw(
        self, sets: Sequence[IndexedSet], count: int, purpose: str, *position: int
    ) -> Iterator[Batch]:
        """`count` batches, from a generator for this purpose and position."""
        return draw_batches(
            self.training_set,
            sets,
            count,
            batch_size=self.config.learning.batch_size,
            reference_normals=self.config.heads.reference_normals,
            generator=torch_generator(self.seed, purpose, *position),
            device=self.device,
        )

    def collaborative(self, state: TrainingState) -> TrainingState:
        """One epoch of Algorithm 1."""
        learning, data = self.config.learning, self.training_set
        models = len(data.supports)
        epoch, unified, optimiser = state.epoch, state.unified, state.optimiser
        predictor, past_scores = state.predictor, state.past_scores
        support_losses, query_losses = [], []
        for turn in range(learning.rounds):
            place = (epoch, turn)
            supports = self.draw(data.supports, learning.inner_steps, "support", *place)
            queries = list(self.draw(data.queries, learning.query_batches, "query", *place))
            if learning.second_order:
                supports = iter(kept := list(supports))
            base, losses = adapt(
                self.detector, replicate(unified, models), supports, rate=learning.inner_rate
            )
            support_losses.append(losses)
            if turn == 0:  # scores are measured, and importance set, once an epoch
                scores = self.scores(base)
                predictor, importance = weigh(
                    predictor,
                    past_scores,
                    scores,
                    data,
                    self.detector.expected_scores,
                    self.config.importance,
                    epoch=epoch,
                    generator=torch_generator(self.seed, "psi", epoch),
                )
                weights = importance * data.query_shares
                weights = (weights / weights.sum()).to(self.device)
                past_scores = [*past_scores, scores][-self.config.importance.history :]
            if learning.second_order:
                gradient, base, losses = second_order_gradient(
                    self.detector, unified, kept, queries, weights, rate=learning.inner_rate
                )
            else:
                gradient, base, losses = first_order_gradient(self.detector, base, queries, weights)
            query_losses.append(losses)
            unified, optimiser = outer_step(
                unified, gradient, base, optimiser, rate=learning.outer_rate
            )
        record = EpochRecord(
            epoch=epoch + 1,
            support_losses=_floats(torch.stack(support_losses).mean(dim=0)),
            query_losses=_floats(torch.stack(query_losses).mean(dim=0)),
            importance=_floats(importance),
        )
        return replace(
            state,
            epoch=epoch + 1,
            unified=unified,
            optimiser=optimiser,
            predictor=predictor,
            past_scores=past_scores,
            history=[*state.history, record],
        )

    def alone(self, state: TrainingState) -> TrainingState:
        """One epoch of the base detector by itself: as many steps, on all of D, no episodes."""
        learning = self.config.learning
        batches = self.draw(
            [self.training_set.everything],
            learning.rounds * learning.inner_steps,
            "alone",
            state.epoch,
        )
        unified, optimiser, losses = state.unified, state.optimiser, []
        for batch in batches:
            unified, optimiser, loss = inner_step(
                self.detector, unified, optimiser, batch.of(0), rate=learning.inner_rate
            )
            losses.append(loss)
        record = EpochRecord(
            epoch=state.epoch + 1,
            support_losses=_floats(torch.stack(losses).mean().reshape(1)),
            query_losses=(),
            importance=(1.0,),
        )
        return replace(
            state,
            epoch=state.epoch + 1,
            unified=unified,
            optimiser=optimiser,
            history=[*state.history, record],
        )

    def scores(self, base: HeadWeights) -> Tensor:
        """Scores of every training sample by every base model: (N, T), on the CPU."""

        def read(heads: HeadScores, maps: FeatureMaps) -> dict[str, Tensor]:
            return {"score": self.detector.combine(heads)}

        every = np.arange(len(self.training_set))
        features = self.training_set.features
        found = score_samples(self.detector, base, features, every, self.reference, read)
        return found["score"]


def _floats(values: Tensor) -> tuple[float, ...]:
    return tuple(float(value) for value in values)
