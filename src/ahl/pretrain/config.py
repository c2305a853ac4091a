"""What a pretraining run can be asked for; constants of a formula stand beside it."""

from __future__ import annotations

from dataclasses import dataclass
from math import isfinite
from typing import Final

from ahl.config._checks import require

TERMS: Final = ("ranking", "few_shot", "prototypes")
"""Fields that are weights of terms."""


@dataclass(frozen=True, kw_only=True)
class PretrainConfig:
    """How the embedded backbone is learned and refined.

    Attributes:
        shards: drawn shards to learn from, of 100 groups of nine pictures each.
        size: side of the pictures, in pixels.
        steps: of the optimiser; 0 leaves the filters as k-means found them.
        groups: in a batch.
        rate: highest learning rate; it rises over the first steps and falls along a cosine.
        warmup: share of the steps in which it rises.
        ranking: weight of the term that ranks distances from normals, see `terms.ranking_loss`.
        few_shot: of the term that tells defects by few examples, see `terms.few_shot_loss`.
        prototypes: of the term that tells materials apart, see `terms.prototype_loss`.
    """

    shards: int = 30
    size: int = 128
    steps: int = 150
    groups: int = 16
    rate: float = 1e-3
    warmup: float = 0.1
    ranking: float = 1.0
    few_shot: float = 1.0
    prototypes: float = 0.5

    def __post_init__(self) -> None:
        require(self.shards >= 1, "shards", self.shards, "at least 1")
        require(self.size >= 64, "size", self.size, "at least 64")
        require(self.steps >= 0, "steps", self.steps, "at least 0")
        require(2 <= self.groups <= 100, "groups", self.groups, "2 to 100")
        require(0 < self.rate < 1, "rate", self.rate, "between 0 and 1")
        require(0 < self.warmup < 1, "warmup", self.warmup, "between 0 and 1")
        for name in TERMS:
            weight = getattr(self, name)
            require(weight >= 0 and isfinite(weight), name, weight, "a number of 0 or more")
        weights = [getattr(self, name) for name in TERMS]
        require(any(weights), "the sum of the terms' weights", 0, "more than 0")
