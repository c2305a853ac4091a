"""The JSON of the answers: its schema for OpenAPI, and the values for one image."""

from __future__ import annotations

import base64
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from ahl._common.pages import data_uri
from ahl._common.types import Pixels
from ahl.apps.serve.worker import Wishes
from ahl.model.card import ModelCard
from ahl.scoring.overlay import overlay
from ahl.scoring.places import where_in_words
from ahl.scoring.prediction import Prediction


def answer_of(
    name: str, prediction: Prediction, picture: Pixels | None, wishes: Wishes, card: ModelCard
) -> dict[str, Any]:
    """The answer for one image as JSON values: those of `ahl predict --json`, and what is wanted.

    A heat map is drawn over the picture (H, W, 3).
    """
    answer = {"name": name, **prediction.to_json(why=card if wishes.why else None)}
    if wishes.pictures:
        for key in ("nearest_anomaly", "nearest_normal"):
            found = getattr(prediction, key)
            if key in answer and found.picture is not None:
                answer[key]["picture"] = _png_uri(found.picture)
    heat = prediction.heat_map
    if heat is not None:
        answer["where"] = where_in_words(heat, prediction.colour_bounds)
    if heat is not None and wishes.heat_map == "raw":
        answer["heat_map"] = _raw_map(heat)
    elif heat is not None and picture is not None:
        answer["heat_map"] = _png_uri(overlay(picture, heat, card.colour_bounds))
    return answer


def _png_uri(pixels: Pixels) -> str:
    # Level 1: three times as fast as the usual 6, a tenth larger.
    return data_uri(pixels, "PNG", compress_level=1)


def _raw_map(heat: NDArray[np.float32]) -> dict[str, Any]:
    data = base64.b64encode(heat.astype("<f4").tobytes()).decode("ascii")
    return {"shape": list(heat.shape), "dtype": "<f4", "data": data}


class _Exact(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Near(_Exact):
    """The training image that is most like the scored one."""

    name: str
    class_name: str = Field(alias="class")
    distance: float = Field(description="Compare it within one model only.")
    place: tuple[float, float] | None = Field(
        description="Most anomalous place of the image: vertical and horizontal share of it."
    )
    like: tuple[float, float] | None = Field(description="Place of the training image.")
    picture: str | None = Field(None, description="PNG data URI, with pictures=1.")


class Strongest(_Exact):
    """A place that stands out in the heat map."""

    box: tuple[float, float, float, float] = Field(
        description="Top, left, bottom and right as shares of height and width."
    )
    heat: float = Field(description="The highest within.")


class RawHeatMap(_Exact):
    """A heat map as numbers."""

    shape: tuple[int, int]
    dtype: Literal["<f4"] = Field(description="32-bit floats, little endian, row by row.")
    data: str = Field(description="Base64.")


class ImageScore(_Exact):
    """The score of one image, or why there is none."""

    name: str
    error: str | None = Field(None, description="Why there is no score.")
    score: float | None = Field(
        None, description="Higher = more anomalous; no fixed range, compare within one model."
    )
    probability: float | None = Field(
        None,
        description="0 to 1: how likely it is defective, were good and defective equally common.",
    )
    anomalous: bool | None = Field(None, description="The score lies above the threshold.")
    verdict: Literal["normal", "uncertain", "anomalous"] | None = None
    heads: dict[str, float] | None = Field(None, description="Each head's own score.")
    evidence: dict[str, float] | None = Field(None, description="Its parts; they add up to it.")
    why: list[tuple[str, float]] | None = Field(None, description="Reasons, with why=1.")
    nearest_anomaly: Near | None = None
    nearest_normal: Near | None = None
    places: list[Strongest] | None = Field(
        None, description="With a heat map: where it stands out, the strongest place first."
    )
    where: str | None = Field(
        None, description="With a heat map: where it is strongest, in a sentence."
    )
    heat_map: str | RawHeatMap | None = Field(
        None, description="With heat_map=1 a PNG data URI, with heat_map=raw numbers."
    )


class Scores(_Exact):
    """The scores of a request's images, in their order."""

    images: list[ImageScore]
    request_id: str


class Kept(_Exact):
    """One image that was kept with its label."""

    file: str = Field(description="Within the feedback folder.")
    class_name: str = Field(alias="class", description="good, or the kind of defect.")
    outcome: Literal["missed", "false_alarm", "right"] = Field(description="How the model did.")
    score: float
    verdict: Literal["normal", "uncertain", "anomalous"] | None
    request_id: str


class Answers(_Exact):
    """Counts of the images that are kept with their labels, and the command to use them."""

    kept: bool = Field(description="The service keeps feedback.")
    missed: int | None = Field(None, description="Defects that the model did not find.")
    false_alarms: int | None = Field(None, description="Good images that it took for defects.")
    right: int | None = Field(None, description="Marked images that it had right.")
    teaching: int | None = Field(
        None, description="Those to update the model by: it was wrong, or uncertain."
    )
    classes: dict[str, int] | None = Field(None, description="Images of each class.")
    bytes: int | None = None
    max_bytes: int | None = None
    command: str | None = Field(None, description="Updates the model by the feedback.")


class Problem(_Exact):
    """The reason for which a request is refused."""

    code: str = Field(description="For programs; it does not change.")
    message: str


class Refused(_Exact):
    """The answer to a request that is refused."""

    error: Problem
    request_id: str
    images: list[ImageScore] | None = Field(None, description="Where no image could be read.")


RESPONSES: dict[int | str, dict[str, Any]] = {
    status: {"model": Refused, "description": description}
    for status, description in (
        (400, "No image, a damaged form, or a connection that ended early."),
        (401, "The token is missing or another one."),
        (403, "A page of another site asks, or no feedback is kept."),
        (408, "The body did not arrive in time."),
        (413, "More bytes or images than one request may have."),
        (415, "The body is of another type."),
        (422, "No image could be read, or a parameter has no such value."),
        (429, "More is waiting than may wait; see Retry-After."),
        (503, "Not scored in time; see Retry-After."),
        (507, "The feedback folder is full, or cannot be written to."),
    )
}

BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "description": "One image as it is, or several as files of a form.",
        "content": {
            "image/*": {"schema": {"type": "string", "format": "binary"}},
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "properties": {
                        "images": {
                            "type": "array",
                            "items": {"type": "string", "format": "binary"},
                        }
                    },
                }
            },
        },
    }
}
