"""The header of a model file, and the reading of its heads; implausible values are refused."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Final

import torch
from msgspec import Meta
from torch import Tensor

from ahl._common.history import EpochRecord, check_history
from ahl._common.schema import Positive
from ahl._common.tensor_file import Groups, tensor_of
from ahl.config import Config, FeatureConfig
from ahl.evidence.calibration import CalibrationConstants
from ahl.evidence.memory import MemoryConstants
from ahl.features.backbones import Backbone, BackboneDescription
from ahl.features.maps import FeatureLayout, FeatureMaps
from ahl.features.tiles import check_tiles
from ahl.heads import BaseDetector
from ahl.heads.losses import Prior
from ahl.heads.weights import HeadWeights
from ahl.model.decision import Decision
from ahl.model.exemplars import Exemplar
from ahl.model.manifest import EpisodeRecord, Manifest

# A step of Adam moves a weight by about the learning rate, features are half precision (65504 at
# most): no training comes near these, and float32 holds the products of all of a head's layers.
_LARGEST: Final = 1e6  # weight, feature of the reference, number of the prior
_LARGEST_STATISTIC: Final = 1e12  # mean or variance of responses to such features

Mean = Annotated[float, Meta(ge=-_LARGEST, le=_LARGEST)]
Deviation = Annotated[float, Meta(ge=1 / _LARGEST, le=_LARGEST)]


@dataclass(frozen=True, kw_only=True, eq=False)
class ModelHeader:
    """Everything in a model except its tensors.

    Attributes:
        ahl_version: version of ahl that wrote the file.
        base: name of the base detector.
        prior: mean and standard deviation of the deviation loss's reference scores.
        feature_factor: factor on the reduced features.

    The others are those of `TrainedModel`, or their constants.
    """

    ahl_version: str
    base: str
    prior: tuple[Mean, Deviation]
    feature_factor: Positive
    memory: MemoryConstants | None
    calibration: CalibrationConstants | None
    decision: Decision | None
    config: Config
    seed: Annotated[int, Meta(ge=0, lt=2**32)]
    backbone: BackboneDescription | None
    manifest: Manifest
    history: tuple[EpochRecord, ...]
    exemplars: tuple[Exemplar, ...]
    episodes: tuple[EpisodeRecord, ...]

    def __post_init__(self) -> None:
        check_history(self.history)
        files = len(self.manifest.files)
        for episode in self.episodes:
            if max((*episode.shown_normals, *episode.support_anomalies), default=-1) >= files:
                raise ValueError("an episode names an image that the manifest does not have")


def read_heads(
    header: ModelHeader, groups: Groups, by_name: Mapping[str, type[BaseDetector]]
) -> tuple[BaseDetector, HeadWeights, FeatureMaps]:
    """Read the heads, their weights, and the reference for residuals.

    Raises:
        ValueError: if they are inconsistent, or hold numbers so large that products overflow.
    """
    stored = groups.get("reference", {})
    reference = tuple(
        tensor_of(stored, str(i), torch.float32, None, None, None) for i in range(len(stored))
    )
    if header.base not in by_name:
        raise ValueError(f"it needs the base detector {header.base!r}, which is not here")
    detector = by_name[header.base](
        header.config.position_heads, FeatureLayout.of(reference), Prior(*header.prior)
    )
    unified = HeadWeights(groups.get("heads", {}), groups.get("statistics", {}))
    expected = HeadWeights(
        detector.initial_parameters(torch.Generator()), detector.initial_statistics()
    )
    for given, wanted in zip(unified, expected, strict=True):
        if _forms(given) != _forms(wanted):
            raise ValueError("the heads' weights do not have the shapes of its settings")
    if any(
        (tensor.abs() > _LARGEST).any() for tensor in (*unified.parameters.values(), *reference)
    ):
        raise ValueError("a weight or the reference is larger than any training makes it")
    for name, tensor in unified.statistics.items():
        negative = name.endswith(".var") and (tensor < 0).any()
        if negative or (tensor.abs() > _LARGEST_STATISTIC).any():
            raise ValueError("a statistic is negative or larger than any training makes it")
    return detector, unified, reference


def _forms(tensors: dict[str, Tensor]) -> dict[str, tuple[torch.Size, torch.dtype]]:
    return {name: (tensor.shape, tensor.dtype) for name, tensor in tensors.items()}


def check_sizes(features: FeatureConfig, backbone: Backbone, layout: FeatureLayout) -> None:
    """Refuse impossible image sizes and tiles, which might take any amount of memory.

    Raises:
        ValueError, ConfigurationError: if they do not suit the backbone or the feature maps.
    """
    if features.image_size is None:
        raise ValueError("the model has a backbone and no image size")
    if features.tiles:
        check_tiles(features, backbone)
        height, width = (2 * side // backbone.multiple for side in features.image_size)
        if layout.scales[0][1:] != (height, width):
            raise ValueError("the tiles do not make up the feature maps")
