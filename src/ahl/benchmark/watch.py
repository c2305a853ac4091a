"""Time and memory of a piece of work."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Self

INTERVAL = 0.05
"""Seconds between two looks at the memory."""


class Watch:
    """Measures the wall time, and the most memory this process holds, during a block.

    Attributes:
        seconds: wall time without pauses, after the block.
        peak_mebibytes: highest resident size seen, after the block.
    """

    def __init__(self) -> None:
        self.seconds = 0.0
        self.peak_mebibytes = 0.0
        self._paused = 0.0

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Leave out the time of a block inside this one."""
        started = time.perf_counter()
        try:
            yield
        finally:
            self._paused += time.perf_counter() - started

    def __enter__(self) -> Self:
        import psutil

        self._process = psutil.Process()
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)
        self._started = time.perf_counter()
        self._note()
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.seconds = time.perf_counter() - self._started - self._paused
        self._stopped.set()
        self._thread.join()
        self._note()

    def _look(self) -> None:
        while not self._stopped.wait(INTERVAL):
            self._note()

    def _note(self) -> None:
        held = self._process.memory_info().rss / 2**20
        self.peak_mebibytes = max(self.peak_mebibytes, held)
