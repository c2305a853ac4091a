"""What is to be known of a model by those who only use it: no weights, no torch."""

from __future__ import annotations

import base64
import binascii
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import isfinite
from typing import Any, Final, Self

import numpy as np
from PIL import Image

from ahl._common.types import ImageSize, Pixels
from ahl.config.image_size import LARGEST_SIDE
from ahl.evidence.probability import Probability
from ahl.model.decision import Decision

_MOST: Final = 10**9  # images that a count may state
_MOST_SHOWN: Final = 10_000


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Shown:
    """A training image that others are compared with.

    Attributes:
        name: of it.
        class_name: its class.
        picture: small, (S, S, 3); None if there is none.
    """

    name: str
    class_name: str
    picture: Pixels | None = None


@dataclass(frozen=True, kw_only=True)
class ModelCard:
    """All of a model but what computes the scores.

    Attributes:
        version: of ahl that wrote the model.
        sha256: hash of its content; equal hashes score alike.
        base: name of the base detector.
        backbone: what the features are of, for people.
        image_size: height and width in pixels that images are resized to.
        heads: names of the heads.
        evidence: names of what adds to the score; empty for a model that is not calibrated.
        meanings: what it means that a head, or the memory, finds an image anomalous.
        decision: where anomalous begins; None if it was not set.
        probability: how likely a score is an anomaly's; None for a model that is not calibrated.
        colour_bounds: heat from which on a place is worth colouring, and from which on fully;
            None likewise.
        classes: kinds of anomaly that it was shown.
        normals: good images that it was trained on.
        anomalies: labelled anomalies, likewise.
        shown_normals: good images that others are compared with.
        shown_anomalies: labelled anomalies, likewise.
    """

    version: str
    sha256: str
    base: str
    backbone: str
    image_size: ImageSize
    heads: tuple[str, ...]
    evidence: tuple[str, ...]
    meanings: Mapping[str, str]
    decision: Decision | None
    probability: Probability | None
    colour_bounds: tuple[float, float] | None
    classes: tuple[str, ...]
    normals: int
    anomalies: int
    shown_normals: tuple[Shown, ...] = field(default=(), repr=False, compare=False)
    shown_anomalies: tuple[Shown, ...] = field(default=(), repr=False, compare=False)

    def facts(self) -> dict[str, Any]:
        """What people and programs ask of a model, as JSON values."""
        return {
            "version": self.version,
            "sha256": self.sha256,
            "base": self.base,
            "backbone": self.backbone,
            "image_size": list(self.image_size),
            "heads": list(self.heads),
            "evidence": list(self.evidence),
            "meanings": dict(self.meanings),
            "decision": None if self.decision is None else self.decision.values(),
            "probability": None if self.probability is None else self.probability.values(),
            "colour_bounds": None if self.colour_bounds is None else list(self.colour_bounds),
            "classes": list(self.classes),
            "normals": self.normals,
            "anomalies": self.anomalies,
        }

    def values(self) -> dict[str, Any]:
        """All of it as JSON values; `rebuild` is the inverse."""
        return {
            **self.facts(),
            "shown_normals": _shown_values(self.shown_normals),
            "shown_anomalies": _shown_values(self.shown_anomalies),
        }

    @classmethod
    def rebuild(cls, values: Mapping[str, Any]) -> Self:
        """Read JSON values back.

        Raises:
            KeyError, TypeError, ValueError, AttributeError: if they are no card.
        """
        decision, probability, bounds = (
            values[name] for name in ("decision", "probability", "colour_bounds")
        )
        return cls(
            **{name: _text(values[name]) for name in ("version", "sha256", "base", "backbone")},
            image_size=_size(values["image_size"]),
            heads=_texts(values["heads"]),
            evidence=_texts(values["evidence"]),
            meanings={_text(name): _text(text) for name, text in values["meanings"].items()},
            decision=None if decision is None else Decision.rebuild(decision),
            probability=None if probability is None else Probability.rebuild(probability),
            colour_bounds=None if bounds is None else _bounds(bounds),
            classes=_texts(values["classes"]),
            normals=_count(values["normals"], 0, _MOST),
            anomalies=_count(values["anomalies"], 0, _MOST),
            shown_normals=_shown(values["shown_normals"]),
            shown_anomalies=_shown(values["shown_anomalies"]),
        )


def _shown_values(shown: Sequence[Shown]) -> dict[str, Any]:
    pictures = [one.picture for one in shown if one.picture is not None]
    sheet = None
    if pictures and len(pictures) == len(shown):  # one picture below another, as one PNG
        file = io.BytesIO()
        Image.fromarray(np.concatenate(pictures)).save(file, format="PNG")
        sheet = base64.b64encode(file.getvalue()).decode("ascii")
    return {
        "names": [one.name for one in shown],
        "classes": [one.class_name for one in shown],
        "pictures": sheet,
    }


def _shown(values: Mapping[str, Any]) -> tuple[Shown, ...]:
    names, classes, sheet = _texts(values["names"]), _texts(values["classes"]), values["pictures"]
    pictures: Sequence[Pixels | None] = [None] * len(names)
    if len(names) > _MOST_SHOWN:
        raise ValueError("the card shows more images than a model keeps")
    if sheet is not None:
        try:
            file = io.BytesIO(base64.b64decode(_text(sheet), validate=True))
            with Image.open(file, formats=["PNG"]) as image:
                if not names or (image.mode, image.height) != ("RGB", image.width * len(names)):
                    raise ValueError("the card's pictures have another form")
                pictures = np.split(np.array(image), len(names))
        except (OSError, SyntaxError, binascii.Error, Image.DecompressionBombError) as error:
            raise ValueError(f"the card's pictures cannot be read: {error}") from error
    pairs = zip(names, classes, pictures, strict=True)
    return tuple(Shown(name=n, class_name=c, picture=picture) for n, c, picture in pairs)


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError("a text of the card is none")
    return value


def _texts(values: object) -> tuple[str, ...]:
    if not isinstance(values, (list, tuple)):
        raise TypeError("a list of the card is none")
    return tuple(_text(value) for value in values)


def _count(value: object, least: int, most: int) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
        raise ValueError("a number of the card cannot be")
    return value


def _size(value: object) -> ImageSize:
    """Height and width; one number, as earlier versions wrote it, is the side of a square."""
    sides = value if isinstance(value, (list, tuple)) else (value, value)
    height, width = (_count(side, 1, LARGEST_SIDE) for side in sides)
    return height, width


def _bounds(values: Sequence[Any]) -> tuple[float, float]:
    low, high = (float(value) for value in values)
    if not (isfinite(low) and isfinite(high) and low < high):
        raise ValueError("the card's bounds of colours are none")
    return low, high
