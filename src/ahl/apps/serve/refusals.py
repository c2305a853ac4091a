"""The refusal of a request: a status, a stable code, and a sentence on what to do about it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from starlette.responses import JSONResponse

from ahl._common.errors import AHLError


class RefusedError(AHLError):
    """A request that is refused.

    Args:
        status: of HTTP.
        code: for programs, stable.
        message: for people; what was found and what to do.
        headers: of the response besides.
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
        """The refusal as JSON."""
        told = {"error": {"code": self.code, "message": self.message}, "request_id": request_id}
        return JSONResponse({**told, **self._details}, self.status, self._headers)


def too_large(message: str) -> RefusedError:
    """Refuse more bytes or images than one request may have."""
    return RefusedError(413, "too_large", message)


def out_of_time(seconds: float) -> RefusedError:
    """Refuse what was accepted, but not scored in so many seconds."""
    return RefusedError(
        503,
        "timeout",
        f"The images were not scored within {seconds:g} s; send fewer at once, or later.",
        headers={"Retry-After": "1"},
    )
