"""A task learned: epochs, then calibration, then the trained model."""

from __future__ import annotations

from collections.abc import Callable

import torch

from ahl._common.callbacks import Callback
from ahl.config import Config
from ahl.evidence.out_of_fold import calibrate_by_folds
from ahl.learning.training import train
from ahl.learning.training_state import TrainingState
from ahl.model.exemplars import no_exemplars
from ahl.model.manifest import Manifest
from ahl.model.trained import TrainedModel
from ahl.pipeline.task import Task


def learn(
    task: Task,
    config: Config,
    *,
    seed: int,
    device: torch.device,
    callback: Callback | None = None,
    keep: Callable[[TrainingState], None] | None = None,
    state: TrainingState | None = None,
) -> TrainedModel:
    """Train the heads and calibrate what they say.

    Args:
        task: from `prepare_task`.
        config: all constants.
        seed: of every draw.
        device: where the heads train.
        callback: receives progress.
        keep: given the state after every epoch.
        state: where to go on from; None starts anew.

    Returns:
        a model without a backbone, a manifest and exemplars.
    """
    callback = callback or Callback()
    with callback.part("AHL epochs" if config.learning.collaborative else "epochs"):
        state = train(
            task.detector,
            task.training_set,
            task.reference,
            config,
            seed=seed,
            device=device,
            callback=callback,
            keep=keep,
            state=state,
        )
    calibration = None
    if task.folds:
        with callback.part("calibration"):
            calibration = calibrate_by_folds(
                task.detector,
                state.unified,
                task.training_set,
                task.folds,
                task.reference,
                task.preparation,
                config,
                seed=seed,
                device=device,
                callback=callback,
            )
    return TrainedModel(
        detector=task.detector,
        unified=state.unified,
        reference=task.reference,
        preparation=task.preparation,
        calibration=calibration,
        backbone=None,
        config=config,
        seed=seed,
        manifest=Manifest(),
        history=tuple(state.history),
        exemplars=no_exemplars(task.detector.layout.row_size),
    )
