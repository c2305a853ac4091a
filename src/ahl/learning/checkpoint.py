"""Training states on disk, so that a killed run goes on from its last epoch."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

from ahl._common.errors import ResumeError
from ahl._common.history import read_history
from ahl._common.resuming import read_checkpoint, write_checkpoint
from ahl._common.tensor_file import Groups
from ahl.heads.weights import HeadWeights
from ahl.learning.adam import AdamState
from ahl.learning.importance import PredictorState
from ahl.learning.training_state import TrainingState


class Checkpoint:
    """Keeps the state after the latest epoch in one file.

    Args:
        path: the file; replaced whole at every epoch.
        fingerprint: identity of the run (data, settings, versions): only an equal one resumes.
    """

    def __init__(self, path: Path, fingerprint: str) -> None:
        self.path = path
        self.fingerprint = fingerprint

    def keep(self, state: TrainingState) -> None:
        """Write the state."""
        header = {"epoch": state.epoch, "history": [asdict(record) for record in state.history]}
        write_checkpoint(self.path, self.fingerprint, header, _groups(state))

    def restore(self) -> TrainingState | None:
        """Read the state back; None when there is no checkpoint.

        Raises:
            ResumeError: if the checkpoint is of another run or cannot be read.
        """
        found = read_checkpoint(self.path, self.fingerprint)
        if found is None:
            return None
        header, groups = found
        past_scores = groups.get("past_scores", {})
        try:
            history = list(read_history(header["history"]))
        except ValueError as error:  # the losses of a training that diverged
            raise ResumeError(f"{self.path}: {error}. Start anew without --resume.") from error
        return TrainingState(
            epoch=int(header["epoch"]),
            unified=HeadWeights(groups["parameters"], groups.get("statistics", {})),
            average=groups.get("average", {}),
            optimiser=_adam(groups, "outer"),
            predictor=PredictorState(groups["predictor"], _adam(groups, "psi")),
            past_scores=[past_scores[str(i)] for i in range(len(past_scores))],
            history=history,
        )


def _groups(state: TrainingState) -> Groups:
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
        "past_scores": {str(i): scores for i, scores in enumerate(state.past_scores)},
    }


def _adam(groups: Groups, name: str) -> AdamState:
    return AdamState(groups["steps"][name], groups[f"{name}-first"], groups[f"{name}-second"])
