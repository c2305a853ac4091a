"""Learning of a task: the base detector alone or Algorithm 1, then the calibration."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import torch

from ahl._common.callbacks import Callback
from ahl._common.tensor_file import run_fingerprint
from ahl.config import Config
from ahl.evidence.out_of_fold import calibrate_by_folds
from ahl.learning.algorithm import algorithm_1, train_alone
from ahl.learning.state import Checkpoint, start_state
from ahl.model.exemplars import no_exemplars
from ahl.model.manifest import Manifest
from ahl.model.trained import TrainedModel
from ahl.pipeline.settings import Learner, RunSettings
from ahl.pipeline.task import Task


def learn(
    task: Task,
    config: Config,
    *,
    seed: int,
    device: torch.device,
    callback: Callback | None = None,
    checkpoint: Checkpoint | None = None,
    resume: bool = False,
) -> TrainedModel:
    """Train the heads and calibrate their scores.

    Args:
        task: the task, from `prepare`.
        config: all constants.
        seed: seed of every draw.
        device: device to train on.
        callback: receives every epoch and the calibration's progress.
        checkpoint: file of the state after every epoch; None for none.
        resume: True to continue from the checkpoint if there is one.

    Returns:
        a model without backbone and exemplars, and with an empty manifest.

    Raises:
        ResumeError: if the checkpoint to resume is of another run or cannot be read.
    """
    callback = callback or Callback()
    learning, data, reference = config.learning, task.data, task.reference
    models = len(task.distributions) if learning.episodes else 1
    state = start_state(task.detector, config, models, seed=seed)
    found = None
    if checkpoint is not None and resume:
        found = checkpoint.read(state, len(data.features))
    if found is not None:
        state = found
        callback.on_note(f"Resuming after epoch {state.epoch}.")
        callback.on_resumed(state.history, learning.epochs)
    with callback.part("AHL epochs" if learning.episodes else "epochs"):
        if learning.episodes:
            epochs = algorithm_1(
                task.detector,
                data,
                task.distributions,
                reference,
                config,
                seed=seed,
                device=device,
                state=state,
            )
        else:
            epochs = train_alone(
                task.detector, data, reference, config, seed=seed, device=device, state=state
            )
        for state in epochs:
            if checkpoint is not None:
                checkpoint.write(state)  # first: what is announced can be resumed
            callback.on_epoch(state.history[-1], learning.epochs)
    calibration = None
    if task.folds:
        with callback.part("calibration"):
            calibration = calibrate_by_folds(
                task.detector,
                state.unified,
                data,
                task.folds,
                reference,
                task.preparation,
                config,
                seed=seed,
                device=device,
                callback=callback,
            )
    return TrainedModel(
        detector=task.detector,
        unified=state.unified,
        reference=reference,
        preparation=task.preparation,
        calibration=calibration,
        backbone=None,
        config=config,
        seed=seed,
        manifest=Manifest(),
        history=tuple(state.history),
        exemplars=no_exemplars(task.detector.layout.row_size),
    )


def checkpoint_of(
    learner: Learner, config: Config, run: RunSettings, manifest: Manifest, identity: dict[str, Any]
) -> Checkpoint | None:
    """The checkpoint of a run; None if `run` names none.

    Args:
        learner: settings of the learning.
        config: the config with its chosen image size.
        run: settings of the run, with the checkpoint's path.
        manifest: the training images.
        identity: identity of their features, as JSON values.
    """
    if run.checkpoint_file is None:
        return None
    values = {
        "device": run.torch_device.type,
        "base": learner.heads.name,
        "config": config.to_dict(),
        "seed": learner.seed,
        "features": identity,
        "generators": [generator.settings() for generator in learner.generators],
        "manifest": asdict(manifest),
    }
    return Checkpoint(run.checkpoint_file, run_fingerprint(values))
