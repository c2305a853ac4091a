"""What is said of one image, whatever computed it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ahl._common.types import Pixels
from ahl.model.decision import Verdict

Place = tuple[float, float]
"""Vertical and horizontal share of an image, from 0 at the top and left to 1."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Nearest:
    """The training image most like another.

    Attributes:
        name: of the training image.
        class_name: its class.
        distance: of whole images the Euclidean one of their features, of places 1 - the cosine of
            what sets them apart from normal ones, 0 to 2. Compare it within one model only.
        picture: small, (S, S, 3); None if there is none.
        place: the most anomalous place of the image asked about; None where the whole images were
            compared.
        like: the place of the training image that it is like; likewise.
    """

    name: str
    class_name: str
    distance: float
    picture: Pixels | None
    place: Place | None = None
    like: Place | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Prediction:
    """Scores of one image, or why it has none.

    Attributes:
        index: position among the images given.
        score: anomaly score, higher = more anomalous, no fixed range; None without a score.
        heads: each head's score by name, turned so that higher = more anomalous.
        evidence: what each head, and the memory of normals, adds to the score, which is their sum;
            in spreads of unseen normals; empty for a model that is not calibrated.
        anomalous: whether the score lies above the model's threshold; None without one.
        verdict: `"normal"`, `"uncertain"` (too close to call) or `"anomalous"`, likewise.
        probability: how likely the image is anomalous, 0 to 1, were good and defective ones equally
            common; None for a model that is not calibrated.
        heat_map: (H, W) where the evidence lies, see `ahl.scoring.heat_maps`; None if not asked
            for.
        nearest_normal: the training normal that looks most like it; None likewise, or if the
            model keeps none.
        nearest_anomaly: the labelled anomaly most like it at its most anomalous places; likewise.
        error: why the image cannot be read; None when it can.
    """

    index: int
    score: float | None = None
    heads: Mapping[str, float] = field(default_factory=dict)
    evidence: Mapping[str, float] = field(default_factory=dict)
    anomalous: bool | None = None
    verdict: Verdict | None = None
    probability: float | None = None
    heat_map: NDArray[np.float32] | None = None
    nearest_normal: Nearest | None = None
    nearest_anomaly: Nearest | None = None
    error: str | None = None

    def values(self) -> dict[str, Any]:
        """The numbers as JSON values: of an unreadable image its error, else what there is."""
        if self.score is None:
            return {"error": self.error}
        told: dict[str, Any] = {"score": self.score}
        if self.probability is not None:
            told["probability"] = round(self.probability, 6)
        if self.verdict is not None:
            told |= {"anomalous": self.anomalous, "verdict": self.verdict}
        told["heads"] = dict(self.heads)
        if self.evidence:
            told["evidence"] = dict(self.evidence)
        return told
