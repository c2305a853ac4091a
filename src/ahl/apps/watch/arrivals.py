"""Which files of a folder are complete: seen unchanged for a while, and not open for writing."""

from __future__ import annotations

import os
import signal
import stat
import sys
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

from ahl.data.images.finding import IMAGE_SUFFIXES


@dataclass(frozen=True, slots=True, kw_only=True)
class Signature:
    """What of a file changes when somebody writes to it.

    Attributes:
        size: bytes.
        mtime_ns: when its content was changed, in nanoseconds.
        ctime_ns: when its content or its permissions were.
    """

    size: int
    mtime_ns: int
    ctime_ns: int

    @classmethod
    def of(cls, path: Path) -> Self | None:
        """Of a regular file; None if there is none, links included.

        Raises:
            OSError: if it cannot be asked for.
        """
        try:
            status = path.lstat()
        except (FileNotFoundError, NotADirectoryError):
            return None
        if not stat.S_ISREG(status.st_mode):
            return None
        return cls(
            size=status.st_size,
            mtime_ns=status.st_mtime_ns,
            ctime_ns=status.st_ctime_ns,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrival:
    """A file that has been seen.

    Attributes:
        path: where it is.
        name: path relative to the watched folder.
        signature: when it was last seen.
        since: when it was first seen like that, by the caller's clock, in seconds.
        tried: it has not decoded once; the next time is the last.
    """

    path: Path
    name: Path
    signature: Signature
    since: float
    tried: bool = False

    def changed(self) -> bool:
        """Whether the file is another one by now, is gone, or is being written."""
        return Signature.of(self.path) != self.signature or being_written(self.path)


class Arrivals:
    """Keeps in view what lies in a folder.

    Image files count, by their suffix; those whose names begin with `.` or `~` do not, nor do
    links. So temporary names (`.x.png`, `x.png.part`, `x.png.tmp`, `x.png~`) wait to be renamed.

    Args:
        folder: the watched one.
        recursive: whether its subfolders count, but for hidden and linked ones.
        settle: seconds that a file has to stay unchanged.
        patience: the same for a file that does not decode.
        excluded: folders within that do not count.
    """

    def __init__(
        self,
        folder: Path,
        *,
        recursive: bool,
        settle: float,
        patience: float,
        excluded: Iterable[Path] = (),
    ) -> None:
        self._folder, self._recursive = folder, recursive
        self._settle, self._patience = settle, max(settle, patience)
        self._excluded = {path.resolve() for path in excluded}
        self._seen: dict[Path, Arrival] = {}
        self._left: set[Path] = set()
        self._closed: dict[Path, bool] = {}  # subfolders, and whether that was told

    def look(self, now: float) -> list[Arrival]:
        """Look at the folder, and say which files are to be scored, the oldest first.

        Args:
            now: seconds on a clock that only goes on.

        Raises:
            OSError: if the folder cannot be listed.
        """
        seen: dict[Path, Arrival] = {}
        for path in self._files():
            signature = Signature.of(path)
            if signature is None:
                continue
            before = self._seen.get(path)
            if before is None or before.signature != signature:
                self._left.discard(path)
                name = path.relative_to(self._folder)
                before = Arrival(path=path, name=name, signature=signature, since=now)
            seen[path] = before
        self._seen = seen
        self._left &= seen.keys()
        due = [one for one in seen.values() if self._is_due(one, now)]
        return sorted(due, key=lambda one: (one.signature.mtime_ns, one.name.as_posix()))

    def seen(self) -> dict[Path, Arrival]:
        """What there was at the last look, by its path."""
        return dict(self._seen)

    def postpone(self, arrival: Arrival) -> None:
        """Wait longer for a file that does not decode: it may be half written."""
        self._seen[arrival.path] = replace(arrival, tried=True)

    def leave(self, arrival: Arrival) -> None:
        """Do not ask for it again until it changes."""
        self._left.add(arrival.path)

    def is_left(self, path: Path) -> bool:
        """Whether it is one of those."""
        return path in self._left

    def forget(self, arrival: Arrival) -> None:
        """See it anew at the next look: it changed while it was worked on, or is gone."""
        self._seen.pop(arrival.path, None)

    def refusals(self) -> list[str]:
        """A sentence for each subfolder that may not be looked into, once."""
        new = [path for path, told in self._closed.items() if not told]
        self._closed |= dict.fromkeys(new, True)
        return [f"{path} may not be looked into and is left out." for path in new]

    def _is_due(self, arrival: Arrival, now: float) -> bool:
        wait = self._patience if arrival.tried else self._settle
        due = now - arrival.since >= wait and arrival.path not in self._left
        return due and not being_written(arrival.path)

    def _files(self) -> Iterable[Path]:
        waiting = [self._folder]
        while waiting:
            folder = waiting.pop()
            try:
                entries = list(os.scandir(folder))
            except (FileNotFoundError, NotADirectoryError):
                if folder == self._folder:
                    raise
                continue  # removed meanwhile
            except PermissionError:
                if folder == self._folder:
                    raise
                self._closed.setdefault(folder, False)
                continue
            for entry in entries:
                if entry.name.startswith((".", "~")):
                    continue
                path = folder / entry.name
                if entry.is_dir(follow_symlinks=False):
                    if self._recursive and path.resolve() not in self._excluded:
                        waiting.append(path)
                elif path.suffix.lower() in IMAGE_SUFFIXES:
                    yield path


def being_written(path: Path) -> bool:
    """Whether any process of this machine has a file open for writing, where that can be known.

    Linux tells by a read lease, which it refuses for such a file. The lease is given back at
    once. It is not to be had for other users' files, nor on most network shares.
    """
    if sys.platform != "linux":
        return False
    import fcntl

    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        # Who opens it just now breaks the lease; the usual SIGIO of that would end the process.
        fcntl.fcntl(descriptor, fcntl.F_SETSIG, signal.SIGURG)
        fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_RDLCK)
        fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_UNLCK)
    except BlockingIOError:
        return True
    except OSError:
        return False
    finally:
        os.close(descriptor)
    return False
