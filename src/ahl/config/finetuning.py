"""Stage 0, the backbone trained end to end: AHL, section 4.1."""

from __future__ import annotations

from dataclasses import dataclass

from ahl.config._checks import require


@dataclass(frozen=True, kw_only=True)
class FinetuneConfig:
    """Stage 0: the backbone trained end to end under the base loss (AHL, section 4.1)."""

    epochs: int = 30
    steps: int = 20
    batch_size: int = 48
    rate: float = 2e-4
    weight_decay: float = 1e-5
    decay_every: int = 10
    decay: float = 0.1

    def __post_init__(self) -> None:
        require(self.epochs >= 1, "finetune epochs", self.epochs, "at least 1")
        require(self.steps >= 1, "finetune steps", self.steps, "at least 1")
        require(self.batch_size >= 3, "finetune batch_size", self.batch_size, "at least 3")
        require(0 < self.rate < 1, "finetune rate", self.rate, "between 0 and 1")
        require(0 <= self.weight_decay < 1, "weight_decay", self.weight_decay, "in [0, 1)")
        require(self.decay_every >= 1, "decay_every", self.decay_every, "at least 1")
        require(0 < self.decay <= 1, "decay", self.decay, "in (0, 1]")
