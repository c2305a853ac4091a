"""Training for an update: on images that a model got wrong, and on its exemplars.

A missed defect is a further labelled anomaly, a false alarm a further normal. The model trains on
them and its exemplars for a few epochs; wrong images get a larger weight only if necessary.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ahl._common.callbacks import Callback
from ahl._common.errors import DataError
from ahl._common.types import GOOD
from ahl.distributions.training_set import TrainingSet
from ahl.evidence.calibration import Calibration, Evidence
from ahl.evidence.coreset import patches_of
from ahl.evidence.fit import Unseen, recalibrate
from ahl.evidence.knn import descriptors
from ahl.evidence.memory import Memory
from ahl.evidence.out_of_fold import sample_evidence
from ahl.features.maps import FeatureMaps
from ahl.features.table import FeatureTable
from ahl.learning.algorithm import train_alone
from ahl.learning.state import start_state
from ahl.model.exemplars import Exemplars, Role, half_rows
from ahl.model.trained import TrainedModel
from ahl.pipeline.update_result import Update
from ahl.scoring.thresholds import renewed_decision

EPOCHS: Final = 10
"""Number of epochs of an update; weights are averaged over the last half."""

ALLOWED: Final = 0.05
"""Share of normals that may lie above the limit of a model without a threshold."""

FEWEST_NORMALS: Final = 2
"""Fewest kept normals, other than the corrected images, for an update."""

MOST_REMEMBERED: Final = 4
"""Largest number of patches in a memory, as a multiple of those from training."""

STRENGTHS: Final = (1, 3)
"""Weights of a wrong image relative to others of its kind, tried in this order."""


def update_on_exemplars(
    model: TrainedModel,
    wrong: Exemplars,
    *,
    device: torch.device,
    callback: Callback | None = None,
) -> Update:
    """Update a model with the first strength that corrects all and worsens nothing, or the best.

    Args:
        model: the model that got images wrong; not changed.
        wrong: these images, at least one: role `"anomaly"` for missed defects and `"normal"` for
            false alarms, with prepared rows. They replace the model's exemplars of the same images.
        device: device to train on.
        callback: receives progress.

    Raises:
        DataError: if the model keeps too few normals for training, or would have to remember too
            many false alarms.
    """
    callback = callback or Callback()
    run, found = _Run.start(model, wrong, device), []
    if len(run.kept.of_role("normal")) < FEWEST_NORMALS:
        raise DataError(
            f"The model keeps too few other good images ({FEWEST_NORMALS} are needed): train it "
            "again with the new images."
        )
    memory = run.extended.preparation.memory
    most = MOST_REMEMBERED * model.config.memory.patches
    if memory is not None and max(len(patches) for patches in memory.patches) > most:
        raise DataError(
            "The model cannot store so many false alarms: train it again with them among the "
            "good images."
        )
    for number, strength in enumerate(STRENGTHS):
        callback.on_stage("updating", number, len(STRENGTHS))
        found.append(run.corrected(strength))
        if _merit(found[-1]) == (True, len(wrong)):
            break
    callback.on_stage("updating", len(STRENGTHS), len(STRENGTHS))
    return max(found, key=_merit)


def _merit(found: Update) -> tuple[bool, int]:
    return not found.worsens, found.mended


@dataclass(frozen=True)
class _Run:
    """A model and the images that it got wrong.

    Attributes:
        model: the old model.
        kept: its exemplars of other images, with evidence of the memory that has the false alarms.
        kept_before: the same exemplars with evidence of the old memory.
        wrong: the images it got wrong, with evidence of the new memory.
        wrong_before: the same images with evidence of the old memory.
        extended: the old model with the new memory and the updated calibration.
    """

    model: TrainedModel
    kept: Exemplars
    kept_before: Exemplars
    wrong: Exemplars
    wrong_before: Exemplars
    extended: TrainedModel
    device: torch.device

    @classmethod
    def start(cls, model: TrainedModel, wrong: Exemplars, device: torch.device) -> _Run:
        again = {one.sha256 for one in wrong.images if one.sha256}
        others = [i for i, one in enumerate(model.exemplars.images) if one.sha256 not in again]
        kept = model.exemplars.chosen(np.array(others, dtype=np.int64))
        alarms = wrong.of_role("normal") + len(kept)
        preparation, both = model.preparation, kept + wrong
        if (memory := preparation.memory) is not None and len(alarms):
            both = replace(both, rows=_nearer_rows(model, memory, both.rows.float(), alarms))
            # What was trained on as good, or learnt by an update before, is remembered already.
            known = {file.sha256 for file in model.manifest.files if file.class_name == GOOD}
            new = [i for i in alarms if both.images[i].sha256 not in known]
            patches = _own_patches(model, both.rows[torch.tensor(new, dtype=torch.long)])
            preparation = replace(preparation, memory=memory.including(patches))
        calibration = model.calibration
        if calibration is not None:
            calibration = _taken_into_account(model, calibration, wrong)
        return cls(
            model=model,
            kept=both.chosen(np.arange(len(kept))),
            kept_before=kept,
            wrong=both.chosen(np.arange(len(kept), len(both))),
            wrong_before=wrong,
            extended=replace(
                model, preparation=preparation, calibration=calibration, exemplars=both
            ),
            device=device,
        )

    def corrected(self, strength: int) -> Update:
        """Train for a few epochs in which each wrong image counts `strength` times."""
        model = self.extended
        learning = model.config.learning.alone(EPOCHS)
        state = start_state(model.detector, model.config, seed=model.seed)
        *_, state = train_alone(
            model.detector,
            self._training_set(strength),
            model.reference,
            replace(model.config, learning=learning),
            seed=model.seed,
            device=self.device,
            state=replace(state, unified=model.unified),
        )
        model = replace(model, unified=state.unified)
        if model.calibration is not None:
            # Moved by as much as the evidence of the kept normals has been.
            normals = self.kept.of_role("normal")
            before = _evidence(self.model, self.kept_before, normals)
            after = _evidence(model, self.kept, normals)
            model = replace(model, calibration=model.calibration.moved(before, after))
        return self._judged(replace(model, decision=renewed_decision(model)))

    def _training_set(self, strength: int) -> TrainingSet:
        both = self.kept + self.wrong
        again = np.arange(len(self.kept), len(both))
        counted = np.concatenate([np.arange(len(both)), *[again] * (strength - 1)])
        roles = np.array([one.role for one in both.images])[counted]
        normals, anomalies, pseudo = (
            counted[roles == role] for role in ("normal", "anomaly", "pseudo")
        )
        return TrainingSet.of_counts(
            _table(self.model, both).chosen(np.concatenate([normals, anomalies, pseudo])),
            normals=len(normals),
            anomalies=len(anomalies),
            pseudo=len(pseudo),
        )

    def _judged(self, model: TrainedModel) -> Update:
        worked = np.array(
            [i for i, one in enumerate(self.kept.images) if one.role != "pseudo"], dtype=np.int64
        )
        before = self.kept_before.chosen(worked) + self.wrong_before
        after = self.kept.chosen(worked) + self._remembered()
        decision = model.decision
        return Update(
            model=model,
            known=after,
            corrected=len(self.wrong),
            before=self.model.score_prepared(before.rows).score,
            after=model.score_prepared(after.rows).score,
            limit_before=self.limit_before,
            # Without a threshold the limit stays: scores are in standard deviations of normals.
            limit_after=self.limit_before if decision is None else decision.threshold,
            allowed=ALLOWED if decision is None else decision.max_false_alarm_rate,
            had_threshold=self.model.decision is not None,
        )

    @cached_property
    def limit_before(self) -> float | None:
        """The old threshold, recomputed from kept rows; else the score of probability 0.5.

        Kept rows are rounded: by the stored threshold, the image that set it might lie above it.
        """
        if self.model.decision is not None:
            return (renewed_decision(self.model) or self.model.decision).threshold
        calibration = self.model.calibration
        return None if calibration is None else calibration.probability.midpoint

    def _remembered(self) -> Exemplars:
        """The wrong images as the new model scores them, with their own patches in the memory."""
        memory = self.extended.preparation.memory
        if memory is None or not len(self.wrong.of_role("normal")):
            return self.wrong
        rows = self.wrong.rows.float()
        maps = self.model.detector.layout.split(rows)
        for scale, evidence in zip(
            maps, memory.evidence(_plain_maps(self.model, rows)), strict=True
        ):
            scale[:, -1:] = evidence
        return replace(self.wrong, rows=half_rows(rows))


def _table(model: TrainedModel, kept: Exemplars) -> FeatureTable:
    return FeatureTable.of_rows(model.detector.layout, kept.rows.numpy())


def _evidence(model: TrainedModel, kept: Exemplars, samples: NDArray[np.int64]) -> Evidence:
    """All evidence of the images at the indices `samples` (n,)."""
    return sample_evidence(
        model.detector,
        model.unified,
        _table(model, kept),
        samples,
        model.reference,
        model.preparation,
    )


def _taken_into_account(
    model: TrainedModel, calibration: Calibration, wrong: Exemplars
) -> Calibration:
    """Update the calibration by those wrong images that the model was not trained on."""
    known = model.manifest.hashes
    new = [i for i, one in enumerate(wrong.images) if one.sha256 not in known]

    def unseen(role: Role) -> Unseen:
        own = wrong.chosen(np.array([i for i in new if wrong.images[i].role == role], np.int64))
        maps = model.detector.layout.split(own.rows.float())
        return Unseen(
            evidence=_evidence(model, own, np.arange(len(own))),
            descriptors=descriptors(maps, model.preparation.appended),
        )

    with torch.inference_mode():
        return recalibrate(
            calibration,
            unseen("normal"),
            unseen("anomaly"),
            model.config.calibration,
            model.detector.labelled_heads,
        )


def _nearer_rows(
    model: TrainedModel, memory: Memory, rows: Tensor, alarms: NDArray[np.int64]
) -> Tensor:
    """Rows with evidence of a memory that has the false alarms; each alarm ignores its own."""
    maps, plain = model.detector.layout.split(rows), _plain_maps(model, rows)
    for alarm in alarms:
        alone = replace(memory, patches=_own_patches(model, rows[alarm : alarm + 1]))
        for scale, evidence in zip(maps, alone.evidence(plain), strict=True):
            evidence[alarm] = float("inf")  # its own patches do not count
            scale[:, -1:] = torch.minimum(scale[:, -1:], evidence)
    return half_rows(rows)


def _plain_maps(model: TrainedModel, rows: Tensor) -> FeatureMaps:
    """Maps (N, C, H_s, W_s) per scale of prepared rows, in the memory's scaling."""
    appended, factor = model.preparation.appended, model.preparation.factor
    maps = model.detector.layout.split(rows.float())
    return tuple(scale[:, : scale.shape[1] - appended] / factor for scale in maps)


def _own_patches(model: TrainedModel, rows: Tensor) -> FeatureMaps:
    """All patches (P, C) per scale of prepared rows, as a memory keeps them."""
    return tuple(
        patches_of(scale).flatten(0, 1).half().float() for scale in _plain_maps(model, rows)
    )
