"""Progress bars and notes for people who wait; imported when work begins."""

from __future__ import annotations

from types import TracebackType
from typing import Self

from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)

from ahl.observer import Observer
from ahl.records import EpochRecord
from ahl.types import Skipped

SHOWN_SKIPS = 20


class ConsoleObserver(Observer):
    """Shows a run on a console, and remembers what was skipped and how long each part took.

    Args:
        console: where to show it; a quiet one shows nothing.
    """

    def __init__(self, console: Console) -> None:
        self.skipped: list[Skipped] = []
        self.times: dict[tuple[str, ...], float] = {}
        self._console = console
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[detail]}"),
            console=console,
            transient=not console.is_terminal,
        )
        self._tasks: dict[str, TaskID] = {}

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._progress.stop()

    def on_stage(self, stage: str, done: int, total: int) -> None:
        """Move the stage's bar."""
        self._move(stage, done, total)

    def on_epoch(self, record: EpochRecord, epochs: int) -> None:
        """Move the training's bar and show the losses."""
        support = sum(record.support_losses) / len(record.support_losses)
        detail = f"loss {support:.3f}"
        if record.query_losses:
            query = sum(record.query_losses) / len(record.query_losses)
            weights = " ".join(f"{weight:.2f}" for weight in record.importance)
            detail = f"support loss {support:.3f}  query loss {query:.3f}  w {weights}"
        self._move("training, epochs", record.epoch, epochs, detail)

    def on_skipped(self, skipped: Skipped) -> None:
        """Say what was skipped, up to a limit."""
        self.skipped.append(skipped)
        if len(self.skipped) <= SHOWN_SKIPS:
            self._say(f"[yellow]skipped[/] {escape(skipped.name)}: {escape(skipped.reason)}")

    def on_time(self, part: tuple[str, ...], seconds: float) -> None:
        """Add it up."""
        self.times[part] = self.times.get(part, 0.0) + seconds

    def on_note(self, text: str) -> None:
        """Print the note."""
        self._say(escape(text))

    def _say(self, text: str) -> None:
        self._progress.console.print(text, soft_wrap=True)

    def _move(self, stage: str, done: int, total: int, detail: str = "") -> None:
        if stage not in self._tasks:
            if total == 0:  # everything came from the cache
                self._say(f"{stage}: cached")
                return
            self._tasks[stage] = self._progress.add_task(stage, total=total, detail=detail)
        self._progress.update(
            self._tasks[stage],
            completed=done,
            total=total,
            detail=detail,
        )
