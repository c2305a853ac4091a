"""Weights of the heads of one model or of several stacked ones, and their scores of samples."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from ahl.distributions.episodes import Indices
from ahl.features.maps import FeatureMaps
from ahl.features.table import FeatureTable
from ahl.heads.base import BaseDetector, HeadScores, Parameters, Statistics

SCORING_CHUNK = 32
"""Number of samples scored together; few, so that intermediate results stay in a CPU's cache."""


class HeadWeights(NamedTuple):
    """Weights and running statistics of one model's heads, or of T stacked models'."""

    parameters: Parameters
    statistics: Statistics


def moved(weights: HeadWeights, device: torch.device) -> HeadWeights:
    """Move weights to a device."""
    return HeadWeights(
        *({name: value.to(device) for name, value in part.items()} for part in weights)
    )


def one_of(stacked: HeadWeights, number: int) -> HeadWeights:
    """Weights of one of T stacked models."""
    return HeadWeights(*({name: value[number] for name, value in part.items()} for part in stacked))


def stack(values: Sequence[dict[str, Tensor]]) -> dict[str, Tensor]:
    """Stack the tensors of T models along a leading axis, by name."""
    return {name: torch.stack([each[name] for each in values]) for name in values[0]}


def replicate(weights: HeadWeights, copies: int) -> HeadWeights:
    """Stack T copies of a model's weights along a leading axis (Algorithm 1, line 13)."""
    return HeadWeights(
        *(
            {name: value.expand(copies, *value.shape) for name, value in part.items()}
            for part in weights
        )
    )


def score_samples(
    detector: BaseDetector,
    models: HeadWeights,
    features: FeatureTable,
    samples: Indices,
    reference: FeatureMaps,
    read: Callable[[HeadScores, FeatureMaps], dict[str, Tensor]],
) -> dict[str, Tensor]:
    """Score samples by all T models.

    Args:
        detector: the heads.
        models: T stacked models, whose device is used.
        features: prepared features that contain the samples.
        samples: indices of the samples, at least one.
        reference: the fixed reference for scoring, on the models' device.
        read: computes the wanted values (N,) by name from the heads' scores (N,) and their maps.

    Returns:
        (N, T) values by the names from `read`, on the CPU.
    """
    device, count = reference[0].device, len(next(iter(models.parameters.values())))
    found: dict[str, list[Tensor]] = {}
    for chunk in torch.split(torch.from_numpy(samples), SCORING_CHUNK):
        maps = tuple(scale.to(device) for scale in features.maps(chunk))
        by_model = []
        for number in range(count):
            heads, _ = detector.forward(*one_of(models, number), maps, reference, training=False)
            by_model.append(read(heads, maps))
        for name in by_model[0]:
            scores = torch.stack([each[name] for each in by_model], dim=-1)
            found.setdefault(name, []).append(scores.cpu())
    return {name: torch.cat(parts) for name, parts in found.items()}
