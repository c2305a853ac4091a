"""Published methods that AHL is compared with, on the same features.

Three are base detectors of the field's deep comparisons, trained by the same loop; three need no
labelled anomaly or no gradient. Each is written from its paper's description and adapted to frozen
feature maps; what was adapted stands in the module.
"""

from ahl.benchmark.baselines.distillation import distil_and_score
from ahl.benchmark.baselines.logistic import logistic_scores
from ahl.benchmark.baselines.patchcore import patchcore_scores
from ahl.benchmark.baselines.pooled import FocalClassifier, MarginEmbedding, OutlierExposure

__all__ = [
    "FocalClassifier",
    "MarginEmbedding",
    "OutlierExposure",
    "distil_and_score",
    "logistic_scores",
    "patchcore_scores",
]
