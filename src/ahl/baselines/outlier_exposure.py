"""SAOE: synthetic anomalies and outlier exposure (as named in Ding et al., CVPR 2022)."""

from __future__ import annotations

from typing import final

import torch
from torch import Tensor
from torch.nn import functional

from ahl.baselines._pooled import logit_parameters, logits
from ahl.detectors.base import BaseDetector, HeadScores, Parameters, Statistics
from ahl.feature_maps import FeatureMaps
from ahl.losses import weighted_mean
from ahl.types import Kind


@final
class OutlierExposure(BaseDetector):
    """A classifier of normals against labelled and pseudo anomalies alike.

    Adapted: the pseudo anomalies are the synthetic ones; the exposed outliers are the labelled
    anomalies alone, because no further dataset is downloaded.
    """

    name = "saoe"
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
        """Binary cross-entropy, normals weighing as much as all anomalies together."""
        labels = (kinds != Kind.NORMAL).to(scores["logit"].dtype)
        entropy = functional.binary_cross_entropy_with_logits(
            scores["logit"], labels, reduction="none"
        )
        return (weighted_mean(entropy, labels) + weighted_mean(entropy, 1 - labels)) / 2

    def combine(self, scores: HeadScores) -> Tensor:
        """The logit."""
        return scores["logit"]

    @property
    def expected_scores(self) -> tuple[float, float]:
        """Logits of probabilities 0.02 and 0.98: where the loss is all but flat."""
        return -4.0, 4.0
