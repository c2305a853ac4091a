"""Where in an image the evidence lies: the position scores of heads and memory as one map."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from ahl.calibration.calibration import Evidence, gather
from ahl.calibration.neighbourhood import descriptors
from ahl.feature_maps import FeatureMaps
from ahl.model.trained import TrainedModel
from ahl.preparation.memory import MEMORY

FIRST_RED: Final = 1.0
"""Heat from which on a place is coloured, in spreads of unseen normals."""


def position_evidence(model: TrainedModel, maps: FeatureMaps) -> list[Tensor]:
    """What each place adds to an image's score: (H_s, W_s) a scale.

    Each head's position scores, and the memory's distances, are calibrated and weighed as the
    head's score is, which is their mean over the highest positions, and summed. Heads that see no
    places (DRA's holistic one) are not in it; all zero where no head sees places and there is no
    memory.

    Args:
        model: the trained model.
        maps: of one image, (1, C, H_s, W_s) a scale, as the heads see them.
    """
    weights, statistics = model.unified
    found = model.detector.position_scores(weights, statistics, maps, model.reference)
    if model.calibration is None:
        return [
            sum(own.values(), torch.zeros(1, *scale.shape[-2:]))[0]
            for own, scale in zip(found, maps, strict=True)
        ]
    heads, _ = model.detector.forward(weights, statistics, maps, model.reference, training=False)
    memory_weight = model.preparation.memory_weight
    whole = gather(model.detector, heads, maps, memory_weight)
    described = descriptors(maps, model.preparation.appended)
    scales = []
    for own, scale in zip(found, maps, strict=True):
        shape = scale.shape[-2:]
        places: Evidence = {name: values.flatten() for name, values in own.items()}
        if memory_weight:
            places[MEMORY] = scale[:, -1].flatten() / memory_weight
        count = shape.numel()
        # What has no places is the image's own everywhere, and left out of the sum.
        given = {name: places.get(name, value.expand(count)) for name, value in whole.items()}
        weighed = model.calibration.weigh(given, described.expand(count, -1))
        scales.append(sum((weighed[name] for name in places), torch.zeros(count)).view(shape))
    return scales


def mean_map(scales: Sequence[Tensor], side: int) -> NDArray[np.float32]:
    """An image's heat map: its evidence by place, over the scales.

    Args:
        scales: (H_s, W_s) a scale, from `position_evidence`.
        side: of the map, in pixels: the image's, as the model sees it.

    Returns:
        (side, side), higher = more anomalous: in spreads of unseen normals as the score where the
        model is calibrated, else the sum of the heads' position scores.
    """
    resized = [
        functional.interpolate(scale[None, None], (side, side), mode="bilinear")[0, 0]
        for scale in scales
    ]
    return torch.stack(resized).mean(dim=0).numpy()


def colour_bounds(model: TrainedModel) -> tuple[float, float] | None:
    """Heat from which on a place is worth colouring, and from which on fully; one for all images.

    From a spread above the highest places of a usual good image, which have 0; fully where the
    median left-out anomaly scores, or three spreads later.

    Returns:
        the bounds, the first the lower; None for a model that is not calibrated.
    """
    if model.calibration is None:
        return None
    known = model.calibration.anomaly_scores
    return FIRST_RED, max(float(np.median(known)) if len(known) else 0.0, FIRST_RED + 3.0)
