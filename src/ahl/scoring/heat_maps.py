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

FIRST_RED: Final = 2.0
"""Heat at which colouring begins, in standard deviations of unseen normals."""


def position_evidence(
    model: TrainedModel, maps: FeatureMaps, enlarged: Tensor | None = None
) -> list[Tensor]:
    """Evidence of each position, (N, H_s, W_s) per scale.

    Position scores of the heads, and the memory's distances, are calibrated and weighted as the
    evidence of the image, which is the mean over their top positions, and summed. Heads without
    position scores (DRA's holistic one) are not included; without any and without a memory, all
    values are zero.

    Args:
        model: the trained model.
        maps: prepared maps of N images, (N, C, H_s, W_s) per scale.
        enlarged: prepared maps (N, C, H, W) of the same images enlarged. Their positions are scored
            as those of the first scale, and come last; they do not count in the image's score.
    """
    weights, statistics = model.unified
    seen, reference = maps, model.reference
    found = model.detector.position_scores(weights, statistics, maps, reference)
    if enlarged is not None:
        first = functional.interpolate(reference[0][None], enlarged.shape[-2:], mode="bilinear")
        found += model.detector.position_scores(weights, statistics, (enlarged,), (first[0],))
        seen = (*maps, enlarged)
    if model.calibration is None:
        return [
            sum(own.values(), torch.zeros_like(scale[:, 0]))
            for own, scale in zip(found, seen, strict=True)
        ]
    heads, _ = model.detector.forward(weights, statistics, maps, reference, training=False)
    memory_weight = model.preparation.memory_weight
    whole = gather(model.detector, heads, maps, memory_weight)
    neighbours = model.calibration.neighbours(descriptors(maps, model.preparation.appended))
    by_place = None if neighbours is None else neighbours.by_place()
    scales = []
    for own, scale in zip(found, seen, strict=True):
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


def mean_map(scales: Sequence[Tensor], size: ImageSize, enlarged: Tensor | None = None) -> Tensor:
    """Heat maps of images: mean of the resized position evidence over the scales.

    Args:
        scales: (N, H_s, W_s) per scale, from `position_evidence`.
        size: height and width of the heat maps, the model's image size.
        enlarged: (N, H, W) evidence of the enlarged images. It only moves evidence within the first
            scale's cells, since its own level is not that of the score.

    Returns:
        (N, *size), higher is more anomalous; for a calibrated model in standard deviations of
        unseen normals, else the sum of the heads' position scores.
    """
    heat = torch.stack([_resized(scale, size) for scale in scales]).mean(dim=0)
    if enlarged is None:
        return heat
    height, width = scales[0].shape[-2:]
    cells = functional.adaptive_avg_pool2d(enlarged, (height, width))
    return heat + _resized(enlarged, size) - _resized(cells, size)


def _resized(scale: Tensor, size: ImageSize) -> Tensor:
    """(N, H_s, W_s) at another size, (N, *size)."""
    return functional.interpolate(scale[:, None], size, mode="bilinear")[:, 0]


def colour_bounds(model: TrainedModel) -> tuple[float, float] | None:
    """Heat at which colouring begins, and at which it is full, the same for all images.

    It begins two standard deviations above 0, the score of an average good image, whose hottest
    pixel lies a little higher. It is full at the median score of out-of-fold anomalies, and at
    least three standard deviations higher.

    Returns:
        the lower and the upper bound; None for a model that is not calibrated.
    """
    if model.calibration is None:
        return None
    known = model.calibration.anomaly_scores
    return FIRST_RED, max(float(np.median(known)) if len(known) else 0.0, FIRST_RED + 3.0)
