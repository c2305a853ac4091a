"""What every request passes: a number, who may ask, what is counted and logged, no traceback."""

from __future__ import annotations

import asyncio
import json
import logging
import re
import secrets
import sys
import time
from collections.abc import Collection
from typing import Final

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ahl.apps.serve.access import is_own, may_ask
from ahl.apps.serve.refusals import RefusedError, foreign, refused, unauthorised
from ahl.apps.serve.service import Service

REQUEST_ID: Final = "X-Request-ID"
"""Header with a request's number: the client's own if it is a plain word, else a random one."""

_LOGGER: Final = logging.getLogger("ahl.apps.serve")
_PLAIN: Final = re.compile(r"[A-Za-z0-9_.-]{1,64}")
_DRAINED_BYTES: Final = 64 * 2**20
_DRAINED_SECONDS: Final = 30.0
_QUIET_SECONDS: Final = 5.0
_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src 'self' data: blob:; form-action 'none'; base-uri 'none'; frame-ancestors 'none'"
)
_HEADERS: Final = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Content-Security-Policy": _POLICY,
    "Cache-Control": "no-store",
}


class Gate:
    """Stands before the application.

    Args:
        app: behind it.
        service: whose token is asked for, and whose counters count.
        routes: paths that are counted by name; others count together.
        unguarded: paths that tell nothing of model or images, and are open without the token.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        service: Service,
        routes: Collection[str],
        unguarded: Collection[str],
    ) -> None:
        self._app, self._service = app, service
        self._routes, self._unguarded = frozenset(routes), frozenset(unguarded)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        given = headers.get(REQUEST_ID, "")
        request_id = given if _PLAIN.fullmatch(given) else secrets.token_hex(8)
        scope["ahl.request_id"] = request_id
        passing = _Passing(receive, send, headers, request_id)
        started = time.perf_counter()
        try:
            refusal = self._refusal(scope["path"], headers)
            if refusal is not None:
                raise refusal  # noqa: TRY301 - refused here as everywhere else
            await self._app(scope, passing.receive, passing.send)
        except RefusedError as refusal:
            self._service.metrics.refusals.labels(refusal.code).inc()
            await refused(refusal, request_id)(scope, passing.receive, passing.send)
        except asyncio.CancelledError:
            raise
        except Exception:
            _LOGGER.exception("Request %s failed.", request_id)
            if passing.status is None:
                failed = RefusedError(
                    500, "internal", f"The service failed; its log tells more of {request_id}."
                )
                await refused(failed, request_id)(scope, passing.receive, passing.send)
        finally:
            self._count(scope, passing.status, time.perf_counter() - started, request_id)

    def _refusal(self, path: str, headers: Headers) -> RefusedError | None:
        settings = self._service.settings
        if not is_own(
            headers.get("host"),
            headers.get("origin"),
            token=settings.token,
            names=settings.names,
        ):
            return foreign()
        if path not in self._unguarded and not may_ask(
            settings.token, headers.get("authorization")
        ):
            return unauthorised()
        return None

    def _count(self, scope: Scope, status: int | None, seconds: float, request_id: str) -> None:
        route = scope["path"] if scope["path"] in self._routes else "other"
        metrics = self._service.metrics
        metrics.requests.labels(route, str(status or 0)).inc()
        metrics.request_seconds.labels(route).observe(seconds)
        metrics.look()
        if self._service.settings.access_log:
            client = scope.get("client")
            line = {
                "time": round(time.time(), 3),
                "request_id": request_id,
                "client": client[0] if client else None,
                "method": scope["method"],
                "path": scope["path"],
                "status": status,
                "milliseconds": round(1000 * seconds, 1),
            }
            sys.stderr.write(json.dumps(line) + "\n")


class _Passing:
    """One request's messages on their way through the gate."""

    def __init__(self, receive: Receive, send: Send, headers: Headers, request_id: str) -> None:
        self._receive, self._send, self._request_id = receive, send, request_id
        expects = "100-continue" in headers.get("expect", "").lower()
        length = headers.get("content-length", "0")
        self._unread = length != "0" or "transfer-encoding" in headers
        self._waits_for_us = expects
        self.status: int | None = None

    async def receive(self) -> Message:
        message = await self._receive()
        self._waits_for_us = False
        if message["type"] != "http.request" or not message.get("more_body", False):
            self._unread = False
        return message

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            headers = MutableHeaders(scope=message)
            headers[REQUEST_ID] = self._request_id
            for name, value in _HEADERS.items():
                headers.setdefault(name, value)
            if self._unread:
                headers["Connection"] = "close"  # what still comes of the body is no request
        ends = message["type"] == "http.response.body" and not message.get("more_body", False)
        if ends and self._unread and not self._waits_for_us:
            # The client has its whole answer at once; what ends it also closes the connection.
            await self._send({**message, "more_body": True})
            await self._drain()
            message = {"type": "http.response.body"}
        await self._send(message)

    async def _drain(self) -> None:
        """Read the rest of a refused body: closed on unread data, clients lose the answer."""
        size, until = 0, time.monotonic() + _DRAINED_SECONDS
        try:
            while self._unread and size < _DRAINED_BYTES and time.monotonic() < until:
                async with asyncio.timeout(_QUIET_SECONDS):
                    size += len((await self.receive()).get("body", b""))
        except TimeoutError:
            return
