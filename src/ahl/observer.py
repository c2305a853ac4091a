"""What long work tells whoever watches: no-op hooks to override."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from ahl.records import EpochRecord
from ahl.types import Skipped


class Observer:
    """Hooks around a whole run; each does nothing unless overridden."""

    def on_stage(self, stage: str, done: int, total: int) -> None:
        """Part of a stage is done; called first with `done` 0, last with `done == total`."""

    def on_epoch(self, record: EpochRecord, epochs: int) -> None:
        """An epoch of `epochs` is done; not told again for those of a run that is resumed."""

    def on_skipped(self, skipped: Skipped) -> None:
        """An input was left out."""

    def on_note(self, text: str) -> None:
        """Something worth a sentence happened."""

    def on_time(self, part: tuple[str, ...], seconds: float) -> None:
        """A part of the work took so long, what is told of parts within it not counted.

        `part` begins with the outermost one. Told again whenever the part was entered again.
        """

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        """Do a part of the work, and tell how long it took in the thread that drives it."""
        # Subclasses need not call an __init__ for this.
        entered: list[tuple[str, list[float]]] = self.__dict__.setdefault("_entered", [])
        within: list[float] = []
        entered.append((name, within))
        started = time.perf_counter()
        try:
            yield
        finally:
            seconds = time.perf_counter() - started
            path = tuple(name for name, _ in entered)
            entered.pop()
            if entered:
                entered[-1][1].append(seconds)
            self.on_time(path, seconds - sum(within))
