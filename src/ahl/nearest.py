"""Which images of the training an image is most like: evidence that people can look at."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Final

import torch
from torch import Tensor

from ahl.exemplars import Exemplars
from ahl.feature_maps import FeatureMaps
from ahl.heat_maps import position_evidence
from ahl.model import TrainedModel
from ahl.neighbourhood import descriptors
from ahl.types import Pixels

PLACES: Final = 3
"""Most anomalous places of a labelled anomaly that others are compared with."""

Place = tuple[float, float]
"""Vertical and horizontal share of an image, from 0 at the top and left to 1."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Nearest:
    """The training image most like another.

    Attributes:
        name: of the training image.
        class_name: its class.
        distance: between the features of both, 0 or more; compare it within one model only.
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

    def anomaly(self, maps: FeatureMaps) -> Nearest | None:
        """The labelled anomaly of which a very anomalous place is like the image's most anomalous.

        Args:
            maps: of one image, as the heads see them.

        Returns:
            the anomaly; None if the model keeps none.
        """
        if not len(self._anomalies):
            return None
        own, places = self._hottest(maps, 1)
        vectors, like = self._marks
        distances = torch.linalg.vector_norm(vectors - own[0], dim=-1)
        best = int(distances.flatten().argmin())
        index, place = divmod(best, vectors.shape[1])
        return _nearest(
            self._anomalies, index, float(distances.flatten()[best]), places[0], like[index][place]
        )

    @cached_property
    def _looks(self) -> Tensor:
        """(N, D) descriptors of the normals."""
        return torch.cat([self._look(self._model.prepared_maps(r)) for r in self._normals.rows])

    @cached_property
    def _marks(self) -> tuple[Tensor, list[list[Place]]]:
        """Vectors (M, PLACES, C) of the anomalies' most anomalous places, and where they are."""
        found = [
            self._hottest(self._model.prepared_maps(row), PLACES) for row in self._anomalies.rows
        ]
        return torch.stack([vectors for vectors, _ in found]), [places for _, places in found]

    def _look(self, maps: FeatureMaps) -> Tensor:
        return descriptors(maps, self._model.preparation.appended)

    def _hottest(self, maps: FeatureMaps, count: int) -> tuple[Tensor, list[Place]]:
        """Vectors (K, C) of the most anomalous places at the first scale, and where they are."""
        with torch.inference_mode():
            heat = position_evidence(self._model, maps)[0]
        height, width = heat.shape
        at = heat.flatten().topk(min(count, heat.numel())).indices
        plain = maps[0][0, : maps[0].shape[1] - self._model.preparation.appended]
        vectors = plain.flatten(1).T[at]
        return vectors, [
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
