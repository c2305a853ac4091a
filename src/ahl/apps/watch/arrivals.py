"""Detection of complete image files: unchanged for a while, and not open for writing."""

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
    """Size in bytes and times of a file, which tell whether its content or permissions changed."""

    size: int
    mtime_ns: int
    ctime_ns: int

    @classmethod
    def of(cls, path: Path) -> Self | None:
        """Signature of a regular file; None if it is missing, a link or anything else.

        Raises:
            OSError: if the file system does not give it.
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
    """An image file seen in the watched folder.

    Attributes:
        path: of the file.
        name: path relative to the watched folder.
        signature: as last seen.
        since: when it was first seen with this signature, in seconds of the caller's clock.
        tried: True once it has failed to decode; the next failure is final.
        left: True if it stays where it is until it changes.
    """

    path: Path
    name: Path
    signature: Signature
    since: float
    tried: bool = False
    left: bool = False

    def changed(self) -> bool:
        """True if the file has changed, was replaced, is gone, or is being written."""
        return Signature.of(self.path) != self.signature or being_written(self.path)


class Arrivals:
    """Tracks the image files of a folder, and lists those that are complete.

    Image files are recognised by their suffix. Left out are names that begin with `.` or `~`,
    links, files and folders of operating systems, and masks beside their images (`x_mask.png`).
    Files with temporary names (`.x.png`, `x.png.part`, `x.png.tmp`, `x.png~`) thus wait until
    they are renamed.

    Args:
        folder: the watched one.
        recursive: include subfolders, except hidden and linked ones.
        settle: seconds that a file has to stay unchanged.
        patience: the same for a file that failed to decode; `settle` if that is longer.
        excluded: subfolders that are left out.
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
        """Complete files that are to be scored, the oldest first.

        Args:
            now: seconds of a monotonic clock.

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
        """List a file no more until it changes; renaming it back and forth is not a change."""
        now, then = Signature.of(arrival.path), arrival.signature
        if now is not None and now[:2] == then[:2]:
            arrival = replace(arrival, signature=now)
        self._seen[arrival.path] = replace(arrival, left=True)

    def forget(self, arrival: Arrival) -> None:
        """Drop a file; if it is still in the folder, the next look takes it as new."""
        self._seen.pop(arrival.path, None)

    def refusals(self) -> list[str]:
        """A sentence for each subfolder that may not be read and each mask, the first time only."""
        closed = [path for path, told in self._closed.items() if not told]
        masks = [path for path, told in self._masks.items() if not told]
        self._closed |= dict.fromkeys(closed, True)
        self._masks |= dict.fromkeys(masks, True)
        return [
            *(f"{path} cannot be listed (no permission) and is left out." for path in closed),
            *(f"{path} is named like the mask of an image and is left out." for path in masks),
        ]

    def _is_due(self, arrival: Arrival, now: float) -> bool:
        wait = self._patience if arrival.tried else self._settle
        due = now - arrival.since >= wait and not arrival.left
        return due and not being_written(arrival.path)

    def _photographs(self) -> list[Path]:
        """The image files without masks: those named like another one, plus a mask's ending."""
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
        """Skip a subfolder that was removed meanwhile or may not be read; raise other errors."""
        folder = Path(error.filename)
        removed = isinstance(error, (FileNotFoundError, NotADirectoryError))
        if folder == self._folder or not (removed or isinstance(error, PermissionError)):
            raise error
        if not removed:
            self._closed.setdefault(folder, False)


def being_written(path: Path) -> bool:
    """True if a process of this machine has a file open for writing, where that can be known.

    Linux refuses a read lease on such a file; a lease that is granted is given back at once. Other
    users' files, most network shares and other systems have no leases: there it is False.
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
