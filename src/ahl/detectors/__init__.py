"""Base detectors: heads on feature maps, with their loss."""

from ahl.detectors.base import BaseDetector, HeadScores, Parameters, Statistics
from ahl.detectors.devnet import DevNet
from ahl.detectors.dra import DRA
from ahl.errors import ConfigurationError

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
    "find_detector",
]


def find_detector(base: str | type[BaseDetector]) -> type[BaseDetector]:
    """The class of a base detector: looked up by name, or as it is given.

    Raises:
        ConfigurationError: if there is none of that name.
    """
    if not isinstance(base, str):
        return base
    by_name = {detector.name: detector for detector in DETECTORS}
    if base not in by_name:
        raise ConfigurationError(
            f"There is no base detector {base!r}; choose {' or '.join(by_name)}."
        )
    return by_name[base]
