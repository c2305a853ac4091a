"""Images to scores: the trained model behind its backbone, in bounded memory."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from math import isfinite
from typing import overload

import numpy as np
import torch
from numpy.typing import NDArray

from ahl.errors import DataError, ImageError, NotFittedError
from ahl.feature_maps import FeatureMaps
from ahl.features.extractor import FeatureExtractor
from ahl.images.reading import ImageSource, read_pixels, resize_pixels
from ahl.model.decision import Verdict
from ahl.model.trained import RowScores, TrainedModel
from ahl.scoring.heat_maps import mean_map, position_evidence
from ahl.scoring.nearest import Album, Nearest
from ahl.types import ImageItem


@dataclass(frozen=True, slots=True, kw_only=True)
class Prediction:
    """Scores of one image, or why it has none.

    Attributes:
        index: position among the images given.
        score: anomaly score, higher = more anomalous, no fixed range; None without a score.
        heads: each head's score by name, turned so that higher = more anomalous.
        evidence: what each head, and the memory of normals, adds to the score, which is their sum;
            in spreads of unseen normals; empty for a model that is not calibrated.
        anomalous: whether the score lies above the model's threshold; None without one.
        verdict: `"normal"`, `"uncertain"` (too close to call) or `"anomalous"`, likewise.
        severity: how likely the image is anomalous, 0 to 1, were good and defective ones equally
            common; None for a model that is not calibrated.
        heat_map: (S, S) where the evidence lies, see `ahl.scoring.heat_maps`; None if not asked
            for.
        nearest_normal: the training normal that looks most like it; None likewise, or if the
            model keeps none.
        nearest_anomaly: the labelled anomaly most like it at its most anomalous places; likewise.
        error: why the image cannot be read; None when it can.
    """

    index: int
    score: float | None = None
    heads: Mapping[str, float] = field(default_factory=dict)
    evidence: Mapping[str, float] = field(default_factory=dict)
    anomalous: bool | None = None
    verdict: Verdict | None = None
    severity: float | None = None
    heat_map: NDArray[np.float32] | None = None
    nearest_normal: Nearest | None = None
    nearest_anomaly: Nearest | None = None
    error: str | None = None


class Scorer:
    """Scores images with a trained model.

    Args:
        model: trained on images.
        device: where the backbone runs.

    Raises:
        NotFittedError: if the model was trained on feature maps and has no backbone.
        DataError: if backbone and heads of a model file do not fit together.
    """

    def __init__(self, model: TrainedModel, device: torch.device) -> None:
        if model.backbone is None:
            raise NotFittedError("This detector was trained on feature maps; use score_features.")
        self.model = model
        self.extractor = FeatureExtractor(model.backbone, model.config.features, device)
        if self.extractor.layout != model.layout:
            raise DataError("The backbone in the model file does not fit its heads.")

    def predict(
        self,
        images: Sequence[ImageSource],
        *,
        heat_maps: bool = False,
        nearest: bool = False,
    ) -> Iterator[Prediction]:
        """Score images in order; decoding runs ahead of the backbone, a few batches at most.

        Args:
            images: what to score.
            heat_maps: also say where in each image the evidence lies.
            nearest: also say which images of the training are most like it.

        Yields:
            one prediction an image; an unreadable one has an error instead of scores.
        """
        for index, maps in self.prepared(images):
            if isinstance(maps, str):
                yield Prediction(index=index, error=maps)
                continue
            prediction = self._prediction(index, self.model.score_maps([maps]))
            if prediction.score is None or not isfinite(prediction.score):
                # Of numbers that no training gives, in a file that somebody made.
                yield Prediction(index=index, error="the model gives it no finite score")
                continue
            if heat_maps or nearest:
                with torch.inference_mode():
                    scales = position_evidence(self.model, maps)
            if heat_maps:
                side = self.model.config.features.image_size
                prediction = replace(prediction, heat_map=mean_map(scales, side))
            if nearest:
                prediction = replace(
                    prediction,
                    nearest_normal=self.album.normal(maps),
                    nearest_anomaly=self.album.anomaly(maps, scales[0]),
                )
            yield prediction

    def prepared(self, images: Sequence[ImageSource]) -> Iterator[tuple[int, FeatureMaps | str]]:
        """Maps (1, C, H_s, W_s) a scale as the heads see them, in order; or why there are none."""
        for indices, rows, skipped in self.extractor.stream(_Items(images, self.model)):
            found: list[tuple[int, FeatureMaps | str]] = [
                (index, one.reason) for index, one in skipped
            ]
            for index, row in zip(indices, torch.from_numpy(rows), strict=True):
                with torch.inference_mode():
                    maps = self.model.preparation.maps(row.unsqueeze(0).float())
                found.append((index, maps))
            yield from sorted(found, key=lambda pair: pair[0])

    @cached_property
    def album(self) -> Album:
        """The training images that others are compared with."""
        return Album(self.model)

    def _prediction(self, index: int, scored: RowScores) -> Prediction:
        score, decision = float(scored.score[0]), self.model.decision
        calibration = self.model.calibration
        return Prediction(
            index=index,
            score=score,
            heads={name: float(values[0]) for name, values in scored.heads.items()},
            evidence={name: float(values[0]) for name, values in (scored.evidence or {}).items()},
            anomalous=None if decision is None else decision.is_anomalous(score),
            verdict=None if decision is None else decision.verdict(score),
            severity=None if calibration is None else calibration.severity.of(score),
        )


class _Items(Sequence[ImageItem]):
    """Items made when asked for; scoring needs no content hashes."""

    def __init__(self, images: Sequence[ImageSource], model: TrainedModel) -> None:
        self._images = images
        self._size = model.config.features.image_size

    def __len__(self) -> int:
        return len(self._images)

    @overload
    def __getitem__(self, index: int) -> ImageItem: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[ImageItem]: ...
    def __getitem__(self, index: int | slice) -> ImageItem | Sequence[ImageItem]:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        source = self._images[index]
        return ImageItem(
            name=str(index),
            key="",
            load=lambda: resize_pixels(read_pixels(source), self._size),
        )


def require_score(prediction: Prediction, source: ImageSource) -> float:
    """The prediction's score.

    Raises:
        ImageError: if the image could not be read.
    """
    if prediction.score is None:
        name = (
            source
            if isinstance(source, str) or hasattr(source, "__fspath__")
            else (f"image {prediction.index}")
        )
        raise ImageError(f"{name}: {prediction.error}")
    return prediction.score
