"""Middleware for every request: its id, access control, counters, log, and errors as JSON."""

from __future__ import annotations

import asyncio
import hmac
import json
import logging
import re
import secrets
import sys
import time
from collections.abc import Collection
from contextlib import suppress
from typing import Final
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ahl.apps.serve.admission import RefusedError
from ahl.apps.serve.settings import is_loopback
from ahl.apps.serve.worker import Service

OPEN: Final = frozenset({"/", "/docs", "/openapi.json", "/healthz", "/readyz"})
"""Paths that need no token: they reveal nothing about model or images."""

STATIC: Final = "/static"
"""Folder of the static files, which need no token either."""

_REQUEST_ID: Final = "X-Request-ID"
_LOGGER: Final = logging.getLogger("ahl.apps.serve")
_PLAIN: Final = re.compile(r"[A-Za-z0-9_.-]{1,64}")
_DRAINED_BYTES: Final = 64 * 2**20
_DRAINED_SECONDS: Final = 5.0
_HEADERS: Final = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
        "img-src 'self' data: blob:; form-action 'none'; base-uri 'none'; frame-ancestors 'none'"
    ),
}


def may_ask(token: str | None, authorization: str | None) -> bool:
    """True without a token, or if the Authorization header has it, compared in constant time."""
    if token is None:
        return True
    scheme, _, given = (authorization or "").partition(" ")
    equal = hmac.compare_digest(given.strip().encode(), token.encode())
    return scheme.lower() == "bearer" and equal


def is_own(
    host: str | None, origin: str | None, *, token: str | None, names: Collection[str] = ()
) -> bool:
    """True unless the request is cross-site (CSRF, DNS rebinding).

    Programs send no Origin and name the service by its address. A page of another site has an
    origin of its own, or (after DNS rebinding) a name of its own for this machine; with a token,
    which it cannot know, the name does not matter.

    Args:
        host: the request's Host header.
        origin: its Origin header.
        token: of the service.
        names: host names of the service besides this machine's.
    """
    try:
        name = urlsplit(f"//{host or ''}").hostname or ""
        if token is None and not is_loopback(name) and name not in names:
            return False
        return origin is None or urlsplit(origin).netloc == host
    except ValueError:
        return False


class Gate:
    """ASGI middleware that checks, counts and logs each request.

    Args:
        app: the application behind it.
        service: has the settings and counters.
        named: paths that are counted by name; others count together.
    """

    def __init__(self, app: ASGIApp, *, service: Service, named: Collection[str]) -> None:
        self._app, self._service = app, service
        self._named = OPEN.union(named)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        scope = _within(self._service.settings.root_path, scope)
        headers = Headers(scope=scope)
        given = headers.get(_REQUEST_ID, "")
        request_id = given if _PLAIN.fullmatch(given) else secrets.token_hex(8)
        scope["ahl.request_id"] = request_id
        passing = _Passing(receive, send, headers, request_id)
        started = time.perf_counter()
        try:
            self._check(scope["path"], headers)
            await self._app(scope, passing.receive, passing.send)
        except RefusedError as refusal:
            self._service.metrics.refusals.labels(refusal.code).inc()
            await refusal.response(request_id)(scope, passing.receive, passing.send)
        except Exception:
            _LOGGER.exception("Request %s failed.", request_id)
            if passing.status is None:
                failed = RefusedError(
                    500, "internal", f"The service failed; see its log for request {request_id}."
                )
                await failed.response(request_id)(scope, passing.receive, passing.send)
        finally:
            self._count(scope, passing.status, time.perf_counter() - started, request_id)

    def _check(self, path: str, headers: Headers) -> None:
        token, names = self._service.settings.token, self._service.settings.names
        if not is_own(headers.get("host"), headers.get("origin"), token=token, names=names):
            raise RefusedError(
                403,
                "foreign_origin",
                "The request comes from a page of another site, or uses a host name that the "
                "service does not know; behind a proxy, start the service with --allow-host NAME.",
            )
        if path in OPEN or path.startswith(f"{STATIC}/"):
            return
        if not may_ask(token, headers.get("authorization")):
            raise RefusedError(
                401,
                "unauthorized",
                "Send the service's token: Authorization: Bearer TOKEN.",
                headers={"WWW-Authenticate": 'Bearer realm="ahl"'},
            )

    def _count(self, scope: Scope, status: int | None, seconds: float, request_id: str) -> None:
        path, metrics = scope["path"], self._service.metrics
        route = STATIC if path.startswith(f"{STATIC}/") else path
        route = route if route in self._named else "other"
        metrics.requests.labels(route, str(status or 0)).inc()
        metrics.request_seconds.labels(route).observe(seconds)
        metrics.update_gauges()
        if self._service.settings.access_log:
            client = scope.get("client")
            line = {
                "time": round(time.time(), 3),
                "request_id": request_id,
                "client": client[0] if client else None,
                "method": scope["method"],
                "path": path,
                "status": status,
                "milliseconds": round(1000 * seconds, 1),
            }
            sys.stderr.write(json.dumps(line) + "\n")


def _within(root: str, scope: Scope) -> Scope:
    """The request with the root path removed, unless a proxy has removed it already."""
    path = scope["path"]
    if root and path.startswith(f"{root}/"):
        return {**scope, "path": path.removeprefix(root)}
    return scope


class _Passing:
    """The messages of one request on their way through the gate."""

    def __init__(self, receive: Receive, send: Send, headers: Headers, request_id: str) -> None:
        self._receive, self._send, self._request_id = receive, send, request_id
        length = headers.get("content-length", "0")
        self._unread = length != "0" or "transfer-encoding" in headers
        self._not_sent = "100-continue" in headers.get("expect", "").lower()
        self.status: int | None = None

    async def receive(self) -> Message:
        message = await self._receive()
        self._not_sent = False
        if message["type"] != "http.request" or not message.get("more_body", False):
            self._unread = False
        return message

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            headers = MutableHeaders(scope=message)
            headers.update({_REQUEST_ID: self._request_id, **_HEADERS})
            # Files are kept by browsers, but asked about each time.
            headers.setdefault("Cache-Control", "no-cache" if "ETag" in headers else "no-store")
            if self._unread:
                headers["Connection"] = "close"  # what still comes of the body is not a request
        ends = message["type"] == "http.response.body" and not message.get("more_body", False)
        if ends and self._unread and not self._not_sent:
            # The client has its whole answer at once; what ends it also closes the connection.
            await self._send({**message, "more_body": True})
            await self._drain()
            message = {"type": "http.response.body"}
        await self._send(message)

    async def _drain(self) -> None:
        """Read the rest of a refused body: clients lose the answer if it is left unread."""
        size = 0
        with suppress(TimeoutError):
            async with asyncio.timeout(_DRAINED_SECONDS):
                while self._unread and size < _DRAINED_BYTES:
                    size += len((await self.receive()).get("body", b""))
