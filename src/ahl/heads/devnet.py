"""DevNet's head: the most deviating positions of a feature map (Pang et al., 2019, 2021)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, final

import torch
from torch import Tensor

from ahl._common.types import Kind
from ahl.features.maps import FeatureMaps
from ahl.heads.base import (
    BaseDetector,
    HeadScores,
    Parameters,
    PositionScores,
    Statistics,
    fan_in_uniform,
    top_mean,
)
from ahl.heads.losses import deviation_loss, weighted_mean


@final
class DevNet(BaseDetector):
    """DevNet: 1x1 convolution to one map, absolute value, mean of the top positions.

    The image's score is the mean over the scales. The deviation loss is over all kinds, with a
    weight of its own for pseudo anomalies.
    """

    name = "devnet"
    head_names: ClassVar[tuple[str, ...]] = ("deviation",)
    meanings: ClassVar[Mapping[str, str]] = {"deviation": "like the defects seen in training"}

    def initial_parameters(self, generator: torch.Generator) -> Parameters:
        """Initialise one weight per channel and a bias."""
        channels, scale = self.layout.channels, self.config.initial_scale
        return {
            "deviation.weight": scale * fan_in_uniform((channels,), channels, generator),
            "deviation.bias": scale * fan_in_uniform((), channels, generator),
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
        """Score a batch; the references are not used."""
        found = self.position_scores(parameters, statistics, maps, references)
        scores = [
            top_mean(scale["deviation"].flatten(-2), self.config.top_fraction) for scale in found
        ]
        return {"deviation": torch.stack(scores).mean(dim=0)}, statistics

    def position_scores(
        self,
        parameters: Parameters,
        statistics: Statistics,
        maps: FeatureMaps,
        references: FeatureMaps,
    ) -> tuple[PositionScores, ...]:
        """Absolute values of the head's map."""
        weight, bias = parameters["deviation.weight"], parameters["deviation.bias"]
        return tuple({"deviation": (scale.movedim(-3, -1) @ weight + bias).abs()} for scale in maps)

    def loss(self, scores: HeadScores, kinds: Tensor) -> Tensor:
        """Deviation loss over the batch, a mean weighted by kind."""
        losses = deviation_loss(
            scores["deviation"],
            kinds != Kind.NORMAL,
            prior=self.prior,
            margin=self.config.margin,
        )
        weights = torch.where(kinds == Kind.PSEUDO, self.config.pseudo_weight, 1.0)
        return weighted_mean(losses, weights)

    def combine(self, scores: HeadScores) -> Tensor:
        """The head's score."""
        return scores["deviation"]

    @property
    def expected_scores(self) -> tuple[float, float]:
        """The prior's mean for a normal, and a margin above it for an anomaly."""
        return self.prior.mean, self.prior.mean + self.config.margin * self.prior.deviation
