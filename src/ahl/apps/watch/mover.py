"""Moves a file and logs the move, each exactly once, even if the process is killed in between.

A move has these steps. After a kill, the files show which of them were made:

1. `INTENDED` is written to the journal: the file, its target, and the content of its log line.
2. The file is renamed to a random hidden name beside its own. If that exists, this step was made.
3. `TAKEN` is written to the journal.
4. The hidden file is renamed to its target. If it still exists, this step was not made, whatever
   others have since done at the old and the new name. Onto another file system, it is first copied
   to a hidden name beside the target and `COPIED` is written; then the copy is renamed.
5. The line is appended to the log, unless it is the last one already.
6. The journal is cleared.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import secrets
import shutil
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Final, NoReturn

from ahl._common.errors import ImageError
from ahl.apps.watch.arrivals import Arrival, Signature, being_written
from ahl.apps.watch.journal import Intent, Journal, ResultLog, Stage, sync_folder
from ahl.apps.watch.new_names import free_name, rename_new
from ahl.data.images.reading import content_hash

_BLOCK: Final = 2**20

_NOT_BY_THIS_NAME: Final = frozenset(
    {errno.ENOTDIR, errno.EEXIST, errno.ENAMETOOLONG, errno.EINVAL, errno.EILSEQ, errno.ELOOP}
)
"""Errors that concern one file only and that no retry mends: a file has the name of the target's
folder, or the target's file system does not accept the name."""


class ChangedError(Exception):
    """The file changed or vanished after it was scored; it was not moved."""


class Mover:
    """Moves scored files to their folders, and logs each move.

    Args:
        journal: holds the move in progress.
        log: gets a line for every file that was moved.
        keep_lock: called before each move; raises if somebody else has taken over the folder.
        at: called with the name of each step once it was made; tests kill the process there.
    """

    def __init__(
        self,
        journal: Journal,
        log: ResultLog,
        *,
        keep_lock: Callable[[], None] = lambda: None,
        at: Callable[[str], None] = lambda step: None,
    ) -> None:
        self._journal, self._log = journal, log
        self._keep_lock, self._at = keep_lock, at

    def move(self, arrival: Arrival, folder: Path, facts: Mapping[str, Any]) -> dict[str, Any]:
        """Move a file into a folder, under its name relative to the watched folder.

        Args:
            arrival: the file, as it was scored.
            folder: the target; made when it is missing. If it has a file of that name, the new
                one is numbered.
            facts: JSON values for its line in the log.

        Returns:
            the log line.

        Raises:
            ChangedError: if the file has changed since it was scored.
            ImageError: if it cannot be opened or removed from its folder, or the target's file
                system does not accept its name; it is then where it was.
            OSError: if it cannot be moved; `recover` tries again.
        """
        self._keep_lock()
        sha256 = content_hash(arrival.path)
        if arrival.changed():
            raise ChangedError
        wished, source = (folder / arrival.name).absolute(), arrival.path.absolute()
        intent = Intent(
            source=source,
            taken=source.with_name(f".ahl-{secrets.token_hex(8)}{source.suffix}"),
            wished=wished,
            target=free_name(wished),
            size=arrival.signature.size,
            mtime_ns=arrival.signature.mtime_ns,
            sha256=sha256,
            facts={**facts, "path": str(arrival.path), "sha256": sha256},
        )
        self._note(intent)
        try:
            rename_new(intent.source, intent.taken)
        except FileNotFoundError:
            self._journal.clear()
            raise ChangedError from None
        except PermissionError:
            self._journal.clear()
            raise ImageError("there is no permission to remove it from its folder") from None
        self._at("taken")
        return self._end(intent)

    def recover(self) -> dict[str, Any] | None:
        """Finish a move that a kill or an error interrupted.

        Returns:
            the log line; None if no move was interrupted or it had not begun, or if the file is
            back where it was: it has changed, or the target does not accept its name.

        Raises:
            DataError: if the journal cannot be read.
            OSError: if the file cannot be moved.
        """
        self._keep_lock()
        intent = self._journal.read()
        if intent is None:
            return None
        if intent.stage is Stage.INTENDED:
            if not intent.taken.exists():
                self._journal.clear()
                return None
            if intent.source.exists() and intent.source.samefile(intent.taken):
                intent.source.unlink()  # where renaming takes two steps, one was made
        elif intent.stage is Stage.TAKEN and intent.copy is not None:
            intent.copy.unlink(missing_ok=True)
            intent = replace(intent, copy=None)
        try:
            return self._end(intent)
        except (ChangedError, ImageError):
            return None

    def _end(self, intent: Intent) -> dict[str, Any]:
        """Make the remaining steps of a file that has its hidden name."""
        if intent.stage is Stage.INTENDED:
            intent = self._check(intent)
        if (intent.copy or intent.taken).exists():
            intent = self._place(intent)
        if intent.stage is Stage.COPIED:
            intent.taken.unlink(missing_ok=True)
            self._at("original removed")
        sync_folder(intent.source.parent)
        line = {**intent.facts, "moved_to": str(intent.target)}
        self._log.append_once(line)
        self._at("logged")
        self._journal.clear()
        self._at("done")
        return line

    def _check(self, intent: Intent) -> Intent:
        """Note that the file is taken, or give it back if somebody wrote to it at the last moment.

        Raises:
            ChangedError: if it was given back.
        """
        now = Signature.of(intent.taken)
        same = now is not None and (now.size, now.mtime_ns) == (intent.size, intent.mtime_ns)
        if same and not being_written(intent.taken):
            sync_folder(intent.taken.parent)  # the hidden name is on the disk before the word of it
            intent = replace(intent, stage=Stage.TAKEN)
            self._note(intent)
            return intent
        self._give_back(intent)
        raise ChangedError

    def _give_back(self, intent: Intent) -> None:
        """Rename a taken file back, in steps that `recover` can go on from after a kill."""
        if intent.copy is not None:
            self._note(replace(intent, stage=Stage.TAKEN))
            intent.copy.unlink(missing_ok=True)
            self._at("copy removed")
        if intent.stage is not Stage.INTENDED:
            self._note(replace(intent, stage=Stage.INTENDED, copy=None))
        back = intent.source
        while intent.taken.exists():
            try:
                rename_new(intent.taken, back)
            except FileExistsError:  # by now there is another one of that name
                back = free_name(intent.source)
        self._at("given back")
        self._journal.clear()

    def _place(self, intent: Intent) -> Intent:
        """Rename the file to its target, or to a free name beside it."""
        while True:
            try:
                intent.target.parent.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                self._refused(intent, error)
            try:
                rename_new(intent.copy or intent.taken, intent.target)
            except FileExistsError:
                intent = replace(intent, target=free_name(intent.wished))
                self._note(intent)
            except OSError as error:
                if error.errno != errno.EXDEV or intent.copy is not None:
                    self._refused(intent, error)
                intent = self._copied(intent)
            else:
                break
        self._at("placed")
        sync_folder(intent.target.parent)
        return intent

    def _refused(self, intent: Intent, error: OSError) -> NoReturn:
        """Give back a file that its target never accepts; raise other errors, for the next try."""
        if error.errno not in _NOT_BY_THIS_NAME:
            raise error
        self._give_back(intent)
        raise ImageError(f"it cannot be moved to {intent.wished} ({error.strerror})") from error

    def _copied(self, intent: Intent) -> Intent:
        """Copy the file beside its target, under a hidden name."""
        copy = intent.target.with_name(f".ahl-{secrets.token_hex(8)}.part")
        intent = replace(intent, copy=copy)
        self._note(intent)
        digest = hashlib.sha256()
        with intent.taken.open("rb") as reader, copy.open("xb") as writer:
            while block := reader.read(_BLOCK):
                digest.update(block)
                writer.write(block)
                self._at("copying")
            writer.flush()
            with contextlib.suppress(OSError):  # not every share keeps times and permissions
                shutil.copystat(intent.taken, copy)
            os.fsync(writer.fileno())
        if digest.hexdigest() != intent.sha256:
            self._give_back(intent)
            raise ChangedError
        sync_folder(copy.parent)
        intent = replace(intent, stage=Stage.COPIED)
        self._note(intent)
        return intent

    def _note(self, intent: Intent) -> None:
        self._journal.write(intent)
        self._at("noted")
