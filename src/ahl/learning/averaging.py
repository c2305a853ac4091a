"""The last touch to the unified model: mean weights, and running statistics that fit them."""

from __future__ import annotations

import torch

from ahl._common.randomness import torch_generator
from ahl.distributions.training_set import IndexedSet, TrainingSet, draw_batches
from ahl.features.maps import FeatureMaps
from ahl.heads.base import BaseDetector, Parameters
from ahl.heads.weights import HeadWeights
from ahl.learning.collaboration import batch_loss

BN_BATCHES = 40
"""Batches that the final running statistics are taken from."""


def update_average(average: Parameters, latest: Parameters, count: int) -> Parameters:
    """The mean of `count` weights (Polyak and Juditsky, 1992), from that of all but the latest."""
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
    """Take the running statistics anew for the final weights, which no step has seen yet.

    Args:
        detector: the heads.
        unified: final weights, and running statistics of other ones.
        training_set: where the samples are.
        samples: what balanced batches are drawn from.
        reference: the fixed reference that scoring uses, on the weights' device.
        batch_size: samples a batch.
        seed: of the draws.

    Returns:
        the weights with the plain mean of the batches' own statistics.
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
