"""Scores images in torch, with the trained model and its backbone, in bounded memory."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ahl._common.errors import DataError, ImageError
from ahl._common.types import GOOD
from ahl._common.version import __version__
from ahl.data.images.reading import ImageSource
from ahl.data.images.sources import unhashed_items
from ahl.features.extractor import FeatureExtractor
from ahl.features.maps import FeatureMaps
from ahl.heads.base import MEMORY
from ahl.model.card import ModelCard, Shown
from ahl.model.exemplars import Role
from ahl.model.trained import TrainedModel
from ahl.scoring.heat_maps import colour_bounds, mean_map, position_evidence
from ahl.scoring.nearest import Album
from ahl.scoring.prediction import Prediction
from ahl.scoring.scorer import EVIDENCE, HEADS, HEAT_MAP, SCORE, Outputs, Scorer

MEMORY_MEANING: Final = "unlike any good part seen in training"


class Forward:
    """Computes the outputs for images from their prepared maps, as tensors by name.

    It uses only tensor operations on whole batches, so that a graph can be traced for export.

    Args:
        model: the trained model.
    """

    def __init__(self, model: TrainedModel) -> None:
        self.model = model

    @cached_property
    def album(self) -> Album:
        """The training images to which others are compared."""
        return Album(self.model)

    def __call__(
        self,
        maps: FeatureMaps,
        *,
        enlarged: Tensor | None = None,
        heat_maps: bool = False,
        nearest: bool = False,
    ) -> dict[str, Tensor]:
        """Score images.

        Args:
            maps: prepared maps, (N, C, H_s, W_s) per scale.
            enlarged: prepared maps (N, C, H, W) of the enlarged images, for finer heat maps;
                None where images are seen in tiles, beside which a cell is small.
            heat_maps: True to compute heat maps, too.
            nearest: True to find the most similar training images, too.

        Returns:
            tensors by the names of `ahl.scoring.scorer`.
        """
        scored = self.model.score_batch(maps)
        found = {
            SCORE: scored.score,
            HEADS: torch.stack(list(scored.heads.values()), dim=1),
        }
        if scored.evidence is not None:
            found[EVIDENCE] = torch.stack(list(scored.evidence.values()), dim=1)
        if heat_maps or nearest:
            scales = position_evidence(self.model, maps, enlarged)
            finer = None if enlarged is None else scales.pop()
        if heat_maps:
            found[HEAT_MAP] = mean_map(scales, self.model.config.features.size, finer)
        if nearest:
            found |= self.album.nearest_normal(maps)
            found |= self.album.nearest_anomaly(maps, scales[0])
        return found


class TorchScorer(Scorer):
    """Scores images with a trained model in torch.

    Args:
        model: a model trained on images.
        device: device of the backbone.

    Raises:
        DataError: if the model was trained on feature maps and has no backbone, or if backbone and
            heads of a model file do not match.
    """

    def __init__(self, model: TrainedModel, device: torch.device) -> None:
        if model.backbone is None:
            raise DataError(
                "The model was trained on feature maps and cannot read images: score feature maps "
                "(decision_function_features)."
            )
        self.model = model
        self.batch_size: int = model.config.features.batch_size
        self._forward = Forward(model)
        self.device = device
        self.extractor: FeatureExtractor = FeatureExtractor(
            model.backbone, model.config.features, device
        )
        if self.extractor.layout != model.layout:
            raise DataError("The backbone in the model file does not fit its heads.")

    @cached_property
    def card(self) -> ModelCard:
        """The model's card."""
        return card_of(self.model)

    @property
    def trained_on(self) -> frozenset[str]:
        """Hashes of the training images' content."""
        return frozenset(self.model.manifest.hashes)

    def compute(
        self, pixels: NDArray[np.uint8], *, heat_maps: bool = False, nearest: bool = False
    ) -> Outputs:
        """Compute the outputs for images (N, *image_size, 3).

        They share a pass through the backbone; everything behind it is computed one image at a
        time, so that an image's score does not depend on its batch.
        """
        rows = torch.from_numpy(self.extractor.extract(pixels))
        prepared = self.model.preparation
        with torch.inference_mode():
            finer = heat_maps and not self.model.config.features.tiles
            enlarged = self.extractor.enlarged(pixels).unbind() if finer else [None] * len(rows)
            parts = [
                self._forward(
                    prepared.maps(row.unsqueeze(0)),
                    enlarged=None if more is None else prepared.of_maps((more[None],))[0],
                    heat_maps=heat_maps,
                    nearest=nearest,
                )
                for row, more in zip(rows, enlarged, strict=True)
            ]
            return {name: torch.cat([part[name] for part in parts]).numpy() for name in parts[0]}

    def prepared(self, images: Sequence[ImageSource]) -> Iterator[tuple[int, FeatureMaps | str]]:
        """Yield each image's index and prepared maps (1, C, H_s, W_s), or why there are none."""
        items = unhashed_items(images, self.card.image_size, self.card.bit_depth)
        for indices, rows, skipped in self.extractor.stream(items):
            found: list[tuple[int, FeatureMaps | str]] = [
                (index, one.reason) for index, one in skipped
            ]
            for index, row in zip(indices, torch.from_numpy(rows), strict=True):
                with torch.inference_mode():
                    maps = self.model.preparation.maps(row.unsqueeze(0))
                found.append((index, maps))
            yield from sorted(found, key=lambda pair: pair[0])


def require_score(prediction: Prediction, source: ImageSource) -> float:
    """Return the prediction's score.

    Raises:
        ImageError: if the image could not be read.
    """
    if prediction.score is None:
        is_path = isinstance(source, str) or hasattr(source, "__fspath__")
        name = source if is_path else f"image {prediction.index}"
        raise ImageError(f"{name}: {prediction.error}")
    return prediction.score


def card_of(model: TrainedModel) -> ModelCard:
    """Make the card of a model that was trained on images."""
    own = model.manifest.files[model.manifest.earlier :]
    classes = [file.class_name for file in own]
    meanings = {**model.detector.meanings, MEMORY: MEMORY_MEANING}
    calibration = model.calibration
    evidence = () if calibration is None else model.evidence_names
    return ModelCard(
        version=__version__,
        sha256=model.sha256,
        base=model.detector.name,
        backbone=_backbone(model),
        image_size=model.config.features.size,
        bit_depth=model.config.features.bit_depth,
        heads=model.detector.head_names,
        evidence=evidence,
        meanings={name: meanings.get(name, name) for name in evidence},
        decision=model.decision,
        probability=None if calibration is None else calibration.probability,
        colour_bounds=colour_bounds(model),
        classes=tuple(sorted(model.manifest.seen_classes)),
        normals=classes.count(GOOD),
        anomalies=len(classes) - classes.count(GOOD),
        shown_normals=_shown(model, "normal"),
        shown_anomalies=_shown(model, "anomaly"),
    )


def _backbone(model: TrainedModel) -> str:
    if model.backbone is None:
        return "none: it was trained on feature maps"
    settings: dict[str, Any] = model.backbone.settings()
    return str(settings.get("name", model.backbone.kind))


def _shown(model: TrainedModel, role: Role) -> tuple[Shown, ...]:
    kept = model.exemplars.chosen(model.exemplars.of_role(role))
    return tuple(
        Shown(name=one.name, class_name=one.class_name, picture=kept.picture(number))
        for number, one in enumerate(kept.images)
    )
