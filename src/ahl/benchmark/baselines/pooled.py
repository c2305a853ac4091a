"""Base detectors on globally averaged features: FLOS, SAOE and MLEP.

- FLOS: the focal loss (Lin et al., "Focal Loss for Dense Object Detection", ICCV 2017).
- SAOE: synthetic anomalies and outlier exposure (as named in Ding et al., CVPR 2022).
- MLEP: Liu et al., "Margin Learning Embedded Prediction for Video Anomaly Detection with a Few
  Anomalies", IJCAI 2019.

All are adapted to one hidden layer on frozen features; each class names its other adaptations.
"""

from __future__ import annotations

from typing import ClassVar, final

import torch
from torch import Tensor
from torch.nn import functional

from ahl._common.types import Kind
from ahl.features.maps import FeatureMaps
from ahl.heads.base import BaseDetector, HeadScores, Parameters, Statistics, fan_in_uniform
from ahl.heads.losses import weighted_mean

FOCUS = 2.0
"""gamma of the focal loss, as published."""

MARGIN = 1.0
"""Margin between the distances of anomalies and normals from the reference, as published."""


class LogitDetector(BaseDetector):
    """A classifier of images with one hidden layer and one logit; subclasses define the loss."""

    head_names: ClassVar[tuple[str, ...]] = ("logit",)

    def initial_parameters(self, generator: torch.Generator) -> Parameters:
        """Initialise one hidden layer and one output."""
        width = self.config.holistic_hidden
        return _hidden_parameters(self.layout.channels, width, generator) | {
            "output.weight": fan_in_uniform((width,), width, generator),
            "output.bias": fan_in_uniform((), width, generator),
        }

    def forward(
        self,
        parameters: Parameters,
        statistics: Statistics,
        maps: FeatureMaps,
        references: FeatureMaps,
        *,
        training: bool,
    ) -> tuple[HeadScores, Statistics]:
        """Score a batch, the mean over the scales; the references are not used."""
        hidden = _hidden_features(parameters, maps)
        logits = hidden @ parameters["output.weight"] + parameters["output.bias"]
        return {"logit": logits.mean(dim=0)}, statistics

    def combine(self, scores: HeadScores) -> Tensor:
        """The logit."""
        return scores["logit"]

    @property
    def expected_scores(self) -> tuple[float, float]:
        """Logits of about 0.02 and 0.98, where the losses are nearly flat."""
        return -4.0, 4.0


@final
class FocalClassifier(LogitDetector):
    """FLOS: labelled anomalies against normals under the focal loss, without pseudo anomalies.

    Adapted: the class weight alpha is left out, because batches are balanced.
    """

    name = "flos"

    def loss(self, scores: HeadScores, kinds: Tensor) -> Tensor:
        """Focal loss, FL = -(1 - p)^gamma log p with p the probability of the true label."""
        entropy, _ = _entropy(scores, kinds)
        focal = (1 - torch.exp(-entropy)) ** FOCUS * entropy
        return weighted_mean(focal, (kinds != Kind.PSEUDO).float())


@final
class OutlierExposure(LogitDetector):
    """SAOE: a classifier of normals against labelled and pseudo anomalies.

    Adapted: the pseudo anomalies are the synthetic ones; the exposed outliers are the labelled
    anomalies alone, because no further dataset is downloaded.
    """

    name = "saoe"

    def loss(self, scores: HeadScores, kinds: Tensor) -> Tensor:
        """Binary cross-entropy, normals weighing as much as all anomalies together."""
        entropy, labels = _entropy(scores, kinds)
        return (weighted_mean(entropy, labels) + weighted_mean(entropy, 1 - labels)) / 2


@final
class MarginEmbedding(BaseDetector):
    """MLEP: distance from the reference normal in an embedding learnt by a margin ranking loss.

    Adapted from video: the anchor is the mean normal, and there is no next frame to predict.
    Pseudo anomalies are not used.
    """

    name = "mlep"
    head_names: ClassVar[tuple[str, ...]] = ("distance",)

    def initial_parameters(self, generator: torch.Generator) -> Parameters:
        """Initialise one hidden layer."""
        return _hidden_parameters(self.layout.channels, self.config.holistic_hidden, generator)

    def forward(
        self,
        parameters: Parameters,
        statistics: Statistics,
        maps: FeatureMaps,
        references: FeatureMaps,
        *,
        training: bool,
    ) -> tuple[HeadScores, Statistics]:
        """Mean squared distance from the reference, over the embedding's width and the scales."""
        embedded = _hidden_features(parameters, maps)
        anchor = _hidden_features(parameters, references).unsqueeze(-2)
        return {"distance": (embedded - anchor).square().mean(dim=(0, -1))}, statistics

    def loss(self, scores: HeadScores, kinds: Tensor) -> Tensor:
        """Mean over pairs of max(0, margin + normal's distance - labelled anomaly's distance)."""
        distance = scores["distance"]
        pairs = torch.relu(MARGIN + distance.unsqueeze(0) - distance.unsqueeze(1))
        used = (kinds == Kind.ANOMALY).unsqueeze(1) & (kinds == Kind.NORMAL).unsqueeze(0)
        return (pairs * used).sum() / used.sum().clamp(min=1)

    def combine(self, scores: HeadScores) -> Tensor:
        """The distance."""
        return scores["distance"]

    @property
    def expected_scores(self) -> tuple[float, float]:
        """Distances 0 of a normal at the anchor, and `MARGIN` of an anomaly."""
        return 0.0, MARGIN


def _hidden_parameters(channels: int, width: int, generator: torch.Generator) -> Parameters:
    return {
        "hidden.weight": fan_in_uniform((channels, width), channels, generator),
        "hidden.bias": fan_in_uniform((width,), channels, generator),
    }


def _hidden_features(parameters: Parameters, maps: FeatureMaps) -> Tensor:
    """Activations (scales, N, width) of each scale's maps (N, C, H_s, W_s), or without N."""
    pooled = torch.stack([scale.mean(dim=(-2, -1)) for scale in maps])
    return torch.relu(pooled @ parameters["hidden.weight"] + parameters["hidden.bias"])


def _entropy(scores: HeadScores, kinds: Tensor) -> tuple[Tensor, Tensor]:
    """Binary cross-entropy (N,) of the logits, and the labels, 1 for any anomaly."""
    labels = (kinds != Kind.NORMAL).to(scores["logit"].dtype)
    entropy = functional.binary_cross_entropy_with_logits(scores["logit"], labels, reduction="none")
    return entropy, labels
