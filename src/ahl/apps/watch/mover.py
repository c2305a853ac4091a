"""Moves a file and logs it, each exactly once, wherever a kill comes between.

A move goes through steps of which each leaves no doubt, afterwards, about whether it was made:

1. `INTENDED` is in the journal: which file, where to, and all that its log line will say.
2. The file gets a hidden name beside its own that nobody else knows: if that is there, it has.
3. `TAKEN` is in the journal.
4. The hidden file is renamed to its target: while it is there, it was not, whatever others have
   done since at the old name and at the new one. Onto another file system it is copied under a
   hidden name first, `COPIED` is in the journal, and the same holds of the copy.
5. The line is in the log: it is the last one, or was not written.
6. The journal is empty.
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
"""Failures of one file alone, of which trying again does not help: a file has the name of its
folder, or the goal's file system does not take the name."""


class ChangedError(Exception):
    """The file changed, or vanished, while it was worked on; nothing was moved."""


class Mover:
    """Moves files.

    Args:
        journal: keeps what is on its way.
        log: gets a line for every file that was moved.
        keep_lock: called before each move; raises if it must not be made, since somebody else
            watches the folder by now.
        at: called with the name of each step that was made; tests kill the process there.
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
        """Move a file into a folder, under its name relative to the watched one.

        Args:
            arrival: the file, as it was scored.
            folder: where to; made when it is missing. If it has a file of that name, the new one
                is numbered.
            facts: JSON values for its line in the log.

        Returns:
            the line.

        Raises:
            ChangedError: if the file is not as it was scored any more.
            ImageError: if it cannot be opened, or not be removed from where it is, or the goal
                does not take its name; it is where it was.
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
        """End the move that a kill or an error left.

        Returns:
            the line of its log; None if there was no such move, or if it had not begun, or if the
            file is back where it was: it changed, or the goal does not take its name.

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
        """Make the steps that are left, of a file that is taken."""
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
        """Give a file back that somebody wrote to at the last moment."""
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
        """Undo the taking; a kill at any step leaves either that to do, or nothing."""
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
        """Bring the file to its target, or to a free name beside it."""
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
        """Give back a file that the goal never takes; leave any other failure to the next try."""
        if error.errno not in _NOT_BY_THIS_NAME:
            raise error
        self._give_back(intent)
        raise ImageError(f"it cannot become {intent.wished} ({error.strerror})") from error

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
