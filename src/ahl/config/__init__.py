"""Every constant of the method, a section a file; presets are functions.

`default()` is what measured best here, one setting for all datasets; `paper()` is the published
method (docs/deviations.md lists the differences).
"""

from ahl.config.distributions import AnomalyOverlap, DistributionConfig
from ahl.config.features import FeatureConfig
from ahl.config.finetuning import FinetuneConfig
from ahl.config.heads import HeadConfig
from ahl.config.importance import ErrorForm, ImportanceConfig
from ahl.config.learning import LearningConfig
from ahl.config.presets import PresetName, default, paper, preset
from ahl.config.whole import Config

__all__ = [
    "AnomalyOverlap",
    "Config",
    "DistributionConfig",
    "ErrorForm",
    "FeatureConfig",
    "FinetuneConfig",
    "HeadConfig",
    "ImportanceConfig",
    "LearningConfig",
    "PresetName",
    "default",
    "paper",
    "preset",
]
