"""Everything the epoch loop carries from one epoch to the next."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from ahl._common.history import EpochRecord
from ahl._common.randomness import torch_generator
from ahl.config import Config
from ahl.heads.base import BaseDetector, Parameters
from ahl.heads.weights import HeadWeights, moved
from ahl.learning.adam import AdamState, adam_start
from ahl.learning.importance import PredictorState, start_predictor


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
        past_scores: the last (N, T) scores of the training samples, oldest first.
        history: what each epoch left behind.
    """

    epoch: int
    unified: HeadWeights
    optimiser: AdamState
    predictor: PredictorState
    past_scores: list[Tensor]
    history: list[EpochRecord] = field(default_factory=list)
    average: Parameters = field(default_factory=dict)


def start_state(detector: BaseDetector, config: Config, models: int, *, seed: int) -> TrainingState:
    """The state before the first epoch."""
    parameters = detector.initial_parameters(torch_generator(seed, "heads"))
    _, predictor = start_predictor(models, config.importance, torch_generator(seed, "psi"))
    return TrainingState(
        epoch=0,
        unified=HeadWeights(parameters, detector.initial_statistics()),
        optimiser=adam_start(parameters),
        predictor=predictor,
        past_scores=[],
    )


def on_device(state: TrainingState, device: torch.device) -> TrainingState:
    """The state with its heads on a device; psi and the score history stay on the CPU."""
    optimiser = state.optimiser
    return replace(
        state,
        unified=moved(state.unified, device),
        average=moved(HeadWeights(state.average, {}), device).parameters,
        optimiser=AdamState(
            optimiser.step.to(device),
            *moved(HeadWeights(optimiser.first, optimiser.second), device),
        ),
    )
