"""A training run as JSON lines, one object a line, written as things happen."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ahl._common.callbacks import Callback
from ahl._common.files import claim_log, remove_torn_line
from ahl._common.history import EpochRecord
from ahl._common.types import Skipped

_FIRST = b'{"event": "start"'
"""Beginning of every log."""

_TENTHS = 10
"""Lines of a stage's progress, besides its beginning."""


class JsonLinesLog(Callback):
    """Callback that appends a JSON line for every event; docs/logs.md lists the events.

    Every line is in the file before the run goes on. Each run begins with a `start` line, even one
    that resumes, followed by all its epochs. A last line that a killed run left torn is removed
    when the next run starts.

    Args:
        path: the file; created when it is missing, with its folder.

    Raises:
        ConfigurationError: if the file is there and is not such a log.
        OSError: if it cannot be written.

    Examples:
        >>> from pathlib import Path
        >>> from ahl import AHL, JsonLinesLog, RunSettings
        >>> detector = AHL(run=RunSettings(callback=JsonLinesLog(Path("parts.jsonl"))))
    """

    def __init__(self, path: Path) -> None:
        claim_log(path, _FIRST, "a log of ahl")
        self._path = path
        self._started = time.monotonic()
        self._tenths: dict[str, int] = {}
        self._within: dict[str, float] = {}

    def on_start(self, facts: Mapping[str, Any]) -> None:
        """Write the facts of the run, after removing a torn last line."""
        self._started, self._tenths, self._within = time.monotonic(), {}, {}
        if self._path.exists():
            remove_torn_line(self._path)
        self._write("start", facts)

    def on_resumed(self, history: Sequence[EpochRecord], epochs: int) -> None:
        """Write the restored epochs, marked as such, so that the run has all of them."""
        for record in history:
            self._write("epoch", {**asdict(record), "epochs": epochs, "restored": True})

    def on_stage(self, stage: str, done: int, total: int) -> None:
        """Write the beginning of a stage, every tenth of it, and its end."""
        tenth = _TENTHS * done // total if total else _TENTHS
        if tenth != self._tenths.get(stage):
            self._tenths[stage] = tenth
            self._write("stage", {"stage": stage, "done": done, "total": total})

    def on_epoch(self, record: EpochRecord, epochs: int) -> None:
        """Write the losses and importance scores."""
        self._write("epoch", {**asdict(record), "epochs": epochs, "restored": False})

    def on_skipped(self, skipped: Skipped) -> None:
        """Write the skipped image's name, and the reason."""
        self._write("skipped", {"name": skipped.name, "reason": skipped.reason})

    def on_note(self, text: str) -> None:
        """Write the note."""
        self._write("note", {"text": text})

    def on_time(self, part: tuple[str, ...], seconds: float) -> None:
        """Add up the times of inner parts, and write them when their outermost part is over."""
        if len(part) > 1:
            name = " > ".join(part[1:])
            self._within[name] = self._within.get(name, 0.0) + seconds
            return
        within = {name: round(value, 3) for name, value in self._within.items()}
        whole = round(seconds + sum(self._within.values()), 3)
        self._within = {}
        self._write("part", {"part": part[0], "seconds": whole, "within": within})

    def on_saved(self, path: Path) -> None:
        """Write the path of the model."""
        self._write("saved", {"model": str(path)})

    def on_end(self, error: BaseException | None) -> None:
        """Write the end of the run, with its error if there was one."""
        seconds = round(time.monotonic() - self._started, 3)
        if error is None:
            self._write("end", {"seconds": seconds})
            return
        reason = {"error": type(error).__name__, "message": str(error)}
        self._write("failed", {"seconds": seconds, **reason})

    def _write(self, event: str, values: Mapping[str, Any]) -> None:
        now = datetime.now(UTC).isoformat(timespec="milliseconds")
        line = json.dumps(_finite({"event": event, "time": now, **values}), allow_nan=False)
        # Opened anew: whoever moves or removes the file meanwhile loses nothing but lines.
        with self._path.open("ab") as file:
            file.write(line.encode() + b"\n")


def _finite(value: object) -> object:
    """The value as JSON can hold it: NaN and infinities become null."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(name): _finite(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(one) for one in value]
    return value
