"""Complete files of a folder: seen unchanged for a while, and not open for writing."""

from __future__ import annotations

import os
import signal
import stat
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple, Self

from ahl._common.files import is_output
from ahl.data.images.finding import is_system
from ahl.data.images.formats import IMAGE_SUFFIXES
from ahl.data.images.pairing import base_name, is_ground_truth


class Signature(NamedTuple):
    """Facts of a file that change when somebody writes to it, or changes its permissions."""

    size: int
    mtime_ns: int
    ctime_ns: int

    @classmethod
    def of(cls, path: Path) -> Self | None:
        """Signature of a regular file; None if there is none, links included.

        Raises:
            OSError: if it cannot be asked for.
        """
        try:
            status = path.lstat()
        except (FileNotFoundError, NotADirectoryError):
            return None
        if not stat.S_ISREG(status.st_mode):
            return None
        return cls(status.st_size, status.st_mtime_ns, status.st_ctime_ns)


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrival:
    """A file that has been seen.

    Attributes:
        path: of the file.
        name: path relative to the watched folder.
        signature: when it was last seen.
        since: when it was first seen like that, by the caller's clock, in seconds.
        tried: it has not decoded once; the next time is the last.
        left: it stays where it is, until it changes.
    """

    path: Path
    name: Path
    signature: Signature
    since: float
    tried: bool = False
    left: bool = False

    def changed(self) -> bool:
        """True if the file is another one by now, is gone, or is being written."""
        return Signature.of(self.path) != self.signature or being_written(self.path)


class Arrivals:
    """Keeps in view the image files of a folder.

    Image files count, by their suffix; those whose names begin with `.` or `~` do not, nor do
    links, nor files and folders of operating systems. So temporary names (`.x.png`, `x.png.part`,
    `x.png.tmp`, `x.png~`) wait to be renamed. Masks of images beside them (`x_mask.png`) stay.

    Args:
        folder: the watched one.
        recursive: subfolders count too, but for hidden and linked ones.
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
        self._closed: dict[Path, bool] = {}  # subfolders; True once that was reported
        self._masks: dict[Path, bool] = {}  # as long as they are there; True once reported

    def look(self, now: float) -> list[Arrival]:
        """List the files that are to be scored, the oldest first.

        Args:
            now: seconds on a clock that only goes on.

        Raises:
            OSError: if the folder cannot be listed.
        """
        seen: dict[Path, Arrival] = {}
        for path in self._photographs():
            signature = Signature.of(path)
            if signature is None:
                continue
            before = self._seen.get(path)
            if before is None or before.signature != signature:
                name = path.relative_to(self._folder)
                before = Arrival(path=path, name=name, signature=signature, since=now)
            seen[path] = before
        self._seen = seen
        due = [one for one in seen.values() if self._is_due(one, now)]
        return sorted(due, key=lambda one: (one.signature.mtime_ns, one.name.as_posix()))

    def seen(self) -> dict[Path, Arrival]:
        """The files of the last look, by path."""
        return dict(self._seen)

    def postpone(self, arrival: Arrival) -> None:
        """Wait longer for a file that does not decode: it may be half written."""
        self._seen[arrival.path] = replace(arrival, tried=True)

    def leave(self, arrival: Arrival) -> None:
        """Do not list it again until it changes; to have moved it to and fro is no change."""
        now, then = Signature.of(arrival.path), arrival.signature
        if now is not None and now[:2] == then[:2]:
            arrival = replace(arrival, signature=now)
        self._seen[arrival.path] = replace(arrival, left=True)

    def forget(self, arrival: Arrival) -> None:
        """See it anew at the next look: it changed while it was worked on, or is gone."""
        self._seen.pop(arrival.path, None)

    def refusals(self) -> list[str]:
        """A sentence for each subfolder that may not be looked into, and each mask, once."""
        closed = [path for path, told in self._closed.items() if not told]
        masks = [path for path, told in self._masks.items() if not told]
        self._closed |= dict.fromkeys(closed, True)
        self._masks |= dict.fromkeys(masks, True)
        return [
            *(f"{path} may not be looked into and is left out." for path in closed),
            *(f"{path} is the mask of an image by its name and is left out." for path in masks),
        ]

    def _is_due(self, arrival: Arrival, now: float) -> bool:
        wait = self._patience if arrival.tried else self._settle
        due = now - arrival.since >= wait and not arrival.left
        return due and not being_written(arrival.path)

    def _photographs(self) -> list[Path]:
        """The files without those that have the name of another, with the ending of a mask."""
        files = list(self._files())
        there, names = set(files), {(path.parent, path.stem) for path in files}
        masks = [path for path in files if (path.parent, base_name(path.stem)) in names]
        kept = {path: told for path, told in self._masks.items() if path in there}
        self._masks = dict.fromkeys(masks, False) | kept  # also once the image was moved
        return [path for path in files if path not in self._masks]

    def _files(self) -> Iterator[Path]:
        for text, subfolders, names in os.walk(self._folder, onerror=self._not_listed):
            folder = Path(text)
            subfolders[:] = [
                name
                for name in subfolders
                if self._recursive
                and not (name.startswith("~") or is_system(name) or is_ground_truth(name))
                and (folder / name).resolve() not in self._excluded
                and not is_output(folder / name)
            ]
            for name in names:
                path = folder / name
                if name.startswith("~") or is_system(name):
                    continue
                if path.suffix.lower() in IMAGE_SUFFIXES:
                    yield path

    def _not_listed(self, error: OSError) -> None:
        """Go on without a subfolder that was removed meanwhile, or may not be looked into."""
        folder = Path(error.filename)
        removed = isinstance(error, (FileNotFoundError, NotADirectoryError))
        if folder == self._folder or not (removed or isinstance(error, PermissionError)):
            raise error
        if not removed:
            self._closed.setdefault(folder, False)


def being_written(path: Path) -> bool:
    """True if a process of this machine has a file open for writing, where that can be known.

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
    except OSError as error:
        return isinstance(error, BlockingIOError)
    finally:
        os.close(descriptor)
    return False
