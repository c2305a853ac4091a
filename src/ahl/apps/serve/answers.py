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
    distance: float = Field(description="Distance of the features; compare within one model only.")
    place: tuple[float, float] | None = Field(
        description="Most anomalous place of the image: vertical and horizontal position, 0 to 1."
    )
    like: tuple[float, float] | None = Field(
        description="Most similar place of the training image, in the same form."
    )
    picture: str | None = Field(None, description="PNG data URI; with pictures=1.")


class Strongest(_Exact):
    """A place that stands out in the heat map."""

    box: tuple[float, float, float, float] = Field(
        description="Top, left, bottom and right edge as shares of height and width."
    )
    heat: float = Field(description="Highest value of the heat map within the box.")


class RawHeatMap(_Exact):
    """A heat map as numbers."""

    shape: tuple[int, int]
    dtype: Literal["<f4"] = Field(description="32-bit floats, little endian, row by row.")
    data: str = Field(description="Base64.")


class ImageScore(_Exact):
    """The score of one image, or why there is none."""

    name: str
    error: str | None = Field(None, description="Reason for which there is no score.")
    score: float | None = Field(
        None, description="Higher = more anomalous; no fixed range, compare within one model."
    )
    probability: float | None = Field(
        None,
        description="0 to 1: how likely the image is defective, if good and defective ones were "
        "equally common.",
    )
    anomalous: bool | None = Field(None, description="The score lies above the threshold.")
    verdict: Literal["normal", "uncertain", "anomalous"] | None = None
    heads: dict[str, float] | None = Field(None, description="Each head's own score.")
    evidence: dict[str, float] | None = Field(
        None, description="Parts of the score, which add up to it."
    )
    why: list[tuple[str, float]] | None = Field(
        None, description="Reasons and what each adds to the score; with why=1."
    )
    nearest_anomaly: Near | None = None
    nearest_normal: Near | None = None
    places: list[Strongest] | None = Field(
        None, description="With a heat map: places that stand out, the strongest first."
    )
    where: str | None = Field(
        None, description="With a heat map: its strongest place, in a sentence."
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

    file: str = Field(description="Path within the feedback folder.")
    class_name: str = Field(alias="class", description="Label: good, or the kind of defect.")
    outcome: Literal["missed", "false_alarm", "right"] = Field(
        description="The model missed the defect, raised a false alarm, or was right."
    )
    score: float
    verdict: Literal["normal", "uncertain", "anomalous"] | None
    request_id: str


class Answers(_Exact):
    """Counts of the images that are kept with their labels, and the command to use them."""

    kept: bool = Field(description="True if the service keeps feedback.")
    missed: int | None = Field(None, description="Defects that the model missed.")
    false_alarms: int | None = Field(
        None, description="Good images that the model called anomalous."
    )
    right: int | None = Field(None, description="Labelled images that the model got right.")
    teaching: int | None = Field(
        None, description="Images to update the model with: it was wrong or uncertain."
    )
    classes: dict[str, int] | None = Field(None, description="Images of each class.")
    bytes: int | None = None
    max_bytes: int | None = None
    command: str | None = Field(
        None, description="Command that updates the model with the feedback."
    )


class Problem(_Exact):
    """The reason for which a request is refused."""

    code: str = Field(description="Identifier for programs; it stays the same across versions.")
    message: str


class Refused(_Exact):
    """The answer to a request that is refused."""

    error: Problem
    request_id: str
    images: list[ImageScore] | None = Field(
        None, description="Errors of the images, if none could be read."
    )


RESPONSES: dict[int | str, dict[str, Any]] = {
    status: {"model": Refused, "description": description}
    for status, description in (
        (400, "The request has no image, its form is damaged, or the connection ended early."),
        (401, "The token is missing or wrong."),
        (403, "The request comes from a page of another site, or the service keeps no feedback."),
        (408, "The request's body did not arrive in time."),
        (413, "The request has too many bytes or images."),
        (415, "The body's content type is not supported."),
        (422, "No image could be read, or a parameter has an invalid value."),
        (429, "Too many images are waiting; try again after Retry-After seconds."),
        (503, "The images were not scored in time; try again after Retry-After seconds."),
        (507, "The feedback folder is full, or cannot be written to."),
    )
}

BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "description": "One image as the body itself, or several as files of a form.",
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
