"""A trained model updated by what it got wrong, without the images that it was trained on.

A missed defect is one more labelled anomaly, a false alarm one more normal. The model goes on
training for a few epochs on them and on what it keeps of its training, as gently as is enough.
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
"""Of an update; the weights of the last half are averaged."""

ALLOWED: Final = 0.05
"""Share of normals that may lie above the limit of a model without a threshold."""

FEWEST_NORMALS: Final = 2
"""Kept normals, other than the corrected images, that an update needs."""

MOST_REMEMBERED: Final = 4
"""Patches that a memory may come to hold, as a multiple of those it was made with."""

STRENGTHS: Final = (1, 3)
"""Weights of each wrong image among those of its kind; the next one if need be."""


def update_on_exemplars(
    model: TrainedModel,
    wrong: Exemplars,
    *,
    device: torch.device,
    callback: Callback | None = None,
) -> Update:
    """Update a model; of several strengths the first that mends all and worsens nothing.

    Args:
        model: that got images wrong; not changed.
        wrong: those images, at least one: with role `"anomaly"` if missed and `"normal"` if false
            alarms, and rows as the model's heads see them. What the model keeps of the same images
            is replaced.
        device: where to learn.
        callback: receives progress.

    Raises:
        DataError: if the model keeps too few normals to go on training with, or would remember too
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
            "The model cannot remember so many false alarms: train it again with them among the "
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
    """One model and what it got wrong.

    Attributes:
        model: before.
        kept: what it keeps of other images, their memory evidence with the false alarms remembered.
        kept_before: the same with that of the memory before.
        wrong: the images that it got wrong, with that of the new memory.
        wrong_before: the same with that of the memory before.
        extended: the model with the false alarms remembered and the calibration knowing all.
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
        """The model after a few epochs in which each image got wrong counts `strength` times."""
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
        """The threshold as it comes from what is kept, like the one after; or what stands for it.

        Kept rows are rounded, and the image that the threshold is would lie just above itself.
        """
        if self.model.decision is not None:
            return (renewed_decision(self.model) or self.model.decision).threshold
        calibration = self.model.calibration
        return None if calibration is None else calibration.probability.midpoint

    def _remembered(self) -> Exemplars:
        """The images got wrong as they are seen from now on: alarms with their own patches."""
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
    """All evidence of some of the images, (n,) indices into them."""
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
    """The calibration with what the model says of images that it was not trained on."""
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
    """Rows whose memory evidence counts the false alarms as remembered, but for their own."""
    maps, plain = model.detector.layout.split(rows), _plain_maps(model, rows)
    for alarm in alarms:
        alone = replace(memory, patches=_own_patches(model, rows[alarm : alarm + 1]))
        for scale, evidence in zip(maps, alone.evidence(plain), strict=True):
            evidence[alarm] = float("inf")  # its own patches do not count
            scale[:, -1:] = torch.minimum(scale[:, -1:], evidence)
    return half_rows(rows)


def _plain_maps(model: TrainedModel, rows: Tensor) -> FeatureMaps:
    """Maps (N, C, H_s, W_s) a scale, as the memory knows them, of rows that the heads see."""
    appended, factor = model.preparation.appended, model.preparation.factor
    maps = model.detector.layout.split(rows.float())
    return tuple(scale[:, : scale.shape[1] - appended] / factor for scale in maps)


def _own_patches(model: TrainedModel, rows: Tensor) -> FeatureMaps:
    """All patches (P, C) a scale of rows, as a memory keeps them."""
    return tuple(
        patches_of(scale).flatten(0, 1).half().float() for scale in _plain_maps(model, rows)
    )
