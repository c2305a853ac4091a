"""Answers that are no scores: why a request is refused, as JSON, and what to do about it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fastapi.responses import JSONResponse

from ahl._common.errors import AHLError


class RefusedError(AHLError):
    """A request that is not answered as it was meant.

    Args:
        status: of HTTP.
        code: for programs, stable.
        message: for people; what was found and what to do.
        headers: of the response besides.
        details: further members of the answer.
    """

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        *,
        headers: Mapping[str, str] | None = None,
        details: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(message)
        self.status, self.code, self.message = status, code, message
        self.headers, self.details = dict(headers or {}), dict(details or {})


def refused(refusal: RefusedError, request_id: str) -> JSONResponse:
    """The response."""
    return JSONResponse(
        {
            "error": {"code": refusal.code, "message": refusal.message},
            "request_id": request_id,
            **refusal.details,
        },
        status_code=refusal.status,
        headers=refusal.headers,
    )


def too_large(message: str) -> RefusedError:
    """More bytes or images than one request may have."""
    return RefusedError(413, "too_large", message)


def queue_full(seconds: int) -> RefusedError:
    """More is waiting than may wait.

    Args:
        seconds: after which to come back.
    """
    return RefusedError(
        429,
        "queue_full",
        f"More images are waiting than the service accepts; come back in {seconds} s.",
        headers={"Retry-After": str(seconds)},
    )


def out_of_time(seconds: float) -> RefusedError:
    """Accepted, but not scored in time."""
    return RefusedError(
        503,
        "timeout",
        f"The images were not scored within {seconds:g} s; send fewer at once, or later.",
        headers={"Retry-After": "1"},
    )


def one_image(count: int) -> RefusedError:
    """A mark is of one image."""
    return RefusedError(
        400, "one_image", f"There are {count} images in the request; send one with its mark."
    )


def keeps_no_marks() -> RefusedError:
    """The service was started without a folder for them."""
    return RefusedError(
        403, "no_review", "This service keeps no marks; start it with --review-dir FOLDER."
    )


def bad_kind(message: str) -> RefusedError:
    """A kind of defect that cannot be a folder."""
    return RefusedError(422, "bad_kind", message)


def review_full(message: str) -> RefusedError:
    """The folder for marks holds as much as it may."""
    return RefusedError(507, "review_full", message)


def review_failed(what: str) -> RefusedError:
    """The disk, or others that write, did not let the mark be kept."""
    return RefusedError(507, "review_failed", f"The mark could not be kept: {what}.")


def too_slow(seconds: float) -> RefusedError:
    """The body did not arrive in time."""
    return RefusedError(
        408, "slow_body", f"The request's body did not arrive within {seconds:g} s."
    )


def unauthorised() -> RefusedError:
    """No token, or another one."""
    return RefusedError(
        401,
        "unauthorized",
        "Show the service's token: Authorization: Bearer TOKEN.",
        headers={"WWW-Authenticate": 'Bearer realm="ahl"'},
    )


def foreign() -> RefusedError:
    """A page of another site asks, or one that goes by another name."""
    return RefusedError(
        403,
        "foreign_origin",
        "The request comes from a page of another site, or names the service by another host; "
        "behind a proxy, start it with --allow-host NAME.",
    )
