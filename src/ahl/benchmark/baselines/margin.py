"""MLEP: margin learning of an embedding.

Liu et al., "Margin Learning Embedded Prediction for Video Anomaly Detection with a Few Anomalies",
IJCAI 2019.
"""

from __future__ import annotations

from typing import final

import torch
from torch import Tensor

from ahl._common.types import Kind
from ahl.benchmark.baselines._pooled import hidden_features, hidden_parameters
from ahl.features.maps import FeatureMaps
from ahl.heads.base import BaseDetector, HeadScores, Parameters, Statistics

MARGIN = 1.0
"""By which an anomaly must lie farther from the normal reference than a normal, as published."""


@final
class MarginEmbedding(BaseDetector):
    """Distance from the reference normal in a learned embedding; a ranking loss with a margin.

    Adapted (IJCAI 2019, there for video): the embedding is one hidden layer on globally averaged
    features, the anchor is the mean normal, and there is no next frame to predict. Pseudo anomalies
    are not used.
    """

    name = "mlep"
    head_names = ("distance",)

    def initial_parameters(self, generator: torch.Generator) -> Parameters:
        """One hidden layer."""
        return hidden_parameters(self.layout.channels, self.config.holistic_hidden, generator)

    def forward(
        self,
        parameters: Parameters,
        statistics: Statistics,
        maps: FeatureMaps,
        references: FeatureMaps,
        *,
        training: bool,
    ) -> tuple[HeadScores, Statistics]:
        """Squared distance from the reference, the mean over width and scales."""
        embedded = hidden_features(parameters, maps)
        anchor = hidden_features(parameters, references).unsqueeze(-2)
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
        """A normal at the anchor, an anomaly beyond the margin."""
        return 0.0, MARGIN
