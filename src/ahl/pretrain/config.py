"""All constants of a pretraining run."""

from __future__ import annotations

from dataclasses import dataclass

from ahl.config._checks import require


@dataclass(frozen=True, kw_only=True)
class PretrainConfig:
    """How the embedded backbone is trained.

    Attributes:
        shards: drawn shards to train on, of 100 groups of nine pictures each.
        size: side of the pictures, in pixels.
        steps: of the optimiser; 0 leaves the first, random weights.
        groups: in a batch.
        rate: highest learning rate; it rises over the first steps and falls along a cosine.
        rising: share of the steps in which it rises.
        weight_decay: of AdamW.
        naming: weight of the term that names kinds of defect, see `terms.naming_loss`.
        ranking: of the term that ranks distances from normals, see `terms.ranking_loss`.
        telling: of the term that tells defects by few examples, see `terms.telling_loss`.
        grouping: of the term that tells materials apart, see `terms.grouping_loss`.
        describing: of the term that predicts filter responses, see `terms.describing_loss`.
    """

    shards: int = 100
    size: int = 128
    steps: int = 2500
    groups: int = 16
    rate: float = 2e-3
    rising: float = 0.05
    weight_decay: float = 0.02
    naming: float = 0.5
    ranking: float = 1.0
    telling: float = 1.0
    grouping: float = 0.5
    describing: float = 1.0

    def __post_init__(self) -> None:
        require(self.shards >= 1, "shards", self.shards, "at least 1")
        require(self.size >= 64, "size", self.size, "at least 64")
        require(self.steps >= 0, "steps", self.steps, "at least 0")
        require(2 <= self.groups <= 100, "groups", self.groups, "2 to 100")
        require(0 < self.rate < 1, "rate", self.rate, "between 0 and 1")
        require(0 < self.rising < 1, "rising", self.rising, "between 0 and 1")
        require(0 <= self.weight_decay < 1, "weight_decay", self.weight_decay, "in [0, 1)")
        for name in ("naming", "ranking", "telling", "grouping", "describing"):
            require(getattr(self, name) >= 0, name, getattr(self, name), "0 or more")
