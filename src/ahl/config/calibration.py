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
        neighbours: left-out normals most like an image, at least, which say what is usual for
            it; 0 compares every image with all of them.
        neighbour_share: as many, as a share of the normals, if these are more.
        neighbour_prior: how many neighbours the belief that all normals are alike weighs.
    """

    folds: int = 3
    share: float = 1.0
    prior_count: float = 3.0
    neighbours: int = 20
    neighbour_share: float = 0.3
    neighbour_prior: float = 5.0

    def __post_init__(self) -> None:
        require(
            self.folds == 0 or 2 <= self.folds <= 100, "folds", self.folds, "0, or from 2 to 100"
        )
        require(0 < self.share <= 1, "share", self.share, "above 0 and at most 1")
        for name in ("prior_count", "neighbour_prior"):
            value = getattr(self, name)
            require(0 < value < float("inf"), name, value, "positive")
        share = self.neighbour_share
        require(0 <= share <= 1, "neighbour_share", share, "from 0 to 1")
        require(self.neighbours >= 0, "neighbours", self.neighbours, "at least 0")
