"""Training states on disk, so that a killed run goes on from its last epoch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import torch
from torch import Tensor

from ahl.collaboration import AdamState, Model
from ahl.errors import ModelFileError, ResumeError
from ahl.importance import PredictorState
from ahl.model import record_from
from ahl.tensor_file import read_tensor_file, write_tensor_file
from ahl.training import TrainingHooks, TrainingState


class Checkpoints(TrainingHooks):
    """Keeps the state after the latest epoch in one file.

    Args:
        path: the file; replaced whole at every epoch.
        fingerprint: identity of the run (data, settings, versions): only an equal one resumes.
    """

    def __init__(self, path: Path, fingerprint: str) -> None:
        self.path = path
        self.fingerprint = fingerprint

    def on_state(self, state: TrainingState) -> None:
        """Write the state."""
        tensors: dict[str, Tensor] = {}
        for name, group in _groups(state).items():
            tensors |= {f"{name}/{key}": value.cpu() for key, value in group.items()}
        header = {
            "fingerprint": self.fingerprint,
            "epoch": state.epoch,
            "records": [asdict(record) for record in state.records],
        }
        write_tensor_file(self.path, "checkpoint", header, tensors)

    def restore(self) -> TrainingState | None:
        """Read the state back; None when there is no checkpoint.

        Raises:
            ResumeError: if the checkpoint is of another run or cannot be read.
        """
        if not self.path.exists():
            return None
        try:
            header, tensors = read_tensor_file(self.path, "checkpoint")
        except ModelFileError as error:
            raise ResumeError(f"{error} Start anew without --resume.") from error
        if header.get("fingerprint") != self.fingerprint:
            raise ResumeError(
                f"{self.path} belongs to a run with other images, settings or versions. Run "
                "again with the same ones, or start anew without --resume."
            )

        def group(name: str) -> dict[str, Tensor]:
            prefix = f"{name}/"
            return {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}

        history = group("history")
        return TrainingState(
            epoch=int(header["epoch"]),
            unified=Model(group("parameters"), group("statistics")),
            average=group("average"),
            optimiser=_adam(group, "outer"),
            predictor=PredictorState(group("predictor"), _adam(group, "psi")),
            history=[history[str(i)] for i in range(len(history))],
            records=[record_from(values) for values in header["records"]],
        )

    def remove(self) -> None:
        """Delete the checkpoint: the run is finished."""
        self.path.unlink(missing_ok=True)


def _groups(state: TrainingState) -> dict[str, dict[str, Tensor]]:
    outer, psi = state.optimiser, state.predictor.optimiser
    return {
        "parameters": state.unified.parameters,
        "statistics": state.unified.statistics,
        "average": state.average,
        "outer-first": outer.first,
        "outer-second": outer.second,
        "predictor": state.predictor.parameters,
        "psi-first": psi.first,
        "psi-second": psi.second,
        "steps": {"outer": outer.step, "psi": psi.step},
        "history": {str(i): scores for i, scores in enumerate(state.history)},
    }


def _adam(group: Callable[[str], dict[str, Tensor]], name: str) -> AdamState:
    return AdamState(
        torch.as_tensor(group("steps")[name]), group(f"{name}-first"), group(f"{name}-second")
    )
