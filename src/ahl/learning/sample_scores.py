"""What stacked models say of samples of the training set."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from ahl.distributions.episodes import Indices
from ahl.features.maps import FeatureMaps
from ahl.features.table import FeatureTable
from ahl.heads.base import BaseDetector, HeadScores
from ahl.heads.weights import HeadWeights, one_of

SCORING_CHUNK = 32
"""Samples scored together: few, so that what is computed of them stays in a processor's cache."""

Reading = Callable[[HeadScores, FeatureMaps], dict[str, Tensor]]
"""What is wanted of the heads' scores (N,) of some maps: (N,) by name."""


def score_samples(
    detector: BaseDetector,
    models: HeadWeights,
    features: FeatureTable,
    samples: Indices,
    reference: FeatureMaps,
    read: Reading,
) -> dict[str, Tensor]:
    """Score samples by all T models.

    Args:
        detector: the heads.
        models: T stacked models, on the device where to compute.
        features: of the samples.
        samples: which, at least one.
        reference: the fixed reference of scoring, on the models' device.
        read: what is wanted.

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
