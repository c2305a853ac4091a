"""The heads that a model file holds; what no training makes is refused."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import torch
from torch import Tensor

from ahl._common.tensor_file import Groups
from ahl.config import HeadConfig
from ahl.features.maps import FeatureLayout, FeatureMaps
from ahl.heads import BaseDetector
from ahl.heads.losses import Prior
from ahl.heads.weights import HeadWeights

# A step of Adam moves a weight by about the learning rate, features are half precision (65504 at
# most): no training comes near these, and float32 holds the products of all of a head's layers.
_LARGEST: Final = 1e6  # weight, feature of the reference, number of the prior
_LARGEST_STATISTIC: Final = 1e12  # mean or variance of responses to such features


@dataclass(frozen=True, kw_only=True, eq=False)
class StoredHeads:
    """What scores feature maps.

    Attributes:
        detector: the heads, with their constants.
        unified: weights and running statistics of g.
        reference: the fixed normal that residuals are taken from, (C, H_s, W_s) a scale.
    """

    detector: BaseDetector
    unified: HeadWeights
    reference: FeatureMaps


def read_heads(
    header: Mapping[str, Any],
    groups: Groups,
    config: HeadConfig,
    by_name: Mapping[str, type[BaseDetector]],
) -> StoredHeads:
    """Read the heads out of a model file's header and tensors.

    Args:
        header: with `base` and `prior`.
        groups: with `reference`, `heads` and `statistics`.
        config: the heads' constants.
        by_name: the detectors that the file may name.

    Raises:
        KeyError, TypeError, ValueError: if they do not fit together, or hold numbers that are
            finite and whose products would not be.
    """
    reference = _reference(groups["reference"])
    if header["base"] not in by_name:
        raise ValueError(f"it needs the base detector {header['base']!r}, which is not here")
    mean, deviation = (float(value) for value in header["prior"])
    if not (abs(mean) <= _LARGEST and 1 / _LARGEST <= deviation <= _LARGEST):
        raise ValueError("the prior is no distribution")
    detector = by_name[header["base"]](config, FeatureLayout.of(reference), Prior(mean, deviation))
    unified = HeadWeights(groups.get("heads", {}), groups.get("statistics", {}))
    expected = HeadWeights(
        detector.initial_parameters(torch.Generator()), detector.initial_statistics()
    )
    for given, wanted in zip(unified, expected, strict=True):
        if _forms(given) != _forms(wanted):
            raise ValueError("the heads' weights do not have the shapes of its settings")
    _check_bounds(unified, reference)
    return StoredHeads(detector=detector, unified=unified, reference=reference)


def _reference(stored: dict[str, Tensor]) -> FeatureMaps:
    reference = tuple(stored[str(i)] for i in range(len(stored)))
    if any(scale.ndim != 3 or scale.dtype != torch.float32 for scale in reference):
        raise ValueError("the reference features are not maps")
    return reference


def _forms(tensors: dict[str, Tensor]) -> dict[str, tuple[torch.Size, torch.dtype]]:
    return {name: (tensor.shape, tensor.dtype) for name, tensor in tensors.items()}


def _check_bounds(unified: HeadWeights, reference: FeatureMaps) -> None:
    """Refuse numbers that are finite and whose products would not be."""
    small = [*unified.parameters.values(), *reference]
    if any((tensor.abs() > _LARGEST).any() for tensor in small):
        raise ValueError("a weight or the reference is larger than any training makes it")
    for name, tensor in unified.statistics.items():
        if (tensor.abs() > _LARGEST_STATISTIC).any():
            raise ValueError("a statistic is larger than any training makes it")
        if name.endswith(".var") and (tensor < 0).any():
            raise ValueError("a variance is negative")
