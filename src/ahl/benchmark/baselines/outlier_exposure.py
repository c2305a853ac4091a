"""SAOE: synthetic anomalies and outlier exposure (as named in Ding et al., CVPR 2022)."""

from __future__ import annotations

from typing import final

from torch import Tensor
from torch.nn import functional

from ahl._common.types import Kind
from ahl.benchmark.baselines._pooled import LogitDetector
from ahl.heads.base import HeadScores
from ahl.heads.losses import weighted_mean


@final
class OutlierExposure(LogitDetector):
    """A classifier of normals against labelled and pseudo anomalies alike.

    Adapted: the pseudo anomalies are the synthetic ones; the exposed outliers are the labelled
    anomalies alone, because no further dataset is downloaded.
    """

    name = "saoe"

    def loss(self, scores: HeadScores, kinds: Tensor) -> Tensor:
        """Binary cross-entropy, normals weighing as much as all anomalies together."""
        labels = (kinds != Kind.NORMAL).to(scores["logit"].dtype)
        entropy = functional.binary_cross_entropy_with_logits(
            scores["logit"], labels, reduction="none"
        )
        return (weighted_mean(entropy, labels) + weighted_mean(entropy, 1 - labels)) / 2
