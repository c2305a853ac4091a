"""Setting of thresholds on normal images that the model, or its fold models, have not seen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray

from ahl._common.callbacks import Callback
from ahl._common.errors import DataError, ImageError
from ahl._common.spacing import evenly_spaced
from ahl._common.types import GOOD, ImageItem, Skipped
from ahl.data.images.reading import pinned
from ahl.data.images.sources import LabelledImage, image_item
from ahl.data.images.variety import notes_on_numbers
from ahl.distributions.folds import FEWEST_NORMALS
from ahl.model.decision import Decision, decide, fewest_normals
from ahl.model.exemplars import MOST, Exemplars, new_exemplars
from ahl.model.trained import TrainedModel
from ahl.scoring.torch_scorer import TorchScorer
from ahl.scoring.trained_parts import compare_with_training


@dataclass(frozen=True, kw_only=True, eq=False)
class NormalScores:
    """Scores of normal images, and the numbers of images without a score.

    Attributes:
        scores: (N,) scores of normals by a model that was not trained on them.
        skipped: images that could not be read, each with the reason.
        trained_on: number of images not scored because the model was trained on them.
        trained_parts: number of images not scored because it was trained on other photographs of
            their parts.
        same_part: number of images not scored because another photograph of their part is scored;
            they are not independent.
        kept: some of the images, to set the threshold again after an update; None for out-of-fold
            scores.
    """

    scores: NDArray[np.float64]
    skipped: tuple[Skipped, ...]
    trained_on: int
    trained_parts: int = 0
    same_part: int = 0
    kept: Exemplars | None = None


@dataclass(frozen=True, kw_only=True, eq=False)
class Threshold:
    """A model with a threshold, and the scores it was set on.

    Attributes:
        model: the model, with the decision.
        decision: the threshold, with its false-alarm rate and miss rate.
        normals: the scores it was set on, and the numbers of images without one.
    """

    model: TrainedModel
    decision: Decision
    normals: NormalScores


def set_threshold(
    model: TrainedModel,
    normals: Sequence[LabelledImage] | None,
    max_false_alarm_rate: float,
    device: torch.device,
    *,
    group_by: str | None = None,
    callback: Callback | None = None,
) -> Threshold:
    """Set the threshold of a model.

    Args:
        model: the model; not changed.
        normals: good images; training images and other photographs of their parts are left out, and
            all but one of the photographs of one part. None uses out-of-fold scores of the training
            normals: they come from the fold models, so the threshold is conservative.
        max_false_alarm_rate: share of normals that may be called anomalous, above 0 and below 1.
        device: device of the backbone.
        group_by: expression that reads parts from names, as in `ahl.data.parts.part_of`; None: the
            one of the training, if any.
        callback: receives progress and notes.

    Raises:
        DataError: if there are too few normals for the rate, or normals are given and the model was
            trained on feature maps.
        ConfigurationError: if the rate is not between 0 and 1.
    """
    if normals is None:
        found = out_of_fold_normals(model)
    else:
        most = _kept_for(max_false_alarm_rate)
        found = score_new_normals(
            model, normals, device, most=most, group_by=group_by, callback=callback
        )
    try:
        decision = decide(found.scores, max_false_alarm_rate, held_out=normals is None)
    except DataError as error:
        counts = {
            "were trained on": found.trained_on,
            "show parts that were trained on": found.trained_parts,
            "are further photographs of a part": found.same_part,
        }
        reasons = [f"{count} {words}" for words, count in counts.items() if count]
        if found.skipped:  # nothing else names them: the first stands for all
            first = f"{found.skipped[0].name}: {found.skipped[0].reason}"
            reasons.append(f"{len(found.skipped)} could not be read, the first {first}")
        given = f" Of the images given, {', '.join(reasons)}." if reasons else ""
        raise DataError(f"{error}{given}") from None
    others = [i for i, one in enumerate(model.exemplars.images) if one.role != "threshold"]
    exemplars = model.exemplars.chosen(np.array(others, dtype=np.int64))
    if found.kept is not None:
        exemplars += found.kept
    decision = decision.against(out_of_fold_anomalies(model))
    return Threshold(
        model=replace(model, decision=decision, exemplars=exemplars),
        decision=decision,
        normals=found,
    )


def score_new_normals(
    model: TrainedModel,
    images: Sequence[LabelledImage],
    device: torch.device,
    *,
    most: int = MOST["threshold"],
    group_by: str | None = None,
    callback: Callback | None = None,
) -> NormalScores:
    """Score one photograph of each part that was not trained on.

    Of several photographs, the one with the lowest hash is scored, which depends neither on their
    names nor on how they were taken.

    Args:
        model: a model trained on images.
        images: good images, with their parts if known.
        device: device of the backbone.
        most: largest number of images to keep.
        group_by: as in `set_threshold`.
        callback: as in `set_threshold`.

    Raises:
        DataError: if the model was trained on feature maps.
    """
    scorer, features = TorchScorer(model, device), model.config.features
    callback = callback or Callback()
    for note in notes_on_numbers([image.source for image in images], features.bit_depth):
        callback.on_note(note)
    # Copies of one image are no further evidence.
    new: dict[str, tuple[LabelledImage, ImageItem]] = {}
    skipped, trained_on = list[Skipped](), 0
    for image in images:
        try:
            item = image_item(image.source, image.name, features.size, features.bit_depth)
        except ImageError as error:
            skipped.append(Skipped(name=image.name, reason=str(error)))
            continue
        if item.key in model.manifest.hashes:
            trained_on += 1
        else:
            same = replace(image, source=pinned(image.source, item.key))
            new.setdefault(item.key, (same, item))
    everything = list(new.values())
    found = compare_with_training(
        model, [image for image, _ in everything], group_by=group_by, callback=callback
    )
    first: dict[int, int] = {}
    for i in sorted(
        np.flatnonzero(~found.trained).tolist(),
        key=lambda i: (not found.readable[i], everything[i][1].key),
    ):
        first.setdefault(int(found.groups[i]), i)
    given = [everything[i] for i in sorted(first.values())]
    scores, kept, keeping = [], [], set(evenly_spaced(len(given), most).tolist())
    for index, maps in scorer.prepared([image.source for image, _ in given]):
        callback.on_stage("scoring", index + 1, len(given))
        if isinstance(maps, str):
            skipped.append(Skipped(name=given[index][1].name, reason=maps))
            continue
        scores.append(float(model.score_maps([maps]).score[0]))
        if index in keeping:
            kept.append((given[index][1], GOOD, maps))
    return NormalScores(
        scores=np.array(scores, dtype=np.float64),
        skipped=tuple(skipped),
        trained_on=trained_on,
        trained_parts=int(found.trained.sum()),
        same_part=len(everything) - int(found.trained.sum()) - len(given),
        kept=new_exemplars("threshold", kept, model.detector.layout.row_size),
    )


def _kept_for(max_false_alarm_rate: float) -> int:
    """Number of normals to keep: twice as many as the rate needs, within limits."""
    if not 0 < max_false_alarm_rate < 1:
        return 0  # `decide` says so
    needed = 2 * fewest_normals(max_false_alarm_rate)
    return max(MOST["threshold"], min(needed, 8 * MOST["threshold"]))


def out_of_fold_normals(model: TrainedModel) -> NormalScores:
    """Out-of-fold scores of the training normals.

    Raises:
        DataError: if the model has none.
    """
    if model.calibration is None or not len(kept := model.calibration.normal_scores):
        raise DataError(
            "The model holds no out-of-fold scores of good images (trained with fewer than "
            f"{FEWEST_NORMALS}, with --preset paper, or adapted): give good images that it was not "
            "trained on."
        )
    return NormalScores(scores=kept, skipped=(), trained_on=0)


def out_of_fold_anomalies(model: TrainedModel) -> NDArray[np.float64]:
    """Out-of-fold scores (M,) of the labelled anomalies, possibly none."""
    return np.empty(0) if model.calibration is None else model.calibration.anomaly_scores


def renewed_decision(model: TrainedModel) -> Decision | None:
    """Set the model's threshold again, for the same rate, by its present scores of the normals.

    Returns:
        the decision; None if the model had none, or keeps too few normals for the rate.
    """
    old = model.decision
    if old is None:
        return None
    try:
        if old.held_out:
            scores = out_of_fold_normals(model).scores
        else:
            kept = model.exemplars.chosen(model.exemplars.of_role("threshold"))
            scores = model.score_prepared(kept.rows).score.double().numpy()
        new = decide(scores, old.max_false_alarm_rate, held_out=old.held_out)
    except DataError:
        return None
    return new.against(out_of_fold_anomalies(model))
