"""The weights of heads, of one model or of several side by side, and their scores of samples."""

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
"""Samples scored together: few, so that what is computed of them stays in a processor's cache."""


class HeadWeights(NamedTuple):
    """Weights and running statistics of one model's heads, or of T models' stacked."""

    parameters: Parameters
    statistics: Statistics


def moved(weights: HeadWeights, device: torch.device) -> HeadWeights:
    """The weights with their tensors on a device."""
    return HeadWeights(
        *({name: value.to(device) for name, value in part.items()} for part in weights)
    )


def one_of(stacked: HeadWeights, number: int) -> HeadWeights:
    """Weights of one of T models."""
    return HeadWeights(*({name: value[number] for name, value in part.items()} for part in stacked))


def stack(values: Sequence[dict[str, Tensor]]) -> dict[str, Tensor]:
    """Tensors by name of T models, stacked along a leading axis."""
    return {name: torch.stack([each[name] for each in values]) for name in values[0]}


def replicate(weights: HeadWeights, copies: int) -> HeadWeights:
    """T copies of one model's, stacked along a leading axis (Algorithm 1, line 13)."""
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
        models: T stacked models, on the device where to compute.
        features: of the samples, as the heads see them.
        samples: which, at least one.
        reference: the fixed reference of scoring, on the models' device.
        read: from the heads' scores (N,) of some maps to what is wanted of them, (N,) by name.

    Returns:
        (N, T) on the CPU, by the names that `read` gives.
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
