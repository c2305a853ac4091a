"""Base detectors: heads on feature maps, and their loss."""

from collections.abc import Iterable

from ahl._common.errors import ConfigurationError
from ahl.heads.base import MEMORY, BaseDetector, HeadScores, Parameters, Statistics
from ahl.heads.devnet import DevNet
from ahl.heads.dra import DRA

DETECTORS: tuple[type[BaseDetector], ...] = (DRA, DevNet)
"""Our base detectors, which `--heads` offers."""

__all__ = [
    "DETECTORS",
    "DRA",
    "BaseDetector",
    "DevNet",
    "HeadScores",
    "Parameters",
    "Statistics",
    "find_detector",
    "known_detectors",
]


def known_detectors(further: Iterable[type[BaseDetector]] = ()) -> dict[str, type[BaseDetector]]:
    """Base detectors by name: ours, and further ones.

    Raises:
        ConfigurationError: if one is not a base detector, or its name is taken.
    """
    known: dict[str, type[BaseDetector]] = {}
    for detector in (*DETECTORS, *further):
        if not (isinstance(detector, type) and issubclass(detector, BaseDetector)):
            raise ConfigurationError(f"{detector!r} is not a subclass of ahl.BaseDetector.")
        if known.setdefault(detector.name, detector) is not detector:
            raise ConfigurationError(
                f"Two base detectors are called {detector.name!r}; give yours another name."
            )
        if MEMORY in detector.head_names:
            raise ConfigurationError(
                f"A head of {detector.name!r} is called {MEMORY!r}, which is the name of the "
                "memory's evidence; give it another name."
            )
    return known


def find_detector(heads: str | type[BaseDetector]) -> type[BaseDetector]:
    """Return a base detector's class, given by name or directly.

    Raises:
        ConfigurationError: if the name is unknown, or the class is not a base detector.
    """
    if not isinstance(heads, str):
        known_detectors([heads])
        return heads
    known = known_detectors()
    if heads not in known:
        raise ConfigurationError(f"heads is {heads!r}; expected {' or '.join(known)}.")
    return known[heads]
