"""Scorers, which turn images into predictions, independent of the runtime."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from ahl.data.images.reading import ImageSource
from ahl.data.images.sources import Look, decoded_batches, unhashed_items
from ahl.model.card import ModelCard, Shown
from ahl.scoring.prediction import Nearest, Prediction

Outputs = Mapping[str, NDArray[Any]]
"""Arrays for N images, by the names below."""

SCORE: Final = "score"
"""(N,) float32: image scores; higher is more anomalous."""
HEADS: Final = "heads"
"""(N, K) float32: the heads' scores by `ModelCard.heads`; higher is more anomalous."""
EVIDENCE: Final = "evidence"
"""(N, E) float32: contributions of the evidence to the score; missing without calibration."""
HEAT_MAP: Final = "heat_map"
"""(N, H, W) float32: heat maps at the model's image size."""
NORMAL: Final = "nearest_normal"
"""(N,) int64: index in `ModelCard.shown_normals`; missing if there are none."""
NORMAL_DISTANCE: Final = "nearest_normal_distance"
"""(N,) float32: Euclidean distance of mean features."""
ANOMALY: Final = "nearest_anomaly"
"""(N,) int64: index in `ModelCard.shown_anomalies`; missing if there are none."""
ANOMALY_DISTANCE: Final = "nearest_anomaly_distance"
"""(N,) float32: 1 - cosine, 0 to 2."""
ANOMALY_PLACE: Final = "nearest_anomaly_place"
"""(N, 2) float32: the image's most anomalous place, as shares of height and width."""
ANOMALY_LIKE: Final = "nearest_anomaly_like"
"""(N, 2) float32: the similar place in the anomaly, as shares of height and width."""


class Scorer(ABC):
    """Base class of scorers; to be used from one thread at a time.

    Attributes:
        batch_size: number of images scored together.
    """

    batch_size: int

    @property
    @abstractmethod
    def card(self) -> ModelCard:
        """The model's card: everything except the computation of its scores."""

    @property
    def trained_on(self) -> frozenset[str]:
        """Content hashes of the training images; empty for exports, which do not keep them."""
        return frozenset()

    @abstractmethod
    def compute(
        self, pixels: NDArray[np.uint8], *, heat_maps: bool = False, nearest: bool = False
    ) -> Outputs:
        """Compute the outputs for images (N, H, W, 3) of the model's image size, uint8."""

    def predict(
        self,
        images: Sequence[ImageSource],
        *,
        heat_maps: bool = False,
        nearest: bool = False,
        look: Look | None = None,
    ) -> Iterator[Prediction]:
        """Score images in order, in bounded memory; decoding runs a few batches ahead.

        Args:
            images: paths, Pillow images or uint8 arrays.
            heat_maps: True to compute heat maps, too.
            nearest: True to find the most similar training images, too.
            look: receives the pixels of each readable image before resizing.

        Yields:
            one prediction per image; an unreadable image has an error instead of scores.
        """
        items = unhashed_items(images, self.card.image_size, self.card.bit_depth, look)
        for batch in decoded_batches(items, self.batch_size):
            found = [Prediction(index=index, error=one.reason) for index, one in batch.skipped]
            if batch.pixels is not None:
                scored = self.score_pixels(batch.pixels, heat_maps=heat_maps, nearest=nearest)
                found += [
                    replace(prediction, index=index)
                    for index, prediction in zip(batch.indices, scored, strict=True)
                ]
            yield from sorted(found, key=lambda prediction: prediction.index)

    def score_pixels(
        self, pixels: NDArray[np.uint8], *, heat_maps: bool = False, nearest: bool = False
    ) -> list[Prediction]:
        """Score images (N, H, W, 3) that are already decoded and resized."""
        return read_outputs(self.compute(pixels, heat_maps=heat_maps, nearest=nearest), self.card)


def read_outputs(outputs: Outputs, card: ModelCard) -> list[Prediction]:
    """Make the predictions of a batch from a model's outputs, at least `SCORE` and `HEADS`."""
    return [_prediction(index, outputs, card) for index in range(len(outputs[SCORE]))]


def _prediction(index: int, outputs: Outputs, card: ModelCard) -> Prediction:
    score, decision = float(outputs[SCORE][index]), card.decision
    if not all(np.isfinite(values[index]).all() for values in outputs.values()):
        # Of numbers that no training gives, in a file that somebody made.
        return Prediction(index=index, error="the model gives it no finite score")
    evidence: dict[str, float] = {}
    if EVIDENCE in outputs:
        evidence = dict(zip(card.evidence, map(float, outputs[EVIDENCE][index]), strict=True))
    return Prediction(
        index=index,
        score=score,
        heads=dict(zip(card.heads, map(float, outputs[HEADS][index]), strict=True)),
        evidence=evidence,
        anomalous=None if decision is None else decision.is_anomalous(score),
        verdict=None if decision is None else decision.verdict(score),
        probability=None if card.probability is None else card.probability.of(score),
        heat_map=outputs[HEAT_MAP][index] if HEAT_MAP in outputs else None,
        colour_bounds=card.colour_bounds,
        nearest_normal=_nearest(index, outputs, NORMAL, NORMAL_DISTANCE, card.shown_normals),
        nearest_anomaly=_nearest(index, outputs, ANOMALY, ANOMALY_DISTANCE, card.shown_anomalies),
    )


def _nearest(
    index: int, outputs: Outputs, which: str, distance: str, shown: Sequence[Shown]
) -> Nearest | None:
    if which not in outputs:
        return None
    found = shown[int(outputs[which][index])]
    by_place = which == ANOMALY
    return Nearest(
        name=found.name,
        class_name=found.class_name,
        distance=float(outputs[distance][index]),
        picture=found.picture,
        place=_place(outputs[ANOMALY_PLACE][index]) if by_place else None,
        like=_place(outputs[ANOMALY_LIKE][index]) if by_place else None,
    )


def _place(shares: NDArray[Any]) -> tuple[float, float]:
    # Of a grid: what lies behind is of single precision, and differs between runtimes.
    return round(float(shares[0]), 6), round(float(shares[1]), 6)
