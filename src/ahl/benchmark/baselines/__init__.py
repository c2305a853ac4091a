"""Published methods that AHL is compared with, on the same features.

Three are base detectors trained by the same loop as ours (FLOS, SAOE, MLEP); PatchCore and KDAD
train on normals alone; the sixth is logistic regression. The published ones are written from their
papers' descriptions and adapted to frozen feature maps; docstrings with "Adapted" say how.
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
