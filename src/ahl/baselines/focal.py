"""FLOS: a classifier with the focal loss (Lin et al., "Focal Loss", ICCV 2017)."""

from __future__ import annotations

from typing import final

import torch
from torch import Tensor
from torch.nn import functional

from ahl.baselines._pooled import logit_parameters, logits
from ahl.detectors.base import BaseDetector, HeadScores, Parameters, Statistics
from ahl.feature_maps import FeatureMaps
from ahl.losses import kind_weights, weighted_mean
from ahl.types import Kind

FOCUS = 2.0
"""gamma of the focal loss, as published."""


@final
class FocalClassifier(BaseDetector):
    """Labelled anomalies against normals; pseudo anomalies are not used.

    Adapted: the output is one hidden layer on globally averaged frozen features; the class weight
    alpha is left out, because batches are balanced.
    """

    name = "flos"
    head_names = ("logit",)

    def initial_parameters(self, generator: torch.Generator) -> Parameters:
        """One hidden layer and one output."""
        return logit_parameters(self.layout.channels, self.config.holistic_hidden, generator)

    def forward(
        self,
        parameters: Parameters,
        statistics: Statistics,
        maps: FeatureMaps,
        references: FeatureMaps,
        *,
        training: bool,
    ) -> tuple[HeadScores, Statistics]:
        """Score a batch; the references are not used."""
        return {"logit": logits(parameters, maps)}, statistics

    def loss(self, scores: HeadScores, kinds: Tensor) -> Tensor:
        """Focal loss, FL = -(1 - p)^gamma log p with p the probability of the true label."""
        labels = (kinds != Kind.NORMAL).to(scores["logit"].dtype)
        entropy = functional.binary_cross_entropy_with_logits(
            scores["logit"], labels, reduction="none"
        )
        focal = (1 - torch.exp(-entropy)) ** FOCUS * entropy
        return weighted_mean(focal, kind_weights(kinds, anomaly=1.0, pseudo=0.0))

    def combine(self, scores: HeadScores) -> Tensor:
        """The logit."""
        return scores["logit"]

    @property
    def expected_scores(self) -> tuple[float, float]:
        """Logits of probabilities 0.02 and 0.98: where the loss is all but flat."""
        return -4.0, 4.0
