"""One hidden layer on globally averaged features: what the image-level baselines share."""

from __future__ import annotations

import torch
from torch import Tensor

from ahl.detectors.base import Parameters, fan_in_uniform
from ahl.feature_maps import FeatureMaps


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


def logit_parameters(channels: int, width: int, generator: torch.Generator) -> Parameters:
    """Weights of the hidden layer and of one output."""
    return hidden_parameters(channels, width, generator) | {
        "output.weight": fan_in_uniform((width,), width, generator),
        "output.bias": fan_in_uniform((), width, generator),
    }


def logits(parameters: Parameters, maps: FeatureMaps) -> Tensor:
    """(N,) outputs, the mean over the scales."""
    hidden = hidden_features(parameters, maps)
    return (hidden @ parameters["output.weight"] + parameters["output.bias"]).mean(dim=0)
