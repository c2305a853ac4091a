"""Collaborative differentiable learning: AHL, section 3.3, Algorithm 1."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Self

from ahl.config._checks import require


@dataclass(frozen=True, kw_only=True)
class LearningConfig:
    """Collaborative differentiable learning (AHL, section 3.3, Algorithm 1).

    Attributes:
        epochs: N of Algorithm 1.
        rounds: outer updates an epoch; the paper makes one.
        inner_steps: support batches before each outer update.
        query_batches: query batches whose mean gradient makes one outer update.
        batch_size: samples a batch, shared out evenly among the kinds present.
        inner_rate: learning rate of the base models (Adam).
        outer_rate: learning rate of the unified model (Adam), alpha of Eq. 4.
        averaged_epochs: the result's weights are the mean of g after each of this many last
            epochs (Polyak and Juditsky, 1992); 1 takes the last alone.
        collaborative: Algorithm 1; False trains the base detector alone for as many steps, the
            comparison every figure of AHL needs.
        second_order: differentiate through the inner steps instead of taking the gradient at
            the adapted weights.
    """

    epochs: int = 30
    rounds: int = 8
    inner_steps: int = 1
    query_batches: int = 1
    batch_size: int = 32
    inner_rate: float = 5e-4
    outer_rate: float = 5e-4
    averaged_epochs: int = 15
    collaborative: bool = True
    second_order: bool = False

    def steps_before_average(self, steps: int) -> int:
        """Of the `steps` of a whole training, those of the epochs that no average is taken of."""
        return steps * max(0, self.epochs - self.averaged_epochs) // self.epochs

    def __post_init__(self) -> None:
        require(self.epochs >= 1, "epochs", self.epochs, "at least 1")
        require(self.rounds >= 1, "rounds", self.rounds, "at least 1")
        require(self.inner_steps >= 1, "inner_steps", self.inner_steps, "at least 1")
        require(self.averaged_epochs >= 1, "averaged_epochs", self.averaged_epochs, "at least 1")
        require(self.query_batches >= 1, "query_batches", self.query_batches, "at least 1")
        require(self.batch_size >= 3, "batch_size", self.batch_size, "at least 3")
        require(0 < self.inner_rate < 1, "inner_rate", self.inner_rate, "between 0 and 1")
        require(0 < self.outer_rate < 1, "outer_rate", self.outer_rate, "between 0 and 1")

    def alone(self, epochs: int) -> Self:
        """The same for a model that goes on training without episodes, for fewer epochs."""
        averaged = min(self.averaged_epochs, max(1, epochs // 2))
        return replace(self, collaborative=False, epochs=epochs, averaged_epochs=averaged)
