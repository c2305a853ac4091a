"""The state of a training between epochs, in memory and in a checkpoint."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import torch
from torch import Tensor

from ahl._common.history import EpochRecord, read_history
from ahl._common.randomness import torch_generator
from ahl._common.tensor_file import (
    Groups,
    read_checkpoint,
    resuming,
    tensor_of,
    tensors_like,
    write_checkpoint,
)
from ahl.config import Config
from ahl.heads.base import BaseDetector, Parameters
from ahl.heads.weights import HeadWeights, moved
from ahl.learning.adam import AdamState, adam_start
from ahl.learning.importance import PredictorState, start_predictor


@dataclass(frozen=True)
class TrainingState:
    """The state of a training after an epoch.

    It holds no random state: each epoch draws from generators seeded by its number.

    Attributes:
        epoch: number of epochs done.
        unified: the unified model g; after the last epoch, the result.
        optimiser: state of g's optimiser.
        predictor: psi.
        past_scores: the last K scores (N, T) of the training samples, oldest first.
        history: one record per epoch.
        average: mean weights of g during the averaged epochs; empty before and after them.
    """

    epoch: int
    unified: HeadWeights
    optimiser: AdamState
    predictor: PredictorState
    past_scores: list[Tensor] = field(default_factory=list)
    history: list[EpochRecord] = field(default_factory=list)
    average: Parameters = field(default_factory=dict)

    def on_device(self, device: torch.device) -> TrainingState:
        """Move g and its optimiser to a device; psi and the past scores stay on the CPU."""
        optimiser = self.optimiser
        return replace(
            self,
            unified=moved(self.unified, device),
            average=moved(HeadWeights(self.average, {}), device).parameters,
            optimiser=AdamState(
                optimiser.step.to(device),
                *moved(HeadWeights(optimiser.first, optimiser.second), device),
            ),
        )


def start_state(
    detector: BaseDetector, config: Config, models: int = 1, *, seed: int
) -> TrainingState:
    """The state before the first epoch of T base models."""
    parameters = detector.initial_parameters(torch_generator(seed, "heads"))
    _, predictor = start_predictor(models, config.importance, torch_generator(seed, "psi"))
    return TrainingState(
        epoch=0,
        unified=HeadWeights(parameters, detector.initial_statistics()),
        optimiser=adam_start(parameters),
        predictor=predictor,
    )


@dataclass(frozen=True)
class Checkpoint:
    """A file of the state after the latest epoch, from which a killed run can resume.

    Attributes:
        path: the file, replaced atomically at every epoch.
        fingerprint: hash of the run's data, settings and versions; only an equal one resumes.
    """

    path: Path
    fingerprint: str

    def write(self, state: TrainingState) -> None:
        """Write the state."""
        groups = _groups(state) | {
            "average": state.average,
            "past_scores": {str(i): scores for i, scores in enumerate(state.past_scores)},
        }
        header = {"epoch": state.epoch, "history": [asdict(record) for record in state.history]}
        write_checkpoint(self.path, self.fingerprint, header, groups)

    def read(self, start: TrainingState, samples: int) -> TrainingState | None:
        """Read the state; None if there is no checkpoint.

        Args:
            start: the initial state, by whose names and shapes tensors are checked.
            samples: number N of training samples.

        Raises:
            ResumeError: if the checkpoint is of another run or cannot be read.
        """
        found = read_checkpoint(self.path, self.fingerprint)
        if found is None:
            return None
        header, groups = found
        with resuming(self.path):
            epoch, history = int(header["epoch"]), list(read_history(header["history"]))
            kept = {
                name: tensors_like(groups, name, wanted) for name, wanted in _groups(start).items()
            }
            average = groups.get("average", {})
            if average:
                average = tensors_like(groups, "average", start.unified.parameters)
            past = groups.get("past_scores", {})
            shape = (samples, len(history[-1].importance) if history else None)
            scores = [tensor_of(past, str(i), torch.float32, *shape) for i in range(len(past))]
        return TrainingState(
            epoch=epoch,
            unified=HeadWeights(kept["parameters"], kept["statistics"]),
            average=average,
            optimiser=_adam(kept, "outer"),
            predictor=PredictorState(kept["predictor"], _adam(kept, "psi")),
            past_scores=scores,
            history=history,
        )


def _groups(state: TrainingState) -> Groups:
    """Tensors that every state of a run has, with the same names and shapes."""
    outer, psi = state.optimiser, state.predictor.optimiser
    return {
        "parameters": state.unified.parameters,
        "statistics": state.unified.statistics,
        "outer-first": outer.first,
        "outer-second": outer.second,
        "predictor": state.predictor.parameters,
        "psi-first": psi.first,
        "psi-second": psi.second,
        "steps": {"outer": outer.step, "psi": psi.step},
    }


def _adam(groups: Groups, name: str) -> AdamState:
    return AdamState(groups["steps"][name], groups[f"{name}-first"], groups[f"{name}-second"])
