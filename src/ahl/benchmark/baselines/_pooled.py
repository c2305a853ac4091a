"""One hidden layer on globally averaged features: what the image-level baselines share."""

from __future__ import annotations

import torch
from torch import Tensor

from ahl.features.maps import FeatureMaps
from ahl.heads.base import BaseDetector, HeadScores, Parameters, Statistics, fan_in_uniform


def hidden_parameters(channels: int, width: int, generator: torch.Generator) -> Parameters:
    """Weights of the hidden layer."""
    return {
        "hidden.weight": fan_in_uniform((channels, width), channels, generator),
        "hidden.bias": fan_in_uniform((width,), channels, generator),
    }


def hidden_features(parameters: Parameters, maps: FeatureMaps) -> Tensor:
    """Maps (N, C, H_s, W_s) a scale, or (C, H_s, W_s), to activations (scales, N, width)."""
    pooled = torch.stack([scale.mean(dim=(-2, -1)) for scale in maps])
    return torch.relu(pooled @ parameters["hidden.weight"] + parameters["hidden.bias"])


class LogitDetector(BaseDetector):
    """A classifier of whole images: one hidden layer, one logit. Subclasses give the loss."""

    head_names = ("logit",)

    def initial_parameters(self, generator: torch.Generator) -> Parameters:
        """One hidden layer and one output."""
        width = self.config.holistic_hidden
        return hidden_parameters(self.layout.channels, width, generator) | {
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
        hidden = hidden_features(parameters, maps)
        logits = hidden @ parameters["output.weight"] + parameters["output.bias"]
        return {"logit": logits.mean(dim=0)}, statistics

    def combine(self, scores: HeadScores) -> Tensor:
        """The logit."""
        return scores["logit"]

    @property
    def expected_scores(self) -> tuple[float, float]:
        """Logits of probabilities 0.02 and 0.98: where the losses are all but flat."""
        return -4.0, 4.0
