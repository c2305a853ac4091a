"""HTTP on one connection, and how long it may be about asking."""

from __future__ import annotations

import asyncio

from uvicorn.protocols.http.h11_impl import H11Protocol


class ImpatientProtocol(H11Protocol):
    """Closes connections whose request's head does not come: uvicorn waits for ever.

    Args:
        head_seconds: from the connection, or the first byte of a further request, to the end of a
            request's head.
        settings: as uvicorn gives them.
    """

    def __init__(self, head_seconds: float, **settings: object) -> None:
        super().__init__(**settings)  # type: ignore[arg-type]
        self._head_seconds = head_seconds
        self._head_due: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait."""
        super().connection_made(transport)
        self._wait_for_head()

    def data_received(self, data: bytes) -> None:
        """Wait no more once a head is whole."""
        super().data_received(data)
        if self.cycle is not None and not self.cycle.response_complete:
            self._wait_no_more()  # a head has come; how long its body may take the routes say
        elif self._head_due is None:
            self._wait_for_head()

    def on_response_complete(self) -> None:
        """Leave the wait for a further request's first byte to uvicorn."""
        super().on_response_complete()
        self._wait_no_more()

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait no more."""
        self._wait_no_more()
        super().connection_lost(exc)

    def _wait_for_head(self) -> None:
        self._head_due = self.loop.call_later(self._head_seconds, self.transport.close)

    def _wait_no_more(self) -> None:
        if self._head_due is not None:
            self._head_due.cancel()
            self._head_due = None
