"""Images to scores: the trained model behind its backbone, in bounded memory."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import overload

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ahl.decision import Verdict
from ahl.errors import DataError, ImageError, NotFittedError
from ahl.features import FeatureExtractor
from ahl.heat_maps import heat_map
from ahl.images import ImageSource, read_pixels, resize_pixels
from ahl.model import RowScores, TrainedModel
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
        heat_map: (S, S) where the evidence lies, see `ahl.heat_maps`; None if not asked for.
        error: why the image cannot be read; None when it can.
    """

    index: int
    score: float | None = None
    heads: Mapping[str, float] = field(default_factory=dict)
    evidence: Mapping[str, float] = field(default_factory=dict)
    anomalous: bool | None = None
    verdict: Verdict | None = None
    heat_map: NDArray[np.float32] | None = None
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
        self, images: Sequence[ImageSource], *, heat_maps: bool = False
    ) -> Iterator[Prediction]:
        """Score images in order; decoding runs ahead of the backbone, a few batches at most.

        Args:
            images: what to score.
            heat_maps: also say where in each image the evidence lies.

        Yields:
            one prediction an image; an unreadable one has an error instead of scores.
        """
        for indices, rows, skipped in self.extractor.stream(_Items(images, self.model)):
            tensor = torch.from_numpy(rows)
            scored = self.model.score_rows(tensor)
            batch = [
                self._prediction(index, scored, i, tensor[i : i + 1] if heat_maps else None)
                for i, index in enumerate(indices)
            ]
            batch += [Prediction(index=index, error=one.reason) for index, one in skipped]
            yield from sorted(batch, key=lambda prediction: prediction.index)

    def _prediction(
        self, index: int, scored: RowScores, row: int, features: Tensor | None
    ) -> Prediction:
        score, decision = float(scored.score[row]), self.model.decision
        return Prediction(
            index=index,
            score=score,
            heads={name: float(values[row]) for name, values in scored.heads.items()},
            evidence={name: float(values[row]) for name, values in (scored.evidence or {}).items()},
            anomalous=None if decision is None else decision.is_anomalous(score),
            verdict=None if decision is None else decision.verdict(score),
            heat_map=None
            if features is None
            else heat_map(self.model, features, self.model.config.features.image_size),
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
