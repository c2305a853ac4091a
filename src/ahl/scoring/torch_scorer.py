"""Images to scores: the trained model behind its backbone, in bounded memory."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray

from ahl._common.errors import DataError, ImageError
from ahl.data.images.reading import ImageSource
from ahl.data.images.sources import unhashed_items
from ahl.features.extractor import FeatureExtractor
from ahl.features.maps import FeatureMaps
from ahl.model.card import ModelCard
from ahl.model.trained import TrainedModel
from ahl.scoring.describing import card_of
from ahl.scoring.forward import Forward
from ahl.scoring.outputs import Outputs, predict_in_order, read_outputs
from ahl.scoring.prediction import Prediction


class TorchScorer:
    """Scores images with a trained model.

    Args:
        model: trained on images.
        device: where the backbone runs.

    Raises:
        DataError: if the model was trained on feature maps and has no backbone.
        DataError: if backbone and heads of a model file do not fit together.
    """

    def __init__(self, model: TrainedModel, device: torch.device) -> None:
        if model.backbone is None:
            raise DataError(
                "The model was trained on feature maps and cannot read images: score feature maps "
                "(decision_function_features)."
            )
        self.model = model
        self._forward = Forward(model)
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
        return predict_in_order(
            images,
            lambda pixels: self.score_pixels(pixels, heat_maps=heat_maps, nearest=nearest),
            image_size=self.card.image_size,
            batch_size=self.model.config.features.batch_size,
        )

    def score_pixels(
        self, pixels: NDArray[np.uint8], *, heat_maps: bool = False, nearest: bool = False
    ) -> list[Prediction]:
        """Score images (N, *image_size, 3) that are decoded and resized already.

        They share a pass through the backbone; all behind it is done one at a time, so that an
        image has one score whatever its batch.
        """
        return read_outputs(self.compute(pixels, heat_maps=heat_maps, nearest=nearest), self.card)

    def compute(
        self, pixels: NDArray[np.uint8], *, heat_maps: bool = False, nearest: bool = False
    ) -> Outputs:
        """The same as numbers, by the names of `ahl.scoring.outputs`."""
        rows = torch.from_numpy(self.extractor.extract(pixels))
        with torch.inference_mode():
            parts = [
                self._forward(
                    self.model.preparation.maps(row.unsqueeze(0)),
                    heat_maps=heat_maps,
                    nearest=nearest,
                )
                for row in rows
            ]
            return {name: torch.cat([part[name] for part in parts]).numpy() for name in parts[0]}

    def prepared(self, images: Sequence[ImageSource]) -> Iterator[tuple[int, FeatureMaps | str]]:
        """Maps (1, C, H_s, W_s) a scale as the heads see them, in order; or why there are none."""
        items = unhashed_items(images, self.card.image_size)
        for indices, rows, skipped in self.extractor.stream(items):
            found: list[tuple[int, FeatureMaps | str]] = [
                (index, one.reason) for index, one in skipped
            ]
            for index, row in zip(indices, torch.from_numpy(rows), strict=True):
                with torch.inference_mode():
                    maps = self.model.preparation.maps(row.unsqueeze(0))
                found.append((index, maps))
            yield from sorted(found, key=lambda pair: pair[0])

    @cached_property
    def card(self) -> ModelCard:
        """What is to be known of the model by those who only use it."""
        return card_of(self.model)


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
