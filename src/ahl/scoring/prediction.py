"""A prediction: the scores of one image and what they are made of, whatever computed them."""

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
"""Vertical and horizontal share of an image, from 0 at the top and left to 1."""

_LEAST_SHARE: Final = 0.25  # of the largest part, below which one is not worth a word

_LEAST: Final = 0.05  # below, one decimal shows +0.0


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
        like: the place of the training image that it is like; None for whole images.
    """

    name: str
    class_name: str
    distance: float
    picture: Pixels | None
    place: Point | None = None
    like: Point | None = None

    def to_json(self) -> dict[str, Any]:
        """All but the picture as JSON values."""
        return {
            "name": self.name,
            "class": self.class_name,
            "distance": self.distance,
            "place": self.place,
            "like": self.like,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Prediction:
    """Scores of one image, or why it has none.

    Attributes:
        index: position among the images given.
        score: anomaly score, higher = more anomalous, no fixed range; None without a score.
        heads: each head's score by name, turned so that higher = more anomalous.
        evidence: what each head, and the memory of normals, adds to the score, which is their sum;
            in standard deviations of unseen normals; empty for a model that is not calibrated.
        anomalous: True if the score lies above the model's threshold; None without one.
        verdict: `"normal"`, `"uncertain"` (too close to call) or `"anomalous"`; None without one.
        probability: of a defect, 0 to 1, were good and defective images equally common; None for a
            model that is not calibrated.
        heat_map: (H, W) where the evidence lies, see `ahl.scoring.heat_maps`; None if not asked
            for.
        colour_bounds: of the model, see `ahl.scoring.places`.
        nearest_normal: the training normal that looks most like it; None if not asked for, or if
            the model keeps none.
        nearest_anomaly: the labelled anomaly most like it at its most anomalous places; None
            as above.
        error: why there is no score; None when there is one.
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
        """Places of the strongest evidence, strongest first; empty without a heat map."""
        return [] if self.heat_map is None else strongest_places(self.heat_map, self.colour_bounds)

    def to_json(self, *, why: ModelCard | None = None) -> dict[str, Any]:
        """The numbers as JSON values, most important first; `error` alone without a score.

        Args:
            why: the model's card: also give the reasons, and the nearest training images as far as
                they were asked for.
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
    """The evidence that makes an image more anomalous than a usual one, most important first.

    Args:
        prediction: of an image that could be read.
        card: of the model that made it.

    Returns:
        the meaning of each kind of evidence, `it is ...`, and what it adds to the score; empty for
        a model that is not calibrated, and where nothing speaks against the image.
    """
    raised = {name: value for name, value in prediction.evidence.items() if value > 0}
    least = max(_LEAST, _LEAST_SHARE * max(raised.values(), default=0.0))
    named = [
        (card.meanings.get(name, name), value) for name, value in raised.items() if value >= least
    ]
    return sorted(named, key=lambda pair: -pair[1])
