"""Callbacks: hooks around long work, which do nothing unless overridden."""

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
    """Hooks around a whole run; each does nothing unless overridden.

    Those that keep it in a file or on a server are in `ahl.apps.logs`.

    Examples:
        >>> from ahl import AHL, Callback, RunSettings
        >>> class Epochs(Callback):
        ...     def on_epoch(self, record, epochs):
        ...         print(f"epoch {record.epoch} of {epochs}")
        >>> detector = AHL(run=RunSettings(callback=Epochs()))
    """

    def on_start(self, facts: Mapping[str, Any]) -> None:
        """A training run begins; `facts` are JSON values that say of what."""

    def on_resumed(self, history: Sequence[EpochRecord], epochs: int) -> None:
        """The run goes on after these epochs of `epochs`, done before it was interrupted."""

    def on_stage(self, stage: str, done: int, total: int) -> None:
        """Part of a stage is done; called first with `done` 0, last with `done == total`."""

    def on_epoch(self, record: EpochRecord, epochs: int) -> None:
        """An epoch of `epochs` is done; not called again for those of a run that is resumed."""

    def on_skipped(self, skipped: Skipped) -> None:
        """An input was skipped."""

    def on_note(self, text: str) -> None:
        """A sentence for people on what happened."""

    def on_time(self, part: tuple[str, ...], seconds: float) -> None:
        """A part of the work took so long, parts within it not counted.

        `part` begins with the outermost one. Called again whenever the part was entered again.
        """

    def on_saved(self, path: Path) -> None:
        """The trained model is in this file, whole."""

    def on_end(self, error: BaseException | None) -> None:
        """The run that began is over; `error` is what it failed of, None if it did not."""

    @contextmanager
    def run(self, facts: Mapping[str, Any]) -> Iterator[None]:
        """Do a training run, and call `on_start` and `on_end`.

        A run within another one is part of it: who saves the model too, or reads the data,
        begins the run, and what is called within calls neither again.
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
        """Do a part of the work, and time it in the thread that drives it."""
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

    A log that fails (the disk is full, the server gone) is dropped; one note names it, and the run
    goes on.

    Args:
        watcher: called last; what it raises is raised.
        logs: the others, by the names that a note calls them.
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
                self.on_note(f"{name} failed; the run goes on without it: {first_line(error)}")
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
        """Print a stage that is done."""
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
    """Prints how far a run is, once it takes long, on standard error: `verbose=None`.

    Args:
        clock: seconds, from any zero.
    """

    EVERY: Final = 15.0
    """Seconds before the first line, and between lines."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock, self._last, self._hint = clock, clock(), " (verbose=0 prints nothing)"

    def on_stage(self, stage: str, done: int, total: int) -> None:
        """Print how far the stage is, if the last line is long ago."""
        now = self._clock()
        if now - self._last >= self.EVERY:
            print(f"ahl: {stage}: {done}/{total}{self._hint}", file=sys.stderr)
            self._last, self._hint = now, ""

    def on_epoch(self, record: EpochRecord, epochs: int) -> None:
        """Print how far the training is."""
        self.on_stage("training, epochs", record.epoch, epochs)
