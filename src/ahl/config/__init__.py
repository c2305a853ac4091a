"""All constants of the method, in sections, and the functions that return presets.

`default()` has the values that measured best here, the same for all datasets; `paper()` has the
published ones (docs/deviations.md lists the differences).
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
