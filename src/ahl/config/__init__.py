"""Every constant of the method, in sections; presets are functions.

`default()` is what measured best here, one setting for all datasets; `paper()` is the published
method (docs/deviations.md lists the differences).
"""

from ahl.config.image_size import DEFAULT_BACKBONE, FeatureConfig
from ahl.config.presets import Config, default, paper, preset
from ahl.config.sections import (
    AnomalyOverlap,
    CalibrationConfig,
    DistributionConfig,
    ErrorForm,
    FinetuneConfig,
    Grouping,
    HeadConfig,
    ImportanceConfig,
    ImportanceSource,
    LearningConfig,
    MemoryConfig,
    VectorConfig,
)

__all__ = [
    "DEFAULT_BACKBONE",
    "AnomalyOverlap",
    "CalibrationConfig",
    "Config",
    "DistributionConfig",
    "ErrorForm",
    "FeatureConfig",
    "FinetuneConfig",
    "Grouping",
    "HeadConfig",
    "ImportanceConfig",
    "ImportanceSource",
    "LearningConfig",
    "MemoryConfig",
    "VectorConfig",
    "default",
    "paper",
    "preset",
]
