"""Pseudo anomalies: normal images made to look anomalous (AHL, appendix B.1)."""

from ahl.augment.base import PseudoAnomalyGenerator
from ahl.augment.cutmix import CutMix
from ahl.augment.cutpaste import CutPaste
from ahl.augment.draem import DraemMask

__all__ = [
    "CutMix",
    "CutPaste",
    "DraemMask",
    "PseudoAnomalyGenerator",
    "default_generators",
]


def default_generators() -> tuple[PseudoAnomalyGenerator, ...]:
    """The generators of the method, in a fixed order, each with its default settings."""
    return (CutMix(), CutPaste(), DraemMask())
