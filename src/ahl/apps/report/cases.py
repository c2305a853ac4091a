"""The worst misses and false alarms: each with its picture, its heat map and reasons in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ahl._common.types import Pixels, ScoredSample
from ahl.apps.report.inline_images import data_uri, read_small
from ahl.apps.report.ranking import Mistake, kind_of
from ahl.apps.report.strip import short_number
from ahl.model.card import ModelCard
from ahl.scoring.overlay import BLUE, redden
from ahl.scoring.prediction import Prediction, reasons
from ahl.scoring.torch_scorer import TorchScorer

LONGEST: Final = 420
"""Side in pixels of a picture on the page."""

_FAINT: Final = 0.25
"""Share of full red that cannot be made out on most images."""

_ROWS: Final = ("top", "middle", "bottom")
_COLUMNS: Final = ("left", "centre", "right")


@dataclass(frozen=True, kw_only=True)
class Picture:
    """An image inside the page.

    Attributes:
        uri: its data.
        alt: what it shows, for those who hear the page.
    """

    uri: str
    alt: str


@dataclass(frozen=True, kw_only=True)
class Likeness:
    """A training image that an image is like.

    Attributes:
        words: how it is like it.
        name: of the training image.
        picture: small; None if there is none.
    """

    words: str
    name: str
    picture: Picture | None


@dataclass(frozen=True, kw_only=True)
class Case:
    """One image that ranks where it should not.

    Attributes:
        name: of its file within the data.
        label: its class, and whether that was seen in training.
        facts: lines on its score, the most important first.
        called: what the model calls it; None without a threshold.
        wrong: whether that is wrong.
        reasons: what speaks against it and what that adds to the score, largest first.
        likenesses: training images that it is like.
        place: where its evidence lies, in words; empty if that is not known.
        image: as the file has it; None if it cannot be read any more.
        overlay: with the evidence in colour, likewise.
    """

    name: str
    label: str
    facts: tuple[str, ...]
    called: str | None
    wrong: bool
    reasons: tuple[tuple[str, str], ...]
    likenesses: tuple[Likeness, ...]
    place: str
    image: Picture | None
    overlay: Picture | None


def make_cases(scorer: TorchScorer, mistakes: Sequence[Mistake]) -> list[Case]:
    """Look at some images again, closer.

    Args:
        scorer: the model behind its backbone.
        mistakes: from `ahl.apps.report.ranking`.
    """
    sources = [mistake.scored.sample.source for mistake in mistakes]
    return [
        _case(scorer.card, mistakes[prediction.index], prediction)
        for prediction in scorer.predict(sources, heat_maps=True, nearest=True)
    ]


def _case(card: ModelCard, mistake: Mistake, prediction: Prediction) -> Case:
    scored = mistake.scored
    sample, kind = scored.sample, kind_of(scored)
    pixels = read_small(sample.source, LONGEST)
    image = overlay = None
    place = ""
    if pixels is not None:
        what = "good image" if kind == "normal" else f"anomaly of class {sample.class_name}"
        image = Picture(uri=data_uri(pixels), alt=f"{sample.name}, {what}")
    if pixels is not None and prediction.heat_map is not None:
        overlay, place = _overlay(pixels, prediction.heat_map, card.colour_bounds)
    decision = card.decision
    anomalous = decision is not None and decision.is_anomalous(scored.score)
    return Case(
        name=sample.name,
        label="good" if kind == "normal" else f"{sample.class_name} (class {kind} in training)",
        facts=_facts(scored, mistake, prediction),
        called=None if decision is None else "called anomalous" if anomalous else "called normal",
        wrong=decision is not None and anomalous != sample.is_anomaly,
        reasons=_reasons(prediction, card),
        likenesses=_likenesses(prediction),
        place=place,
        image=image,
        overlay=overlay,
    )


def _overlay(
    pixels: Pixels, heat: NDArray[np.float32], bounds: tuple[float, float] | None
) -> tuple[Picture, str]:
    """The heat map over an image, and where it is strongest in words.

    Where next to nothing would be coloured, the map's own highest places are blue: red always means
    the same.
    """
    place = where(heat)
    if bounds is None or heat.max() >= bounds[0] + _FAINT * (bounds[1] - bounds[0]):
        drawn, place = redden(pixels, heat, bounds), f"Red: evidence, strongest at the {place}."
    else:
        drawn = redden(pixels, heat, None, colour=BLUE)
        place = f"No place stands out clearly. Blue: the most there is, at the {place}."
    return Picture(uri=data_uri(drawn), alt=f"The same image with its heat map. {place}"), place


def _facts(scored: ScoredSample, mistake: Mistake, prediction: Prediction) -> tuple[str, ...]:
    facts = [f"score {short_number(scored.score)}"]
    if prediction.probability is not None:
        facts.append(f"probability {prediction.probability:.2f}")
    if mistake.standing:
        facts.append(mistake.standing)
    if prediction.verdict == "uncertain":
        facts.append("too close to call")
    return tuple(facts)


def _reasons(prediction: Prediction, card: ModelCard) -> tuple[tuple[str, str], ...]:
    if prediction.score is None:
        return ()
    return tuple((meaning, f"{value:+.1f}") for meaning, value in reasons(prediction, card))


def _likenesses(prediction: Prediction) -> tuple[Likeness, ...]:
    found = (
        ("Shown defect most like its most anomalous place", prediction.nearest_anomaly),
        ("Good training image most like it", prediction.nearest_normal),
    )
    likenesses = []
    for words, nearest in found:
        if nearest is None:
            continue
        picture = None
        if nearest.picture is not None and nearest.picture.any():  # black: never read again
            picture = Picture(uri=data_uri(nearest.picture), alt=f"{words}: {nearest.name}")
        likenesses.append(Likeness(words=words, name=nearest.name, picture=picture))
    return tuple(likenesses)


def where(heat: NDArray[np.float32]) -> str:
    """The highest place of a map (H, W) in words."""
    row, column = (int(place) for place in np.unravel_index(heat.argmax(), heat.shape))
    height, width = heat.shape
    words = f"{_ROWS[3 * row // height]} {_COLUMNS[3 * column // width]}"
    return "centre" if words == "middle centre" else words


def main_reasons(cases: Sequence[Case]) -> Mapping[str, int]:
    """How often each kind of evidence is the strongest one, most often first."""
    counts: dict[str, int] = {}
    for case in cases:
        if case.reasons:
            counts[case.reasons[0][0]] = counts.get(case.reasons[0][0], 0) + 1
    return dict(sorted(counts.items(), key=lambda pair: -pair[1]))
