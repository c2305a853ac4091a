"""Predictions: the score of an image with its evidence, independent of the runtime."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from ahl._common.types import Pixels
from ahl.model.card import ModelCard
from ahl.model.decision import Verdict
from ahl.scoring.places import Bounds, Place, strongest_places

Point = tuple[float, float]
"""A point of an image: shares of its height and width, from 0 (top, left) to 1."""

_LEAST_SHARE: Final = 0.25  # of the largest part, below which one is not worth a word

_LEAST: Final = 0.05  # below, one decimal shows +0.0


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Nearest:
    """The training image most similar to an image.

    Attributes:
        name: name of the training image.
        class_name: its class.
        distance: Euclidean distance of the features for whole images; for places 1 - cosine of
            their differences from normals, 0 to 2. Comparable within one model only.
        picture: small picture (S, S, 3); None if there is none.
        place: the scored image's most anomalous place; None if whole images were compared.
        like: the similar place in the training image; None if whole images were compared.
    """

    name: str
    class_name: str
    distance: float
    picture: Pixels | None
    place: Point | None = None
    like: Point | None = None

    def to_json(self) -> dict[str, Any]:
        """The fields except the picture as JSON values."""
        return {
            "name": self.name,
            "class": self.class_name,
            "distance": self.distance,
            "place": self.place,
            "like": self.like,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Prediction:
    """The score of an image with its evidence, or the reason why it has none.

    Attributes:
        index: position among the given images.
        score: anomaly score; higher is more anomalous, no fixed range; None for an error.
        heads: each head's score by name; higher is more anomalous.
        evidence: contributions of each head and of the memory to the score, which is their sum, in
            standard deviations of unseen normals; empty for a model that is not calibrated.
        anomalous: True if the score lies above the model's threshold; None without one.
        verdict: `"normal"`, `"uncertain"` (too close to call) or `"anomalous"`; None without a
            threshold.
        probability: probability of a defect, 0 to 1, if good and defective images were equally
            common; None for a model that is not calibrated.
        heat_map: heat map (H, W), see `ahl.scoring.heat_maps`; None if not requested.
        colour_bounds: the model's bounds for colouring, see `ahl.scoring.places`.
        nearest_normal: the most similar training normal; None if not requested, or if the model
            keeps none.
        nearest_anomaly: the labelled anomaly most similar to its most anomalous places; None if not
            requested, or if the model keeps none.
        error: the reason why there is no score; None if there is one.
    """

    index: int
    score: float | None = None
    heads: Mapping[str, float] = field(default_factory=dict)
    evidence: Mapping[str, float] = field(default_factory=dict)
    anomalous: bool | None = None
    verdict: Verdict | None = None
    probability: float | None = None
    heat_map: NDArray[np.float32] | None = None
    colour_bounds: Bounds | None = None
    nearest_normal: Nearest | None = None
    nearest_anomaly: Nearest | None = None
    error: str | None = None

    @property
    def places(self) -> list[Place]:
        """Places of high heat, the strongest first; empty without a heat map."""
        return [] if self.heat_map is None else strongest_places(self.heat_map, self.colour_bounds)

    def to_json(self, *, why: ModelCard | None = None) -> dict[str, Any]:
        """The numbers as JSON values, most important first; only `error` without a score.

        Args:
            why: the model's card, to add the reasons and the requested nearest training images.
        """
        if self.score is None:
            return {"error": self.error}
        values: dict[str, Any] = {"score": self.score}
        if self.probability is not None:
            values["probability"] = round(self.probability, 6)
        if self.verdict is not None:
            values |= {"anomalous": self.anomalous, "verdict": self.verdict}
        values["heads"] = dict(self.heads)
        if self.evidence:
            values["evidence"] = dict(self.evidence)
        if why is not None:
            values["why"] = [list(pair) for pair in reasons(self, why)]
            if self.nearest_anomaly is not None:
                values["nearest_anomaly"] = self.nearest_anomaly.to_json()
            if self.nearest_normal is not None:
                values["nearest_normal"] = self.nearest_normal.to_json()
        if self.heat_map is not None:
            values["places"] = [place.to_json() for place in self.places]
        return values


def reasons(prediction: Prediction, card: ModelCard) -> list[tuple[str, float]]:
    """The evidence that raises an image's score, most important first.

    Args:
        prediction: the prediction for an image that could be read.
        card: the card of the model that made it.

    Returns:
        the meaning of each such kind of evidence, to complete `it is ...`, and its contribution to
        the score; empty without calibration, and if no evidence raises the score.
    """
    raised = {name: value for name, value in prediction.evidence.items() if value > 0}
    least = max(_LEAST, _LEAST_SHARE * max(raised.values(), default=0.0))
    named = [
        (card.meanings.get(name, name), value) for name, value in raised.items() if value >= least
    ]
    return sorted(named, key=lambda pair: -pair[1])
