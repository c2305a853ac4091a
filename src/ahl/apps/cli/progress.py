"""Progress and notes on a console; imported only when work begins."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Self, TypeVar

from rich.console import Console, Group
from rich.live import Live
from rich.markup import escape
from rich.padding import Padding
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TaskID,
    TextColumn,
)
from rich.table import Table
from rich.text import Text

from ahl._common.callbacks import Callback
from ahl._common.history import EpochRecord
from ahl._common.types import Skipped

Thing = TypeVar("Thing")

Times = dict[tuple[str, ...], float]
"""Seconds of each part, those of parts within it not counted; the outermost name comes first."""

SHOWN_SKIPS = 20
"""Most skipped images that are named."""

EPOCHS = "training, epochs"

QUIET_SECONDS = 10.0
"""Without bars, a line shows progress when a stage ends, otherwise at most this often."""


class ConsoleCallback(Callback):
    """Shows a run on a console, and remembers skipped images, notes and how long each part took.

    Args:
        console: where to show it: bars on a terminal, plain lines in a file or a pipe; a quiet
            one shows nothing.
        clock: seconds, from any zero.
    """

    def __init__(self, console: Console, clock: Callable[[], float] = time.monotonic) -> None:
        self.skipped: list[Skipped] = []
        self.notes: list[str] = []
        self.times: Times = {}
        # Not what rich thinks: FORCE_COLOR makes it take a file for a terminal.
        drawn = console.is_interactive and console.file.isatty()
        self._console, self._drawn = console, drawn
        self._shown = _Bars(console) if drawn else _Lines(console, clock)

    def __enter__(self) -> Self:
        self._shown.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._shown.stop()

    def on_stage(self, stage: str, done: int, total: int) -> None:
        """Show how far the stage is."""
        self._shown.move(stage, done, total)

    def on_epoch(self, record: EpochRecord, epochs: int) -> None:
        """Show how far the training is, and its losses."""
        self._shown.move(EPOCHS, record.epoch, epochs, losses_in_words(record))

    def on_skipped(self, skipped: Skipped) -> None:
        """Name what was skipped, up to a limit."""
        self.skipped.append(skipped)
        if len(self.skipped) <= SHOWN_SKIPS:
            words = f"[yellow]skipped[/] {escape(skipped.name)}: {escape(skipped.reason)}"
            self._console.print(words, soft_wrap=not self._drawn)

    def on_time(self, part: tuple[str, ...], seconds: float) -> None:
        """Add up the seconds of each part."""
        self.times[part] = self.times.get(part, 0.0) + seconds

    def progress_of(self, stage: str) -> Callable[[int, int], None]:
        """A function of (done, total) that shows how far the stage is."""
        return lambda done, total: self.on_stage(stage, done, total)

    def followed(self, stage: str, things: Iterable[Thing], total: int) -> Iterator[Thing]:
        """Yield the things, and show how many of `total` were done."""
        for done, thing in enumerate(things, start=1):
            yield thing
            self.on_stage(stage, done, total)

    def on_note(self, text: str) -> None:
        """Print the note."""
        self.notes.append(text)
        self._console.print(text, soft_wrap=not self._drawn, markup=False)


def losses_in_words(record: EpochRecord) -> str:
    """Mean losses of the base models, and their importance scores if they are several."""
    means = record.mean_losses
    if "query" not in means:
        return f"loss {means['support']:.3f}"
    weights = " ".join(f"{weight:.2f}" for weight in record.importance)
    return f"support loss {means['support']:.3f}, query loss {means['query']:.3f}, w_i {weights}"


def profile_rows(times: Times, total: float) -> list[tuple[tuple[str, ...], float]]:
    """Rows of a profile: each part with its seconds in all, inner parts below their outer one.

    Args:
        times: of a `ConsoleCallback`.
        total: seconds of the whole run; the last rows are the time outside of all parts, and this.
    """
    first: dict[tuple[str, ...], int] = {}
    for path in times:
        for depth in range(1, len(path) + 1):
            first.setdefault(path[:depth], len(first))
    # Inner parts are over before the outer one, and a branch may be entered again.
    paths = sorted(first, key=lambda path: [first[path[: i + 1]] for i in range(len(path))])
    rows = [
        (path, sum(s for inner, s in times.items() if inner[: len(path)] == path)) for path in paths
    ]
    return [
        *rows,
        (("everything else",), max(0.0, total - sum(times.values()))),
        (("total",), total),
    ]


def profile_values(times: Times, total: float) -> dict[str, Any]:
    """The profile as JSON values: seconds by the parts' names."""
    return {" > ".join(path): round(seconds, 3) for path, seconds in profile_rows(times, total)}


def profile_table(times: Times, total: float) -> Table:
    """The profile as a table for people."""
    table = Table("where the time went", "s", "%", box=None)
    for column in table.columns[1:]:
        column.justify = "right"
    for path, seconds in profile_rows(times, total):
        share = 100 * seconds / total if total else 0.0
        table.add_row("  " * (len(path) - 1) + path[-1], f"{seconds:.1f}", f"{share:.0f}")
    return table


class _Times(ProgressColumn):
    """Time that a stage still takes, or took."""

    def render(self, task: Task) -> Text:
        """`0:12 left`, or `in 0:40`; nothing while that is not known."""
        if task.finished:
            return Text(f"in {_clock(task.finished_time or 0.0)}")
        left = task.time_remaining
        return Text("" if left is None else f"{_clock(left)} left")


class _Bars:
    """A bar for each stage, and the latest losses below them."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            _Times(),
            console=console,
        )
        self._live = Live(Group(self._progress), console=console)
        self._tasks: dict[str, TaskID] = {}
        self.start, self.stop = self._live.start, self._live.stop

    def move(self, stage: str, done: int, total: int, detail: str = "") -> None:
        """Show how far the stage is."""
        if stage not in self._tasks:
            if total == 0:  # everything came from the cache
                self._console.print(f"{escape(stage)}: cached", soft_wrap=True)
                return
            self._tasks[stage] = self._progress.add_task(escape(stage), total=total)
        self._progress.update(self._tasks[stage], completed=done, total=total)
        if detail:
            self._live.update(Group(self._progress, Padding.indent(detail, 2)))


class _Lines:
    """A plain line now and then, without control codes of a terminal."""

    def __init__(self, console: Console, clock: Callable[[], float]) -> None:
        self._console, self._clock = console, clock
        self._last_shown: dict[str, tuple[int, int]] = {}
        self._began: dict[str, tuple[float, int]] = {}
        self.start()

    def start(self) -> None:
        self._started = self._latest = self._clock()

    def stop(self) -> None:
        """Do nothing: there is nothing to end."""

    def move(self, stage: str, done: int, total: int, detail: str = "") -> None:
        """Show how far the stage is, if it begins, ends or the last line is long ago."""
        now = self._clock()
        began, first = self._began.setdefault(stage, (now, done))
        begins = done == 0 and total == 1  # such a stage has no steps
        due = begins or done == total or now - self._latest >= QUIET_SECONDS
        if not due or self._last_shown.get(stage) == (done, total):
            return
        self._latest, self._last_shown[stage] = now, (done, total)
        reached = f"{done}/{total}" if total else "cached"
        if first < done < total:
            left = (now - began) * (total - done) / (done - first)
            reached += f", about {_clock(left)} left"
        parts = [f"{_clock(now - self._started)} {stage}: {reached}", *filter(None, [detail])]
        text = ", ".join(parts)
        self._console.print(text, soft_wrap=True, markup=False)


def _clock(seconds: float) -> str:
    """Minutes and seconds, as `1:05`."""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}:{rest:02d}"
