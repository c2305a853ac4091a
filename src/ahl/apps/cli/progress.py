"""Progress and notes for people who wait; imported when work begins."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from types import TracebackType
from typing import Self

from rich.console import Console, Group
from rich.live import Live
from rich.markup import escape
from rich.padding import Padding
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)

from ahl._common.callbacks import Callback
from ahl._common.history import EpochRecord
from ahl._common.types import Skipped

SHOWN_SKIPS = 20

EPOCHS = "training, epochs"

QUIET_SECONDS = 10.0
"""Without bars, a line tells of progress when a stage ends, otherwise at most this often."""


class ConsoleCallback(Callback):
    """Shows a run on a console, and remembers what was skipped and how long each part took.

    Args:
        console: where to show it: bars on a terminal, plain lines in a file or a pipe; a quiet
            one shows nothing.
        clock: seconds, from any zero.
    """

    def __init__(self, console: Console, clock: Callable[[], float] = time.monotonic) -> None:
        self.skipped: list[Skipped] = []
        self.times: dict[tuple[str, ...], float] = {}
        # Not what rich thinks: FORCE_COLOR makes it take a file for a terminal.
        drawn = console.is_interactive and console.file.isatty()
        self._shown: _Shown = _Bars(console) if drawn else _Lines(console, clock)

    def __enter__(self) -> Self:
        self._shown.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._shown.stop()

    def on_stage(self, stage: str, done: int, total: int) -> None:
        """Show how far the stage is."""
        self._shown.move(stage, done, total)

    def on_epoch(self, record: EpochRecord, epochs: int) -> None:
        """Show how far the training is, and its losses."""
        self._shown.move(EPOCHS, record.epoch, epochs, losses_in_words(record))

    def on_skipped(self, skipped: Skipped) -> None:
        """Say what was skipped, up to a limit."""
        self.skipped.append(skipped)
        if len(self.skipped) <= SHOWN_SKIPS:
            self._shown.say(f"[yellow]skipped[/] {escape(skipped.name)}: {escape(skipped.reason)}")

    def on_time(self, part: tuple[str, ...], seconds: float) -> None:
        """Add it up."""
        self.times[part] = self.times.get(part, 0.0) + seconds

    def on_note(self, text: str) -> None:
        """Print the note."""
        self._shown.say(escape(text))


def losses_in_words(record: EpochRecord) -> str:
    """Mean losses of the base models, and their importance scores if they are several."""
    support = sum(record.support_losses) / len(record.support_losses)
    if not record.query_losses:
        return f"loss {support:.3f}"
    query = sum(record.query_losses) / len(record.query_losses)
    weights = " ".join(f"{weight:.2f}" for weight in record.importance)
    return f"support loss {support:.3f}, query loss {query:.3f}, w_i {weights}"


class _Shown(ABC):
    """A way to show progress."""

    def __init__(self, console: Console) -> None:
        self._console = console

    @abstractmethod
    def start(self) -> None: ...

    @abstractmethod
    def stop(self) -> None: ...

    @abstractmethod
    def move(self, stage: str, done: int, total: int, detail: str = "") -> None: ...

    def say(self, text: str) -> None:
        """Print a line with markup."""
        self._console.print(text, soft_wrap=True)


class _Bars(_Shown):
    """A bar for each stage, and the latest losses below them."""

    def __init__(self, console: Console) -> None:
        super().__init__(console)
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(elapsed_when_finished=True),
            console=console,
        )
        self._live = Live(Group(self._progress), console=console)
        self._tasks: dict[str, TaskID] = {}

    def start(self) -> None:
        self._live.start()

    def stop(self) -> None:
        self._live.stop()

    def move(self, stage: str, done: int, total: int, detail: str = "") -> None:
        if stage not in self._tasks:
            if total == 0:  # everything came from the cache
                self.say(f"{escape(stage)}: cached")
                return
            self._tasks[stage] = self._progress.add_task(escape(stage), total=total)
        self._progress.update(self._tasks[stage], completed=done, total=total)
        if detail:
            self._live.update(Group(self._progress, Padding.indent(detail, 2)))


class _Lines(_Shown):
    """A line now and then, without anything that only a terminal understands."""

    def __init__(self, console: Console, clock: Callable[[], float]) -> None:
        super().__init__(console)
        self._clock = clock
        self._started = self._latest = clock()
        self._told: dict[str, tuple[int, int]] = {}

    def start(self) -> None:
        self._started = self._latest = self._clock()

    def stop(self) -> None:
        pass

    def move(self, stage: str, done: int, total: int, detail: str = "") -> None:
        now = self._clock()
        begins = done == 0 and total == 1  # nothing tells how far such a stage is
        due = begins or done == total or now - self._latest >= QUIET_SECONDS
        if not due or self._told.get(stage) == (done, total):
            return
        self._latest, self._told[stage] = now, (done, total)
        minutes, seconds = divmod(int(now - self._started), 60)
        reached = f"{done}/{total}" if total else "cached"
        text = f"{minutes}:{seconds:02d} {stage}: {reached}{f', {detail}' if detail else ''}"
        self._console.print(text, soft_wrap=True, markup=False)
