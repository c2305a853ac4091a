"""Scores of normal images that a model was not trained on: what a threshold is set on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from ahl.errors import DataError, ImageError
from ahl.images import ImageSource, content_hash
from ahl.model import TrainedModel
from ahl.scoring import Scorer


@dataclass(frozen=True, kw_only=True, eq=False)
class NormalScores:
    """Scores, and which images have none.

    Attributes:
        scores: (N,) of normals that the model was not trained on.
        skipped: images that could not be read.
        trained_on: images left out because the model was trained on them.
    """

    scores: NDArray[np.float64]
    skipped: int
    trained_on: int


def score_new_normals(
    model: TrainedModel, images: Sequence[ImageSource], device: torch.device
) -> NormalScores:
    """Score normals, but for those of the training; of equal images one counts.

    Args:
        model: trained on images.
        images: good ones.
        device: where the backbone runs.

    Raises:
        NotFittedError: if the model was trained on feature maps.
    """
    scorer = Scorer(model, device)
    # Copies of one image would count as evidence that there is not.
    new: dict[str, ImageSource] = {}
    skipped = trained_on = 0
    for image in images:
        try:
            key = content_hash(image)
        except ImageError:
            skipped += 1
            continue
        if key in model.manifest.hashes:
            trained_on += 1
        else:
            new.setdefault(key, image)
    found = [prediction.score for prediction in scorer.predict(list(new.values()))]
    scores = np.array([score for score in found if score is not None], dtype=np.float64)
    return NormalScores(
        scores=scores, skipped=skipped + len(found) - len(scores), trained_on=trained_on
    )


def left_out_normals(model: TrainedModel) -> NormalScores:
    """What the detectors of the calibration said of the training normals that they left out.

    Raises:
        DataError: if the model holds none.
    """
    kept = () if model.calibration is None else model.calibration.normal_scores
    if not kept:
        raise DataError(
            "The model holds no scores of left-out good images (trained with fewer than ten, with "
            "--preset paper, or adapted): give good images that it was not trained on."
        )
    return NormalScores(scores=np.array(kept, dtype=np.float64), skipped=0, trained_on=0)
