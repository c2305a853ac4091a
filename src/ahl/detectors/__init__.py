"""Base detectors: heads on feature maps, with their loss."""

from ahl.detectors.base import BaseDetector, HeadScores, Parameters, Statistics
from ahl.detectors.devnet import DevNet
from ahl.detectors.dra import DRA

DETECTORS: tuple[type[BaseDetector], ...] = (DRA, DevNet)
"""What `--base` offers."""

__all__ = [
    "DETECTORS",
    "DRA",
    "BaseDetector",
    "DevNet",
    "HeadScores",
    "Parameters",
    "Statistics",
]
