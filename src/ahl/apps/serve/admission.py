"""Admission control: bounds on what is accepted and not answered yet, and refusals."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final

from starlette.responses import JSONResponse

from ahl._common.errors import AHLError
from ahl.apps.serve.settings import Limits

_LONGEST_RETRY: Final = 30  # seconds
_IN_TIME: Final = 0.5  # of the time that a request may take: some take twice as long as expected


class RefusedError(AHLError):
    """Refusal of a request, with a stable code for programs and a message for people.

    Args:
        status: HTTP status.
        code: for programs.
        message: for people.
        headers: further headers of the response.
        details: further members of the response's JSON.
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
        self._headers, self._details = headers, details or {}

    def response(self, request_id: str) -> JSONResponse:
        """The refusal as a JSON response."""
        problem = {"error": {"code": self.code, "message": self.message}, "request_id": request_id}
        return JSONResponse({**problem, **self._details}, self.status, self._headers)


def too_large(message: str) -> RefusedError:
    """The refusal of more bytes or images than one request may have."""
    return RefusedError(413, "too_large", message)


def out_of_time(seconds: float) -> RefusedError:
    """The refusal of a request that was accepted but not scored in so many seconds."""
    return RefusedError(
        503,
        "timeout",
        f"The images were not scored within {seconds:g} s; send fewer at once, or later.",
        headers={"Retry-After": "1"},
    )


class Admission:
    """Counts images and bytes that wait for their answer; only for use in the event loop."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.images = 0
        self.bytes = 0
        self._seconds_an_image = 0.05  # of late

    @contextmanager
    def request(self) -> Iterator[Place]:
        """Count a request as waiting, until the end of the context.

        Raises:
            RefusedError: if too many images wait, or too many to be answered in time.
        """
        if self.images * self._seconds_an_image > _IN_TIME * self.limits.seconds:
            raise self.full()
        place = Place(self)
        try:
            place.take(images=1)  # a request has at least one, known before its body is read
            yield place
        finally:
            self.images -= place.images
            self.bytes -= place.bytes

    def waited(self, images: int, seconds: float) -> None:
        """Update the average seconds per image by a request's, while so many images waited."""
        self._seconds_an_image += 0.1 * (seconds / max(1, images) - self._seconds_an_image)

    def full(self) -> RefusedError:
        """The refusal if too much waits; Retry-After is the time until half should be answered."""
        half = round(self.images * self._seconds_an_image / 2)
        seconds = min(_LONGEST_RETRY, max(1, half))
        return RefusedError(
            429,
            "queue_full",
            f"More images are waiting than the service accepts; try again in {seconds} s.",
            headers={"Retry-After": str(seconds)},
        )


class Place:
    """Images and bytes of one request that count towards the bounds."""

    def __init__(self, admission: Admission) -> None:
        self._admission, self.limits = admission, admission.limits
        self.images = 0
        self.bytes = 0

    def take(self, *, images: int = 0, size: int = 0) -> None:
        """Add images and bytes to the request.

        Raises:
            RefusedError: if too much would wait.
        """
        waiting = self._admission
        if (
            waiting.images + images > self.limits.waiting_images
            or waiting.bytes + size > self.limits.waiting_bytes
        ):
            raise waiting.full()
        waiting.images += images
        waiting.bytes += size
        self.images += images
        self.bytes += size
