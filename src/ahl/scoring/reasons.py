"""Why a score is high, in words."""

from __future__ import annotations

from typing import Final

from ahl.model.card import ModelCard
from ahl.scoring.prediction import Prediction

_LEAST_SHARE: Final = 0.25  # of the largest part, below which one is not worth a word

_LEAST: Final = 0.05  # below, one decimal shows +0.0


def reasons(prediction: Prediction, card: ModelCard) -> list[tuple[str, float]]:
    """What makes an image more anomalous than a usual one, most important first.

    Args:
        prediction: of an image that could be read.
        card: of the model that made it.

    Returns:
        what each kind of evidence means, `it is ...`, and what it adds to the score; empty for a
        model that is not calibrated, and where nothing speaks against the image.
    """
    raised = {name: value for name, value in prediction.evidence.items() if value > 0}
    least = max(_LEAST, _LEAST_SHARE * max(raised.values(), default=0.0))
    named = [
        (card.meanings.get(name, name), value) for name, value in raised.items() if value >= least
    ]
    return sorted(named, key=lambda pair: -pair[1])
