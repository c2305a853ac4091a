"""HTTP on one connection, and how long it may be about asking, and about taking its answer."""

from __future__ import annotations

import asyncio
from typing import Final

from uvicorn.protocols.http.h11_impl import H11Protocol

SLOWEST: Final = 2**16
"""Bytes a second of an answer that its client takes at least."""


class ImpatientProtocol(H11Protocol):
    """Closes connections whose request's head does not come, or whose answer is not taken.

    uvicorn waits for ever in both cases, in the latter with all of the answer in memory.

    Args:
        head_seconds: from the connection, or the first byte of a further request, to the end of a
            request's head; and for an answer to be taken, besides what its length needs.
        settings: as uvicorn gives them.
    """

    def __init__(self, head_seconds: float, **settings: object) -> None:
        super().__init__(**settings)  # type: ignore[arg-type]
        self._head_seconds = head_seconds
        self._head_due: asyncio.TimerHandle | None = None
        self._answer_due: asyncio.TimerHandle | None = None

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
        """Wait for the answer to be taken; for a further request's first byte uvicorn waits."""
        self._wait_no_more()
        self._wait_for_taking()
        super().on_response_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait no more."""
        self._wait_no_more()
        if self._answer_due is not None:
            self._answer_due.cancel()
        super().connection_lost(exc)

    def _wait_for_head(self) -> None:
        self._head_due = self.loop.call_later(self._head_seconds, self.transport.close)

    def _wait_no_more(self) -> None:
        if self._head_due is not None:
            self._head_due.cancel()
            self._head_due = None

    def _wait_for_taking(self) -> None:
        if self._answer_due is not None:
            self._answer_due.cancel()
            self._answer_due = None
        if left := self.transport.get_write_buffer_size():
            seconds = self._head_seconds + left / SLOWEST
            self._answer_due = self.loop.call_later(seconds, self._give_up_answer)

    def _give_up_answer(self) -> None:
        """Forget what is left of an answer; closed the usual way, it would still be waited for."""
        if self.transport.get_write_buffer_size():
            self.transport.abort()
