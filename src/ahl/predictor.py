"""The half of the estimator that scores: a trained model, and what is asked of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray

from ahl._common.errors import DataError, NotFittedError
from ahl.data.images.reading import ImageSource
from ahl.data.images.sources import image_list
from ahl.features.table import Maps, table_of_maps
from ahl.model.decision import Decision
from ahl.model.trained import TrainedModel
from ahl.scoring.prediction import Prediction
from ahl.scoring.thresholds import set_threshold
from ahl.scoring.torch_scorer import TorchScorer, require_score


class Predictor:
    """Scores images with a trained model, once it has one.

    Args:
        device: where the backbone runs.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._model: TrainedModel | None = None
        self._scorer: TorchScorer | None = None

    @property
    def model(self) -> TrainedModel:
        """The trained model.

        Raises:
            NotFittedError: before `fit` or `load`.
        """
        if self._model is None:
            raise NotFittedError("This detector is not trained yet: call fit, or AHL.load(path).")
        return self._model

    @property
    def scorer(self) -> TorchScorer:
        """The trained model behind its backbone.

        Raises:
            NotFittedError: before `fit` or `load`, or if trained on feature maps.
        """
        if self._scorer is None:
            self._scorer = TorchScorer(self.model, self._device)
        return self._scorer

    def score(self, images: Sequence[ImageSource]) -> NDArray[np.float64]:
        """Anomaly scores (N,) of images, higher = more anomalous, in no fixed range.

        Raises:
            ImageError: if an image cannot be read; `predict` goes on instead.
            NotFittedError: before `fit` or `load`.
        """
        images = image_list(images)
        scores = [require_score(p, images[p.index]) for p in self.predict(images)]
        return np.array(scores, dtype=np.float64)

    def predict(
        self, images: Sequence[ImageSource], *, heat_maps: bool = False, nearest: bool = False
    ) -> Iterator[Prediction]:
        """Score images one after another, in order, in bounded memory.

        Args:
            images: paths, Pillow images or uint8 arrays.
            heat_maps: also say where in each image the evidence lies (`Prediction.heat_map`).
            nearest: also say which images of the training are most like each.

        Returns:
            an iterator with one `Prediction` an image; an unreadable one has an error instead
            of scores.

        Raises:
            NotFittedError: before `fit` or `load`.
        """
        return self.scorer.predict(image_list(images), heat_maps=heat_maps, nearest=nearest)

    def score_features(self, maps: Maps) -> NDArray[np.float64]:
        """Anomaly scores (N,) of feature maps shaped like those trained on.

        Raises:
            DataError: if the maps have another shape than in training.
            NotFittedError: before `fit_features` or `load`.
        """
        table, layout = table_of_maps(maps), self.model.layout
        if table.layout != layout:
            raise DataError(
                f"The feature maps have shapes {table.layout.scales}; the detector was trained "
                f"on {layout.scales}."
            )
        return self.model.score_table(table)

    def set_threshold(
        self, normal: Sequence[ImageSource] | None = None, *, max_false_alarm_rate: float = 0.01
    ) -> Decision:
        """Set where anomalous begins; predictions then have `anomalous` and `verdict`.

        Args:
            normal: good images that were not trained on; None takes what detectors of the training
                said of the good images that each of them left out.
            max_false_alarm_rate: share of good images that may be called anomalous.

        Returns:
            the threshold, with what is known of it.

        Raises:
            NotFittedError: before `fit` or `load`.
            DataError: if there are too few good images for the rate.
        """
        images = None if normal is None else image_list(normal)
        found = set_threshold(self.model, images, max_false_alarm_rate, self._device)
        self._trained(found.model)
        return found.decision

    def _trained(self, model: TrainedModel) -> Self:
        self._model, self._scorer = model, None
        return self
