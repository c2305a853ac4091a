"""Published methods that AHL is compared with, on the same features.

Three are base detectors of the field's deep comparisons (trained by the same loop), three need no
labelled anomaly or no gradient. Each is written from its paper's description, adapted to frozen
feature maps; what was adapted stands in the module.
"""

from ahl.baselines.distillation import distil_and_score
from ahl.baselines.focal import FocalClassifier
from ahl.baselines.logistic import logistic_scores
from ahl.baselines.margin import MarginEmbedding
from ahl.baselines.outlier_exposure import OutlierExposure
from ahl.baselines.patchcore import patchcore_scores

__all__ = [
    "FocalClassifier",
    "MarginEmbedding",
    "OutlierExposure",
    "distil_and_score",
    "logistic_scores",
    "patchcore_scores",
]
