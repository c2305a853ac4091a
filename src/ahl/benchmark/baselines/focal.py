"""FLOS: a classifier with the focal loss (Lin et al., "Focal Loss", ICCV 2017)."""

from __future__ import annotations

from typing import final

import torch
from torch import Tensor
from torch.nn import functional

from ahl._common.types import Kind
from ahl.benchmark.baselines._pooled import LogitDetector
from ahl.heads.base import HeadScores
from ahl.heads.losses import kind_weights, weighted_mean

FOCUS = 2.0
"""gamma of the focal loss, as published."""


@final
class FocalClassifier(LogitDetector):
    """Labelled anomalies against normals; pseudo anomalies are not used.

    Adapted: the output is one hidden layer on globally averaged frozen features; the class weight
    alpha is left out, because batches are balanced.
    """

    name = "flos"

    def loss(self, scores: HeadScores, kinds: Tensor) -> Tensor:
        """Focal loss, FL = -(1 - p)^gamma log p with p the probability of the true label."""
        labels = (kinds != Kind.NORMAL).to(scores["logit"].dtype)
        entropy = functional.binary_cross_entropy_with_logits(
            scores["logit"], labels, reduction="none"
        )
        focal = (1 - torch.exp(-entropy)) ** FOCUS * entropy
        return weighted_mean(focal, kind_weights(kinds, anomaly=1.0, pseudo=0.0))
