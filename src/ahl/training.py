"""The only epoch loop: Algorithm 1, and a base detector trained alone for comparison."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor
from torch.func import vmap

from ahl.collaboration import (
    AdamState,
    Batch,
    Model,
    adam_start,
    adapt,
    batch_loss,
    first_order_gradient,
    inner_step,
    outer_step,
    replicate,
    second_order_gradient,
)
from ahl.config import Config
from ahl.detectors.base import BaseDetector, Parameters
from ahl.feature_maps import FeatureMaps
from ahl.importance import PredictorState, start_predictor, weigh
from ahl.randomness import torch_generator
from ahl.training_set import IndexedSet, TrainingSet, draw_batch

SETTLING_BATCHES = 40
"""Batches that the final running statistics are taken from."""

SCORING_CHUNK = 256
"""Samples scored together by the base models; bounds memory, does not change the scores."""


@dataclass(frozen=True, kw_only=True)
class EpochRecord:
    """What one epoch left behind, for people, logs and reports.

    Attributes:
        epoch: counted from 1.
        support_losses: T mean losses of the base models on their support sets.
        query_losses: T losses of the adapted base models on their query sets (Eq. 4's terms).
        importance: T importance scores w_i used in the outer step.
    """

    epoch: int
    support_losses: tuple[float, ...]
    query_losses: tuple[float, ...]
    importance: tuple[float, ...]


class TrainingHooks:
    """What happens around epochs: nothing, unless overridden."""

    def on_epoch(self, record: EpochRecord, epochs: int) -> None:
        """Called after every epoch; not again for the epochs of a run that is being resumed."""

    def on_state(self, state: TrainingState) -> None:
        """Called after every epoch with all that is needed to go on from there."""


@dataclass
class TrainingState:
    """Everything the loop carries from one epoch to the next.

    Random numbers are not in it: each epoch draws from generators seeded by its number.

    Attributes:
        epoch: epochs done.
        unified: g, which the next epoch starts from; after the last epoch, the result.
        average: mean weights of g after the last epochs so far; empty before and after.
        optimiser: the outer one.
        predictor: psi.
        history: the last (N, T) scores of the training samples, oldest first.
        records: what each epoch left behind.
    """

    epoch: int
    unified: Model
    optimiser: AdamState
    predictor: PredictorState
    history: list[Tensor]
    records: list[EpochRecord] = field(default_factory=list)
    average: Parameters = field(default_factory=dict)


def start_state(detector: BaseDetector, config: Config, models: int, *, seed: int) -> TrainingState:
    """The state before the first epoch."""
    parameters = detector.initial_parameters(torch_generator(seed, "heads"))
    _, predictor = start_predictor(models, config.importance, torch_generator(seed, "psi"))
    return TrainingState(
        epoch=0,
        unified=Model(parameters, detector.initial_statistics()),
        optimiser=adam_start(parameters),
        predictor=predictor,
        history=[],
    )


def train(
    detector: BaseDetector,
    training_set: TrainingSet,
    reference: FeatureMaps,
    config: Config,
    *,
    seed: int,
    device: torch.device,
    hooks: Sequence[TrainingHooks] = (),
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
        hooks: called after every epoch.
        state: where to go on from; None starts anew.

    Returns:
        the state after the last epoch; its unified model is g.
    """
    learning = config.learning
    models = len(training_set.supports) if learning.collaborative else 1
    state = state or start_state(detector, config, models, seed=seed)
    state = _move(state, device)
    training_set.features.keep_resident()
    run = _Epochs(detector, training_set, reference, config, seed, device)
    one_epoch = run.collaborative if learning.collaborative else run.alone
    unaveraged = max(0, learning.epochs - learning.averaged_epochs)
    while state.epoch < learning.epochs:
        state = one_epoch(state)
        if state.epoch > unaveraged:
            state.average = _include(
                state.average, state.unified.parameters, state.epoch - unaveraged
            )
        if state.epoch == learning.epochs:
            state.unified = run.settle(Model(state.average, state.unified.statistics))
            state.average = {}
        for hook in hooks:
            hook.on_epoch(state.records[-1], learning.epochs)
            hook.on_state(state)
    return _move(state, torch.device("cpu"))


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
        """Draw `count` batches, one at a time, from a generator of their own."""
        generator = torch_generator(self.seed, purpose, *position)
        for _ in range(count):
            yield draw_batch(
                self.training_set,
                sets,
                batch_size=self.config.learning.batch_size,
                reference_normals=self.config.heads.reference_normals,
                generator=generator,
                device=self.device,
            )

    def collaborative(self, state: TrainingState) -> TrainingState:
        """One epoch of Algorithm 1."""
        learning, data = self.config.learning, self.training_set
        models = len(data.supports)
        epoch, unified, optimiser = state.epoch, state.unified, state.optimiser
        predictor, history = state.predictor, state.history
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
                    history,
                    scores,
                    data,
                    self.detector.expected_scores,
                    self.config.importance,
                    epoch=epoch,
                    generator=torch_generator(self.seed, "psi", epoch),
                )
                importance = importance.to(self.device)
                history = [*history, scores][-self.config.importance.history :]
            if learning.second_order:
                gradient, base, losses = second_order_gradient(
                    self.detector, unified, kept, queries, importance, rate=learning.inner_rate
                )
            else:
                gradient, base, losses = first_order_gradient(
                    self.detector, base, queries, importance
                )
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
            history=history,
            records=[*state.records, record],
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
                self.detector, unified, optimiser, _first(batch), rate=learning.inner_rate
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
            records=[*state.records, record],
        )

    def scores(self, base: Model) -> Tensor:
        """Scores of every training sample by every base model: (N, T), on the CPU."""
        reference = tuple(scale.to(self.device) for scale in self.reference)

        def one_model(model: Model, maps: FeatureMaps) -> Tensor:
            heads, _ = self.detector.forward(
                model.parameters, model.statistics, maps, reference, training=False
            )
            return self.detector.combine(heads)

        all_models = vmap(one_model, in_dims=(0, None))
        out = []
        for start in range(0, len(self.training_set), SCORING_CHUNK):
            stop = min(start + SCORING_CHUNK, len(self.training_set))
            maps = self.training_set.features.maps(torch.arange(start, stop))
            out.append(all_models(base, tuple(scale.to(self.device) for scale in maps)).T.cpu())
        return torch.cat(out)

    def settle(self, unified: Model) -> Model:
        """Take the running statistics anew for the final weights, which no step has seen yet.

        They are the plain mean over balanced batches, with the reference that scoring uses.
        """
        if not unified.statistics:
            return unified
        # Momentum 1 makes the statistics after a batch those of the batch alone.
        config = replace(self.config.heads, norm_momentum=1.0)
        detector = type(self.detector)(config, self.detector.layout, self.detector.prior)
        reference = tuple(scale.to(self.device) for scale in self.reference)
        before = {k: v.to(self.device) for k, v in detector.initial_statistics().items()}
        found = []
        for batch in self.draw([self.training_set.everything], SETTLING_BATCHES, "settle"):
            _, statistics = batch_loss(
                detector, unified.parameters, before, _first(batch)._replace(references=reference)
            )
            found.append(statistics)
        settled = {
            name: torch.stack([statistics[name] for statistics in found]).mean(dim=0)
            for name in unified.statistics
        }
        return Model(unified.parameters, settled)


def _include(average: Parameters, latest: Parameters, count: int) -> Parameters:
    """The mean of `count` weights, from the mean of all but the latest and the latest."""
    if not average:
        return {name: value.clone() for name, value in latest.items()}
    return {name: mean + (latest[name] - mean) / count for name, mean in average.items()}


def _first(batch: Batch) -> Batch:
    """The first of the stacked models' batches."""
    return Batch(
        tuple(scale[0] for scale in batch.maps),
        tuple(scale[0] for scale in batch.references),
        batch.kinds[0],
    )


def _floats(values: Tensor) -> tuple[float, ...]:
    return tuple(float(value) for value in values)


def _move(state: TrainingState, device: torch.device) -> TrainingState:
    """The state with its heads on a device; psi and the score history stay on the CPU."""

    def moved(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
        return {name: value.to(device) for name, value in tensors.items()}

    return replace(
        state,
        unified=Model(*(moved(part) for part in state.unified)),
        average=moved(state.average),
        optimiser=AdamState(
            state.optimiser.step.to(device),
            moved(state.optimiser.first),
            moved(state.optimiser.second),
        ),
    )
