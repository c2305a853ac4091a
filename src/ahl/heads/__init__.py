"""Base detectors: heads on feature maps, with their loss."""

from collections.abc import Iterable

from ahl._common.errors import ConfigurationError
from ahl.heads.base import MEMORY, BaseDetector, HeadScores, Parameters, Statistics
from ahl.heads.devnet import DevNet
from ahl.heads.dra import DRA

DETECTORS: tuple[type[BaseDetector], ...] = (DRA, DevNet)
"""Ours; `--heads` offers these."""

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
    """Base detectors by name: ours, and those of the caller's own.

    Raises:
        ConfigurationError: if one is no base detector, or has a name that is taken.
    """
    known: dict[str, type[BaseDetector]] = {}
    for detector in (*DETECTORS, *further):
        if not (isinstance(detector, type) and issubclass(detector, BaseDetector)):
            raise ConfigurationError(f"{detector!r} is no subclass of ahl.heads.BaseDetector.")
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


def find_detector(base: str | type[BaseDetector]) -> type[BaseDetector]:
    """The class of a base detector: looked up by name, or as it is given.

    Raises:
        ConfigurationError: if there is none of that name, or what is given is none.
    """
    if not isinstance(base, str):
        known_detectors([base])
        return base
    known = known_detectors()
    if base not in known:
        raise ConfigurationError(
            f"There is no base detector {base!r}; choose {' or '.join(known)}."
        )
    return known[base]
