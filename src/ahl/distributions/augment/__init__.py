"""Pseudo anomalies: normal images made to look anomalous (AHL, appendix B.1)."""

from ahl.distributions.augment.base import PseudoAnomalyGenerator
from ahl.distributions.augment.cutmix import CutMix
from ahl.distributions.augment.cutpaste import CutPaste
from ahl.distributions.augment.draem import DraemMask

__all__ = [
    "CutMix",
    "CutPaste",
    "DraemMask",
    "PseudoAnomalyGenerator",
    "default_generators",
]


def default_generators() -> tuple[PseudoAnomalyGenerator, ...]:
    """The method's generators with default settings, in a fixed order.

    Examples:
        >>> from ahl import default_generators
        >>> [generator.name for generator in default_generators()]
        ['cutmix', 'cutpaste', 'draem']
    """
    return (CutMix(), CutPaste(), DraemMask())
