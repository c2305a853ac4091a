"""Importance scores of the base models: AHL, section 3.4."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from ahl.config._checks import require

ErrorForm = Literal["calibrated", "paper"]
ImportanceSource = Literal["psi", "measured", "equal"]


@dataclass(frozen=True, kw_only=True)
class ImportanceConfig:
    """Importance scores by sequence modelling (AHL, section 3.4).

    Attributes:
        source: what Eq. 6 judges: scores that psi predicts, those measured in the same epoch (the
            ablation CDL-), or nothing, which weighs all base models equally.
        history: K, the number of past score vectors that psi reads.
        first_epoch: epochs before this one weigh all base models equally.
        hidden: hidden units of psi's LSTM, each direction.
        rate: learning rate of psi (Adam).
        steps: optimiser steps psi takes an epoch.
        batch_size: samples a step.
        error: form of Eq. 6; `"calibrated"` maps scores onto 0..1 before comparing them with
            labels, `"paper"` compares them as they are.
        unseen_weight: c_j of Eq. 6 where a sample is an anomaly the base model has not seen.
        seen_weight: c_j of Eq. 6 otherwise.
    """

    source: ImportanceSource = "psi"
    history: int = 5
    first_epoch: int = 5
    hidden: int = 7
    rate: float = 0.02
    steps: int = 10
    batch_size: int = 256
    error: ErrorForm = "calibrated"
    unseen_weight: float = 1.0
    seen_weight: float = 0.5

    def __post_init__(self) -> None:
        require(
            self.source in get_args(ImportanceSource),
            "source",
            self.source,
            "'psi', 'measured' or 'equal'",
        )
        require(self.history >= 1, "history", self.history, "at least 1")
        require(self.first_epoch >= 0, "first_epoch", self.first_epoch, "at least 0")
        require(self.hidden >= 1, "hidden", self.hidden, "at least 1")
        require(0 < self.rate < 1, "rate", self.rate, "between 0 and 1")
        require(self.unseen_weight >= 0, "unseen_weight", self.unseen_weight, "0 or positive")
        require(self.seen_weight >= 0, "seen_weight", self.seen_weight, "0 or positive")
        require(self.steps >= 1, "steps", self.steps, "at least 1")
        require(self.batch_size >= 1, "batch_size", self.batch_size, "at least 1")
        require(self.error in get_args(ErrorForm), "error", self.error, "'calibrated' or 'paper'")
