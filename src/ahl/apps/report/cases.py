"""Tested images that the report shows, each with its heat map and reasons in words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from PIL import Image

from ahl._common.errors import ImageError
from ahl._common.pages import data_uri
from ahl._common.types import Pixels
from ahl.apps.report.counts import RankedSample, kind_of
from ahl.data.images.numbers import FULL_DEPTH
from ahl.data.images.reading import ImageSource, read_pixels
from ahl.data.masks import mask_of
from ahl.model.card import ModelCard
from ahl.scoring.overlay import overlay
from ahl.scoring.places import where_in_words
from ahl.scoring.prediction import Prediction, reasons
from ahl.scoring.torch_scorer import TorchScorer

LONGEST: Final = 420
"""Longer side, in pixels, of a picture on the page."""

QUALITY: Final = 82
"""Quality of the JPEGs: high enough that no compression artefact is taken for a defect."""


@dataclass(frozen=True, kw_only=True)
class Likeness:
    """A similar training image: a caption, its name, and its small picture if one is kept."""

    words: str
    name: str
    picture: str | None


@dataclass(frozen=True, kw_only=True)
class Case:
    """A tested image that the report shows; pictures are data URIs.

    Attributes:
        name: of its file within the data.
        label: its class; of an anomaly also seen or unseen in training.
        facts: lines on its score, the most important first.
        called: what the model calls it by its threshold, in words; None without a threshold.
        wrong: True if that contradicts its label.
        calibrated: False where the model gives no reasons.
        reasons: reasons for the score and what each adds to it, largest first.
        likenesses: the training images most like it.
        place: where its evidence lies, in words; empty if that is not known.
        image: the image, scaled down; None if it cannot be read any more.
        overlay: the same with the evidence in colour; None without an image.
    """

    name: str
    label: str
    facts: tuple[str, ...]
    called: str | None
    wrong: bool
    calibrated: bool
    reasons: tuple[tuple[str, str], ...]
    likenesses: tuple[Likeness, ...]
    place: str
    image: str | None
    overlay: str | None


def make_cases(scorer: TorchScorer, ranked: Sequence[RankedSample]) -> list[Case]:
    """Score some images again, with heat maps, reasons and the nearest training images.

    Args:
        scorer: the trained model with its backbone.
        ranked: the images, from `worst_misses`, `best_hits` or `worst_false_alarms`.
    """
    sources = [one.scored.sample.source for one in ranked]
    return [
        _case(scorer.card, ranked[prediction.index], prediction)
        for prediction in scorer.predict(sources, heat_maps=True, nearest=True)
    ]


def _case(card: ModelCard, ranked: RankedSample, prediction: Prediction) -> Case:
    scored = ranked.scored
    sample, kind = scored.sample, kind_of(scored)
    facts = [f"score {scored.score:.2f}"]
    if prediction.probability is not None:
        facts.append(f"probability {prediction.probability:.2f}")
    if ranked.standing:
        facts.append(ranked.standing)
    if prediction.verdict == "uncertain":
        facts.append("too close to call")
    found = () if prediction.score is None else reasons(prediction, card)
    pixels = read_small(sample.source, LONGEST, card.bit_depth)
    drawn, place = None, ""
    if pixels is not None and prediction.heat_map is not None:
        mask = mask_of(sample)
        drawn = overlay(pixels, prediction.heat_map, card.colour_bounds, mask)
        place = where_in_words(prediction.heat_map, prediction.colour_bounds)
        if mask is not None:
            place += " Green: the defect by its mask."
    anomalous = card.decision is not None and card.decision.is_anomalous(scored.score)
    called = f"called {'anomalous' if anomalous else 'normal'}"
    return Case(
        name=sample.name,
        label="good" if kind == "normal" else f"{sample.class_name} (class {kind} in training)",
        facts=tuple(facts),
        called=None if card.decision is None else called,
        wrong=card.decision is not None and anomalous != sample.is_anomaly,
        calibrated=bool(prediction.evidence),
        reasons=tuple((meaning, f"{value:+.1f}") for meaning, value in found),
        likenesses=_likenesses(prediction),
        place=place,
        image=None if pixels is None else _jpeg_uri(pixels),
        overlay=None if drawn is None else _jpeg_uri(drawn),
    )


def _likenesses(prediction: Prediction) -> tuple[Likeness, ...]:
    found = (
        ("Training defect most like its most anomalous place", prediction.nearest_anomaly),
        ("Good training image most like it", prediction.nearest_normal),
    )
    return tuple(
        Likeness(words=words, name=nearest.name, picture=stored_picture(nearest.picture))
        for words, nearest in found
        if nearest is not None
    )


def read_small(source: ImageSource, longest: int, bit_depth: int = FULL_DEPTH) -> Pixels | None:
    """Read an image and scale it down, keeping its aspect ratio.

    Args:
        source: the image.
        longest: most pixels of its longer side; a smaller image stays as it is.
        bit_depth: as for `read_pixels`.

    Returns:
        (H, W, 3); None if it cannot be read (any more).
    """
    try:
        image = Image.fromarray(read_pixels(source, bit_depth=bit_depth))
    except (ImageError, OSError, ValueError, MemoryError):
        return None
    image.thumbnail((longest, longest), Image.Resampling.LANCZOS, reducing_gap=None)
    return np.array(image)


def stored_picture(pixels: Pixels | None) -> str | None:
    """Data URI of a picture that the model keeps; None without one, or if it was unreadable."""
    return _jpeg_uri(pixels) if pixels is not None and pixels.any() else None


def _jpeg_uri(pixels: Pixels) -> str:
    return data_uri(pixels, "JPEG", quality=QUALITY, optimize=True)
