"""All that a model computes of images behind its backbone, as tensors by name.

What is here, and what it calls, works on whole batches in plain tensor operations: an exported
graph is traced through it.
"""

from __future__ import annotations

from functools import cached_property

import torch
from torch import Tensor

from ahl.features.maps import FeatureMaps
from ahl.model.trained import TrainedModel
from ahl.scoring.heat_maps import mean_map, position_evidence
from ahl.scoring.nearest import Album
from ahl.scoring.outputs import (
    ANOMALY,
    ANOMALY_DISTANCE,
    ANOMALY_LIKE,
    ANOMALY_PLACE,
    EVIDENCE,
    HEADS,
    HEAT_MAP,
    NORMAL,
    NORMAL_DISTANCE,
    SCORE,
)


class Forward:
    """Computes scores, heat maps and likenesses.

    Args:
        model: the trained model.
    """

    def __init__(self, model: TrainedModel) -> None:
        self.model = model

    @cached_property
    def album(self) -> Album:
        """The training images that others are compared with."""
        return Album(self.model)

    def __call__(
        self, maps: FeatureMaps, *, heat_maps: bool = False, nearest: bool = False
    ) -> dict[str, Tensor]:
        """Score images.

        Args:
            maps: (N, C, H_s, W_s) a scale, as the heads see them.
            heat_maps: also say where in each image the evidence lies.
            nearest: also say which images of the training are most like it.

        Returns:
            tensors by the names of `ahl.scoring.outputs`.
        """
        scored = self.model.score_batch(maps)
        found = {
            SCORE: scored.score,
            HEADS: torch.stack(list(scored.heads.values()), dim=1),
        }
        if scored.evidence is not None:
            found[EVIDENCE] = torch.stack(list(scored.evidence.values()), dim=1)
        if heat_maps or nearest:
            scales = position_evidence(self.model, maps)
        if heat_maps:
            found[HEAT_MAP] = mean_map(scales, self.model.config.features.size)
        if nearest and len(self.album.normals):
            which, distances = self.album.nearest_normal(maps)
            found |= {NORMAL: which, NORMAL_DISTANCE: distances}
        if nearest and len(self.album.anomalies):
            likeness = self.album.nearest_anomaly(maps, scales[0])
            found |= {
                ANOMALY: likeness.which,
                ANOMALY_DISTANCE: likeness.distance,
                ANOMALY_PLACE: likeness.place,
                ANOMALY_LIKE: likeness.like,
            }
        return found
