"""Heat maps: the position scores of heads and memory, and from what heat on they are coloured."""

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
"""Heat from which on a place is coloured, in standard deviations of unseen normals."""


def position_evidence(
    model: TrainedModel, maps: FeatureMaps, enlarged: Tensor | None = None
) -> list[Tensor]:
    """Compute what each place adds to an image's score: (N, H_s, W_s) a scale.

    Each head's position scores, and the memory's distances, are calibrated and weighed as the
    head's score is, which is their mean over the highest positions, and summed. Heads that see no
    places (DRA's holistic one) are not in it; all zero where no head sees places and there is no
    memory.

    Args:
        model: the trained model.
        maps: of N images, (N, C, H_s, W_s) a scale, as the heads see them.
        enlarged: (N, C, H, W) of the same images enlarged; their places are scored as those of the
            first scale are, and come last. They have no part in the image's score.
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
    """Heat maps of images: their evidence by place, over the scales.

    Args:
        scales: (N, H_s, W_s) a scale, from `position_evidence`.
        size: height and width of the maps: the image's, as the model sees it.
        enlarged: (N, H, W) evidence of the enlarged images. It says where within its cells the
            first scale's evidence lies, and changes no cell's mean: single places of enlarged
            images are not on the scale of the score.

    Returns:
        (N, *size), higher = more anomalous: in standard deviations of unseen normals as the score
        where the model is calibrated, else the sum of the heads' position scores.
    """
    resized = [_resized(scale, size) for scale in scales]
    if enlarged is not None:
        height, width = scales[0].shape[-2:]
        cells = functional.adaptive_avg_pool2d(enlarged, (height, width))
        resized[0] = resized[0] + _resized(enlarged, size) - _resized(cells, size)
    return torch.stack(resized).mean(dim=0)


def _resized(scale: Tensor, size: ImageSize) -> Tensor:
    """(N, H_s, W_s) at another size, (N, *size)."""
    return functional.interpolate(scale[:, None], size, mode="bilinear")[:, 0]


def colour_bounds(model: TrainedModel) -> tuple[float, float] | None:
    """Heat from which on a place is worth colouring, and from which on fully; one for all images.

    From a standard deviation above the highest places of a usual good image, which have 0; fully
    where the median out-of-fold anomaly scores, or three standard deviations later.

    Returns:
        the bounds, the first the lower; None for a model that is not calibrated.
    """
    if model.calibration is None:
        return None
    known = model.calibration.anomaly_scores
    return FIRST_RED, max(float(np.median(known)) if len(known) else 0.0, FIRST_RED + 3.0)
