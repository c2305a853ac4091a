"""The form of the answers, as OpenAPI tells it; `ahl.apps.serve.answers` makes them."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field


class _Exact(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Near(_Exact):
    """A training image that another is like."""

    name: str
    class_name: str = Field(alias="class")
    distance: float = Field(description="Compare it within one model only.")
    place: tuple[float, float] | None = Field(
        description="Most anomalous place of the image: vertical and horizontal share of it."
    )
    like: tuple[float, float] | None = Field(description="Place of the training image.")
    picture: str | None = Field(None, description="PNG data URI, with pictures=1.")


class RawHeatMap(_Exact):
    """A heat map as numbers."""

    shape: tuple[int, int]
    dtype: Literal["<f4"] = Field(description="32-bit floats, little endian, row by row.")
    data: str = Field(description="Base64.")


class ImageScore(_Exact):
    """What is said of one image: its score, or why there is none."""

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
    evidence: dict[str, float] | None = Field(None, description="What each adds to the score.")
    why: list[tuple[str, float]] | None = Field(None, description="With why=1, in words.")
    nearest_anomaly: Near | None = None
    nearest_normal: Near | None = None
    heat_map: str | RawHeatMap | None = Field(
        None, description="With heat_map=1 a PNG data URI, with heat_map=raw numbers."
    )


class Scores(_Exact):
    """What is said of the images of a request, in their order."""

    images: list[ImageScore]
    request_id: str


class Kept(_Exact):
    """A mark that was kept."""

    file: str = Field(description="Within the review folder.")
    class_name: str = Field(alias="class", description="good, or the kind of defect.")
    outcome: Literal["missed", "false_alarm", "right"] = Field(description="How the model did.")
    score: float
    verdict: Literal["normal", "uncertain", "anomalous"] | None
    request_id: str


class Marks(_Exact):
    """What is kept of a review."""

    kept: bool = Field(description="Whether marks are kept at all.")
    missed: int | None = Field(None, description="Defects that the model did not find.")
    false_alarms: int | None = Field(None, description="Good images that it took for defects.")
    right: int | None = Field(None, description="Marked images that it had right.")
    classes: dict[str, int] | None = Field(None, description="Images of each class.")
    bytes: int | None = None
    max_bytes: int | None = None
    command: str | None = Field(None, description="Teaches the model what was marked.")


class Problem(_Exact):
    """Why a request is refused."""

    code: str = Field(description="For programs; it does not change.")
    message: str


class Refused(_Exact):
    """The answer to a request that is refused."""

    error: Problem
    request_id: str
    images: list[ImageScore] | None = Field(None, description="Where no image could be read.")


class State(_Exact):
    """Whether the service lives, or is ready."""

    status: str


RESPONSES: dict[int | str, dict[str, Any]] = {
    status: {"model": Refused, "description": description}
    for status, description in (
        (400, "No image, a damaged form, or a connection that ended early."),
        (401, "The token is missing or another one."),
        (403, "A page of another site asks, or no marks are kept."),
        (408, "The body did not arrive in time."),
        (413, "More bytes or images than one request may have."),
        (415, "The body is of another type."),
        (422, "No image could be read, or a parameter has no such value."),
        (429, "More is waiting than may wait; see Retry-After."),
        (503, "Not scored in time; see Retry-After."),
        (507, "The folder for marks is full, or cannot be written to."),
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
