"""Weight averaging, and recomputed running statistics, as in `torch.optim.swa_utils`."""

from __future__ import annotations

import torch

from ahl._common.randomness import torch_generator
from ahl.distributions.training_set import IndexedSet, TrainingSet, draw_batches
from ahl.features.maps import FeatureMaps
from ahl.heads.base import BaseDetector, Parameters
from ahl.heads.weights import HeadWeights
from ahl.learning.collaboration import batch_loss

BN_BATCHES = 40
"""Number of batches that the final running statistics are computed from."""


def update_average(average: Parameters, latest: Parameters, count: int) -> Parameters:
    """Update the mean weights (Polyak and Juditsky, 1992) by the latest, as the `count`-th."""
    if not average:
        return {name: value.clone() for name, value in latest.items()}
    return {name: mean + (latest[name] - mean) / count for name, mean in average.items()}


def update_bn(
    detector: BaseDetector,
    unified: HeadWeights,
    training_set: TrainingSet,
    samples: IndexedSet,
    reference: FeatureMaps,
    *,
    batch_size: int,
    seed: int,
) -> HeadWeights:
    """Recompute the running statistics for the final weights.

    Args:
        detector: the heads.
        unified: the final weights, with running statistics of other weights.
        training_set: the training set.
        samples: the samples to draw balanced batches from.
        reference: the fixed reference for scoring, on the weights' device.
        batch_size: samples per batch.
        seed: seed of the draws.

    Returns:
        the weights with the mean of the batches' statistics.
    """
    if not unified.statistics:
        return unified
    # From zero, a batch moves running statistics to `norm_momentum` times its own.
    nothing = {name: torch.zeros_like(value) for name, value in unified.statistics.items()}
    total = nothing
    for batch in draw_batches(
        training_set,
        [samples],
        BN_BATCHES,
        batch_size=batch_size,
        reference_normals=detector.config.reference_normals,
        generator=torch_generator(seed, "settle"),
        device=reference[0].device,
    ):
        one = batch.of(0)._replace(references=reference)
        _, moved = batch_loss(detector, unified.parameters, nothing, one)
        total = {name: value + moved[name] for name, value in total.items()}
    count = BN_BATCHES * detector.config.norm_momentum
    return HeadWeights(unified.parameters, {name: value / count for name, value in total.items()})
