"""Heat maps: position scores of heads and memory, and the bounds of their colouring."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from ahl._common.types import ImageSize
from ahl.evidence.calibration import Evidence, gather
from ahl.evidence.knn import descriptors
from ahl.features.maps import FeatureMaps
from ahl.heads.base import MEMORY
from ahl.model.trained import TrainedModel

FIRST_RED: Final = 1.0
"""Heat at which colouring begins, in standard deviations of unseen normals."""


def position_evidence(model: TrainedModel, maps: FeatureMaps) -> list[Tensor]:
    """Evidence of each position, (N, H_s, W_s) per scale.

    Position scores of the heads, and the memory's distances, are calibrated and weighted as the
    evidence of the image, which is the mean over their top positions, and summed. Heads without
    position scores (DRA's holistic one) are not included; without any and without a memory, all
    values are zero.

    Args:
        model: the trained model.
        maps: prepared maps of N images, (N, C, H_s, W_s) per scale.
    """
    weights, statistics = model.unified
    found = model.detector.position_scores(weights, statistics, maps, model.reference)
    if model.calibration is None:
        return [
            sum(own.values(), torch.zeros_like(scale[:, 0]))
            for own, scale in zip(found, maps, strict=True)
        ]
    heads, _ = model.detector.forward(weights, statistics, maps, model.reference, training=False)
    memory_weight = model.preparation.memory_weight
    whole = gather(model.detector, heads, maps, memory_weight)
    neighbours = model.calibration.neighbours(descriptors(maps, model.preparation.appended))
    by_place = None if neighbours is None else neighbours.by_place()
    scales = []
    for own, scale in zip(found, maps, strict=True):
        places: Evidence = {name: values.flatten(1) for name, values in own.items()}
        if memory_weight:
            places[MEMORY] = scale[:, -1].flatten(1) / memory_weight
        # What has no places is the image's own everywhere, and left out of the sum.
        flat = torch.zeros_like(scale[:, 0]).flatten(1)
        given = {name: places.get(name, value[:, None] + flat) for name, value in whole.items()}
        weighed = model.calibration.weigh(given, by_place)
        summed = sum((weighed[name] for name in places), flat)
        scales.append(summed.view(-1, *scale.shape[-2:]))
    return scales


def mean_map(scales: Sequence[Tensor], size: ImageSize) -> Tensor:
    """Heat maps of images: mean of the resized position evidence over the scales.

    Args:
        scales: (N, H_s, W_s) per scale, from `position_evidence`.
        size: height and width of the heat maps, the model's image size.

    Returns:
        (N, *size), higher is more anomalous; for a calibrated model in standard deviations of
        unseen normals, else the sum of the heads' position scores.
    """
    resized = [
        functional.interpolate(scale[:, None], size, mode="bilinear")[:, 0] for scale in scales
    ]
    return torch.stack(resized).mean(dim=0)


def colour_bounds(model: TrainedModel) -> tuple[float, float] | None:
    """Heat at which colouring begins, and at which it is full, the same for all images.

    It begins one standard deviation above 0, the top positions of an average good image. It is full
    at the median score of out-of-fold anomalies, and at least three standard deviations higher.

    Returns:
        the lower and the upper bound; None for a model that is not calibrated.
    """
    if model.calibration is None:
        return None
    known = model.calibration.anomaly_scores
    return FIRST_RED, max(float(np.median(known)) if len(known) else 0.0, FIRST_RED + 3.0)
