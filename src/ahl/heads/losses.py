"""Losses as pure functions of image scores."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor


class Prior(NamedTuple):
    """Mean and standard deviation of the reference scores of the deviation loss."""

    mean: float
    deviation: float


def draw_prior(draws: int, generator: torch.Generator) -> Prior:
    """Estimate the prior from `draws` samples of N(0, 1) (Pang et al., 2019, section 3.2).

    It is drawn once per run, not per batch, so that the loss function does not change.
    """
    samples = torch.randn(draws, generator=generator, dtype=torch.float64)
    return Prior(mean=float(samples.mean()), deviation=float(samples.std()))


def deviation_loss(scores: Tensor, labels: Tensor, *, prior: Prior, margin: float) -> Tensor:
    """Deviation loss of each sample (Pang et al., 2019, equation 6).

    `dev = (score - mean) / deviation`; the loss is `|dev|` for label 0 and
    `max(0, margin - dev)` for label 1.

    Args:
        scores: (..., N) image scores.
        labels: (..., N) 0 or 1, any dtype.
        prior: mean and deviation of the reference scores.
        margin: margin m, in standard deviations of the prior.

    Returns:
        (..., N) losses of the samples, not averaged.

    Examples:
        >>> from torch import tensor
        >>> from ahl import deviation_loss
        >>> scores, labels = tensor([0.5, 1.0]), tensor([0, 1])
        >>> deviation_loss(scores, labels, prior=Prior(0.0, 1.0), margin=5.0).tolist()
        [0.5, 4.0]
    """
    deviation = (scores - prior.mean) / prior.deviation
    return torch.where(labels > 0, torch.relu(margin - deviation), deviation.abs())


def weighted_mean(values: Tensor, weights: Tensor) -> Tensor:
    """Mean of `values` (..., N) with non-negative `weights`; 0 where all weights are 0."""
    total = weights.sum(dim=-1)
    return (values * weights).sum(dim=-1) / torch.where(total > 0, total, 1.0)
