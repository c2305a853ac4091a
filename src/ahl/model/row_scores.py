"""What a trained model says of images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor


@dataclass(frozen=True, kw_only=True, eq=False)
class RowScores:
    """What a model says of N images.

    Attributes:
        score: (N,) float32 image scores, higher = more anomalous.
        heads: (N,) by head name, each turned so that higher = more anomalous.
        evidence: (N,) by `TrainedModel.evidence_names`: what each kind of evidence adds to the
            score, which is their sum; None where the heads are not calibrated.
    """

    score: Tensor
    heads: dict[str, Tensor]
    evidence: dict[str, Tensor] | None

    @classmethod
    def joined(cls, parts: Sequence[Self], heads: Sequence[str], evidence: Sequence[str]) -> Self:
        """The same of all images; the names tell what to expect where there are none."""
        nothing = torch.empty(0)
        whole = [part.evidence for part in parts if part.evidence is not None]
        return cls(
            score=torch.cat([nothing, *(part.score for part in parts)]),
            heads={n: torch.cat([nothing, *(part.heads[n] for part in parts)]) for n in heads},
            evidence={n: torch.cat([nothing, *(part[n] for part in whole)]) for n in evidence}
            if evidence
            else None,
        )
