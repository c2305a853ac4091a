"""The training images most similar to an image, as reasons to look at."""

from __future__ import annotations

from functools import cached_property
from typing import Final

import torch
from torch import Tensor
from torch.nn import functional

from ahl.evidence.coreset import patches_of
from ahl.evidence.knn import descriptors
from ahl.features.maps import FeatureMaps
from ahl.model.trained import TrainedModel
from ahl.scoring.heat_maps import position_evidence
from ahl.scoring.scorer import (
    ANOMALY,
    ANOMALY_DISTANCE,
    ANOMALY_LIKE,
    ANOMALY_PLACE,
    NORMAL,
    NORMAL_DISTANCE,
)

PLACES: Final = 5
"""Number of most anomalous places of an image by which anomalies are compared."""


class Album:
    """The normals and labelled anomalies that a model keeps."""

    def __init__(self, model: TrainedModel) -> None:
        self._model = model
        kept = model.exemplars
        self.normals = kept.chosen(kept.of_role("normal"))
        self.anomalies = kept.chosen(kept.of_role("anomaly"))

    def nearest_normal(self, maps: FeatureMaps) -> dict[str, Tensor]:
        """Find the normal whose mean features are nearest to an image's.

        Args:
            maps: prepared maps of N images.

        Returns:
            outputs by the names of `ahl.scoring.scorer`; empty if no normals are kept.
        """
        if not len(self.normals):
            return {}
        differences = self._looks - self._look(maps).unsqueeze(1)
        nearest = torch.linalg.vector_norm(differences, dim=-1).min(dim=-1)
        return {NORMAL: nearest.indices, NORMAL_DISTANCE: nearest.values}

    def nearest_anomaly(self, maps: FeatureMaps, heat: Tensor) -> dict[str, Tensor]:
        """Find the labelled anomaly that differs from normals most similarly.

        Each of the image's most anomalous places is compared with the most anomalous places of an
        anomaly, and the nearest of these counts.

        Args:
            maps: prepared maps of N images.
            heat: (N, H, W) their `position_evidence` at the first scale.

        Returns:
            outputs by the names of `ahl.scoring.scorer`, with distances of 1 - cosine; empty if no
            anomalies are kept.
        """
        if not len(self.anomalies):
            return {}
        own, places = self._marks_of(maps, heat)
        marks, where = self._marks
        nearest = (1 - torch.einsum("npc,mqc->nmpq", own, marks)).min(dim=-1)
        best = nearest.values.mean(dim=-1).min(dim=-1)  # over the anomalies
        # The place of the best anomaly that the most anomalous one is like.
        first = nearest.indices[:, :, 0].gather(1, best.indices.unsqueeze(1))
        like = where[best.indices].gather(1, first.unsqueeze(-1).expand(-1, -1, 2))
        return {
            ANOMALY: best.indices,
            ANOMALY_DISTANCE: best.values,
            ANOMALY_PLACE: places[:, 0],
            ANOMALY_LIKE: like.squeeze(1),
        }

    @cached_property
    def _looks(self) -> Tensor:
        """Descriptors (M, D) of the normals."""
        return torch.cat([self._look(self._model.prepared_maps(r)) for r in self.normals.rows])

    @cached_property
    def _marks(self) -> tuple[Tensor, Tensor]:
        """Differences (M, PLACES, C) of the anomalies from normals, and places (M, PLACES, 2)."""
        kept = [self._model.prepared_maps(row) for row in self.anomalies.rows]
        with torch.no_grad():
            found = [self._marks_of(maps, position_evidence(self._model, maps)[0]) for maps in kept]
        return torch.cat([marks for marks, _ in found]), torch.cat([places for _, places in found])

    def _look(self, maps: FeatureMaps) -> Tensor:
        return descriptors(maps, self._model.preparation.appended)

    def _marks_of(self, maps: FeatureMaps, heat: Tensor) -> tuple[Tensor, Tensor]:
        """Differences of images from normals at the most anomalous places of the first scale.

        Returns:
            unit vectors (N, PLACES, C) of the differences from the nearest remembered normal patch
            (without a memory, from the reference), most anomalous first, and the places
            (N, PLACES, 2) as shares of height and width.
        """
        height, width = heat.shape[-2:]
        at = heat.flatten(1).topk(min(PLACES, height * width), dim=1).indices
        preparation = self._model.preparation
        plain = maps[0][:, : maps[0].shape[1] - preparation.appended]
        of_channels = at.unsqueeze(-1).expand(-1, -1, plain.shape[1])
        if preparation.memory is None:
            usual = self._model.reference[0].flatten(1).T[at]
            own = plain.flatten(2).transpose(1, 2).gather(1, of_channels)
        else:
            own = patches_of(plain).gather(1, of_channels)
            remembered = preparation.memory.patches[0] * preparation.factor
            distances = torch.cdist(own, remembered, compute_mode="use_mm_for_euclid_dist")
            usual = remembered[distances.argmin(dim=-1)]
        rows = (at // width + 0.5) / height
        columns = (at % width + 0.5) / width
        return functional.normalize(own - usual, dim=-1), torch.stack([rows, columns], dim=-1)
