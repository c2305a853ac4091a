"""Every constant of the method, a section a file; presets are functions.

`default()` is what measured best here, one setting for all datasets; `paper()` is the published
method (docs/deviations.md lists the differences).
"""

from ahl.config.calibration import CalibrationConfig
from ahl.config.distributions import AnomalyOverlap, DistributionConfig, Grouping
from ahl.config.features import DEFAULT_BACKBONE, FeatureConfig
from ahl.config.finetuning import FinetuneConfig
from ahl.config.heads import HeadConfig
from ahl.config.importance import ErrorForm, ImportanceConfig, ImportanceSource
from ahl.config.learning import LearningConfig
from ahl.config.memory import MemoryConfig
from ahl.config.presets import PresetName, default, paper, preset
from ahl.config.vectors import VectorConfig
from ahl.config.whole import Config

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
    "PresetName",
    "VectorConfig",
    "default",
    "paper",
    "preset",
]
