"""The files that a watch keeps: the journal of the move in progress, the log, and locks."""

from __future__ import annotations

import contextlib
import json
import os
import re
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

import msgspec

from ahl._common.errors import DataError
from ahl._common.files import claim_log, naming, remove_torn_line, written_whole
from ahl._common.schema import Finite, read_json
from ahl._common.text import first_line
from ahl.model.decision import Verdict

if TYPE_CHECKING:
    from filelock import BaseFileLock

_HIDDEN: Final = re.compile(r"\.ahl-[0-9a-f]{16}\b.*")  # the names that files have on their way

_FIRST: Final = b'{"event": "moved"'
"""The beginning of every line of a log."""


class Stage(StrEnum):
    """The last step of a move that is certain to have happened."""

    INTENDED = "intended"
    TAKEN = "taken"
    COPIED = "copied"


class Facts(msgspec.Struct, kw_only=True):
    """The printed part of a log line: an image's score, or why it has none.

    Attributes:
        path: where it was found.
        error: the reason; None for an image that was scored.
        score: its score.
        anomalous: True if that lies above the threshold.
        verdict: of the model.

    Raises:
        ValueError: if there is neither a score with its verdict nor an error.
    """

    path: str
    error: str | None = None
    score: Finite | None = None
    anomalous: bool | None = None
    verdict: Verdict | None = None

    def __post_init__(self) -> None:
        if self.error is None and None in (self.score, self.anomalous, self.verdict):
            raise ValueError("the line has neither a score nor an error")


@dataclass(frozen=True, kw_only=True)
class Intent:
    """The move of one file, as the journal keeps it.

    Attributes:
        source: where it was found.
        taken: its hidden path beside that.
        wished: where it should go.
        target: where it goes: the same, or numbered because that was taken.
        size: bytes.
        mtime_ns: when it was changed last.
        sha256: hash of its content.
        facts: JSON values for its line in the log.
        stage: `INTENDED`: the file has its own or its hidden name; `TAKEN`: its hidden name, or it
            is at its target; `COPIED`: it was copied onto another file system.
        copy: path of the hidden copy beside the target; None while there is no copy.
        version: of the journal's format.
    """

    source: Path
    taken: Path
    wished: Path
    target: Path
    size: Annotated[int, msgspec.Meta(ge=0)]
    mtime_ns: int
    sha256: Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{64}$")]
    facts: dict[str, Any]
    stage: Stage = Stage.INTENDED
    copy: Path | None = None
    version: Literal[1] = 1

    def is_between(self, watched: Path, goals: Collection[Path]) -> bool:
        """True for a move from the watched folder to one of the given folders.

        Args:
            watched: the folder that files come from.
            goals: folders that they are moved to.
        """
        on_the_way = (self.taken,) if self.copy is None else (self.taken, self.copy)
        goal = self.target.parent.resolve()
        return (
            all(_HIDDEN.fullmatch(path.name) for path in on_the_way)
            and self.source.parent == self.taken.parent
            and self.wished.parent == self.target.parent
            and (self.copy is None or self.copy.parent == self.target.parent)
            and self.taken.parent.resolve().is_relative_to(watched.resolve())
            and any(goal.is_relative_to(one.resolve()) for one in goals)
        )


class Journal:
    """A file that holds at most one intent, synced to disk before the move is made.

    Others may be able to write to it, and it decides which files are renamed; so an intent between
    other folders than this watch's is refused.

    Args:
        path: the file; its folder is made.
        watched: the folder that files come from.
        goals: folders that they are moved to.
    """

    def __init__(self, path: Path, *, watched: Path, goals: Collection[Path]) -> None:
        self._path, self._watched, self._goals = path, watched, goals
        path.parent.mkdir(parents=True, exist_ok=True)
        for torn in path.parent.glob(f".{path.name}.*.part"):  # of a writer that was killed
            torn.unlink()

    def write(self, intent: Intent) -> None:
        """Write an intent in place of the last one.

        Raises:
            OSError: if it cannot be written.
        """
        # json, not msgspec's own writer: names of files need not be UTF-8.
        text = json.dumps(msgspec.to_builtins(intent, enc_hook=str))
        with written_whole(self._path) as temporary, temporary.open("wb") as file:
            file.write(text.encode("ascii"))
            file.flush()
            os.fsync(file.fileno())
        sync_folder(self._path.parent)

    def read(self) -> Intent | None:
        """The intent, or None if there is none.

        Raises:
            DataError: if the file is damaged, of another version, or about other folders.
        """
        try:
            intent = read_json(self._path.read_bytes(), Intent)
            msgspec.convert(intent.facts, Facts)
            here = intent.is_between(self._watched, self._goals)
        except FileNotFoundError:
            return None
        except ValueError as error:
            raise DataError(
                f"{self._path} records which file was being moved, but is damaged or of another "
                f"version of ahl ({first_line(error)}). Find out where that file is, then remove "
                f"{self._path}."
            ) from error
        if not here:
            raise DataError(
                f"{self._path} says that {intent.taken} is being moved to {intent.target}, which "
                "is not one of the folders given. Start once with the earlier folders, or find "
                f"out where that file is, then remove {self._path}."
            )
        return intent

    def clear(self) -> None:
        """Note that nothing is on its way any more."""
        self._path.unlink(missing_ok=True)


class ResultLog:
    """Log with a JSON line for each moved file, synced to disk before the next file is touched.

    Args:
        path: the file; made with its folder when it is missing. None keeps no log.

    Raises:
        ConfigurationError: if the file is there and is not such a log.
        OSError: if it cannot be written.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path
        if path is not None:
            claim_log(path, _FIRST, "a log of ahl watch")

    def append_once(self, facts: Mapping[str, Any]) -> None:
        """Append a line unless it is the last one already; a torn last line is removed first."""
        if self._path is None:
            return
        line = json.dumps({"event": "moved", **facts}, allow_nan=False).encode("ascii") + b"\n"
        if self._path.exists():
            remove_torn_line(self._path)
        # Opened anew: a log that was moved away to be kept goes on in a new file.
        with naming(self._path), self._path.open("a+b") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - len(line) - 1))
            if file.read() not in (line, b"\n" + line):
                file.write(line)
                file.flush()
                os.fsync(file.fileno())


@contextlib.contextmanager
def held_alone(path: Path, what: str) -> Iterator[Callable[[], None]]:
    """Hold a lock during a block; the system releases it even if the process is killed.

    Args:
        path: the lock's file; made with its folder when it is missing.
        what: name of the locked thing, for the message.

    Yields:
        a function that locks again if the lock's file is gone or was replaced, because its folder
        was removed. It raises DataError if somebody else holds the new lock, and OSError if the
        folder cannot be made again.

    Raises:
        DataError: if somebody else holds it.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    held = _locked(path, what)
    known = _identity(path)

    def keep() -> None:
        nonlocal held, known
        if known is not None and _identity(path) == known:
            return
        path.parent.mkdir(exist_ok=True)  # not what that lies in
        held.release()
        held = _locked(path, what)
        known = _identity(path)

    try:
        yield keep
    finally:
        held.release()


def _locked(path: Path, what: str) -> BaseFileLock:
    from filelock import FileLock, Timeout

    lock = FileLock(path)
    try:
        lock.acquire(blocking=False)
    except Timeout:
        raise DataError(
            f"Another `ahl watch` is running on {what}; stop it first, or choose another for this "
            "one."
        ) from None
    return lock


def _identity(path: Path) -> tuple[int, int] | None:
    """Device and inode number of a file, unique while it is open; None if it is gone."""
    try:
        status = path.stat()
    except FileNotFoundError:
        return None
    return status.st_dev, status.st_ino


def sync_folder(folder: Path) -> None:
    """Sync a folder's entries to disk, where the system offers that."""
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except OSError:  # Windows opens no folders
        return
    try:
        os.fsync(descriptor)
    except OSError:  # some network shares
        pass
    finally:
        os.close(descriptor)
