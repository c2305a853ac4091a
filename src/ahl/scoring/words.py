"""Predictions in words, for people."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Final

from ahl._common.text import counted, joined
from ahl.model.card import ModelCard
from ahl.model.decision import Verdict
from ahl.scoring.places import in_thirds
from ahl.scoring.prediction import Prediction, reasons

_UNREADABLE: Final = "could not be read"
_ORDER: Final = (
    *("anomalous", "anomalous?", "normal?", "normal", "without a verdict"),
    _UNREADABLE,
)


def called(anomalous: bool | None, verdict: Verdict | None) -> str:
    """An image's verdict in words, with a question mark if it is too close to call."""
    side = "anomalous" if anomalous else "normal"
    return side if verdict == side else f"{side}?"


def in_words(prediction: Prediction) -> str:
    """Verdict, score and probability of an image with a score, as far as available."""
    words = [f"score {prediction.score:.2f}"]
    if prediction.verdict is not None:
        words.insert(0, called(prediction.anomalous, prediction.verdict))
    if prediction.probability is not None:
        words.append(f"probability {prediction.probability:.2f}")
    return "  ".join(words)


def why_in_words(prediction: Prediction, card: ModelCard) -> Iterator[str]:
    """Yield sentences on the reasons for a score, the strongest place, and similar images.

    Args:
        prediction: the prediction for an image, with a score.
        card: the card of the model that made it.
    """
    meanings = [meaning for meaning, _ in reasons(prediction, card)]
    if not prediction.evidence:
        yield "The model is not calibrated, so it gives no reasons."
    elif not meanings:
        yield "Nothing about it looks anomalous."
    else:
        others = f"; it is also {joined(meanings[1:])}" if len(meanings) > 1 else ""
        yield f"Above all it is {meanings[0]}{others}."
    defect, good = prediction.nearest_anomaly, prediction.nearest_normal
    if defect is not None and defect.name and defect.place is not None:
        where = in_thirds(*defect.place)
        yield f"Its most anomalous place, {where}, looks most like {defect.name}."
    if good is not None and good.name:
        yield f"The good image most like it is {good.name}."


class Tally:
    """Counts images by verdict.

    Attributes:
        undrawn: number of images with a score whose heat map could not be drawn.
    """

    def __init__(self) -> None:
        self.undrawn = 0
        self._counts = Counter[str]()
        self._likely: int | None = None
        self._trained_on = 0

    def add(self, prediction: Prediction, *, trained_on: bool = False) -> None:
        """Count an image, with or without a score.

        Args:
            prediction: the image's prediction.
            trained_on: True if the model was trained on the image.
        """
        name = "without a verdict"
        if prediction.score is None:
            name = _UNREADABLE
        elif prediction.verdict is not None:
            name = called(prediction.anomalous, prediction.verdict)
        elif prediction.probability is not None:
            self._likely = (self._likely or 0) + (prediction.probability > 0.5)
        self._counts[name] += 1
        self._trained_on += trained_on

    @property
    def unreadable(self) -> int:
        """Number of images without a score."""
        return self._counts[_UNREADABLE]

    def sentences(self) -> Iterator[str]:
        """Yield the counts in words."""
        named = [f"{self._counts[name]:,} {name}" for name in _ORDER if self._counts[name]]
        yield f"{counted(self._counts.total(), 'image')}: {', '.join(named)}."
        if self._likely is not None:
            yield (
                f"With a probability above 0.5: {self._likely:,}. Set a threshold for verdicts: "
                "`ahl threshold`."
            )
        if self._counts["anomalous?"] or self._counts["normal?"]:
            yield "?: too close to call, as the threshold was set on few good images."
        if self.undrawn:
            yield f"Without a heat map: {counted(self.undrawn, 'image')}."
        if self._trained_on:
            yield (
                f"{counted(self._trained_on, 'image', 'were')} trained on: such scores say little "
                "about new images."
            )
