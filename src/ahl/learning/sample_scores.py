"""What stacked models say of samples of the training set."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.func import vmap

from ahl.detectors.base import BaseDetector, HeadScores
from ahl.detectors.weights import HeadWeights
from ahl.distributions.episodes import Indices
from ahl.feature_maps import FeatureMaps
from ahl.features.table import FeatureTable

SCORING_CHUNK = 256
"""Samples scored together; bounds memory, does not change the scores."""

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
    """Score samples by all T models, side by side.

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
    device = reference[0].device

    def one_model(model: HeadWeights, maps: FeatureMaps) -> dict[str, Tensor]:
        heads, _ = detector.forward(
            model.parameters, model.statistics, maps, reference, training=False
        )
        return read(heads, maps)

    all_models = vmap(one_model, in_dims=(0, None))
    found: dict[str, list[Tensor]] = {}
    for chunk in torch.split(torch.from_numpy(samples), SCORING_CHUNK):
        maps = tuple(scale.to(device) for scale in features.maps(chunk))
        for name, scores in all_models(models, maps).items():
            found.setdefault(name, []).append(scores.T.cpu())
    return {name: torch.cat(parts) for name, parts in found.items()}
