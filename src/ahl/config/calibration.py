"""Calibration of the heads by what they did not train on."""

from __future__ import annotations

from dataclasses import dataclass

from ahl.config._checks import require


@dataclass(frozen=True, kw_only=True)
class CalibrationConfig:
    """How the heads' scores and the memory's evidence become one image score.

    Not in the papers, which add the heads' scores up as they are (docs/deviations.md).

    Attributes:
        folds: detectors trained alone, each without its share of the normals and of the labelled
            anomalies, that judge what a head's score is worth on images it has not seen; 0 adds
            the scores up as the base detector says.
        share: their training, as a share of the steps of a whole one.
        prior_count: how many anomalies the belief that all evidence is worth the same weighs.
    """

    folds: int = 3
    share: float = 1.0
    prior_count: float = 3.0

    def __post_init__(self) -> None:
        require(
            self.folds == 0 or 2 <= self.folds <= 100, "folds", self.folds, "0, or from 2 to 100"
        )
        require(0 < self.share <= 1, "share", self.share, "above 0 and at most 1")
        require(0 < self.prior_count < float("inf"), "prior_count", self.prior_count, "positive")
