"""Callbacks: hooks into long work, which do nothing unless overridden."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from ahl._common.history import EpochRecord
from ahl._common.text import first_line
from ahl._common.types import Skipped


class Callback:
    """Hooks into a run; each does nothing unless overridden.

    Callbacks that log to a file or a server are in `ahl.apps.logs`.

    Examples:
        >>> from ahl import AHL, Callback, RunSettings
        >>> class Epochs(Callback):
        ...     def on_epoch(self, record, epochs):
        ...         print(f"epoch {record.epoch} of {epochs}")
        >>> detector = AHL(run=RunSettings(callback=Epochs()))
    """

    def on_start(self, facts: Mapping[str, Any]) -> None:
        """Called when a training run begins; `facts` are JSON values that describe it."""

    def on_resumed(self, history: Sequence[EpochRecord], epochs: int) -> None:
        """Called when an interrupted run resumes; `history` holds the epochs done before."""

    def on_stage(self, stage: str, done: int, total: int) -> None:
        """Called as a stage progresses, first with `done` 0, last with `done == total`."""

    def on_epoch(self, record: EpochRecord, epochs: int) -> None:
        """Called after each epoch; not called again for epochs done before a run was resumed."""

    def on_skipped(self, skipped: Skipped) -> None:
        """Called when an input was skipped."""

    def on_note(self, text: str) -> None:
        """Called with a sentence for people on something that happened."""

    def on_time(self, part: tuple[str, ...], seconds: float) -> None:
        """Called each time a part of the work ends; `seconds` excludes the parts within it.

        `part` names the nested parts, the outermost first.
        """

    def on_saved(self, path: Path) -> None:
        """Called when the trained model has been saved to `path`."""

    def on_end(self, error: BaseException | None) -> None:
        """Called when the run ends; `error` is the exception it failed with, or None."""

    @contextmanager
    def run(self, facts: Mapping[str, Any]) -> Iterator[None]:
        """Call `on_start` before the block, and `on_end` after it.

        A run within another is part of that one and calls neither.
        """
        # Subclasses need not call an __init__ for this.
        if self.__dict__.get("_running", False):
            yield
            return
        self._running = True
        try:
            self.on_start(facts)
            yield
        except BaseException as error:
            self.on_end(error)
            raise
        else:
            self.on_end(None)
        finally:
            self._running = False

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        """Time the block as a part of the work and call `on_time`; for one thread only."""
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


class Broadcast(Callback):
    """Calls the hooks of several callbacks, one after another.

    A log that fails (full disk, lost server) is dropped with a note that names it, and the run
    goes on.

    Args:
        watcher: called last; its exceptions propagate.
        logs: the other callbacks, by their names in notes.
    """

    def __init__(self, watcher: Callback, logs: Mapping[str, Callback]) -> None:
        self._watcher, self._logs = watcher, dict(logs)

    def _call(self, hook: str, given: tuple[Any, ...]) -> None:
        for name, log in list(self._logs.items()):
            if name not in self._logs:  # it failed meanwhile, of a note about another one
                continue
            try:
                getattr(log, hook)(*given)
            except Exception as error:  # whatever a server's library raises
                self._logs.pop(name, None)
                self.on_note(f"{name} failed; the run continues without it: {first_line(error)}")
        getattr(self._watcher, hook)(*given)


def _calling_all(hook: str) -> Callable[..., None]:
    def call(self: Broadcast, *given: Any) -> None:  # noqa: ANN401 - as the hook has it
        self._call(hook, given)

    return call


for _hook in [name for name in vars(Callback) if name.startswith("on_")]:
    setattr(Broadcast, _hook, _calling_all(_hook))


class PrintingCallback(Callback):
    """Prints every stage, epoch, note and skipped image on standard error: `verbose=1`."""

    def on_stage(self, stage: str, done: int, total: int) -> None:
        """Print the stage when it is done."""
        if done == total:
            print(f"{stage}: {total}", file=sys.stderr)

    def on_epoch(self, record: EpochRecord, epochs: int) -> None:
        """Print the mean losses of an epoch."""
        losses = [f"{name} loss {mean:.3f}" for name, mean in record.mean_losses.items()]
        print(f"epoch {record.epoch}/{epochs}: {', '.join(losses)}", file=sys.stderr)

    def on_skipped(self, skipped: Skipped) -> None:
        """Print which image was skipped, and why."""
        print(f"skipped {skipped.name}: {skipped.reason}", file=sys.stderr)

    def on_note(self, text: str) -> None:
        """Print the note."""
        print(text, file=sys.stderr)


class PatientCallback(Callback):
    """Prints progress on standard error once a run takes long: `verbose=None`.

    Args:
        clock: returns seconds, from any zero.
    """

    EVERY: Final = 15.0
    """Seconds before the first line, and between lines."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock, self._last, self._hint = clock, clock(), " (verbose=0 prints nothing)"

    def on_stage(self, stage: str, done: int, total: int) -> None:
        """Print the stage's progress, if the last line was `EVERY` seconds ago or more."""
        now = self._clock()
        if now - self._last >= self.EVERY:
            print(f"ahl: {stage}: {done}/{total}{self._hint}", file=sys.stderr)
            self._last, self._hint = now, ""

    def on_epoch(self, record: EpochRecord, epochs: int) -> None:
        """Print the training's progress, at the same intervals."""
        self.on_stage("training, epochs", record.epoch, epochs)
