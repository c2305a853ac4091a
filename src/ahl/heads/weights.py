"""The weights of heads: of one model, or of several side by side."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch

from ahl.heads.base import Parameters, Statistics


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
    """Those of one of T models."""
    return HeadWeights(*({name: value[number] for name, value in part.items()} for part in stacked))


def stack(values: Sequence[dict[str, torch.Tensor]]) -> dict[str, torch.Tensor]:
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
