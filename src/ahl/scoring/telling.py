"""What is said of an image, as JSON values: the same on the command line and in the service."""

from __future__ import annotations

from typing import Any

from ahl.model.card import ModelCard
from ahl.scoring.prediction import Nearest, Prediction
from ahl.scoring.reasons import reasons


def told_of(prediction: Prediction, card: ModelCard, *, why: bool) -> dict[str, Any]:
    """What is said of an image, in the order of its importance.

    Args:
        prediction: of the image.
        card: of the model that made it.
        why: also say what makes it anomalous, and what it is like as far as that was asked for.

    Returns:
        JSON values by name; `error` alone for an image that has no score.
    """
    told = prediction.values()
    if why and prediction.score is not None:
        told["why"] = [list(pair) for pair in reasons(prediction, card)]
        for key in ("nearest_anomaly", "nearest_normal"):
            found: Nearest | None = getattr(prediction, key)
            if found is not None:
                told[key] = {
                    "name": found.name,
                    "class": found.class_name,
                    "distance": found.distance,
                    "place": found.place,
                    "like": found.like,
                }
    return told
