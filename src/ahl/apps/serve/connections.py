"""Bounds that uvicorn lacks: on connections, their time, and bytes outside of bodies."""

from __future__ import annotations

import asyncio
from typing import Final

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from ahl._common.errors import ConfigurationError

SLOWEST: Final = 2**16
"""Lowest rate, in bytes a second, at which a client has to take an answer."""

BACKLOG: Final = 128
"""Connections that the system accepts before the service does."""

_LONGEST: Final = 2**16  # bytes that are not a body: of a head, trailers, or a chunk's extension
_SMALL: Final = 64  # bytes of a part of a body, such as a chunk
_MOST_SMALL: Final = 2**12  # of those
_MOST_HEADERS: Final = 128  # with those of the trailers
_MOST_PIPELINED: Final = 16  # requests sent before the first is answered
_SPARE: Final = 1024  # descriptors besides: of the model and files, and accepted but not counted
_FULL: Final = b"HTTP/1.1 503 Service Unavailable\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"


def allow_descriptors(connections: int) -> None:
    """Let this process, and those it starts, have so many connections open.

    Raises:
        ConfigurationError: if the system does not allow it.
    """
    try:
        import resource
    except ModuleNotFoundError:  # Windows, which counts them otherwise
        return
    wanted = connections + _SPARE
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < wanted:
        raise ConfigurationError(
            f"{connections:,} connections need {wanted:,} file descriptors, and {hard:,} are "
            "allowed; give fewer --max-connections, or allow more with `ulimit -n`."
        )
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


class Connection(HttpToolsProtocol):
    """uvicorn's HTTP with time-outs for heads and answers, and bounds on what a client sends.

    When too many are open, the one is closed that has been idle longest, without a request in
    progress.

    Args:
        seconds: from the connection, or the last answer, to the end of a request's head; and for an
            answer to be taken, besides what its length needs.
        most: connections of the process.
        settings: as uvicorn gives them.
    """

    def __init__(self, seconds: float, most: int, **settings: object) -> None:
        super().__init__(**settings)  # type: ignore[arg-type]
        self._seconds, self._most = seconds, most
        self._idle_since = self.loop.time()
        self._no_body = 0  # bytes since the last that made progress
        self._small = 0  # parts of the body
        self._head_due: asyncio.TimerHandle | None = None
        self._answer_due: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Accept a connection; if it is one too many, close the one that has been idle longest."""
        super().connection_made(transport)
        self._wait_for_head()
        if len(self.connections) > self._most:
            idle = [one for one in self.connections if isinstance(one, Connection) and one.is_idle]
            longest = min(idle, key=lambda one: one._idle_since)
            if longest is self:
                transport.write(_FULL)
                transport.close()
            else:
                longest.transport.abort()
                self.connections.discard(longest)

    @property
    def is_idle(self) -> bool:
        """True if no request is in progress: none came, or the last one is answered."""
        return self.cycle is None or self.cycle.response_started

    def data_received(self, data: bytes) -> None:
        """Parse received bytes; too many outside of a body end the connection."""
        self._no_body += len(data)
        super().data_received(data)
        if self._no_body > _LONGEST:
            self.transport.abort()

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header or trailer.

        Raises:
            ValueError: if there are too many; the parser makes that a bad request.
        """
        if len(self.headers) >= _MOST_HEADERS:
            raise ValueError("too many headers")  # to the parser, for a bad request
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """Begin a request.

        Raises:
            ValueError: if too many pipelined ones wait before it.
        """
        self._no_body = self._small = 0
        _cancel(self._head_due)  # it has come; the routes bound the time of its body
        if len(self.pipeline) >= _MOST_PIPELINED:
            raise ValueError("too many requests at once")
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Take a part of a body.

        Raises:
            ValueError: if there are too many small ones; the connection is ended.
        """
        self._no_body = 0
        self._small += len(body) < _SMALL
        if self._small > _MOST_SMALL:
            self.transport.abort()
            raise ValueError("too many small parts")
        super().on_body(body)

    def on_response_complete(self) -> None:
        """Start the time-outs for the answer to be taken, and for the head of the next request."""
        _cancel(self._answer_due)
        if left := self.transport.get_write_buffer_size():
            seconds = self._seconds + left / SLOWEST
            self._answer_due = self.loop.call_later(seconds, self._give_up_answer)
        if not self.pipeline:
            self._wait_for_head()
        super().on_response_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        """Cancel the time-outs."""
        _cancel(self._head_due)
        _cancel(self._answer_due)
        super().connection_lost(exc)

    def _wait_for_head(self) -> None:
        _cancel(self._head_due)
        self._idle_since = self.loop.time()
        self._head_due = self.loop.call_later(self._seconds, self.transport.close)

    def _give_up_answer(self) -> None:
        """Abort the connection if its answer was not taken; a normal close would wait for that."""
        if self.transport.get_write_buffer_size():
            self.transport.abort()


def _cancel(due: asyncio.TimerHandle | None) -> None:
    if due is not None:
        due.cancel()
