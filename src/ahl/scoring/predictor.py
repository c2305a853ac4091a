"""The scoring half of the estimator."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from typing import Self

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from ahl._common.errors import ConfigurationError, DataError, NotFittedError
from ahl._common.types import GOOD
from ahl.data.images.reading import ImageSource
from ahl.data.images.sources import label_images, listed_images
from ahl.data.labels import Labels, class_names
from ahl.features.table import Maps, table_of_maps
from ahl.model.decision import Decision
from ahl.model.trained import TrainedModel
from ahl.scoring.metrics import auroc
from ahl.scoring.prediction import Prediction
from ahl.scoring.thresholds import set_threshold
from ahl.scoring.torch_scorer import TorchScorer, require_score


class Predictor(ABC):
    """Base class of the estimator: scores images with its trained model."""

    _model: TrainedModel | None = None
    _scorer: TorchScorer | None = None

    def decision_function(self, images: Sequence[ImageSource]) -> NDArray[np.float64]:
        """Anomaly scores (N,); higher is more anomalous.

        A calibrated model (the default preset, with ten good images or more) scores in standard
        deviations of unseen good images.

        Raises:
            NotFittedError: before `fit` or `load`.
            ImageError: if an image cannot be read; `explain` continues instead.
        """
        listed = listed_images(images)
        scores = [require_score(one, listed[one.index]) for one in self.explain(listed)]
        return np.array(scores, dtype=np.float64)

    def decision_function_features(self, maps: Maps) -> NDArray[np.float64]:
        """Anomaly scores (N,) of feature maps in the form of `fit_features`.

        Raises:
            NotFittedError: before `fit_features` or `load`.
            DataError: if the maps have another shape than in training.
        """
        table, layout = table_of_maps(maps), self.model_.layout
        if table.layout != layout:
            raise DataError(
                f"The feature maps have shapes {table.layout.scales}; the detector was trained "
                f"on {layout.scales}."
            )
        return self.model_.score_table(table)

    def predict(self, images: Sequence[ImageSource]) -> NDArray[np.int64]:
        """Predict 0 (good) or 1 (anomalous) for each image, (N,).

        An image is anomalous if its score lies above the threshold or, without a threshold, if its
        probability exceeds 0.5.

        Raises:
            NotFittedError: before `fit` or `load`.
            ConfigurationError: if the model has neither a threshold nor a calibration.
            ImageError: if an image cannot be read.
        """
        decision = self.model_.decision
        if decision is None:
            return (self.predict_proba(images)[:, 1] > 0.5).astype(np.int64)
        return (self.decision_function(images) > decision.threshold).astype(np.int64)

    def predict_proba(self, images: Sequence[ImageSource]) -> NDArray[np.float64]:
        """Probabilities (N, 2) of good and of anomalous, assuming both to be equally common.

        Raises:
            NotFittedError: before `fit` or `load`.
            ConfigurationError: if the model is not calibrated.
            ImageError: if an image cannot be read.
        """
        calibration = self.model_.calibration
        if calibration is None:
            raise ConfigurationError(
                "The model is not calibrated (too few good images, or by its config); set a "
                "threshold instead: threshold(good_images)."
            )
        scores = self.decision_function(images)
        anomalous = np.array([calibration.probability.of(float(score)) for score in scores])
        return np.stack([1 - anomalous, anomalous], axis=1).reshape(-1, 2)

    def explain(
        self, images: Sequence[ImageSource], *, heat_maps: bool = False, nearest: bool = False
    ) -> Iterator[Prediction]:
        """Score images one after another, with the evidence, in bounded memory.

        Args:
            images: the images to score.
            heat_maps: True to compute heat maps, too (`Prediction.heat_map`).
            nearest: True to find the most similar training images, too.

        Returns:
            an iterator with one `Prediction` per image, in order; an unreadable image has an error
            instead of a score.

        Raises:
            NotFittedError: before `fit` or `load`.
            DataError: if the model was trained on feature maps.
        """
        return self.scorer.predict(listed_images(images), heat_maps=heat_maps, nearest=nearest)

    def score(
        self, X: Sequence[ImageSource], y: Labels, sample_weight: ArrayLike | None = None
    ) -> float:
        """AUROC of the scores, which cross-validation and grid search maximise by default.

        Args:
            X: images, good and anomalous.
            y: their labels, as in `fit`.
            sample_weight: not supported; must be None.

        Raises:
            ConfigurationError: if `sample_weight` is given.
            DataError: if labels do not match the images, or are of one kind only.
            NotFittedError, ImageError: as `decision_function`.
        """
        if sample_weight is not None:
            raise ConfigurationError("sample_weight is not supported; expected None.")
        listed = listed_images(X)
        anomalous = [name != GOOD for name in class_names(y, len(listed))]
        found = auroc(anomalous, self.decision_function(listed))
        if found is None:
            raise DataError("score needs good images and anomalies; expected labels of both kinds.")
        return found

    def threshold(
        self, normal: Sequence[ImageSource] | None = None, *, max_false_alarm_rate: float = 0.01
    ) -> Decision:
        """Set the model's threshold, the score above which an image is anomalous.

        Args:
            normal: good images that were not trained on. None uses the out-of-fold scores of the
                training normals: they come from the fold models, so the threshold is conservative.
            max_false_alarm_rate: share of good images that may be called anomalous, in (0, 1).

        Returns:
            the threshold, with its false-alarm rate and miss rate.

        Raises:
            NotFittedError: before `fit` or `load`.
            ConfigurationError: if the rate is out of range.
            DataError: if there are too few good images for the rate.
        """
        images = None if normal is None else label_images(normal, GOOD)
        device = self._device()
        found = set_threshold(self.model_, images, max_false_alarm_rate, device)
        self._fitted(found.model)
        return found.decision

    @property
    def model_(self) -> TrainedModel:
        """The trained model.

        Raises:
            NotFittedError: before `fit` or `load`.
        """
        if self._model is None:
            raise NotFittedError("This detector is not trained yet: call fit, or AHL.load(path).")
        return self._model

    @property
    def classes_(self) -> NDArray[np.int64]:
        """The values that `predict` returns, 0 and 1; raises NotFittedError before `fit`."""
        _ = self.model_
        return np.arange(2)

    @property
    def scorer(self) -> TorchScorer:
        """The trained model as a scorer.

        Raises:
            NotFittedError: before `fit` or `load`.
            DataError: if it was trained on feature maps.
        """
        model, device = self.model_, self._device()
        if self._scorer is None or self._scorer.device != device:
            self._scorer = TorchScorer(model, device)
        return self._scorer

    def __sklearn_is_fitted__(self) -> bool:
        """True with a trained model, for scikit-learn's `check_is_fitted`."""
        return self._model is not None

    @abstractmethod
    def _device(self) -> torch.device:
        """Device to compute on."""

    def _fitted(self, model: TrainedModel | None) -> Self:
        """Set the model and return the detector; None in a process that only helped to train."""
        self._model, self._scorer = model, None
        return self
