"""Several callbacks at once, of which the logs may fail."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ahl._common.callbacks import Callback
from ahl._common.history import EpochRecord
from ahl._common.types import Skipped
from ahl.apps.logs._messages import reason_of


class Broadcast(Callback):
    """Tells everything to each of several callbacks.

    A log that fails (the disk is full, the server gone) is told nothing more; one note says so,
    and the run goes on.

    Args:
        watcher: told last; what it raises is raised.
        logs: the others, by the names that a note calls them.
    """

    def __init__(self, watcher: Callback, logs: Mapping[str, Callback]) -> None:
        self._watcher, self._logs = watcher, dict(logs)

    def on_start(self, facts: Mapping[str, Any]) -> None:
        """Tell all."""
        self._tell(lambda one: one.on_start(facts))

    def on_resumed(self, history: Sequence[EpochRecord], epochs: int) -> None:
        """Tell all."""
        self._tell(lambda one: one.on_resumed(history, epochs))

    def on_stage(self, stage: str, done: int, total: int) -> None:
        """Tell all."""
        self._tell(lambda one: one.on_stage(stage, done, total))

    def on_epoch(self, record: EpochRecord, epochs: int) -> None:
        """Tell all."""
        self._tell(lambda one: one.on_epoch(record, epochs))

    def on_skipped(self, skipped: Skipped) -> None:
        """Tell all."""
        self._tell(lambda one: one.on_skipped(skipped))

    def on_note(self, text: str) -> None:
        """Tell all."""
        self._tell(lambda one: one.on_note(text))

    def on_time(self, part: tuple[str, ...], seconds: float) -> None:
        """Tell all."""
        self._tell(lambda one: one.on_time(part, seconds))

    def on_saved(self, path: Path) -> None:
        """Tell all."""
        self._tell(lambda one: one.on_saved(path))

    def on_end(self, error: BaseException | None) -> None:
        """Tell all."""
        self._tell(lambda one: one.on_end(error))

    def _tell(self, tell: Callable[[Callback], None]) -> None:
        for name, log in list(self._logs.items()):
            if name not in self._logs:  # it failed meanwhile, of a note that another one had
                continue
            try:
                tell(log)
            except Exception as error:  # whatever a server's library raises
                self._logs.pop(name, None)
                self.on_note(f"{name} failed; the run goes on without it: {reason_of(error)}")
        tell(self._watcher)
