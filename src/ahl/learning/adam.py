"""Adam as a pure function over parameter dictionaries (Kingma and Ba, 2015, algorithm 1)."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from ahl.heads.base import Parameters

FIRST_DECAY, SECOND_DECAY, EPSILON = 0.9, 0.999, 1e-8


class AdamState(NamedTuple):
    """Number of steps, and first and second moments of every gradient."""

    step: Tensor
    first: Parameters
    second: Parameters


def adam_start(parameters: Parameters) -> AdamState:
    """Initial state for these parameters, with zero moments."""

    def zeros() -> Parameters:
        return {name: torch.zeros_like(value) for name, value in parameters.items()}

    return AdamState(next(iter(parameters.values())).new_zeros(()), zeros(), zeros())


def adam_step(
    parameters: Parameters, gradients: Parameters, state: AdamState, *, rate: float
) -> tuple[Parameters, AdamState]:
    """Take one step of Adam, as a differentiable function without side effects."""
    step = state.step + 1
    first = {k: FIRST_DECAY * m + (1 - FIRST_DECAY) * gradients[k] for k, m in state.first.items()}
    second = {
        k: SECOND_DECAY * v + (1 - SECOND_DECAY) * gradients[k].square()
        for k, v in state.second.items()
    }
    first_scale = rate / (1 - FIRST_DECAY**step)
    second_scale = 1 / (1 - SECOND_DECAY**step)
    updated = {
        name: value - first_scale * first[name] / (_root(second[name] * second_scale) + EPSILON)
        for name, value in parameters.items()
    }
    return updated, AdamState(step, first, second)


def _root(value: Tensor) -> Tensor:
    """Square root with gradient 0 at 0 instead of infinity, for second-order gradients."""
    positive = value > 0
    return torch.where(positive, torch.where(positive, value, 1.0).sqrt(), 0.0)
