"""Which images of the training an image is most like: evidence that people can look at."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Final

import torch
from torch import Tensor
from torch.nn import functional

from ahl.calibration.neighbourhood import descriptors
from ahl.feature_maps import FeatureMaps
from ahl.model.exemplars import Exemplars
from ahl.model.trained import TrainedModel
from ahl.preparation.coreset import patches_of
from ahl.scoring.heat_maps import position_evidence
from ahl.types import Pixels

PLACES: Final = 5
"""Most anomalous places of an image by which anomalies are compared."""

Place = tuple[float, float]
"""Vertical and horizontal share of an image, from 0 at the top and left to 1."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Nearest:
    """The training image most like another.

    Attributes:
        name: of the training image.
        class_name: its class.
        distance: of whole images the Euclidean one of their features, of places 1 - the cosine of
            what sets them apart from normal ones, 0 to 2. Compare it within one model only.
        picture: small, (S, S, 3); None if there is none.
        place: the most anomalous place of the image asked about; None where the whole images were
            compared.
        like: the place of the training image that it is like; likewise.
    """

    name: str
    class_name: str
    distance: float
    picture: Pixels | None
    place: Place | None = None
    like: Place | None = None


class Album:
    """The normals and labelled anomalies that a model keeps.

    Args:
        model: that keeps them.
    """

    def __init__(self, model: TrainedModel) -> None:
        self._model = model
        kept = model.exemplars
        self._normals = kept.chosen(kept.of_role("normal"))
        self._anomalies = kept.chosen(kept.of_role("anomaly"))

    def normal(self, maps: FeatureMaps) -> Nearest | None:
        """The normal whose features are, on the average over all places, most like the image's.

        Args:
            maps: of one image, as the heads see them.

        Returns:
            the normal; None if the model keeps none.
        """
        if not len(self._normals):
            return None
        distances = torch.linalg.vector_norm(self._looks - self._look(maps), dim=1)
        best = int(distances.argmin())
        return _nearest(self._normals, best, float(distances[best]))

    def anomaly(self, maps: FeatureMaps, heat: Tensor) -> Nearest | None:
        """The labelled anomaly that differs from normals the same way at its most anomalous places.

        Each place of the image is compared with all places of an anomaly, and the nearest counts.

        Args:
            maps: of one image, as the heads see them.
            heat: (H, W) its `position_evidence` at the first scale.

        Returns:
            the anomaly; None if the model keeps none.
        """
        if not len(self._anomalies):
            return None
        own, places = self._marks_of(maps, heat)
        distances = 1 - torch.einsum("pc,mqc->mpq", own, self._marks[0])
        nearest = distances.min(dim=-1)
        whole = nearest.values.mean(dim=-1)
        best = int(whole.argmin())
        like = self._marks[1][best][int(nearest.indices[best, 0])]
        return _nearest(self._anomalies, best, float(whole[best]), places[0], like)

    @cached_property
    def _looks(self) -> Tensor:
        """(N, D) descriptors of the normals."""
        return torch.cat([self._look(self._model.prepared_maps(r)) for r in self._normals.rows])

    @cached_property
    def _marks(self) -> tuple[Tensor, list[list[Place]]]:
        """What sets the anomalies apart, (M, PLACES, C), and where."""
        with torch.inference_mode():
            kept = [self._model.prepared_maps(row) for row in self._anomalies.rows]
            found = [self._marks_of(maps, position_evidence(self._model, maps)[0]) for maps in kept]
        return torch.stack([marks for marks, _ in found]), [places for _, places in found]

    def _look(self, maps: FeatureMaps) -> Tensor:
        return descriptors(maps, self._model.preparation.appended)

    def _marks_of(self, maps: FeatureMaps, heat: Tensor) -> tuple[Tensor, list[Place]]:
        """What sets an image apart from normals at its most anomalous places of the first scale.

        Returns:
            unit vectors (PLACES, C), from the nearest remembered normal patch (from the reference
            where there is no memory), most anomalous first, and the places.
        """
        height, width = heat.shape
        at = heat.flatten().topk(min(PLACES, heat.numel())).indices
        preparation = self._model.preparation
        plain = maps[0][:, : maps[0].shape[1] - preparation.appended]
        if preparation.memory is None:
            usual = self._model.reference[0].flatten(1).T[at]
            own = plain[0].flatten(1).T[at]
        else:
            own = patches_of(plain)[0, at]
            remembered = preparation.memory.patches[0] * preparation.factor
            usual = remembered[torch.cdist(own, remembered).argmin(dim=1)]
        return functional.normalize(own - usual, dim=1), [
            ((int(i) // width + 0.5) / height, (int(i) % width + 0.5) / width) for i in at
        ]


def _nearest(
    kept: Exemplars,
    index: int,
    distance: float,
    place: Place | None = None,
    like: Place | None = None,
) -> Nearest:
    found = kept.images[index]
    return Nearest(
        name=found.name,
        class_name=found.class_name,
        distance=distance,
        picture=kept.picture(index),
        place=place,
        like=like,
    )
